"""GAN inversion for qbench: a codec that sends latent vectors, its generators, and the recipe of the bundled one."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer the codec."""
    from qbench_gan.codec import GanInversion

    register(GanInversion)


@hookimpl
def qbench_register_generators(register):  # type: ignore[no-untyped-def]
    """Offer the bundled generator, and the published ones."""
    from qbench_gan.generators import TrainedGenerator
    from qbench_gan.pgan import PUBLISHED

    for generator in (TrainedGenerator, *PUBLISHED):
        register(generator)


@hookimpl
def qbench_register_models(register):  # type: ignore[no-untyped-def]
    """Offer the generators' weights."""
    from qbench_gan.generators import BUNDLED
    from qbench_gan.pgan import PUBLISHED

    for weights in (BUNDLED, *(generator.file for generator in PUBLISHED)):
        register(weights)


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the recipe of the bundled generator."""
    from qbench_gan.recipe import GanRecipe

    register(GanRecipe)
