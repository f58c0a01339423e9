import pytest
from qbench_plugin_template.codec import BlockMean

from qbench.testing import check_codec


@pytest.mark.parametrize("block", [1, 8, 64])
def test_it_keeps_its_contract(block):
    check_codec(BlockMean, parameters={"block": block})
