"""Classical image codecs for qbench: the baselines that every other codec is measured against."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer them; heic and jpegli say what to install where their packages are missing."""
    from qbench_classical.avif import Avif
    from qbench_classical.heic import Heic
    from qbench_classical.jpeg import Jpeg, ThesisJpeg
    from qbench_classical.jpeg2000 import Jpeg2000
    from qbench_classical.jpegli import Jpegli
    from qbench_classical.jpegxl import JpegXl
    from qbench_classical.png import Png
    from qbench_classical.webp import WebP

    for codec in (Jpeg, ThesisJpeg, Jpegli, Jpeg2000, WebP, Avif, Heic, JpegXl, Png):
        register(codec)
