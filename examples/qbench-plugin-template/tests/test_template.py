import pytest
from qbench_template.codec import BlockMean
from qbench_template.metric import MaximumError

from qbench.testing import check_codec, check_metric


@pytest.mark.parametrize("block", [1, 8, 64])
def test_codec_keeps_its_contract(block):
    check_codec(BlockMean, parameters={"block": block})


def test_metric_keeps_its_contract():
    check_metric(MaximumError)
