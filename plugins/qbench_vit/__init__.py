"""Vision transformers for qbench: the ViT-Score, and the recipe of the bundled classifier."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_metrics(register):  # type: ignore[no-untyped-def]
    """Offer the ViT-Score."""
    from qbench_vit.score import VitScore

    register(VitScore)


@hookimpl
def qbench_register_losses(register):  # type: ignore[no-untyped-def]
    """Offer the classifier's judgement as losses."""
    from qbench_vit.losses import FeatureLoss, LabelLoss

    register(LabelLoss)
    register(FeatureLoss)


@hookimpl
def qbench_register_models(register):  # type: ignore[no-untyped-def]
    """Offer the bundled classifier, and the published one."""
    from qbench_vit.models import BUNDLED, PUBLISHED

    register(BUNDLED)
    register(PUBLISHED)


@hookimpl
def qbench_find_model(name):  # type: ignore[no-untyped-def]
    """Know every model that timm publishes, as ``timm/NAME``."""
    from qbench_vit.models import HUB_OWNER, timm_weights

    return timm_weights(name.removeprefix(HUB_OWNER), labels=False) if name.startswith(HUB_OWNER) else None


@hookimpl
def qbench_find_embedding(name):  # type: ignore[no-untyped-def]
    """Describe images by the features of the bundled classifier, of timm's models, and of a user's own."""
    from qbench_vit.embeddings import embedding

    return embedding(name)


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the recipe of the bundled vision transformer."""
    from qbench_vit.recipe import VitRecipe

    register(VitRecipe)
