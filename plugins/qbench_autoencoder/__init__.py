"""A learned transform codec for qbench, and the recipe that trains it."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer the codec."""
    from qbench_autoencoder.codec import Autoencoder

    register(Autoencoder)


@hookimpl
def qbench_register_models(register):  # type: ignore[no-untyped-def]
    """Offer the bundled model."""
    from qbench_autoencoder.model import BUNDLED

    register(BUNDLED)


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the recipe."""
    from qbench_autoencoder.recipe import AutoencoderRecipe

    register(AutoencoderRecipe)
