"""What an audit finds: a row, what may be wrong with it, and why one may think so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ottenok.audit.rows import AuditRows

__all__ = ["KINDS", "Finding", "Kind", "ranked"]

Kind = Literal["conflict", "label", "near-conflict", "leak", "near-leak", "outlier", "duplicate"]

# Each kind with what it means, in the order of the ranking: what says most about labels first.
KINDS: dict[Kind, str] = {
    "conflict": "the same text has another label in other rows",
    "label": "the label is probably wrong",
    "near-conflict": "a nearly equal text has another label",
    "leak": "the same text is in a test or validation split too",
    "near-leak": "a nearly equal text is in a test or validation split",
    "outlier": "the text is unlike the others",
    "duplicate": "the same text with the same label came before",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that may be wrong with one row.

    Attributes:
        kind: See `KINDS`.
        row: Place of the row among those of the audit, from 0.
        score: 0..1, by which findings of a kind are ranked: 1 is surest.
        reason: A sentence.
        suggested: The labels that it may rather have; None: nothing is suggested.
        related: Places of other rows that it is about.
    """

    kind: Kind
    row: int
    score: float
    reason: str
    suggested: tuple[str, ...] | None = None
    related: tuple[int, ...] = ()

    def to_json(self, rows: AuditRows) -> dict[str, Any]:
        """Return it with what is known of its row, as the table of findings has it."""
        return {
            "kind": self.kind,
            "score": round(self.score, 4),
            "row": int(rows.numbers[self.row]),
            "id": rows.ids[self.row] if rows.ids else None,
            "split": rows.splits[self.row] if rows.splits else None,
            "label": list(rows.names(rows.truth[self.row])),
            "suggested": None if self.suggested is None else list(self.suggested),
            "reason": self.reason,
            "related": [int(rows.numbers[row]) for row in self.related],
            "text": rows.texts[self.row],
        }


def ranked(findings: list[Finding]) -> list[Finding]:
    """Return findings by kind, the surest of each kind first; equally sure ones in the order of their rows."""
    order = {kind: place for place, kind in enumerate(KINDS)}
    return sorted(findings, key=lambda one: (order[one.kind], -one.score, one.row))
