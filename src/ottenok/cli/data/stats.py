"""`ottenok data stats`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.places import json_option, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.data.stats import CorpusStats, SourceStats

__all__ = ["stats"]

_SPLITS = ("train", "validation", "test")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--all", "everything", is_flag=True, help="Show also what was dropped for which source, and all overlaps."
)
@json_option()
def stats(folder: Path, everything: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Show what is in the corpus FOLDER: rows, labels, languages, licences, and what was dropped and why."""
    from ottenok.data.corpus import open_corpus
    from ottenok.data.stats import corpus_stats

    found = corpus_stats(open_corpus(folder))
    if as_json:
        write_json(found.to_json())
        return
    from ottenok.cli.data.dropped import show_dropped, show_overlaps
    from ottenok.cli.tables import heading, write

    heading(f"{found.name}: {sum(found.rows.values()):,} texts, labels {found.scheme}")
    _show_sources(found)
    _show_licences(found)
    _show_labels(found)
    show_dropped(found, everything=everything)
    show_overlaps(found, everything=everything)
    for one in found.skipped:
        write(f"Left out: {one.name}: {one.why}")


def _show_sources(found: CorpusStats) -> None:
    from ottenok.cli.tables import number, show_table

    rows = [
        (
            one.name,
            *(number(one.kept.get(split, 0)) for split in _SPLITS),
            number(one.read - sum(one.kept.values())),
            _languages(one),
            "/".join(str(one.lengths.get(point, "")) for point in ("50", "95")),
        )
        for one in found.sources
    ]
    total = (
        "all",
        *(number(found.rows.get(split, 0)) for split in _SPLITS),
        number(sum(one.read for one in found.sources) - sum(found.rows.values())),
        "",
        "",
    )
    columns = ("Source", ">Train", ">Valid.", ">Test", ">Dropped", "In", ">Length*")
    show_table(columns, [*rows, total] if len(rows) > 1 else rows)


def _languages(one: SourceStats) -> str:
    most = sorted(one.languages.items(), key=lambda item: -item[1])
    whole = sum(one.languages.values())
    # A stray language is noise of the detection by script; the JSON has it.
    return ", ".join(language for language, rows in most if rows >= whole / 100)


def _show_licences(found: CorpusStats) -> None:
    from ottenok.cli.tables import show_table, write

    write("* In characters: median and 95th percentile.")
    write()
    by_licence: dict[str, list[str]] = {}
    for one in found.sources:
        forbidden = " (no commercial use)" if one.commercial is False else ""
        by_licence.setdefault(one.licence + forbidden, []).append(one.name)
    show_table(("Licence", "Sources"), ((licence, ", ".join(names)) for licence, names in sorted(by_licence.items())))


def _show_labels(found: CorpusStats) -> None:
    from ottenok.cli.tables import heading, width

    counts = {one.name: _labels(one) for one in found.sources}
    labels = list(dict.fromkeys(label for count in counts.values() for label in count))
    heading("Labels, all splits")
    # A cell is `12,345  67 %` or as wide as its label.
    needed = max(map(len, counts)) + sum(max(len(label), 12) + 2 for label in labels)
    if needed <= width():
        _show_label_columns(counts, labels)
    else:
        _show_label_bars(counts)


def _show_label_columns(counts: Mapping[str, Counter[str]], labels: list[str]) -> None:
    from ottenok.cli.tables import number, share, show_table

    show_table(
        ("Source", *(f">{label}" for label in labels)),
        (
            (
                name,
                *(
                    f"{number(count[label])} {share(count[label], count.total()):>4}" if count[label] else ""
                    for label in labels
                ),
            )
            for name, count in counts.items()
        ),
    )


def _show_label_bars(counts: Mapping[str, Counter[str]]) -> None:
    from ottenok.cli.tables import bar, number, share, show_table

    rows = []
    for name, count in counts.items():
        most = max(count.values(), default=0)
        for place, (label, times) in enumerate(count.items()):
            rows.append(
                (name if place == 0 else "", label, number(times), share(times, count.total()), bar(times, most))
            )
    show_table(("Source", "Label", ">Rows", ">Share", ""), rows)


def _labels(one: SourceStats) -> Counter[str]:
    counts: Counter[str] = Counter()
    for split in one.labels.values():
        counts.update(split)
    return counts
