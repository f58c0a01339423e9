"""The HTML report: one file that opens offline, in any browser.

``content`` turns runs into plain values, ``page_images`` decides whether images travel in the file or beside it, and
``writing`` puts them into ``page.html`` with the style and the scripts beside this module. The scripts only show: every
mean, curve and BD-rate is computed here, by the code that the terminal's tables come from.
"""
