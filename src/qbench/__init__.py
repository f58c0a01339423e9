"""qbench: benchmarks neural and classical image compression.

This is the face for people who run and read; ``__init__.pyi`` lists it. ``qbench.plugin`` is the one for people who
write codecs and metrics. Names are loaded when first used, so that ``import qbench`` and ``qbench --help`` cost next to
nothing.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, _names, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __dir__() -> list[str]:
    return [*_names(), "__version__"]
