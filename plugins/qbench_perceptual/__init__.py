"""Perceptual metrics for qbench: what networks trained on images say of differences, and what their features do."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_metrics(register):  # type: ignore[no-untyped-def]
    """Offer similarities by networks, distances between sets of images, and scores without an original."""
    from qbench_perceptual.brisque import Brisque
    from qbench_perceptual.clip import ClipSimilarity
    from qbench_perceptual.frechet import FdClip, FdDino, Fid, Kid
    from qbench_perceptual.inception import InceptionScore
    from qbench_perceptual.learned import Dists, Lpips
    from qbench_perceptual.niqe import Niqe
    from qbench_perceptual.pixel_frechet import PixelFrechet

    for metric in (
        Lpips,
        Dists,
        ClipSimilarity,
        Fid,
        FdDino,
        FdClip,
        Kid,
        InceptionScore,
        PixelFrechet,
        Brisque,
        Niqe,
    ):
        register(metric)


@hookimpl
def qbench_register_models(register):  # type: ignore[no-untyped-def]
    """Offer the networks behind distances, and what scores without an original were fitted to."""
    from qbench_perceptual import brisque, inception, learned, niqe

    for weights in (
        *learned.BACKBONES.values(),
        learned.DISTS_WEIGHTS,
        inception.WEIGHTS,
        brisque.LIVE,
        brisque.BLISS,
        niqe.BSDS,
    ):
        register(weights)


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the fits behind BRISQUE and NIQE."""
    from qbench_perceptual.blind_recipes import BrisqueRecipe, NiqeRecipe

    register(BrisqueRecipe)
    register(NiqeRecipe)


@hookimpl
def qbench_find_model(name):  # type: ignore[no-untyped-def]
    """Know every model that open_clip publishes, as ``open_clip/MODEL/TAG``."""
    from qbench_perceptual.clip import OWNER, published

    return published(name.removeprefix(OWNER)) if name.startswith(OWNER) else None


@hookimpl
def qbench_find_embedding(name):  # type: ignore[no-untyped-def]
    """Describe images by Inception's features, or by the embeddings of open_clip's models."""
    from qbench_perceptual import clip, inception

    return inception.embedding() if name == inception.INCEPTION else clip.embedding(name)
