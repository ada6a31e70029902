"""The audit of labelled data: reading, findings, and what is written of them."""

from __future__ import annotations

import csv
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ottenok.audit.clean import LEAST, check_actions, decide, write_clean
from ottenok.audit.copies import find_copies, judge_copies
from ottenok.audit.findings import KINDS, Finding, ranked
from ottenok.audit.judges import head_fit, training_fit
from ottenok.audit.outliers import distances, find_outliers
from ottenok.audit.rows import AuditRows, read_rows
from ottenok.audit.suspects import suspect_labels
from ottenok.core.errors import ConfigError, InputError
from ottenok.core.files import atomic_path, atomic_write_text
from ottenok.core.lazy import check_extra, need
from ottenok.core.progress import SILENT
from ottenok.core.suggest import suggest
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.inference.head import embedded
from ottenok.inference.outputs import plain_suffix
from ottenok.studies.rows import Columns
from ottenok.tables.records import RejectsFile
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ottenok.audit.clean import Action, Cleaned
    from ottenok.audit.findings import Kind
    from ottenok.audit.suspects import Suspicion
    from ottenok.core.progress import Progress

__all__ = ["Audit", "audit_data", "audit_rows", "settled", "suspected"]

_USUAL = Columns()
_HOME = Places()
# Windows of a long text that are read.
_WINDOWS = 8
# Rows whose vectors are kept in memory; those of more are in a temporary file.
_IN_MEMORY = 100_000
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_COLUMNS = ("rank", "kind", "score", "row", "id", "split", "label", "suggested", "reason", "related", "text")
# Findings in a summary for programs.
_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What an audit found.

    Attributes:
        rows: The rows.
        findings: Ranked: by kind, the surest of a kind first.
        suspicion: How far each row's label is to be believed.
        method: `head` or `full`.
        folds: So many models judged, each what the others had learned from.
        model: Name of the model whose embeddings were read.
        cleaned: The cleaned copy; None: none was written.
    """

    rows: AuditRows
    findings: tuple[Finding, ...]
    suspicion: Suspicion
    method: Literal["head", "full"]
    folds: int
    model: str
    cleaned: Cleaned | None = None

    @property
    def counts(self) -> dict[Kind, int]:
        """Kind to the number of findings."""
        found = Counter(one.kind for one in self.findings)
        return {kind: found[kind] for kind in KINDS}

    @property
    def confusions(self) -> list[tuple[str, str, int]]:
        """The label that suspected rows have, the one that is suggested, and how many: most first."""
        pairs: Counter[tuple[str, str]] = Counter()
        for one in self.findings:
            if one.kind == "label" and one.suggested is not None:
                label = self.rows.names(self.rows.truth[one.row])
                pairs[" + ".join(label) or "none", " + ".join(one.suggested) or "none"] += 1
        return [(given, other, count) for (given, other), count in pairs.most_common()]

    def to_json(self, findings: int | None = None) -> dict[str, Any]:
        """Return the summary, with so many of the first findings (None: all)."""
        rejected = Counter(one.reason for one in self.rows.rejects)
        cleaned = self.cleaned
        return {
            "data": self.rows.name,
            "rows": len(self.rows),
            "rejected": dict(rejected),
            "labels": {
                label: int(count) for label, count in zip(self.rows.labels, self.rows.truth.sum(axis=0), strict=True)
            },
            "splits": dict(Counter(self.rows.splits)),
            "method": self.method,
            "folds": self.folds,
            "model": self.model,
            "unjudged": list(self.suspicion.unjudged),
            "counts": self.counts,
            "confusions": [{"label": a, "suggested": b, "rows": count} for a, b, count in self.confusions],
            "cleaned": None
            if cleaned is None
            else {"out": str(cleaned.out), "log": str(cleaned.log), "rows": cleaned.rows, **cleaned.changes},
            "findings": [one.to_json(self.rows) for one in self.findings[:findings]],
        }

    def to_html(self, *, most: int = 100) -> str:
        """Return a page to read, without scripts, with at most so many findings of a kind.

        Raises:
            MissingExtraError: jinja2 is not installed (extra `audit`).
        """
        from ottenok.audit.page import audit_page

        return audit_page(self, most=most)

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the table of findings, the surest first."""
        for rank, one in enumerate(self.findings, start=1):
            yield {"rank": rank, **one.to_json(self.rows)}

    def save(self, file: str | Path) -> None:
        """Write the table of findings: CSV, TSV, JSON lines or Parquet, by the file's name.

        Raises:
            ConfigError: The name says another format.
            MissingExtraError: Parquet, and pyarrow is not installed.
        """
        file = Path(file)
        suffix = _table_suffix(file)
        with atomic_path(file) as temporary:
            if suffix == ".parquet":
                with need("parquet"):
                    import pyarrow as pa
                    import pyarrow.parquet as pq
                texts = pa.list_(pa.string())
                kinds = {
                    **dict.fromkeys(_COLUMNS, pa.string()),
                    "rank": pa.int64(),
                    "row": pa.int64(),
                    "score": pa.float64(),
                    "label": texts,
                    "suggested": texts,
                    "related": pa.list_(pa.int64()),
                }
                rows = [{**one, "text": one["text"].encode(errors="replace").decode()} for one in self.records()]
                pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), temporary)
                return
            with temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="") as stream:
                if suffix in {".jsonl", ".ndjson"}:
                    stream.writelines(json.dumps(one, ensure_ascii=False) + "\n" for one in self.records())
                    return
                writer = csv.writer(stream, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
                writer.writerow(_COLUMNS)
                for one in self.records():
                    cells = (one[name] for name in _COLUMNS)
                    writer.writerow([";".join(map(str, cell)) if isinstance(cell, list) else cell for cell in cells])


def audit_data(  # noqa: PLR0913 - a public door, options by name
    data: str | Path,
    *,
    text: str = "text",
    label: str | Sequence[str] = "label",
    split_column: str | None = None,
    task: str | None = None,
    columns: Columns | None = None,
    model: Classifier | str | Path | None = None,
    full: bool = False,
    train: Mapping[str, Any] | None = None,
    folds: int = 5,
    seed: int = 0,
    threads: int | None = None,
    out: str | Path | None = None,
    html: str | Path | None = None,
    write: str | Path | None = None,
    actions: Mapping[Kind, Action] | None = None,
    least: float = LEAST,
    test: bool = False,
    overwrite: bool = False,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Audit:
    """Find the rows of labelled data that are probably wrong.

    Labels are judged by models that have not learned from the row, nor from its copies: quick ones on embeddings and on
    letters, or whole trainings. The labels may be of any scheme, with one a row or several. The data is never changed.

    Args:
        data: A file of any kind that `ottenok data build` reads, a corpus folder, or a corpus recipe.
        text: Of a file, the column of the texts.
        label: Of a file, the column of the labels, or several 0/1 columns.
        split_column: Of a file, the column that says in which split a row is.
        task: Of a corpus with several tasks; None: the first.
        columns: How a file is read, in place of `text` and `label`.
        model: Whose embeddings are read: what `ottenok.load` takes, or a classifier; None: the model that ottenok
            ships. With `full`, the folder that training starts from.
        full: Train the whole model for each fold (extra `train`): minutes to hours in place of seconds.
        train: Keys of a training recipe for that; see `ottenok.sklearn.TextClassifier`.
        folds: How many models, two or more.
        seed: Of folds and fits.
        threads: See `ottenok.load`.
        out: Write the table of findings here: CSV, TSV, JSON lines or Parquet, by its name.
        html: Write a page to read here.
        write: Write a cleaned copy here: a file, or of a corpus a folder; and `WRITE.changes.jsonl`, a line for each
            row that is not as it was.
        actions: Kind of finding to what is done in the copy: `drop`, `relabel` or `keep`; what is not named is done as
            `ottenok.audit.clean.DEFAULT_ACTIONS` says.
        least: Least score of suspected labels that are acted upon in the copy, 0..1.
        test: Whether rows of a test split may be dropped or relabelled too.
        overwrite: Replace outputs that exist, though never the data.
        places: Where data sets and built corpora are.
        progress: Whom to tell.

    Raises:
        ConfigError: An option has a value that it can't have.
        DataError: The data can't be read, or there are too few rows.
        InputError: An output exists, or is the data.
        MissingExtraError: The extra `audit` is not installed, or with `full` the extra `train`.
        SchemeError: There are fewer than two labels.
    """
    with need("audit"):
        import cleanlab  # noqa: F401 - asked for before texts are read for minutes
        import jinja2  # noqa: F401
    if full:
        check_extra("train")
    if folds < 2:
        raise ConfigError(f"found {folds}, expected 2 or more", key="folds")
    outputs = [Path(place) for place in (out, html, write) if place is not None]
    for place in outputs:
        if place.exists() and not overwrite:
            raise InputError("the output exists", hint="Name another file, or add --overwrite.", file=str(place))
        if place.exists() and Path(data).exists() and place.samefile(data):
            raise InputError("the output is the data", hint="Name another file.", file=str(place))
    if out is not None:
        _table_suffix(Path(out))
    if columns is None:
        columns = Columns(text=text, label=label if isinstance(label, str) else tuple(label))
    rows = read_rows(data, columns, split_column=split_column, task=task, places=places, progress=progress)
    merged = check_actions(actions or {}, rows)
    found = audit_rows(
        rows, model=model, full=full, train=train, folds=folds, seed=seed, threads=threads, progress=progress
    )
    if write is not None:
        chosen = decide(rows, found.findings, merged, least=least, test=test)
        cleaned = write_clean(rows, chosen, Path(write), options=columns.table, overwrite=overwrite, progress=progress)
        found = replace(found, cleaned=cleaned)
    if out is not None:
        found.save(out)
        rejects = Path(out).with_name(f"{Path(out).name}.rejects.jsonl")
        rejects.unlink(missing_ok=True)
        with RejectsFile(rejects) as stream:
            for one in rows.rejects:
                stream.write(source=rows.name, file=rows.file.name, rejected=one)
    if html is not None:
        atomic_write_text(Path(html), found.to_html())
    return found


def audit_rows(
    rows: AuditRows,
    *,
    model: Classifier | str | Path | None = None,
    full: bool = False,
    train: Mapping[str, Any] | None = None,
    folds: int = 5,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Audit rows that are in memory; see `audit_data`.

    Raises:
        ConfigError: `full`, and rows have several labels.
    """
    if full and rows.several:
        raise ConfigError("whole trainings judge rows with one label each", hint="Leave out --full.", key="full")
    copies = find_copies(rows.texts, progress)
    findings = judge_copies(rows, copies)
    if isinstance(model, Classifier):
        classifier = model
    else:
        classifier = load(model, threads=threads, max_windows=_WINDOWS, always=True)
    with tempfile.TemporaryDirectory(prefix="ottenok-") as work:
        place = Path(work) / "vectors.npy" if len(rows) > _IN_MEMORY else None
        vectors = embedded(classifier, rows.texts, file=place, progress=progress)
        findings += find_outliers(rows.texts, distances(vectors, seed=seed, progress=progress))
        if full:
            folder = None if isinstance(model, Classifier) else model
            fit = training_fit(
                rows.texts, copies.near, folds=folds, model=folder, over=train, seed=seed, progress=progress
            )
        else:
            fit = head_fit(vectors, rows.texts, copies.near, folds=folds, seed=seed, progress=progress)
        suspicion = suspect_labels(rows.truth, rows.labels, copies.near, fit, several=rows.several)
        del vectors, fit
    findings = [*settled(rows, findings, suspicion), *suspected(rows, suspicion)]
    return Audit(
        rows=rows,
        findings=tuple(ranked(findings)),
        suspicion=suspicion,
        method="full" if full else "head",
        folds=folds,
        model=classifier.manifest.name,
    )


def suspected(rows: AuditRows, suspicion: Suspicion) -> Iterator[Finding]:
    """Yield the rows whose labels are suspected, with the probabilities that say so."""
    for row in np.flatnonzero(suspicion.wrong).tolist():
        marks, other = rows.truth[row], suspicion.suggested[row]
        reason = ", ".join(
            f"{rows.labels[place]} {_percent(suspicion.probabilities[row, place])}"
            for place in np.flatnonzero(marks != other)[np.argsort(other[marks != other], kind="stable")]
        )
        yield Finding(
            kind="label",
            row=row,
            score=float(suspicion.doubt[row]),
            reason=f"out of sample: {reason}",
            suggested=rows.names(other),
        )


def settled(rows: AuditRows, findings: Iterable[Finding], suspicion: Suspicion) -> Iterator[Finding]:
    """Yield findings as they are, but where copies contradict each other one to one the likeliest label is suggested.

    Which may be the row's own: then it is the others that are wrong.
    """
    for one in findings:
        if one.kind != "conflict" or one.suggested is not None or rows.several or np.isnan(suspicion.doubt[one.row]):
            yield one
            continue
        likeliest = rows.labels[int(suspicion.probabilities[one.row].argmax())]
        reason = f"{one.reason}; out of sample it is {likeliest}"
        yield replace(one, suggested=(likeliest,), reason=reason)


def _percent(share: float) -> str:
    return f"{100 * share:.0f}%" if 0.01 <= share <= 0.99 else f"{100 * share:.1f}%"


def _table_suffix(file: Path) -> str:
    suffix = plain_suffix(file)
    if suffix not in _TABLES or file.suffix.lower() != suffix:
        raise ConfigError(f"the table's suffix is {file.suffix!r}", hint=suggest(file.suffix, _TABLES), key="-o")
    return suffix
