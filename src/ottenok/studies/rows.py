"""Labelled rows for an evaluation: from a corpus, a corpus recipe or a user's own file, in a model's labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError, SchemeError
from ottenok.core.progress import SILENT, Progress
from ottenok.core.schemes import find_map, load_schemes
from ottenok.data.fetch import locate
from ottenok.data.harmonise import Harmoniser, find_route
from ottenok.data.rows import Reason
from ottenok.data.sources import Source, read_source, user_card
from ottenok.recipes.train import DataOptions
from ottenok.tables.records import Rejected
from ottenok.tasks.baselines import LabelledTexts
from ottenok.tasks.decision import indicator
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, Split

__all__ = ["Columns", "Rows", "read_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Where a user's file has its texts and labels: column names, or several 0/1 columns of labels."""

    text: str = "text"
    label: str | tuple[str, ...] = "label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What an evaluation needs.

    Attributes:
        name: What the rows are, for headings.
        corpus: The corpus's name; None for a file.
        split: Of the corpus; None for a file.
        test: The rows to evaluate on.
        ids: Theirs: those of the corpus, or `FILE/ROW`.
        train: Rows to fit baselines on; None for a file, which has no splits.
        tuning: Validation rows; None likewise.
        left_out: Reason to number of records that can't be evaluated.
    """

    name: str
    corpus: str | None = None
    split: Split | None = None
    test: LabelledTexts
    ids: tuple[str, ...] = ()
    train: LabelledTexts | None = None
    tuning: LabelledTexts | None = None
    left_out: dict[str, int]


def read_rows(
    data: str | Path,
    scheme: LabelScheme,
    *,
    split: Split = "test",
    columns: Columns = Columns(),
    places: Places,
    progress: Progress = SILENT,
) -> Rows:
    """Read rows in the labels of `scheme`.

    Args:
        data: A corpus folder, a file with texts and labels, or the name or path of a corpus recipe (which is built if
            it is not there yet).
        scheme: A model's labels, as ottenok spells them.
        split: Of a corpus.
        columns: Of a file.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        DataError: There is no such data, or no row of it can be used.
        SchemeError: The labels of the data don't lead to the model's.
    """
    path = Path(data)
    if path.is_file() and path.suffix != ".toml":
        return _from_file(path, scheme, columns)
    options = DataOptions(corpus=str(path)) if path.is_dir() else DataOptions(recipe=str(data))
    return _from_corpus(corpus_of(options, places, progress), scheme, split)


def _from_corpus(corpus: Corpus, scheme: LabelScheme, split: Split) -> Rows:
    ids, test = _split(corpus, scheme, split)
    if test is None:
        raise DataError(
            f"the corpus has no {split} rows", hint="Choose another one with --split.", file=str(corpus.folder)
        )
    name = str(corpus.manifest.get("name", corpus.folder.name))
    others = {part: _split(corpus, scheme, part)[1] for part in ("train", "validation") if part != split}
    return Rows(
        name=f"{name}, {split}",
        corpus=name,
        split=split,
        test=test,
        ids=ids,
        train=others.get("train"),
        tuning=others.get("validation"),
        left_out={},
    )


def _split(corpus: Corpus, scheme: LabelScheme, split: Split) -> tuple[tuple[str, ...], LabelledTexts | None]:
    """Return a split's ids and its rows in the labels of `scheme`; None where it has no rows."""
    table = corpus.table(split, columns=("id", "text", "labels", "source"))
    labels = _in_terms_of(scheme, corpus, table.column("labels").to_pylist())
    kept = [i for i, found in enumerate(labels) if found is not None]
    if not kept:
        return (), None
    ids = table.column("id").to_pylist()
    texts, sources = table.column("text").to_pylist(), table.column("source").to_pylist()
    rows = LabelledTexts(
        texts=[texts[i] for i in kept],
        truth=indicator([labels[i] or () for i in kept], scheme),
        sources=[sources[i] for i in kept],
    )
    return tuple(ids[i] for i in kept), rows


def _in_terms_of(scheme: LabelScheme, corpus: Corpus, rows: Sequence[Sequence[str]]) -> list[tuple[str, ...] | None]:
    """Return each row's labels in `scheme`; None for rows that a map between schemes drops."""
    strange = {label for labels in rows for label in labels} - set(scheme.labels)
    if not strange:
        return [tuple(labels) for labels in rows]
    if corpus.scheme != scheme.name and {corpus.scheme, scheme.name} <= set(load_schemes()):
        route = find_map(corpus.scheme, scheme.name)
        return [route.apply(labels) for labels in rows]
    raise SchemeError(
        f"the corpus has the labels {', '.join(sorted(strange))}, which the model does not give",
        hint=f"The model gives: {', '.join(scheme.labels)}.",
        file=str(corpus.folder),
    )


def _from_file(path: Path, scheme: LabelScheme, columns: Columns) -> Rows:
    known = load_schemes().get(scheme.name)
    same = known is not None and set(known.labels) == set(scheme.labels)
    card = user_card(path, text=columns.text, label=columns.label, scheme=scheme.name if same else None)
    label = card.label.model_copy(update={"scheme": scheme.name})
    harmonise = Harmoniser(label=label, scheme=scheme, route=find_route(label, scheme))
    ids: list[str] = []
    texts: list[str] = []
    labels: list[tuple[str, ...]] = []
    left_out: Counter[str] = Counter()
    for _, row in read_source(Source(card=card, files=locate(card, root=None, cache=path.parent))):
        if isinstance(row, Rejected):
            left_out[row.reason] += 1
            continue
        mapped = harmonise(row.labels)
        if mapped.reason is not Reason.KEPT or mapped.unknown is not None:
            left_out[mapped.reason.title if mapped.unknown is None else "unknown label"] += 1
            continue
        ids.append(f"{path.name}/{row.row}")
        texts.append(row.text)
        labels.append(mapped.labels)
    if not texts:
        raise DataError("no row of this file can be used", hint="Check --text and --label.", file=str(path))
    test = LabelledTexts(texts=texts, truth=indicator(labels, scheme))
    return Rows(name=path.name, test=test, ids=tuple(ids), left_out=dict(sorted(left_out.items())))
