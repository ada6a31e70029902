"""The arms of a study: variants of one recipe, in the recipe's own file.

    seeds = [1, 2, 3]              # optional: train every arm with each of them; without it, the recipe's seed

    [study]                        # optional: how the arms are compared at the end
    metrics = ["weighted_f1", "macro_f1"]
    baseline = "cls"

    [[arms]]
    name = "cls"                   # of the arm's folder and row
    title = "first token"          # optional: as tables call it
    model.pooling = "cls"          # every other key is one of the recipe, and replaces it

    [[arms]]
    name = "mean-extended"
    data.recipe = "emotions-7-extended"
    loss.class_weights = "sqrt"

`ottenok study` trains them all; `ottenok train --arm NAME` trains one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.config import merge, parse, suggest
from ottenok.core.errors import ConfigError
from ottenok.core.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Arm", "StudyOptions", "Variants", "find_arm", "take_arms"]

# A folder's name on every system, and no way out of the study's folder.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_KEYS = ("arms", "seeds", "study")
_OWN = ("name", "title")
# Keys that say where data comes from: an arm that sets one means its own data, whatever else names another.
_DATA = ("corpus", "recipe", "file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
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
        """Return the recipe's tree as this arm has it, under a name of its own."""
        named = {**tree, "name": f"{tree.get('name', '')}-{self.name}"}
        data = self.over.get("data", {})
        if isinstance(data, dict) and any(key in data for key in _DATA):
            named["data"] = {key: value for key, value in named.get("data", {}).items() if key not in _DATA}
        return merge(named, self.over)


class StudyOptions(Table):
    """How the arms are compared.

    Attributes:
        metrics: Names of figures, the most important first; empty: the usual ones of the labels' kind.
        baseline: Name of the arm that the others are tested against; None: the best by the first metric.
        best_first: Order the arms by the first metric, instead of as they are listed.
        weights: Whose weights stay on the disk: `keep` (all), `best` (of the best run on validation rows), `none`.
    """

    metrics: tuple[str, ...] = ()
    baseline: str | None = None
    best_first: bool = False
    weights: Literal["keep", "best", "none"] = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """A recipe file, taken apart.

    Attributes:
        tree: The recipe without its arms, its seeds and its table `[study]`.
        arms: In their order; empty for a plain recipe.
        seeds: Of every arm; empty: the recipe's own.
        study: How the arms are compared.
    """

    tree: dict[str, Any]
    arms: tuple[Arm, ...]
    seeds: tuple[int, ...]
    study: StudyOptions = field(default_factory=StudyOptions)


def take_arms(tree: Mapping[str, Any], *, file: str | None = None) -> Variants:
    """Take `arms`, `seeds` and `study` out of a recipe's tree.

    Raises:
        ConfigError: They are not what they should be, or two arms have one name.
    """
    rest = {key: value for key, value in tree.items() if key not in _KEYS}
    listed, seeds = tree.get("arms", []), tree.get("seeds", [])
    if not isinstance(listed, list) or not all(isinstance(arm, dict) for arm in listed):
        raise ConfigError("expected tables", hint="Write each arm under a heading [[arms]].", file=file, key="arms")
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ConfigError(f"expected a list of whole numbers from 0, found {seeds!r}", file=file, key="seeds")
    arms = tuple(_arm(arm, place, file) for place, arm in enumerate(listed))
    for key, names in (("arms", [arm.name for arm in arms]), ("arms", [arm.title for arm in arms]), ("seeds", seeds)):
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"{twice[0]!r} is there twice", file=file, key=key)
    try:
        study = parse(StudyOptions, tree.get("study", {}))
    except ConfigError as error:
        raise ConfigError(error.message, hint=error.hint, file=file, key=f"study.{error.key}") from error
    if study.baseline is not None:
        find_arm(arms, study.baseline, file=file)
    return Variants(tree=rest, arms=arms, seeds=tuple(seeds), study=study)


def _arm(tree: Mapping[str, Any], place: int, file: str | None) -> Arm:
    name, key = tree.get("name"), f"arms.{place}.name"
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"expected the arm's name, found {name!r}",
            hint="An arm's folder has its name: letters, digits, '.', '_' and '-', 80 at most.",
            file=file,
            key=key,
        )
    title = tree.get("title", name)
    if not isinstance(title, str):
        raise ConfigError(f"expected a text, found {title!r}", file=file, key=f"arms.{place}.title")
    return Arm(name=name, title=title, over={key: value for key, value in tree.items() if key not in _OWN})


def find_arm(arms: Sequence[Arm], name: str, *, file: str | None = None) -> Arm:
    """Return the arm of this name.

    Raises:
        ConfigError: There is none; the nearest is named.
    """
    for arm in arms:
        if arm.name == name:
            return arm
    hint = suggest(name, [arm.name for arm in arms]) if arms else "This recipe has no [[arms]]."
    raise ConfigError(f"there is no arm {name!r}", hint=hint, file=file, key="arms")
