"""Named image sets for qbench."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_datasets(register):  # type: ignore[no-untyped-def]
    """Offer samples and kodak."""
    from qbench_datasets.kodak import Kodak
    from qbench_datasets.samples import Samples

    register(Samples)
    register(Kodak)
