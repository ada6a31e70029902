"""A corpus recipe: which sources, how they are cleaned and split. Read from TOML, refused where a key is unknown."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from ottenok.core.config import merge, parse, read_toml
from ottenok.core.errors import ConfigError
from ottenok.core.schemes import LabelScheme, SchemeKind, load_schemes
from ottenok.core.table import Table
from ottenok.recipes.files import recipe_file
from ottenok.text.normalise import TextOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "CleanOptions",
    "CorpusRecipe",
    "OwnData",
    "OwnScheme",
    "SourceSpec",
    "SplitOptions",
    "corpus_recipe",
    "load_recipe",
]

Split = Literal["train", "validation", "test"]
Use = Literal["all", "train-only", "test-only"]
Validation = Literal["official", "cut", "train", "test"]


class OwnData(Table):
    """The user's own data as a source: a file, a file per split, or a hub data set; no card is needed.

    Attributes:
        name: Name of the source.
        file: A CSV, TSV, JSON, JSON lines, Parquet or XLSX file, or a ZIP of one; from a recipe's file, the path is
            relative to that file.
        files: Split to such a file, where there is one per split.
        hub: A hub data set, `owner/name`.
        config: Configuration of the hub data set.
        text: The text column: its name or 0-based position.
        label: The label column, or the names of several 0/1 columns.
        label_list: How the label column holds several labels, where that does not show.
        part: Column that names a sub-source.
        scheme: The scheme that the labels belong to; None: the recipe's.
        label_map: From labels in the data to labels of the scheme, `""` to drop; None: they have the same names.
        languages: ISO 639-1 codes; with one, every text is in it; otherwise its script decides.
        licence: SPDX identifier of the texts' terms.
        reader: Reader options, such as `delimiter` or `sheet`, where what is found out is wrong.
    """

    name: Annotated[str, Field(min_length=1)]
    file: str | None = None
    files: dict[Split, str] = Field(default_factory=dict)
    hub: str | None = None
    config: str | None = None
    text: str | int = "text"
    label: str | int | tuple[str, ...] = "label"
    label_list: Literal["json", "numpy", "comma", "space", "semicolon", "pipe", "hash", "one"] | None = None
    part: str | int | None = None
    scheme: str | None = None
    label_map: dict[str, str] | None = None
    languages: tuple[str, ...] = ()
    licence: str = "unknown"
    reader: dict[str, str | int | bool | list[str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_place(self) -> OwnData:
        if sum(map(bool, (self.file, self.files, self.hub))) != 1:
            raise ValueError("say where the data is: one of file, files and hub")
        return self

    def beside(self, folder: Path) -> OwnData:
        """The same with relative paths taken as relative to `folder`."""
        return self.model_copy(
            update={
                "file": self.file and str(folder / self.file),
                "files": {split: str(folder / file) for split, file in self.files.items()},
            }
        )

    def without_folders(self) -> OwnData:
        """The same with the files' names alone: what a manifest may tell of the user's machine."""
        return self.model_copy(
            update={
                "file": self.file and Path(self.file).name,
                "files": {split: Path(file).name for split, file in self.files.items()},
            }
        )


class SourceSpec(Table):
    """One source of a corpus.

    Attributes:
        card: Name of a data-set card.
        own: The user's own data, in place of a card.
        use: `all`: official splits stay, the rest is cut by shares. `train-only`: no row gets into a test, and official
            tests are not read. `test-only`: the official test alone is read; a source without one is a test as a whole.
        validation: `official`: rows of the source's official validation are validation. `cut`: they count as train, of
            which the recipe's share becomes validation, for sets whose train is small or not at hand. `train`: they
            are train, and none of the source's train becomes validation. `test`: they are test, for sets whose official
            test is not at hand, and the recipe's share of train becomes validation.
        parts: Sub-sources to take, by name or pattern (`*`); empty: all.
        without_parts: Sub-sources to leave out, by name or pattern.
        tasks: Tasks of the recipe that the source has labels for; empty: every one that a sound map leads to.
        map: The recipe's own map from the card's scheme to the recipe's, `""` to drop; None: the table of maps. In a
            corpus with several tasks, `tasks` must then name the one that it leads to.
        limit: Most rows to take, not counting those of an official test; which ones, the seed says.
        optional: The corpus can do without: where the files are absent, a note says so.
    """

    card: str | None = None
    own: OwnData | None = None
    use: Use = "all"
    validation: Validation = "official"
    parts: tuple[str, ...] = ()
    without_parts: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    map: dict[str, str] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _one_kind(self) -> SourceSpec:
        if (self.card is None) == (self.own is None):
            raise ValueError("a source is either a card or the user's own data")
        return self

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(handler(self), "tasks")

    @property
    def name(self) -> str:
        """Name of the source."""
        return self.card or (self.own.name if self.own else "")

    def wants(self, part: str | None) -> bool:
        """Whether rows of this sub-source are taken."""
        name = part or ""
        if any(fnmatchcase(name, pattern) for pattern in self.without_parts):
            return False
        return not self.parts or any(fnmatchcase(name, pattern) for pattern in self.parts)


class CleanOptions(Table):
    """What is removed, besides exact duplicates, which always are.

    Attributes:
        minimum_letters: Fewest letters and digits of a text; 0 keeps texts of emoji alone.
        conflicts: What rows of one text with different labels mean: `majority`, and none of them where no label has
            more rows than any other; or `drop`: none of them.
        near: Whether near duplicates are looked for.
        threshold: Least Jaccard index of near duplicates' sets of shingles.
        shingle: Characters per shingle in alphabetic texts.
        shingle_han: Characters per shingle in texts of Han characters.
        minimum_shingles: Texts with fewer shingles are never near duplicates: in short texts one letter is much.
    """

    minimum_letters: Annotated[int, Field(ge=0)] = 0
    conflicts: Literal["majority", "drop"] = "majority"
    near: bool = True
    threshold: Annotated[float, Field(ge=0.5, le=1.0)] = 0.8
    shingle: Annotated[int, Field(ge=1, le=20)] = 5
    shingle_han: Annotated[int, Field(ge=1, le=20)] = 3
    minimum_shingles: Annotated[int, Field(ge=1)] = 10


class SplitOptions(Table):
    """How rows without an official split are cut.

    Attributes:
        train: Share of train.
        validation: Share of validation.
        test: Share of test.
        validation_from_train: Cut the share of validation from the official train of sources that bring no validation.
    """

    train: Annotated[float, Field(ge=0, le=1)] = 0.8
    validation: Annotated[float, Field(ge=0, le=1)] = 0.1
    test: Annotated[float, Field(ge=0, le=1)] = 0.1
    validation_from_train: bool = True

    @model_validator(mode="after")
    def _sum_to_one(self) -> SplitOptions:
        total = self.train + self.validation + self.test
        if abs(total - 1) > 1e-6:
            message = f"the shares of train, validation and test must sum to 1, and they sum to {total:g}"
            raise ValueError(message)
        return self

    def of_splits(self, *, test: bool) -> tuple[float, ...]:
        """Shares of train, validation and, if asked for, test; what is left of the whole is scaled up to 1."""
        shares = (self.train, self.validation, self.test) if test else (self.train, self.validation)
        whole = sum(shares)
        return tuple(share / whole for share in shares) if whole else (1.0,)


class OwnScheme(Table):
    """A label scheme of the recipe's own.

    Attributes:
        name: Its name, none of the built-in ones.
        kind: `multi-class`, `ordinal` or `multi-label`.
        labels: In the order of a model's outputs.
        values: Place of each label on -1..1, for `ordinal`; empty otherwise.
        titles: Language code (`en`, `ru`, `zh`) to the labels' names in that language, in the order of `labels`; the
            English ones are the labels themselves where they are not given.
    """

    name: str
    kind: SchemeKind
    labels: Annotated[tuple[str, ...], Field(min_length=2)]
    values: tuple[float, ...] = ()
    titles: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> OwnScheme:
        if self.name in load_schemes():
            message = f"{self.name!r} is a built-in scheme; give yours another name"
            raise ValueError(message)
        if len(set(self.labels)) != len(self.labels) or "" in self.labels:
            raise ValueError("labels must be different and not empty")
        if len(self.values) not in (0, len(self.labels)) or (self.kind == "ordinal" and not self.values):
            raise ValueError("an ordinal scheme needs one value per label, the others none")
        if any(len(titles) != len(self.labels) for titles in self.titles.values()):
            raise ValueError("titles need one name per label, in each language")
        return self

    def scheme(self) -> LabelScheme:
        """The scheme."""
        return LabelScheme(
            name=self.name,
            kind=self.kind,
            labels=self.labels,
            values=self.values,
            titles={"en": self.labels} | self.titles,
            source="the corpus recipe",
        )


class CorpusRecipe(Table):
    """Everything that decides what a corpus holds.

    Attributes:
        name: Name of the corpus.
        scheme: Label scheme of a corpus with one task: a built-in one, the one of `own_scheme`, or `own`: the labels of
            the user's own data as they are.
        tasks: Label schemes of a corpus with several tasks, in place of `scheme`: a text may be labelled for one
            or more of them. The first is the primary one.
        own_scheme: Definition of the scheme, where it is not built in.
        seed: Another seed cuts other splits and samples other rows.
        sources: What it is made of; their order does not matter.
        text: How texts are normalised; a model that is trained on the corpus does the same.
        clean: What is removed.
        split: How rows are split.
    """

    name: Annotated[str, Field(min_length=1)]
    scheme: str | None = None
    tasks: tuple[str, ...] = ()
    own_scheme: OwnScheme | None = None
    seed: int = 1
    sources: Annotated[tuple[SourceSpec, ...], Field(min_length=1)]
    text: TextOptions = TextOptions()
    clean: CleanOptions = CleanOptions()
    split: SplitOptions = SplitOptions()

    @model_validator(mode="after")
    def _check_tasks(self) -> CorpusRecipe:
        if (self.scheme is None) == (not self.tasks):
            raise ValueError("say what the labels are: either scheme, or tasks for several schemes")
        if len(set(self.tasks)) != len(self.tasks) or "own" in self.tasks:
            raise ValueError("tasks are different schemes, each built in or the one of own_scheme")
        for spec in self.sources:
            foreign = [task for task in spec.tasks if task not in self.task_names]
            if foreign:
                message = f"the source {spec.name!r} is for {', '.join(foreign)}, which is no task of the recipe"
                raise ValueError(message)
            if spec.map is not None and len(self.task_names) > 1 and len(spec.tasks) != 1:
                message = f"the source {spec.name!r} has a map of its own: name the one task that it leads to"
                raise ValueError(message)
            if spec.own is not None and spec.own.scheme is None and len(self.task_names) > 1 and len(spec.tasks) != 1:
                message = f"the source {spec.name!r} needs own.scheme, or the one task that its labels are of"
                raise ValueError(message)
        return self

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without(handler(self), "tasks" if self.scheme else "scheme")

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks: one, the scheme's, or several."""
        return self.tasks or (str(self.scheme),)

    def without_folders(self) -> CorpusRecipe:
        """The same with users' files named without their folders."""
        return self._with_own(OwnData.without_folders)

    def beside(self, folder: Path) -> CorpusRecipe:
        """The same with users' files relative to `folder`."""
        return self._with_own(lambda own: own.beside(folder))

    def _with_own(self, change: Callable[[OwnData], OwnData]) -> CorpusRecipe:
        sources = tuple(
            spec if spec.own is None else spec.model_copy(update={"own": change(spec.own)}) for spec in self.sources
        )
        return self.model_copy(update={"sources": sources})


def _without(tree: dict[str, Any], key: str) -> dict[str, Any]:
    """A dumped table without a key that says nothing, so that recipes for one task read as they always did."""
    return {name: value for name, value in tree.items() if name != key or value}


def load_recipe(path: Path, overrides: Mapping[str, Any] | None = None) -> CorpusRecipe:
    """Read a recipe from a TOML file and lay overrides (`ottenok.core.config.override`) over it.

    Paths of users' files are relative to the recipe's folder.

    Raises:
        ConfigError: The file can't be read, or a key is wrong or unknown.
    """
    return parse(CorpusRecipe, merge(read_toml(path), overrides or {}), file=str(path)).beside(path.parent)


def corpus_recipe(
    source: str | Path,
    *,
    text: str | int | None = None,
    label: str | int | Sequence[str] | None = None,
    scheme: str | None = None,
    label_map: Mapping[str, str] | None = None,
    reader: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> CorpusRecipe:
    """Return a corpus recipe: one by its name or file, or the one that stands for a file of the user's own.

    Args:
        source: A recipe's name or TOML file; or, with `text` and `label`, a data file or a hub data set, `owner/name`.
        text: The file's text column: its name or 0-based position.
        label: Its label column, or the names of several 0/1 columns.
        scheme: Label scheme of the corpus; None: the recipe's, or a file's labels as they are.
        label_map: From the file's labels to the scheme's, `""` to drop.
        reader: Options of its reader, such as `delimiter` or `sheet`.
        overrides: Keys of the recipe to be laid over it, as nested mappings.

    Raises:
        ConfigError: There is no such recipe, a key is wrong or unknown, or one of `text` and `label` is missing.
    """
    over = dict(overrides or {})
    if text is None and not label and label != 0:
        if label_map:
            raise ConfigError("a recipe has label maps of its own", hint="Change them there.", key="--label-map")
        if Path(source).is_file() and Path(source).suffix != ".toml":
            raise ConfigError(
                "this is no recipe",
                hint="If it is data of your own, say which columns hold texts and labels: --text COLUMN --label COLUMN",
                file=str(source),
            )
        return load_recipe(recipe_file(source, "data"), over if scheme is None else {**over, "scheme": scheme})
    if text is None or (not label and label != 0):
        raise ConfigError(
            "a file of your own needs both --text and --label",
            hint="Name its columns.",
            key="--label" if text is not None else "--text",
        )
    # `owner/name` that is no path here is on the hub.
    path, written = Path(source), str(source)
    plain = not path.exists() and not path.suffix and not written.startswith((".", "/"))
    own: dict[str, Any] = {
        "name": path.stem,
        "hub" if plain and written.count("/") == 1 else "file": written,
        "text": text,
        "label": label if isinstance(label, (str, int)) else list(label or ()),
    }
    if label_map:
        own["label_map"] = dict(label_map)
    if reader:
        own["reader"] = dict(reader)
    tree = {"name": path.stem, "scheme": scheme or "own", "sources": [{"own": own}]}
    return parse(CorpusRecipe, merge(tree, over))
