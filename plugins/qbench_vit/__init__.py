"""Vision transformers for qbench: the bundled classifier's recipe."""

from qbench import hookimpl


@hookimpl
def qbench_register_recipes(register):  # type: ignore[no-untyped-def]
    """Offer the recipe of the bundled vision transformer."""
    from qbench_vit.recipe import VitRecipe

    register(VitRecipe)
