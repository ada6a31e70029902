"""`ottenok data recipes`."""

from __future__ import annotations

import click

from ottenok.cli.places import json_option, write_json

__all__ = ["recipes"]


@click.command()
@json_option()
def recipes(as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """List the corpus recipes that `ottenok data build` knows by name."""
    from ottenok.recipes.corpus import load_recipe
    from ottenok.recipes.files import recipe_file, recipe_names

    found = [load_recipe(recipe_file(name, "data")) for name in recipe_names("data")]
    if as_json:
        write_json([recipe.model_dump(mode="json") for recipe in found])
        return
    from ottenok.cli.tables import show_table

    show_table(
        ("Recipe", "Labels", "Sources"),
        (
            (recipe.name, ", ".join(recipe.task_names), ", ".join(source.name for source in recipe.sources))
            for recipe in found
        ),
    )
