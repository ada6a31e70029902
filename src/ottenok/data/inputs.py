"""What a build reads: sources with their cards, files on this machine, and the splits that their rows are meant for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT
from ottenok.data.fetch import absent, locate
from ottenok.data.own import source_card
from ottenok.data.rows import FREE, TEST, TRAIN, VALIDATION
from ottenok.data.stats import Skipped

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.core.progress import Progress
    from ottenok.data.card import Card
    from ottenok.data.fetch import Located
    from ottenok.recipes.corpus import CorpusRecipe, SourceSpec

__all__ = ["Input", "InputFile", "Inputs", "find_inputs"]

_File = TypeVar("_File")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file to be read.

    Attributes:
        located: Where it is, and what the card says of it.
        source: Place of its source in `Inputs.sources`.
        number: Its place in the card, from 0: the middle part of a row's id.
        split: The split that its rows are meant for: FREE, TRAIN, VALIDATION or TEST.
    """

    located: Located
    source: int
    number: int
    split: int

    @property
    def name(self) -> str:
        """The file as manifests and reports name it: a user's own without its folders, others as in the card."""
        path = self.located.file.path
        return Path(path).name if Path(path).is_absolute() else path


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One source.

    Attributes:
        card: Its card, or what a user's file was turned into; its name is the source's name.
        spec: What the recipe says of it.
        missing: Paths of the card's optional files that are not here.
        validation_from_train: Whether a part of its training rows becomes validation, because it brings none.
    """

    card: Card
    spec: SourceSpec
    missing: tuple[str, ...]
    validation_from_train: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything that is read, in the order in which it is read: sources by name, files as in the card.

    Attributes:
        sources: The sources.
        files: The files of all sources.
        skipped: Optional sources that are not here.
    """

    sources: tuple[Input, ...]
    files: tuple[InputFile, ...]
    skipped: tuple[Skipped, ...]

    @property
    def names(self) -> list[str]:
        """Names of the sources."""
        return [one.card.name for one in self.sources]


def find_inputs(recipe: CorpusRecipe, *, root: Path | None, cache: Path, progress: Progress = SILENT) -> Inputs:
    """Find and check the files of every source of a recipe; a note tells of each one that is skipped.

    Args:
        recipe: The recipe.
        root: Folder that is looked into first.
        cache: Folder of what was fetched.
        progress: Takes the notes.

    Raises:
        ConfigError: A card is named twice, or none of the sources is here.
        DataError: A file that is needed is absent, altered, or there is no such card.
    """
    names = [spec.name for spec in recipe.sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"the source {name!r} is listed {names.count(name)} times", key="sources")
    if root is not None and not root.is_dir():
        raise DataError("the data root is not a folder", hint="Check --data-root or OTTENOK_DATA.", file=str(root))
    sources: list[Input] = []
    files: list[InputFile] = []
    skipped: list[Skipped] = []
    for spec in sorted(recipe.sources, key=lambda spec: spec.name):
        found = _find(spec, recipe, root=root, cache=cache, progress=progress)
        if isinstance(found, Skipped):
            skipped.append(found)
            progress.note(f"{found.name} is left out: {found.why}")
            continue
        one, located = found
        # A file without a split is for training alone, or a test as a whole, where the recipe wants it so.
        meant = {"all": FREE, "train-only": TRAIN, "test-only": TEST}[spec.use]
        validation = {"official": VALIDATION, "cut": TRAIN, "train": TRAIN, "test": TEST}[spec.validation]
        splits = {None: meant, "train": TRAIN, "validation": validation, "test": TEST}
        # By the whole entry: one archive may be several files of a card.
        known = list(one.card.files)
        files += [
            InputFile(
                located=file,
                source=len(sources),
                number=known.index(file.file) if file.file in known else place,
                split=TEST if spec.use == "test-only" else splits[file.file.split],
            )
            for place, file in enumerate(located)
        ]
        sources.append(one)
        for path in one.missing:
            progress.note(f"{one.card.name} goes without an optional file that is not there: {path}")
    if not sources:
        raise ConfigError(
            "no source of the recipe is on this machine",
            hint=f"Fetch one of them: ottenok data fetch {' '.join(one.name for one in skipped)}",
            key="sources",
        )
    return Inputs(sources=tuple(sources), files=tuple(files), skipped=tuple(skipped))


def _find(
    spec: SourceSpec, recipe: CorpusRecipe, *, root: Path | None, cache: Path, progress: Progress
) -> tuple[Input, list[Located]] | Skipped:
    """Find the files of one source that the recipe uses; or, for an optional source, say why it is skipped."""
    if spec.own is not None and spec.optional:
        # What is not there can't even be looked at.
        places = (spec.own.file, *spec.own.files.values())
        gone = [Path(file).name for file in places if file and not Path(file).is_file()]
        if gone:
            return Skipped(name=spec.name, why=f"not there: {', '.join(gone)}")
    card = source_card(spec, recipe, cache=cache, progress=progress)
    # Of the files that the recipe does not use none need be there.
    wanted = _chosen([file for file in card.files if not file.alternative], spec, lambda file: file.split)
    used = card.model_copy(update={"files": tuple(wanted)})
    try:
        lost = absent(used, root=root, cache=cache)
    except DataError as error:
        if spec.optional:
            return Skipped(name=card.name, why=error.message)
        raise
    needed = [file.path for file in lost if not file.optional]
    if needed and spec.optional:
        return Skipped(name=card.name, why=f"not there: {', '.join(needed)}")
    # Chosen once more: a card that is known by its hub name alone learns its files only when they are located.
    located = _chosen(locate(used, root=root, cache=cache), spec, lambda one: one.file.split)
    official = spec.validation == "official" and any(one.file.split == "validation" for one in located)
    one = Input(
        card=card,
        spec=spec,
        missing=tuple(file.path for file in lost if file.optional),
        validation_from_train=recipe.split.validation_from_train and spec.validation != "train" and not official,
    )
    return one, located


def _chosen(files: list[_File], spec: SourceSpec, split: Callable[[_File], str | None]) -> list[_File]:
    """Return the files that the recipe uses of a source."""
    if spec.use == "train-only":
        return [file for file in files if split(file) != "test"]
    if spec.use == "test-only":
        return [file for file in files if split(file) == "test"] or files
    return files
