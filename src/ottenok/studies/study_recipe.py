"""A study's recipe, resolved: every arm with every seed is one ordinary training recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.config import merge, parse, read_toml
from ottenok.core.errors import ConfigError
from ottenok.recipes.files import recipe_file
from ottenok.recipes.old_keys import translated
from ottenok.recipes.train import TrainRecipe
from ottenok.recipes.variants import StudyOptions, Variant, find_variant, take_variants

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["ArmRun", "Study", "read_study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmRun:
    """One arm with one seed.

    Attributes:
        arm: The arm.
        seed: The seed.
        recipe: What is trained.
    """

    arm: Variant
    seed: int
    recipe: TrainRecipe

    @property
    def folder(self) -> str:
        """Name of its folder in the study's."""
        return f"{self.arm.name}-{self.seed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study.

    Attributes:
        name: Of the recipe.
        description: Of the recipe.
        runs: Every arm with every seed, arm by arm.
        options: How the arms are compared.
    """

    name: str
    description: str
    runs: tuple[ArmRun, ...]
    options: StudyOptions

    def check_only(self, names: Sequence[str]) -> None:
        """Refuse names that no arm has.

        Raises:
            ConfigError: There is no such arm.
        """
        for name in names:
            find_variant([run.arm for run in self.runs], name)

    def title(self, name: str | None) -> str | None:
        """Return what tables call an arm."""
        return next((run.arm.title for run in self.runs if name in (run.arm.name, run.arm.title)), name)


def read_study(recipe: str | Path, over: Mapping[str, Any] | None = None, *, corpus: Path | None = None) -> Study:
    """Read a recipe with arms, or with several seeds, or a plain one, which is a study of one run.

    An arm's keys replace the recipe's, and `over` replaces both.

    Args:
        recipe: A TOML file, or the name of a recipe that ottenok has.
        over: Nested keys to replace, `seeds` among them; a `seed` stands for all seeds.
        corpus: A built corpus in the place of the recipe's data; arms with data of their own keep theirs.

    Raises:
        ConfigError: There is no such recipe, a key or a value is wrong, or two arms come out the same.
    """
    path = recipe_file(recipe)
    over = translated(over or {})[0]
    tree = merge(read_toml(path), {"seeds": over.pop("seeds")} if "seeds" in over else {})
    found = take_variants(tree, file=str(path))
    base = found.tree if corpus is None else merge(found.tree, {"data": {"corpus": str(corpus)}})
    arms = found.variants or (Variant(name="run", title=str(base.get("name", "run"))),)
    resolved = [(arm, _resolved(base, arm, over, named=bool(found.variants), file=str(path))) for arm in arms]
    _refuse_twins(resolved, str(path))
    seeds = () if "seed" in over else found.seeds
    runs = [
        ArmRun(arm=arm, seed=seed, recipe=one.model_copy(update={"seed": seed}))
        for arm, one in resolved
        for seed in (seeds or (one.seed,))
    ]
    return Study(
        name=str(base["name"]), description=str(base.get("description", "")), runs=tuple(runs), options=found.options
    )


def _resolved(base: Mapping[str, Any], arm: Variant, over: Mapping[str, Any], *, named: bool, file: str) -> TrainRecipe:
    tree = arm.apply(base) if named else base
    return parse(TrainRecipe, merge(tree, over), file=f"{file}, arm {arm.name}" if named else file)


def _refuse_twins(resolved: Sequence[tuple[Variant, TrainRecipe]], file: str) -> None:
    """Refuse arms that came out the same: a study would spend hours on showing that they are."""
    known: dict[str, str] = {}
    for arm, recipe in resolved:
        key = recipe.model_copy(update={"name": ""}).model_dump_json()
        if key in known:
            raise ConfigError(
                f"the arms {known[key]!r} and {arm.name!r} are the same recipe",
                hint="Is what they differ in replaced on the command line? A single arm is chosen with --only.",
                file=file,
                key="variants",
            )
        known[key] = arm.name
