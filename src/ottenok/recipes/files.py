"""Where recipes are found: a path, or a name in the folder `recipes` of the working directory, then in ottenok's own.

Training recipes are `recipes/NAME.toml`, corpus recipes `recipes/data/NAME.toml`.
"""

from __future__ import annotations

from pathlib import Path

from ottenok.core.config import suggest
from ottenok.core.errors import ConfigError
from ottenok.core.home import package_home

__all__ = ["recipe_file", "recipe_names"]


def _folders(kind: str) -> tuple[Path, ...]:
    package = package_home()
    # The last one is a source checkout, where the package lies in src/ottenok.
    homes = (Path("recipes"), package / "recipes", package.parents[1] / "recipes")
    return tuple(home / kind for home in homes)


def recipe_names(kind: str = "") -> tuple[str, ...]:
    """Return the names of all recipes of a kind (`""`: training, `data`: corpora), sorted."""
    return tuple(sorted({file.stem for folder in _folders(kind) if folder.is_dir() for file in folder.glob("*.toml")}))


def recipe_file(name: str | Path, kind: str = "") -> Path:
    """Return the file of a recipe.

    Raises:
        ConfigError: There is none; the message names the nearest.
    """
    path = Path(name)
    if path.suffix == ".toml" and path.is_file():
        return path
    for folder in _folders(kind):
        candidate = folder / f"{name}.toml"
        if candidate.is_file():
            return candidate
    known = recipe_names(kind)
    hint = suggest(str(name), known) if known else "Give the path of a TOML file."
    raise ConfigError(f"there is no recipe {str(name)!r}, neither a file nor a name", hint=hint)
