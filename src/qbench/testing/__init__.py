"""The conformance kit: what a plugin's own tests run to see that it keeps qbench's contracts.

::

    from qbench.testing import check_codec, check_metric

    def test_codec():
        check_codec(MyCodec)

    def test_metric():
        check_metric(MyMetric)

Each check raises AssertionError and says which promise was broken, on which input.
"""

from qbench.testing.codecs import check_codec
from qbench.testing.edges import check_metric_at_edges, edge_pictures
from qbench.testing.images import test_images
from qbench.testing.metrics import check_distribution_metric, check_metric
from qbench.testing.on_accelerator import check_codec_on_accelerator, check_metric_on_accelerator

__all__ = [
    "check_codec",
    "check_codec_on_accelerator",
    "check_distribution_metric",
    "check_metric",
    "check_metric_at_edges",
    "check_metric_on_accelerator",
    "edge_pictures",
    "test_images",
]
