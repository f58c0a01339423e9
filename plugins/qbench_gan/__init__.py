"""GAN inversion for qbench: a codec that sends latent vectors, its generators, and the recipe of one."""

from qbench import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer the codec."""
    from qbench_gan.codec import GanInversion

    register(GanInversion)


@hookimpl
def qbench_register_generators(register):  # type: ignore[no-untyped-def]
    """Offer the published generators."""
    from qbench_gan.pgan import PUBLISHED

    for generator in PUBLISHED:
        register(generator)


@hookimpl
def qbench_register_models(register):  # type: ignore[no-untyped-def]
    """Offer the generators' weights."""
    from qbench_gan.pgan import PUBLISHED

    for generator in PUBLISHED:
        register(generator.file)


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the recipe of a generator of photographs."""
    from qbench_gan.recipe import GanRecipe

    register(GanRecipe)
