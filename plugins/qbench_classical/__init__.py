"""Classical image codecs for qbench: the baselines that every other codec is measured against."""

from qbench import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer jpeg, png and webp."""
    from qbench_classical.jpeg import Jpeg, ThesisJpeg
    from qbench_classical.png import Png
    from qbench_classical.webp import WebP

    register(Jpeg)
    register(ThesisJpeg)
    register(Png)
    register(WebP)
