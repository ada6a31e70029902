"""What is not in a corpus, and why: the second half of `ottenok data stats`."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.data.stats import CorpusStats, SourceStats

__all__ = ["show_dropped", "show_overlaps"]

_OVERLAPS = 10
_REJECTED = "rejected: "
# The beginning of a reason to the column that counts it, so that a source is one line.
_COLUMNS = {
    _REJECTED: "Rejected",
    "label left out": "No label",
    "no label": "No label",
    "several labels": "No label",
    "too few raters": "No label",
    "raters disagree": "No label",
    "conflicting": "Conflict",
    "duplicate": "Same",
    "another rating": "Same",
    "near duplicate in": "In test",
    "same text in": "In test",
    "near duplicate": "Near",
}
_OTHER = "Other"


def show_dropped(found: CorpusStats, *, everything: bool) -> None:
    """Write how many rows of each source were dropped, and the reasons; with `everything`, for which source's rows."""
    from ottenok.cli.tables import heading, number, show_table

    drops = {one.name: list(_drops(one)) for one in found.sources}
    drops = {name: rows for name, rows in drops.items() if rows}
    if not drops:
        return
    heading("Dropped")
    if len(drops) > 1:
        _show_matrix(drops)
    if everything:
        rows = (
            (name if place == 0 else "", *row[:2], number(row[2]))
            for name in drops
            for place, row in enumerate(drops[name])
        )
        show_table(("Source", "Why", "In favour of", ">Rows"), rows)
    else:
        reasons: Counter[str] = Counter()
        for rows_of_one in drops.values():
            for reason, _, count in rows_of_one:
                reasons[reason] += count
        show_table(("Why", ">Rows"), ((reason, number(count)) for reason, count in reasons.most_common()))


def _show_matrix(drops: dict[str, list[tuple[str, str, int]]]) -> None:
    from ottenok.cli.tables import number, show_table, write

    counts: dict[str, Counter[str]] = {}
    for name, rows in drops.items():
        counts[name] = Counter()
        for reason, _, count in rows:
            counts[name][_column(reason)] += count
    columns = [
        column for column in (*dict.fromkeys(_COLUMNS.values()), _OTHER) if any(c[column] for c in counts.values())
    ]
    show_table(
        ("Source", *(f">{column}" for column in columns)),
        ((name, *(number(count[column]) for column in columns)) for name, count in counts.items()),
    )
    write()


def _column(reason: str) -> str:
    return next((column for start, column in _COLUMNS.items() if reason.startswith(start)), _OTHER)


def _drops(one: SourceStats) -> Iterator[tuple[str, str, int]]:
    """Yield reason, source of the row that was kept instead, and rows."""
    for reason, count in one.rejected.items():
        yield f"{_REJECTED}{reason}", "", count
    sums: Counter[tuple[str, str]] = Counter()
    for drop in one.dropped:
        sums[drop.reason, drop.of or ""] += drop.rows
    for (reason, of), count in sums.most_common():
        yield reason, "itself" if of == one.name else of, count


def show_overlaps(found: CorpusStats, *, everything: bool) -> None:
    """Write the texts that files share, most first."""
    from ottenok.cli.tables import heading, number, show_table, write

    if not found.overlaps:
        return
    heading("Same texts in two files, before anything was dropped")
    shown = found.overlaps if everything else found.overlaps[:_OVERLAPS]
    single = {one.name for one in found.sources if len(one.files) == 1}
    show_table(
        ("File", "File", ">Texts", ">6+*"),
        (
            (_short(one.first, single), _short(one.second, single), number(one.texts), number(one.long_texts))
            for one in shown
        ),
        whole=0,
    )
    if len(shown) < len(found.overlaps):
        write(f"{len(found.overlaps) - len(shown)} smaller ones are not shown; see --all.")
    write("* Texts of at least six letters or digits; shorter ones meet by chance.")


def _short(file: str, single: set[str]) -> str:
    """Name a file by its source alone where that has one file, and never by its folders or its format."""
    source, _, path = file.partition(":")
    return source if source in single else f"{source}: {PurePosixPath(path).stem}"
