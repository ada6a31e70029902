"""`ottenok data stats`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.places import json_option, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.data.stats import CorpusStats, SourceStats

__all__ = ["stats"]

_SPLITS = ("train", "validation", "test")
_OVERLAPS = 15
_WIDE = 7  # more labels than this are rows of their own, not columns


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--all", "everything", is_flag=True, help="Show all overlaps, not only the largest.")
@json_option()
def stats(folder: Path, everything: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes options by name
    """Show what is in the corpus FOLDER: rows, labels, languages, licences, and what was dropped and why."""
    from ottenok.data.corpus import open_corpus
    from ottenok.data.stats import corpus_stats

    found = corpus_stats(open_corpus(folder))
    if as_json:
        write_json(found.to_json())
        return
    from ottenok.cli.tables import heading, write

    heading(f"{found.name}: {sum(found.rows.values()):,} texts, labels {found.scheme}")
    _show_sources(found)
    _show_labels(found)
    _show_dropped(found)
    _show_overlaps(found, limit=None if everything else _OVERLAPS)
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
            one.licence,
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
        "",
    )
    columns = ("Source", ">Train", ">Valid.", ">Test", ">Dropped", "Languages", "Licence", ">Length 50/95 %")
    show_table(columns, [*rows, total] if len(rows) > 1 else rows)


def _languages(one: SourceStats) -> str:
    most = sorted(one.languages.items(), key=lambda item: -item[1])
    whole = sum(one.languages.values())
    # A stray language is noise of the detection by script; the JSON has it.
    return ", ".join(language for language, rows in most if rows >= whole / 100)


def _show_labels(found: CorpusStats) -> None:
    from ottenok.cli.tables import heading, number, share, show_table

    counts = {one.name: _labels(one) for one in found.sources}
    labels = list(dict.fromkeys(label for count in counts.values() for label in count))
    heading("Labels, all splits")
    if len(labels) > _WIDE:
        names = list(counts)
        show_table(
            ("Label", *(f">{name}" for name in names)),
            ((label, *(number(counts[name][label]) for name in names)) for label in labels),
        )
        return
    show_table(
        ("Source", *(f">{label}" for label in labels)),
        (
            (name, *(f"{number(count[label])} {share(count[label], sum(count.values())):>4}" for label in labels))
            for name, count in counts.items()
        ),
    )


def _labels(one: SourceStats) -> Counter[str]:
    counts: Counter[str] = Counter()
    for split in one.labels.values():
        counts.update(split)
    return counts


def _show_dropped(found: CorpusStats) -> None:
    from ottenok.cli.tables import heading, number, show_table

    rows = [row for one in found.sources for row in _dropped(one)]
    if rows:
        heading("Dropped")
        show_table(("Source", "Why", "In favour of", ">Rows"), [(*row[:3], number(row[3])) for row in rows])


def _dropped(one: SourceStats) -> Iterator[tuple[str, str, str, int]]:
    for reason, count in one.rejected.items():
        yield one.name, f"rejected: {reason}", "", count
    sums: Counter[tuple[str, str]] = Counter()
    for drop in one.dropped:
        sums[drop.reason, drop.of or ""] += drop.rows
    for (reason, of), count in sums.most_common():
        yield one.name, reason, "itself" if of == one.name else of, count


def _show_overlaps(found: CorpusStats, *, limit: int | None) -> None:
    from ottenok.cli.tables import heading, number, show_table, write

    if not found.overlaps:
        return
    heading("Same texts in two files, before anything was dropped")
    shown = found.overlaps[:limit]
    show_table(
        ("File", "File", ">Texts", ">of 6+ letters"),
        ((one.first, one.second, number(one.texts), number(one.long_texts)) for one in shown),
    )
    if len(shown) < len(found.overlaps):
        write(f"{len(found.overlaps) - len(shown)} smaller ones are not shown; see --all.")
