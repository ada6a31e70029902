"""Data-set cards: one TOML per public data set in `cards/`, and what a user's own file is turned into.

A card is a table of facts. It names files (URL, sha256, bytes), how to read them, how published labels become a
scheme's labels, the licence, and what is known to be wrong with the set.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ottenok.core.config import parse, suggest
from ottenok.core.errors import DataError
from ottenok.core.table import Table

__all__ = ["Card", "CardFile", "Label", "Licence", "Raters", "ReaderSpec", "card_names", "load_card"]

Split = Literal["train", "validation", "test"]


class ReaderSpec(Table):
    """How a file is read: a reader's registered name and its options (see `ottenok.data.readers`).

    Attributes:
        kind: Registered reader name: `csv`, `jsonl`, `json`, `parquet`, `xlsx`, `sentirueval-twitter`, ...
        text: Text column (a name, or a 0-based position for files without a header).
        label: Label column, if the label is in one column.
        labels: 0/1 columns, if each label has its own.
        label_list: How `label` holds several labels: `json`, `numpy` (`[ 2 3]`), `comma`, `space`; None: one label.
        cells: For users' files, the characters that divide several labels in one cell; lists are read in any form.
        missing: With `cells`, values that mean that there is no label.
        part: Column that names a sub-source.
        options: Whatever else that reader takes: delimiter, quoting, encoding, header, sheet, member (of a ZIP), ...
    """

    kind: str
    text: str | int | None = None
    label: str | int | None = None
    labels: tuple[str, ...] = ()
    label_list: Literal["json", "numpy", "comma", "space", "semicolon", "pipe", "hash"] | None = None
    cells: str | None = None
    missing: tuple[str, ...] = ()
    part: str | int | None = None
    options: dict[str, str | int | bool | list[str]] = Field(default_factory=dict)


class CardFile(Table):
    """One published file.

    Attributes:
        path: Path under the data root: `<card folder>/<file>`, forward slashes, never out of the root. A user's own
            file has an absolute path instead.
        url: Public address of the very bytes, or None where the publisher offers no direct link.
        sha256: Of the bytes; None only for sets that are not at hand and publish no checksum.
        bytes: Size; None as for sha256.
        split: The official split that the file belongs to; None: ottenok splits it.
        rows: Records in the file as published (header not counted), if counted.
        label: The label of every row, for files whose name is the label.
        part: Sub-source of every row, for sets whose files are sub-sources.
        reader: Overrides the card's reader for this file.
        optional: True for a file that a corpus can do without: it is used where it is present.
        alternative: True for a second form of rows that another file of the card holds: documented, never read.
        beside: True for what another file's reader reads beside it, such as its labels: fetched and checked, and no
            file of rows itself.
    """

    path: str
    url: str | None = None
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    bytes: int | None = None
    split: Split | None = None
    rows: int | None = None
    label: str | None = None
    part: str | None = None
    reader: ReaderSpec | None = None
    optional: bool = False
    alternative: bool = False
    beside: bool = False

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        # A path from a card must not lead out of the data root or the cache: fetch writes there.
        if not Path(path).is_absolute() and ("\\" in path or ".." in PurePosixPath(path).parts or not path.strip("./")):
            raise ValueError("a path under the data root must be relative, with forward slashes and without '..'")
        return path


class Label(Table):
    """How published labels become labels of a scheme.

    Attributes:
        scheme: Name of the scheme in `core/schemes.toml` that the map leads to; "" where there are no labels.
        map: Published label to a scheme's label; `""` drops the row (multi-class) or the label (multi-label).
        empty: The label of a row that is published without labels; None keeps it empty.
        several: What several different labels of one row mean in a one-label scheme (per-company tweets): `drop` the
            row, or `mixed` with the value of `mixed`.
        mixed: The label for contradicting labels when `several = "mixed"`.
        kind: Of the scheme `own`, what labels of the data make.
        rule: In words: why the map is as it is, with what the published systems did with `skip`, `speech`, mixed.
    """

    scheme: str
    map: dict[str, str]
    empty: str | None = None
    several: Literal["drop", "mixed"] = "drop"
    mixed: str | None = None
    kind: Literal["multi-class", "multi-label"] = "multi-class"
    rule: str = ""


class Raters(Table):
    """Aggregation of several ratings of one text, each in a row of its own.

    Attributes:
        minimum: Fewest usable ratings per text; texts with fewer are dropped.
        rule: `majority-sign`: the sign of each rating votes, and a unique majority wins; else the text is dropped.
    """

    minimum: int
    rule: Literal["majority-sign"]


class Licence(Table):
    """What the set's terms are.

    Attributes:
        id: SPDX identifier, or `unknown` where the source states none.
        commercial: False if the terms forbid commercial use, None (or left out) if unknown.
        redistribute: True only if the texts may be passed on.
        statement: Where the terms are stated, or that they are not.
    """

    id: str
    commercial: bool | None = None
    redistribute: bool
    statement: str


class Card(Table):
    """One data set.

    Attributes:
        name: Short name, the name of the card's file.
        kind: `labelled` texts, a `lexicon` of words or signs with their polarity, or `unlabelled` texts. Corpora are
            made of labelled texts only.
        title: As its publisher calls it.
        task: In words: what was annotated, by whom (people, emoticons, translation), on which texts.
        languages: ISO 639-1 codes.
        domain: `reviews`, `news`, `social`, `blogs`, `dialogue`, or `mixed`.
        annotation: `human`, `author` (the author's own stars), `distant` (emoticons), `translated` or `unknown`.
        reader: The default reader of the files; kind "" where none is needed.
        files: The files; empty for hub-only sets, whose Parquet files are looked up on the hub.
        hub: `owner/name` on the hub, if the set is there.
        label: The label map.
        raters: Aggregation of several ratings per text, where the set has them.
        emoticons: True where labels come from emoticons, so they must be removed from the texts.
        licence: The terms.
        citation: Paper or page.
        homepage: Where the set is described.
        faults: What is known to be wrong with it, a sentence each.
        overlaps: Names of other cards that share texts with this one.
    """

    name: str
    kind: Literal["labelled", "lexicon", "unlabelled"] = "labelled"
    title: str
    task: str
    languages: tuple[str, ...]
    domain: str
    annotation: Literal["human", "author", "distant", "translated", "unknown"]
    reader: ReaderSpec = ReaderSpec(kind="")
    files: tuple[CardFile, ...] = ()
    hub: str | None = None
    label: Label = Label(scheme="", map={})
    raters: Raters | None = None
    emoticons: bool = False
    licence: Licence
    citation: str
    homepage: str
    faults: tuple[str, ...] = ()
    overlaps: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_labels(self) -> Card:
        if (self.kind == "labelled") != bool(self.label.scheme) or (self.kind == "labelled" and not self.reader.kind):
            raise ValueError("a set of labelled texts has a reader and labels, the other kinds have no labels")
        return self


@cache
def card_names() -> tuple[str, ...]:
    """Return the names of the cards that ottenok ships, sorted."""
    folder = resources.files("ottenok.data").joinpath("cards")
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@cache
def load_card(name: str) -> Card:
    """Return the card called `name`.

    Raises:
        DataError: There is none; the message names the nearest.
        ConfigError: The card's file is wrong.
    """
    if name not in card_names():
        raise DataError(f"there is no data-set card {name!r}", hint=suggest(name, card_names()))
    file = resources.files("ottenok.data").joinpath("cards", f"{name}.toml")
    return parse(Card, tomllib.loads(file.read_text(encoding="utf-8")), file=f"cards/{name}.toml")
