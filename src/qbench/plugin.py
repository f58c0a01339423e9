"""What people who write codecs and metrics use: contracts, parameters, errors; ``plugin.pyi`` lists it.

The contracts are the docstrings of the classes. ``qbench.testing`` checks them, and the modules of ``qbench.toolkit``
hold what plugins may use besides: entropy coding, tiled inference, training.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub("qbench", __file__)
