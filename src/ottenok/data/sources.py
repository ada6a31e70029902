"""From a card and its files to records, and from a user's own file to a card.

A user's file goes the very same way as a public data set: `user_card` looks at the file and writes down what a card
says, so that nothing after it knows the difference.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ottenok.core.config import suggest
from ottenok.core.errors import DataError, SchemeError
from ottenok.core.files import sha256_file
from ottenok.core.progress import SILENT, Progress, tracked
from ottenok.core.schemes import LabelScheme, load_scheme
from ottenok.data.card import Card, CardFile, Label, Licence, ReaderSpec, Split
from ottenok.data.fetch import Located, fetch, locate
from ottenok.data.readers import read
from ottenok.tables.records import Record, Rejected
from ottenok.tables.table import is_file_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["OWN", "Source", "UserOptions", "card_scheme", "read_source", "user_card"]

ListStyle = Literal["json", "numpy", "comma", "space"]
Option = str | int | bool | list[str]

# Of a user's file everything is found out that is not said.
_FOUND_OUT: dict[str, Option] = {
    "encoding": "auto", "delimiter": "auto", "quote": "auto", "escape": "auto", "class_names": True,
}  # fmt: skip

# Scheme of a card whose labels are in no table: the labels that its map leads to, sorted.
OWN = "own"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A data set whose files are on this machine.

    Attributes:
        card: Its card, or what a user's file was turned into.
        files: Its files, as `ottenok.data.fetch.locate` found them.
    """

    card: Card
    files: Sequence[Located]

    @property
    def name(self) -> str:
        """The card's name."""
        return self.card.name


def read_source(source: Source) -> Iterator[tuple[int, Record | Rejected]]:
    """Yield the rows of every file of a source, each with the place of its file in `source.files`.

    A file's own reader, label and sub-source come before the card's and the row's.

    Raises:
        DataError: A file can't be read, or is not what its reader expects.
    """
    for number, located in enumerate(source.files):
        part = located.file.part
        for row in read(located.path, located.reader, label=located.file.label):
            yield number, _with_part(row, part) if part is not None else row


def _with_part(row: Record | Rejected, part: str) -> Record | Rejected:
    if isinstance(row, Rejected) or row.part is not None:
        return row
    return Record(row=row.row, text=row.text, labels=row.labels, language=row.language, part=part)


def card_scheme(card: Card) -> LabelScheme:
    """Return the scheme that a card's map leads to: one of the tables, or made from the map where the scheme is `own`.

    An own scheme has the labels in code-point order. It is `multi-label` if the reader reads several labels per row,
    and `multi-class` otherwise.

    Raises:
        SchemeError: There is no such scheme, or an own one has fewer than two labels.
    """
    if card.label.scheme != OWN:
        return load_scheme(card.label.scheme)
    labels = sorted({label for label in (*card.label.map.values(), card.label.empty) if label})
    if len(labels) < 2:
        found = f"the only label {labels[0]!r}" if labels else "no labels"
        raise SchemeError(
            f"the data set {card.name} has {found}, so there is nothing to tell apart", hint="Check the label column."
        )
    several = bool(card.reader.labels or card.reader.label_list)
    return LabelScheme(
        name=OWN,
        kind="multi-label" if several else "multi-class",
        labels=tuple(labels),
        titles={"en": tuple(labels)},
        source=card.name,
    )


# More different values than this are no labels: free text, a number, an id.
_MOST_LABELS = 200
_PEEK = 200
_HUB_OPTIONS: dict[str, Option] = {"class_names": True}
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class UserOptions:
    """What may be said of a user's own data besides its columns.

    Attributes:
        name: Name of the source in corpora and reports; None: the file's name without its ending, or the hub name.
        languages: ISO 639-1 codes; with one, every row has it; with none or several, each text's script decides.
        licence: SPDX identifier of the texts' terms.
        split: The split that the file belongs to; None: ottenok splits it.
        part: Column that names a sub-source.
        label_list: How the label column holds lists; None: brackets in the first rows tell.
        reader: Reader options that are to be other than what is found out, such as `delimiter` or `sheet`.
        config: Configuration of a hub data set.
        cache: Folder into which a hub data set is fetched; needed for one.
        endpoint: Address of another hub; None for the usual one.
        progress: Told about downloads and the pass over the rows.
    """

    name: str | None = None
    languages: tuple[str, ...] = ()
    licence: str = "unknown"
    split: Split | None = None
    part: str | int | None = None
    label_list: ListStyle | None = None
    reader: Mapping[str, Option] = field(default_factory=dict)
    config: str | None = None
    cache: Path | None = None
    endpoint: str | None = None
    progress: Progress = SILENT


def user_card(
    source: str | Path,
    *,
    text: str | int = "text",
    label: str | int | Sequence[str] = "label",
    scheme: str | None = None,
    label_map: Mapping[str, str] | None = None,
    options: UserOptions | None = None,
) -> Card:
    """Look at a user's own data and write its card, so that it goes the very same way as a public data set.

    The rows are read once: to learn the labels, and how a label column holds several.

    Args:
        source: A file (CSV, TSV, JSON, JSON lines, Parquet, XLSX, or a ZIP of one), or a hub data set, `owner/name`.
        text: The text column: its name, or its 0-based position.
        label: The label column, which may hold lists; or the names of several 0/1 columns.
        scheme: The label scheme that the labels belong to; None: they make a scheme of their own, `own`.
        label_map: From labels as they are in the data to labels of the scheme, `""` to drop. None: the same names; with
            a scheme, its labels and their Russian and Chinese names, in capitals or small.
        options: All else.

    Returns:
        The card. The labels of an own scheme are the values of its map (`card_scheme`).

    Raises:
        DataError: There is no such file or hub data set, it can't be read, has no such column or no usable row, or the
            label column holds no labels.
        SchemeError: There is no such scheme, or a label has no place in it or in the map.
    """
    options = options or UserOptions()
    if scheme is not None:
        load_scheme(scheme)
    draft = _draft(source, text, label, options)
    data = _with_lists(Source(card=draft, files=_locate(draft, options)))
    found, several = _discover(data, options.progress)
    if several and not (data.card.reader.labels or data.card.reader.label_list):
        data = _with_reader(data, "json")  # native lists, of JSON or Parquet
    return data.card.model_copy(update={"label": _label(found, scheme, label_map)})


def _draft(source: str | Path, text: str | int, label: str | int | Sequence[str], options: UserOptions) -> Card:
    path = None if _is_hub_name(source) else Path(source)
    if path is not None and not path.is_file():
        raise DataError(
            "there is no such file", hint="Check the path. A hub data set is named owner/name.", file=str(source)
        )
    name = options.name or (path.stem if path else str(source))
    return Card(
        name=name,
        title=name,
        task="The user's own data.",
        languages=options.languages,
        domain="own",
        annotation="unknown",
        reader=_reader(path, text, label, options),
        files=(_file(path, options),) if path else (),
        hub=None if path else str(source),
        label=Label(scheme=OWN, map={}),
        licence=Licence(id=options.licence, redistribute=False, statement="As the user says."),
        citation="",
        homepage="" if path else f"https://huggingface.co/datasets/{source}",
    )


def _is_hub_name(source: str | Path) -> bool:
    path = Path(source)
    return _HUB_NAME.fullmatch(str(source)) is not None and not is_file_name(path) and not path.exists()


def _reader(path: Path | None, text: str | int, label: str | int | Sequence[str], options: UserOptions) -> ReaderSpec:
    if path is not None:
        kind, guessed = "table", _FOUND_OUT
    else:
        kind, guessed = "hub", _HUB_OPTIONS | ({"config": options.config} if options.config else {})
    one = label if isinstance(label, (str, int)) else None
    return ReaderSpec(
        kind=kind,
        text=text,
        label=one,
        labels=() if isinstance(label, (str, int)) else tuple(label),
        label_list=options.label_list,
        part=options.part,
        options={**guessed, **options.reader},
    )


def _file(path: Path, options: UserOptions) -> CardFile:
    path = path.absolute()
    return CardFile(path=path.as_posix(), sha256=sha256_file(path), bytes=path.stat().st_size, split=options.split)


def _locate(card: Card, options: UserOptions) -> list[Located]:
    if card.hub is None:
        return locate(card, root=None, cache=Path())
    if options.cache is None:
        raise DataError("a hub data set needs a folder to be fetched into", hint="Name a cache.", file=card.hub)
    try:
        return fetch(card, cache=options.cache, progress=options.progress, endpoint=options.endpoint)
    except DataError as error:
        # Without the network, what was fetched before will do, if it is what is asked for now.
        return _fetched_before(card, options, error)


def _fetched_before(card: Card, options: UserOptions, error: DataError) -> list[Located]:
    try:
        files = locate(card, root=None, cache=options.cache or Path())
    except DataError:
        raise error from None
    if options.config and not all(options.config in Path(located.file.path).parts for located in files):
        raise error
    return files


def _with_reader(source: Source, label_list: ListStyle) -> Source:
    files = [
        replace(located, reader=located.reader.model_copy(update={"label_list": label_list}))
        for located in source.files
    ]
    reader = source.card.reader.model_copy(update={"label_list": label_list})
    return Source(card=source.card.model_copy(update={"reader": reader}), files=files)


def _with_lists(source: Source) -> Source:
    """Set how the label column holds lists, if half of its first values are in brackets."""
    reader = source.card.reader
    if reader.labels or reader.label_list:
        return source
    rows = (row for _, row in islice(read_source(source), _PEEK) if isinstance(row, Record))
    values = [row.labels[0] for row in rows if len(row.labels) == 1]
    lists = [value for value in values if value.startswith("[") and value.endswith("]")]
    if not lists or 2 * len(lists) < len(values):
        return source
    # The numpy style reads [0, 2] and ['a', 'b'] too; JSON alone has escapes within double quotes.
    return _with_reader(source, "json" if any('"' in value for value in lists) else "numpy")


def _discover(source: Source, progress: Progress) -> tuple[list[str], bool]:
    """Return the labels of all rows, sorted, and whether a row has none or several of them."""
    # A 0/1 column that is never on is a label all the same: the user named it.
    found = Counter(dict.fromkeys(source.card.reader.labels, 0))
    reasons: Counter[str] = Counter()
    several, usable = False, False
    for _, row in tracked(read_source(source), progress, f"looking at {source.name}", total=None, unit="rows"):
        if isinstance(row, Rejected):
            reasons[row.reason] += 1
            continue
        found.update(row.labels)
        several = several or len(row.labels) != 1
        usable = True
        if len(found) > _MOST_LABELS:
            raise _no_labels(source, found)
    if not usable:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(3)) or "it has no rows"
        raise DataError(f"no row can be used: {why}", hint="Check the columns.", file=source.name)
    return sorted(found), several


def _no_labels(source: Source, found: Counter[str]) -> DataError:
    shown = ", ".join(repr(label[:30]) for label, _ in found.most_common(3))
    return DataError(
        f"the label column holds over {_MOST_LABELS} different values ({shown}, ...), so they are no labels",
        hint="Name another column, or say how it holds lists (json, numpy, comma, space).",
        file=source.name,
        key=str(source.card.reader.label),
    )


def _label(found: Sequence[str], scheme: str | None, label_map: Mapping[str, str] | None) -> Label:
    if label_map is not None:
        table = _checked(found, label_map, None if scheme is None else load_scheme(scheme))
    elif scheme is not None:
        table = _by_name(found, load_scheme(scheme))
    else:
        table = {label: label for label in found}
    return Label(
        scheme=scheme or OWN, map=table, rule="The user's own map." if label_map else "The labels as they are."
    )


def _checked(found: Sequence[str], label_map: Mapping[str, str], scheme: LabelScheme | None) -> dict[str, str]:
    missing = [label for label in found if label not in label_map]
    if missing:
        raise SchemeError(
            f"the label map says nothing about: {', '.join(map(repr, missing))}",
            hint='Map each label, to "" where it is to be dropped.',
        )
    for target in label_map.values():
        if scheme is not None and target:
            scheme.index(target)
    return dict(label_map)


def _by_name(found: Sequence[str], scheme: LabelScheme) -> dict[str, str]:
    """Return which of a scheme's labels each label is, by its name or a name in another language."""
    known = {
        name.casefold(): label
        for names in (*scheme.titles.values(), scheme.labels)
        for name, label in zip(names, scheme.labels, strict=True)
    }
    strange = [label for label in found if label.casefold() not in known]
    if strange:
        raise SchemeError(
            f"the scheme {scheme.name} has no label {', '.join(map(repr, strange))}",
            hint=f"{suggest(strange[0], scheme.labels)} Or give a label map that says what each one means.",
        )
    return {label: known[label.casefold()] for label in found}
