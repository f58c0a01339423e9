"""Perceptual metrics for qbench: what networks trained on pictures, or on pictures and text, say of the difference."""

from qbench import hookimpl


@hookimpl
def qbench_register_metrics(register):  # type: ignore[no-untyped-def]
    """Offer the CLIP similarity."""
    from qbench_perceptual.clip import ClipSimilarity

    register(ClipSimilarity)


@hookimpl
def qbench_find_model(name):  # type: ignore[no-untyped-def]
    """Know every model that open_clip publishes, as ``open_clip/MODEL/TAG``."""
    from qbench_perceptual.clip import OWNER, published

    return published(name.removeprefix(OWNER)) if name.startswith(OWNER) else None
