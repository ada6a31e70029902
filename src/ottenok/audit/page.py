"""An audit as a page of HTML: static, without scripts, and safe whatever the texts are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.audit.findings import KINDS
from ottenok.core.language import detect_language
from ottenok.studies.report.page import page
from ottenok.studies.report.parts import Excerpt, Section, plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.audit.findings import Finding
    from ottenok.audit.rows import AuditRows
    from ottenok.audit.run import Audit

__all__ = ["audit_page"]

_TITLES = {
    "conflict": "Contradictions",
    "label": "Suspected labels",
    "near-conflict": "Contradictions of nearly equal texts",
    "leak": "Leaks",
    "near-leak": "Leaks of nearly equal texts",
    "outlier": "Outliers",
    "duplicate": "Repeats",
}
# Characters of a text, of another row's text, and of a name.
_SHOWN, _BESIDE, _NAME = 600, 200, 100


def audit_page(audit: Audit, *, most: int) -> str:
    """Return the page, with at most `most` findings of a kind.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    rows, counts = audit.rows, audit.counts
    total = len(rows)
    kinds = [
        [_TITLES[kind], f"{counts[kind]:,}", f"{counts[kind] / total:.1%}", meaning] for kind, meaning in KINDS.items()
    ]
    lines = [
        f"{total:,} rows have a text and a label; {len(rows.rejects):,} have not."
        if rows.rejects
        else f"All {total:,} rows have a text and a label.",
        f"Labels are judged out of sample, in {audit.folds} folds, by "
        + (
            f"quick models on letters and on the embeddings of {audit.model}"
            if audit.method == "head"
            else "whole trainings"
        )
        + ": no row is judged by what has learned from it or from its copies. A suspicion is no proof: read the rows.",
    ]
    if audit.suspicion.unjudged:
        shown = ", ".join(label[:_NAME] for label in audit.suspicion.unjudged[:20])
        lines.append(f"Too few texts have these labels, so they are not judged: {shown}.")
    tables = [plain_table("What was found", ("kind", "rows", "share", "meaning"), kinds, numeric=False)]
    if audit.confusions:
        pairs = [[a[:_NAME], b[:_NAME], f"{count:,}"] for a, b, count in audit.confusions[:20]]
        tables.append(plain_table("Suspected labels", ("label", "rather", "rows"), pairs, numeric=False))
    if audit.cleaned is not None:
        changes = ", ".join(f"{count:,} {change}" for change, count in audit.cleaned.changes.items())
        lines.append(f"A cleaned copy of {audit.cleaned.rows:,} rows was written: {changes}.")
    sections = [Section(name="summary", title="Summary", lines=tuple(lines), tables=tuple(tables))]
    for kind in KINDS:
        found = [one for one in audit.findings if one.kind == kind]
        if found:
            told = f"{len(found):,} rows: {KINDS[kind]}."
            if len(found) > most:
                told += f" The first {most:,} are shown; `-o` writes all."
            sections.append(
                Section(
                    name=kind,
                    title=_TITLES[kind],
                    lines=(told,),
                    excerpts=tuple(_excerpt(rows, one) for one in found[:most]),
                )
            )
    return page(f"Audit of {rows.name[:_NAME]}", "Rows of labelled data that may be wrong, the surest first.", sections)


def _excerpt(rows: AuditRows, finding: Finding) -> Excerpt:
    text = rows.texts[finding.row]
    facts = [("label", _joined(rows.names(rows.truth[finding.row])))]
    if finding.suggested is not None:
        facts.append(("rather", _joined(finding.suggested)))
    facts += [("why", finding.reason), ("score", f"{finding.score:.3f}")]
    row = f"{rows.numbers[finding.row]}"
    facts.append(("row", f"{row}, {rows.ids[finding.row]}" if rows.ids else row))
    if rows.splits:
        facts.append(("split", rows.splits[finding.row][:_NAME]))
    if finding.related:
        other = finding.related[0]
        facts.append((f"row {rows.numbers[other]}", _cut(rows.texts[other], _BESIDE)))
    language = detect_language(text)
    return Excerpt(text=_cut(text, _SHOWN), language="" if language == "other" else language, facts=tuple(facts))


def _joined(labels: Sequence[str]) -> str:
    return ", ".join(label[:_NAME] for label in labels) or "none"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text):,} characters)"
