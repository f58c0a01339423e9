"""Anybody's learned codec in qbench: torch modules with ``compress`` and ``decompress``, and CompressAI's zoo."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer the codecs; compressai says what to install where that package is missing."""
    from qbench_torch.codec import TorchCodec
    from qbench_torch.compressai import CompressAi

    register(TorchCodec)
    register(CompressAi)


@hookimpl
def qbench_find_model(name):  # type: ignore[no-untyped-def]
    """Know every checkpoint that CompressAI publishes, as ``compressai/ARCHITECTURE-METRIC-QUALITY``."""
    from qbench_torch.compressai import find

    return find(name)
