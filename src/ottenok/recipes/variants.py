"""The variants of a study, in the file of the recipe that they change.

    seeds = [1, 2, 3]              # optional: train every variant with each of them; without it, the recipe's seed

    [study]                        # optional: how the variants are compared at the end
    metrics = ["weighted_f1", "macro_f1"]
    baseline = "cls"

    [[variants]]
    name = "cls"                   # of the variant's folder and row
    title = "first token"          # optional: as tables call it
    model.pooling = "cls"          # every other key is one of the recipe, and replaces it

    [[variants]]
    name = "mean-extended"
    data.recipe = "emotions-7-extended"
    loss.class_weights = "sqrt"

`ottenok study` trains them all; `ottenok train --variant NAME` trains one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.config import merge, parse, suggest
from ottenok.core.errors import ConfigError
from ottenok.core.table import Table
from ottenok.recipes.old_keys import translated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Study", "StudyOptions", "Variant", "find_variant", "take_variants"]

# A folder's name on every system, and no way out of the study's folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_MOST_SEED = 2**32 - 1
# `arms` is what earlier versions called the variants.
_KEYS = ("variants", "arms", "seeds", "study")
# Keys that say where data comes from: a variant that sets one means its own data, whatever else names another.
_DATA = ("corpus", "recipe", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A variant of a recipe.

    Attributes:
        name: Short; letters, digits, `.`, `_` and `-`.
        title: As tables call it.
        over: Nested keys that replace the recipe's.
    """

    name: str
    title: str
    over: dict[str, Any] = field(default_factory=dict)

    def apply(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """Return the recipe's tree as this variant has it, under a name of its own."""
        named = {**tree, "name": f"{tree.get('name', '')}-{self.name}"}
        data = self.over.get("data", {})
        if isinstance(data, dict) and any(key in data for key in _DATA):
            named["data"] = {key: value for key, value in named.get("data", {}).items() if key not in _DATA}
        return merge(named, self.over)


class StudyOptions(Table):
    """How the variants are compared.

    Attributes:
        metrics: Names of metrics, the most important first; empty: the usual ones of the labels' kind.
        baseline: Name of the variant that the others are tested against; None: the best by the first metric.
        best_first: Order the variants by the first metric, instead of as they are listed.
        weights: Whose weights stay on the disk: `keep` (all), `best` (of the best run on validation rows), `none`.
    """

    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    best_first: bool = False
    weights: Literal["keep", "best", "none"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A recipe file, taken apart.

    Attributes:
        tree: The recipe without its variants, its seeds and its table `[study]`.
        variants: In their order; empty for a plain recipe.
        seeds: Of every variant; empty: the recipe's own.
        options: How the variants are compared.
        notes: Keys that the file has under the names of an earlier version; they are read as today's.
    """

    tree: dict[str, Any]
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    options: StudyOptions = field(default_factory=StudyOptions)
    notes: tuple[str, ...] = ()


def take_variants(tree: Mapping[str, Any], *, file: str | None = None) -> Study:
    """Take `variants` (or, as earlier versions called them, `arms`), `seeds` and `study` out of a recipe's tree.

    Raises:
        ConfigError: They are not what they should be, or two variants have one name.
    """
    rest, notes = translated({key: value for key, value in tree.items() if key not in _KEYS}, file=file)
    if "arms" in tree and "variants" in tree:
        raise ConfigError("`arms` is the old name of `variants`: only one of them", file=file, key="arms")
    here = "arms" if "arms" in tree else "variants"
    listed, seeds = tree.get(here, []), tree.get("seeds", [])
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ConfigError(
            "expected tables", hint="Write each variant under a heading [[variants]].", file=file, key=here
        )
    if not isinstance(seeds, list) or not all(type(seed) is int and 0 <= seed <= _MOST_SEED for seed in seeds):
        raise ConfigError(
            f"expected a list of whole numbers from 0 to {_MOST_SEED}, found {seeds!r}", file=file, key="seeds"
        )
    if here == "arms":
        notes.append("[[arms]] is called [[variants]] now")
    variants = []
    for place, one in enumerate(listed):
        name = one.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"expected the variant's name, found {name!r}",
                hint="A variant's folder has its name: letters, digits, '.', '_' and '-', 80 at most.",
                file=file,
                key=f"{here}.{place}.name",
            )
        title = one.get("title", name)
        if not isinstance(title, str):
            raise ConfigError(f"expected a text, found {title!r}", file=file, key=f"{here}.{place}.title")
        own = {key: value for key, value in one.items() if key not in {"name", "title"}}
        over, old = translated(own, file=file)
        notes += old
        variants.append(Variant(name=name, title=title, over=over))
    named = [one.name for one in variants], [one.title for one in variants]
    for key, names in ((here, named[0]), (here, named[1]), ("seeds", seeds)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"{twice[0]!r} is there twice", file=file, key=key)
    try:
        options = parse(StudyOptions, tree.get("study", {}))
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint, file=file, key=f"study.{error.key}") from error
    if options.baseline is not None:
        find_variant(variants, options.baseline, file=file)
    return Study(
        tree=rest,
        variants=tuple(variants),
        seeds=tuple(seeds),
        options=options,
        notes=tuple(dict.fromkeys(notes)),
    )


def find_variant(variants: Sequence[Variant], name: str, *, file: str | None = None) -> Variant:
    """Return the variant of this name.

    Raises:
        ConfigError: There is none; the nearest is named.
    """
    for one in variants:
        if one.name == name:
            return one
    hint = suggest(name, [one.name for one in variants]) if variants else "This recipe has no [[variants]]."
    raise ConfigError(f"there is no variant {name!r}", hint=hint, file=file, key="variants")
