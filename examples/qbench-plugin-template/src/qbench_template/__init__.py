"""A third party's plugin for qbench, complete."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):
    """Offer the codec. Imports are inside, so that listing plugins stays fast."""
    from qbench_template.codec import BlockMean

    register(BlockMean)


@hookimpl
def qbench_register_metrics(register):
    """Offer the metric."""
    from qbench_template.metric import MaximumError

    register(MaximumError)
