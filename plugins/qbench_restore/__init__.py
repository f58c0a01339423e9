"""JPEG with a small learned artefact corrector behind its decoder, and the recipe that trains it."""

from qbench.plugin import hookimpl


@hookimpl
def qbench_register_codecs(register):  # type: ignore[no-untyped-def]
    """Offer the codec."""
    from qbench_restore.codec import JpegRestore

    register(JpegRestore)


@hookimpl
def qbench_register_models(register):  # type: ignore[no-untyped-def]
    """Offer the bundled network."""
    from qbench_restore.codec import BUNDLED

    register(BUNDLED)


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the recipe."""
    from qbench_restore.recipe import RestoreRecipe

    register(RestoreRecipe)
