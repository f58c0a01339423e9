"""Other tools' result files: CompressAI's and codec-compare's."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_formats(register):  # type: ignore[no-untyped-def]
    """Offer compressai and codec-compare."""
    from qbench_formats.codec_compare import CodecCompare
    from qbench_formats.compressai import CompressAI

    register(CompressAI)
    register(CodecCompare)
