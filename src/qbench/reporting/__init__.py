"""Reporting: reads records and nothing else; shows them."""
