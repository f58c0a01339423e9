"""A plugin for qbench."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):
    """Offer the codec. Imports are inside, so that listing plugins stays fast."""
    from qbench_plugin_template.codec import BlockMean

    register(BlockMean)


@hookimpl
def qbench_register_metrics(register):
    """Offer the metric."""
    from qbench_plugin_template.metric import MaximumError

    register(MaximumError)
