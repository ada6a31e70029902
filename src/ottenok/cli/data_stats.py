"""`ottenok data stats`: what is in a corpus, and what is not and why."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from ottenok.cli.options import json_option
from ottenok.cli.screen import bar, heading, number, say, share, show_table, width, write_json
from ottenok.core.schemes import LEARNED_ROWS

if TYPE_CHECKING:
    from ottenok.data.stats import CorpusStats

__all__ = ["stats"]

_SPLITS = ("train", "validation", "test")
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


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--all", "everything", is_flag=True, help="Show also what was dropped for which source, and all overlaps."
)
@json_option
def stats(folder: Path, *, everything: bool, as_json: bool) -> None:
    """Show what is in the corpus FOLDER: rows, labels, languages, licences, and what was dropped and why."""
    from ottenok.data.corpus import open_corpus
    from ottenok.data.stats import corpus_cells, corpus_stats

    corpus = open_corpus(folder)
    found, cells = corpus_stats(corpus), corpus_cells(corpus)
    if as_json:
        write_json({**found.to_json(), "cells": [{**asdict(cell), "learned": cell.learned} for cell in cells]})
        return

    heading(f"{found.name}: {sum(found.rows.values()):,} texts, labels {found.scheme}")
    _show_sources(found)

    heading(f"Language by label, training rows; under {LEARNED_ROWS} a label is not learned")
    rows = []
    for place, cell in enumerate(cells):
        before = cells[place - 1] if place else None
        new_task = before is None or before.task != cell.task
        new_language = new_task or before is None or before.language != cell.language
        rows.append(
            (
                cell.task if new_task else "",
                cell.language if new_language else "",
                cell.label,
                *(number(count) for count in (cell.train, cell.validation, cell.test)),
                "" if cell.learned else "not learned",
            )
        )
    show_table(("Task", "In", "Label", ">Train", ">Valid.", ">Test", ""), rows)

    _show_dropped(found, everything=everything)

    if found.overlaps:
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
            say(f"{len(found.overlaps) - len(shown)} smaller ones are not shown; see --all.")
        say("* Texts of at least six letters or digits; shorter ones meet by chance.")
    for one in found.skipped:
        say(f"Left out: {one.name}: {one.why}")


def _show_sources(found: CorpusStats) -> None:
    """Write rows and licence of each source, and how many rows it has of each label."""
    rows = []
    licences: dict[str, list[str]] = {}
    for one in found.sources:
        most = sorted(one.languages.items(), key=lambda item: -item[1])
        rows.append(
            (
                one.name,
                *(number(one.kept.get(split, 0)) for split in _SPLITS),
                number(one.read - sum(one.kept.values())),
                # A stray language is noise of the detection by script; the JSON has it.
                ", ".join(name for name, count in most if count >= sum(one.languages.values()) / 100),
                "/".join(str(one.lengths.get(point, "")) for point in ("50", "95")),
            )
        )
        forbidden = " (no commercial use)" if one.commercial is False else ""
        licences.setdefault(one.licence + forbidden, []).append(one.name)
    total = (
        "all",
        *(number(found.rows.get(split, 0)) for split in _SPLITS),
        number(sum(one.read for one in found.sources) - sum(found.rows.values())),
        "",
        "",
    )
    columns = ("Source", ">Train", ">Valid.", ">Test", ">Dropped", "In", ">Length*")
    show_table(columns, [*rows, total] if len(rows) > 1 else rows)
    say("* In characters: median and 95th percentile.")
    say()
    show_table(("Licence", "Sources"), ((licence, ", ".join(names)) for licence, names in sorted(licences.items())))

    counts: dict[str, Counter[str]] = {}
    for one in found.sources:
        counts[one.name] = Counter()
        for split in one.labels.values():
            counts[one.name].update(split)
    labels = list(dict.fromkeys(label for count in counts.values() for label in count))
    heading("Labels, all splits")
    # A cell is `12,345  67 %` or as wide as its label.
    if max(map(len, counts)) + sum(max(len(label), 12) + 2 for label in labels) <= width():
        table = []
        for name, count in counts.items():
            shares = {label: f"{number(count[label])} {share(count[label], count.total()):>4}" for label in count}
            table.append((name, *(shares.get(label, "") if count[label] else "" for label in labels)))
        show_table(("Source", *(f">{label}" for label in labels)), table)
        return
    rows = []
    for name, count in counts.items():
        largest = max(count.values(), default=0)
        for place, (label, times) in enumerate(count.items()):
            rows.append(
                (name if place == 0 else "", label, number(times), share(times, count.total()), bar(times, largest))
            )
    show_table(("Source", "Label", ">Rows", ">Share", ""), rows)


def _show_dropped(found: CorpusStats, *, everything: bool) -> None:
    """Write how many rows of each source were dropped, and the reasons; with `everything`, for which source's rows."""
    # Of each source: the reason, the source of the row that was kept instead, and rows.
    drops: dict[str, list[tuple[str, str, int]]] = {}
    for one in found.sources:
        sums: Counter[tuple[str, str]] = Counter()
        for drop in one.dropped:
            sums[drop.reason, "itself" if drop.of == one.name else drop.of or ""] += drop.rows
        rejected = [(f"{_REJECTED}{reason}", "", count) for reason, count in one.rejected.items()]
        if every := [*rejected, *((reason, of, count) for (reason, of), count in sums.most_common())]:
            drops[one.name] = every
    if not drops:
        return
    heading("Dropped")
    if len(drops) > 1:
        counts: dict[str, Counter[str]] = {name: Counter() for name in drops}
        for name, rows_of_one in drops.items():
            for reason, _, count in rows_of_one:
                column = next((title for start, title in _COLUMNS.items() if reason.startswith(start)), _OTHER)
                counts[name][column] += count
        titles = [*dict.fromkeys(_COLUMNS.values()), _OTHER]
        titles = [title for title in titles if any(count[title] for count in counts.values())]
        show_table(
            ("Source", *(f">{title}" for title in titles)),
            ((name, *(number(count[title]) for title in titles)) for name, count in counts.items()),
        )
        say()
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


def _short(file: str, single: set[str]) -> str:
    """Name a file by its source alone where that has one file, and never by its folders or its format."""
    source, _, path = file.partition(":")
    return source if source in single else f"{source}: {PurePosixPath(path).stem}"
