from qbench_plugin_template.metric import MaximumError

from qbench.testing import check_metric, check_metric_at_edges


def test_it_keeps_its_contract():
    check_metric(MaximumError)
    check_metric_at_edges(MaximumError)
