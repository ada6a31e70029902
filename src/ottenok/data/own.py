"""The user's own data: a file or hub data set is looked at and gets a card, so that it goes the way of a public set.

Nothing after this knows the difference. Also here: the scheme of a corpus, which the user's labels may define.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.config import suggest
from ottenok.core.errors import DataError, SchemeError
from ottenok.core.files import sha256_file
from ottenok.core.progress import SILENT, tracked
from ottenok.core.schemes import LabelScheme, load_scheme, load_schemes
from ottenok.core.spellings import fold_label, spelled
from ottenok.data.card import Card, CardFile, Label, Licence, ReaderSpec, load_card
from ottenok.data.fetch import Located, fetch, locate
from ottenok.data.readers.table import open_columns, rows_of
from ottenok.tables.labels import MISSING, SEPARATORS, clean_label, study_cells
from ottenok.tables.records import Record
from ottenok.tables.table import is_file_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.core.progress import Progress
    from ottenok.data.card import Split
    from ottenok.recipes.corpus import CorpusRecipe, OwnData, SourceSpec

__all__ = ["OWN", "card_scheme", "corpus_schemes", "source_card", "user_card"]

# Scheme of a card whose labels are in no table: the labels that its map leads to, sorted.
OWN = "own"
# More different values than this are no labels: free text, a number, an id.
_MOST_LABELS = 200
_MOST_CELLS = 50_000
# Of a user's file everything is found out that is not said.
_FOUND_OUT: dict[str, str | int | bool | list[str]] = {
    "encoding": "auto", "delimiter": "auto", "quote": "auto", "escape": "auto", "class_names": True,
}  # fmt: skip
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def source_card(spec: SourceSpec, recipe: CorpusRecipe, *, cache: Path, progress: Progress = SILENT) -> Card:
    """Return the card of a source: ottenok's own, or one made by looking at the user's data.

    Raises:
        DataError: There is no such card, it is one of words or unlabelled texts, or the user's data can't be read.
        SchemeError: The user's labels have no place in the scheme.
    """
    if spec.own is None:
        card = load_card(spec.name)
        if card.kind != "labelled":
            raise DataError(
                f"{card.name} holds no labelled texts ({card.kind}), so no corpus can be made of it",
                hint="The sets of labelled texts are those that `ottenok data list` shows with labels.",
            )
        return card
    own = spec.own
    scheme = own.scheme or (spec.tasks or recipe.task_names)[0]
    known = load_schemes().get(scheme)
    if recipe.own_scheme is not None and recipe.own_scheme.name == scheme:
        known = recipe.own_scheme.scheme()
    places: dict[Split | None, str | None] = {None: own.file}
    if own.files:
        places = dict(own.files.items())
    cards = [
        user_card(
            own.model_copy(update={"file": None if own.hub else place, "files": {}}),
            scheme=known,
            split=split,
            cache=cache,
            progress=progress,
        )
        for split, place in places.items()
    ]
    # One card of the cards of several files: their files, and all labels of theirs.
    first = cards[0]
    table = {published: label for card in cards for published, label in card.label.map.items()}
    several = any(card.label.kind == "multi-label" for card in cards)
    label = first.label.model_copy(
        update={
            "scheme": scheme,
            "map": dict(sorted(table.items())),
            "kind": "multi-label" if several else "multi-class",
        }
    )
    files = tuple(
        file.model_copy(update={"reader": file.reader or card.reader}) for card in cards for file in card.files
    )
    return first.model_copy(update={"files": files, "label": label})


def user_card(
    own: OwnData,
    *,
    scheme: LabelScheme | None = None,
    split: Split | None = None,
    cache: Path | None = None,
    endpoint: str | None = None,
    progress: Progress = SILENT,
) -> Card:
    """Look at a user's own data and write its card.

    The rows are read once: to learn the labels, and how cells hold several. What is found out is told as notes.

    Args:
        own: A file (CSV, TSV, JSON, JSON lines, Parquet, XLSX, packed or not) or a hub data set, and its columns.
        scheme: The scheme that the labels belong to, by its names or usual spellings; None: they make one of their own.
        split: The split that the file belongs to; None: ottenok splits it.
        cache: Folder into which a hub data set is fetched; needed for one.
        endpoint: Address of another hub; None for the usual one.
        progress: Told about downloads, the pass over the rows, and what was found out.

    Returns:
        The card. The labels of an own scheme are the values of its map (`card_scheme`).

    Raises:
        DataError: There is no such file or hub data set, it can't be read, has no such column or no usable row, or the
            label column holds no labels.
        SchemeError: A label has no place in the scheme or in the map.
    """
    source = own.hub or own.file or ""
    is_hub = own.hub is not None or (
        _HUB_NAME.fullmatch(source) is not None and not (is_file_name(Path(source)) or Path(source).exists())
    )
    path = None if is_hub else Path(source)
    if path is not None and not path.is_file():
        hint = "Check the path. A hub data set is named owner/name."
        raise DataError("there is no such file", hint=hint, file=source)
    files: tuple[CardFile, ...] = ()
    if path is not None:
        place = path.absolute()
        files = (CardFile(path=place.as_posix(), sha256=sha256_file(place), bytes=place.stat().st_size, split=split),)
    reader = _reader(own, scheme, hub=path is None)
    draft = Card(
        name=own.name,
        title=own.name,
        task="The user's own data.",
        languages=own.languages,
        domain="own",
        annotation="unknown",
        reader=reader,
        files=files,
        hub=source if path is None else None,
        label=Label(scheme=OWN, map={}),
        licence=Licence(id=own.licence, redistribute=False, statement="As the user says."),
        citation="",
        homepage=f"https://huggingface.co/datasets/{source}" if path is None else "",
    )
    located = _locate(draft, own, path, cache=cache, endpoint=endpoint, progress=progress)
    cells, encodings = _read_labels(draft, located, progress)
    found = study_cells(
        cells,
        known={*_known_names(), *(scheme.labels if scheme else ()), *map(clean_label, own.label_map or ())},
        separators=None if own.label_list is None else SEPARATORS.get(own.label_list, ""),
    )
    if len(found.counts) > _MOST_LABELS:
        shown = ", ".join(repr(label[:30]) for label in list(found.counts)[:3])
        raise DataError(
            f"the label column holds over {_MOST_LABELS} different values ({shown}, ...), so they are no labels",
            hint="Name another column, or say how it holds lists (json, numpy, comma, space).",
            file=own.name,
            key=str(own.label),
        )
    several = bool(reader.labels or found.several)
    if found.several and found.separators and own.label_list is None:
        marks = " ".join(found.separators.replace("\n", "⏎"))
        progress.note(f"{own.name}: {found.several:,} rows have several labels; their cells are divided by {marks}")
    if found.whole:
        shown = ", ".join(map(repr, found.whole[:3]))
        progress.note(f"{own.name}: labels as {shown} are taken whole: their parts do not stand alone.")
    if found.blanks:
        shown = ", ".join(map(repr, found.blanks[:3]))
        progress.note(
            f"{own.name}: labels as {shown} are taken whole, though their words are labels too. If each is several "
            'labels, divide them by a comma, or say label_list = "space" in a recipe.'
        )
    if found.empty and not several:
        count = "row has" if found.empty == 1 else "rows have"
        progress.note(f"{own.name}: {found.empty:,} {count} an empty list instead of a label, and is left out.")
    table = _label_table(found.counts, own.label_map or {}, scheme, progress)
    options = reader.options | ({"encoding": encodings[0]} if len(set(encodings)) == 1 and encodings[0] else {})
    reader = reader.model_copy(update={"options": options} | ({} if reader.labels else {"cells": found.separators}))
    return draft.model_copy(
        update={
            "reader": reader,
            "label": Label(
                scheme=scheme.name if scheme else OWN,
                map=table,
                kind="multi-label" if several else "multi-class",
                rule="The user's own map." if own.label_map else "The labels as they are.",
            ),
        }
    )


@cache
def _known_names() -> frozenset[str]:
    """Return the labels of all schemes, and their titles."""
    schemes = load_schemes().values()
    titles = {name for scheme in schemes for names in scheme.titles.values() for name in names}
    return frozenset(titles | {label for scheme in schemes for label in scheme.labels})


def _reader(own: OwnData, scheme: LabelScheme | None, *, hub: bool) -> ReaderSpec:
    options = {**_FOUND_OUT, **own.reader}
    kind = str(options.pop("format", "table"))
    kind = "hub" if hub else kind
    if hub and own.config:
        options["config"] = own.config
    named = {*(own.label_map or ()), *(scheme.labels if scheme else ())}
    one = isinstance(own.label, (str, int))
    return ReaderSpec(
        kind=kind,
        text=own.text,
        label=own.label if isinstance(own.label, (str, int)) else None,
        labels=own.label if isinstance(own.label, tuple) else (),
        cells="" if one else None,
        missing=tuple(sorted(MISSING - named)) if one else (),
        part=own.part,
        options=options,
    )


def _locate(
    card: Card, own: OwnData, path: Path | None, *, cache: Path | None, endpoint: str | None, progress: Progress
) -> list[Located]:
    if path is not None:
        return locate(card, root=None, cache=Path())
    if cache is None:
        raise DataError("a hub data set needs a folder to be fetched into", hint="Name a cache.", file=card.hub)
    try:
        return fetch(card, cache=cache, progress=progress, endpoint=endpoint)
    except DataError:
        # Without the network, what was fetched before will do, if it is what is asked for now.
        try:
            files = locate(card, root=None, cache=cache)
        except DataError:
            files = []
        if not files or (own.config and not all(own.config in Path(one.file.path).parts for one in files)):
            raise
        return files


def _read_labels(
    card: Card, located: Sequence[Located], progress: Progress
) -> tuple[Counter[tuple[str, ...]], list[str | None]]:
    """Return how often each cell of labels is there, and the encodings of the files."""
    # A 0/1 column that is never on is a label all the same: the user named it.
    cells = Counter[tuple[str, ...]]({(name,): 0 for name in card.reader.labels})
    reasons = Counter[str]()
    usable, encodings = 0, list[str | None]()
    for one in located:
        table, places = open_columns(one.path, one.reader, label=None)
        encodings.append(table.encoding)
        rows = rows_of(table, places, one.reader, label=None)
        for row in tracked(rows, progress, f"looking at {card.name}", total=None, unit="rows"):
            if isinstance(row, Record):
                usable += 1
                cells[row.labels] += 1
                if len(cells) > _MOST_CELLS:
                    break  # no column of labels; the caller says so
            else:
                reasons[row.reason] += 1
        for note in table.notes:
            progress.note(f"{card.name}: {note}")
    if not usable:
        why = ", ".join(f"{reason} ({count:,})" for reason, count in reasons.most_common(3)) or "it has no rows"
        raise DataError(f"no row can be used: {why}", hint="Check the columns.", file=card.name)
    return cells, encodings


def _label_table(
    counts: Mapping[str, int], label_map: Mapping[str, str], scheme: LabelScheme | None, progress: Progress
) -> dict[str, str]:
    """Return what each label of the data becomes: as the map says, else its place in the scheme, else itself.

    Labels that differ only in case or the like are one, in the spelling of most rows.
    """
    said = {fold_label(clean_label(theirs)): ours for theirs, ours in label_map.items()}
    if scheme is not None:
        for ours in said.values():
            if ours:
                scheme.index(ours)
    absent = [theirs for theirs in label_map if fold_label(clean_label(theirs)) not in set(map(fold_label, counts))]
    if absent:
        progress.note(f"The label map names what no row has: {', '.join(map(repr, absent))}.")
    best: dict[str, str] = {}
    for label in sorted(counts, key=lambda label: (-counts[label], label)):
        folded = fold_label(label)
        best.setdefault(folded, folded if folded.lstrip("-").isdecimal() else clean_label(label))
    known = {} if scheme is None else spelled([label for label in counts if fold_label(label) not in said], scheme)
    table: dict[str, str] = {}
    for label in sorted(counts):
        folded = fold_label(label)
        if folded in said:
            table[label] = said[folded]
        elif scheme is None:
            table[label] = best[folded]
        elif label in known:
            table[label] = known[label]
    read = {label: table[label] for label in known if fold_label(label) != fold_label(table[label])}
    if read:
        shown = ", ".join(f"{theirs} = {ours}" for theirs, ours in list(read.items())[:12])
        progress.note(f"Labels are read as: {shown}. --label-map says otherwise.")
    strange = [label for label in sorted(counts) if label not in table]
    if strange and scheme is not None:
        shown = ", ".join(map(repr, strange[:10])) + (", ..." if len(strange) > 10 else "")
        raise SchemeError(
            f"the scheme {scheme.name} has no label {shown}",
            hint=f"{suggest(strange[0], scheme.labels)} Say what each one means: --label-map "
            f"{strange[0]}={scheme.labels[0]}, or --label-map {strange[0]}= to drop it.",
        )
    return table


def card_scheme(card: Card) -> LabelScheme:
    """Return the scheme that a card's map leads to: one of the tables, or made from the map where the scheme is `own`.

    An own scheme has the labels in code-point order.

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
    return LabelScheme(
        name=OWN, kind=card.label.kind, labels=tuple(labels), titles={"en": tuple(labels)}, source=card.name
    )


def corpus_schemes(recipe: CorpusRecipe, cards: Sequence[Card]) -> tuple[LabelScheme, ...]:
    """Return the label scheme of each task: built in, defined in the recipe, or all labels of the user's own data.

    Raises:
        SchemeError: One is none of these.
    """
    found = []
    for name in recipe.task_names:
        if recipe.own_scheme is not None and recipe.own_scheme.name == name:
            found.append(recipe.own_scheme.scheme())
            continue
        if name != OWN:
            found.append(load_scheme(name))
            continue
        own = [card for card in cards if card.label.scheme == OWN]
        if not own:
            raise SchemeError(
                "the scheme is `own`, and no source has labels of its own",
                hint="Name a built-in scheme, or define one under [own_scheme].",
            )
        everything = {label: label for card in own for label in (*card.label.map.values(), card.label.empty) if label}
        several = next((card for card in own if card.label.kind == "multi-label"), own[0])
        found.append(
            card_scheme(several.model_copy(update={"label": several.label.model_copy(update={"map": everything})}))
        )
    return tuple(found)
