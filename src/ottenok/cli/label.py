"""`ottenok label`: texts of a file get labels, the most useful first, on a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottenok.cli.options import cache_option, json_option, seed_option, table_options
from ottenok.cli.screen import harmless, say, tell, write_json

if TYPE_CHECKING:
    from ottenok.labelling.formats import Imported
    from ottenok.labelling.journal import Journal
    from ottenok.labelling.pool import Pool
    from ottenok.labelling.session import Session
    from ottenok.tables.options import TableOptions

__all__ = ["label"]


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--text", default="text", show_default=True, help="Column of the texts.")
@click.option("--labels", "names", metavar="A,B,…", help="Labels, divided by commas.  [default: the journal's]")
@click.option("--multi-label", is_flag=True, help="A text may have several labels, or none.")
@click.option("--label", "column", metavar="COLUMN", help="Column of FILE with labels that some rows have already.")
@click.option(
    "--examples",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A labelled file to learn from too, with the columns --text and --label (else label).",
)
@click.option("--rater", metavar="NAME", help="Who labels.  [default: what the page says]")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), help="Write the labels at the end: .csv, .jsonl, or .json."
)
@click.option(
    "--output-format",
    type=click.Choice(["csv", "jsonl", "label-studio", "doccano"]),
    help="Format of -o.  [default: by its name; .json is Label Studio's]",
)
@click.option("--export", is_flag=True, help="Write -o from the journal and end, without a page.")
@click.option(
    "--import",
    "others",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Take over the answers of Label Studio, doccano or a table, and end. May be repeated.",
)
@click.option("--import-text", default="text", show_default=True, help="Their column or key of the texts.")
@click.option("--import-label", default="label", show_default=True, help="Their column, or name of the control.")
@click.option(
    "--journal", "place", type=click.Path(path_type=Path), help="Where answers are kept.  [default: FILE.labels.jsonl]"
)
@click.option(
    "--choose",
    type=click.Choice(["margin", "badge", "mixed", "spread", "random"]),
    help="How texts are chosen once a head has learned.  [default: margin, by docs/labelling.md]",
)
@click.option(
    "--overlap", type=click.FloatRange(0, 1), default=0.1, show_default=True, help="Share of texts for every rater."
)
@click.option(
    "--sample", type=click.IntRange(min=10), default=50_000, show_default=True, help="Most texts that are chosen from."
)
@click.option("-m", "--model", help="Classifier whose embeddings are learned from.  [default: the one of ottenok]")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the page.  [default: any free one]")
@click.option("--open", "browse", is_flag=True, help="Open the page in the browser.")
@seed_option()
@table_options
@cache_option
@json_option
def label(  # noqa: PLR0913 - click passes each option by name
    file: Path,
    *,
    text: str,
    names: str | None,
    multi_label: bool,
    column: str | None,
    examples: Path | None,
    rater: str | None,
    out: Path | None,
    output_format: Any,  # noqa: ANN401 - one of a few strings
    export: bool,
    others: tuple[Path, ...],
    import_text: str,
    import_label: str,
    place: Path | None,
    choose: Any,  # noqa: ANN401 - one of a few strings
    overlap: float,
    sample: int,
    model: str | None,
    port: int,
    browse: bool,
    seed: int,
    table: TableOptions,
    cache: Path,
    as_json: bool,
) -> None:
    """Label the texts of FILE on a page in the browser, the most useful texts first.

    \b
      ottenok label reviews.csv --text review --labels praise,blame,question -o labels.csv
      ottenok label reviews.csv --text review --export -o tasks.json
      ottenok label reviews.csv --text review --labels praise,blame --import theirs.jsonl

    Answers are kept in a journal beside FILE as they are given, and the same command goes on from there. What is
    written with -o is read by ottenok data build. The page is for this machine alone: docs/labelling.md.
    """  # noqa: D301 - click reads \b as: keep these lines
    from ottenok.core.errors import ConfigError
    from ottenok.core.lazy import check_extra

    check_extra("label")
    from ottenok.cli.bars import Bars
    from ottenok.inference.api import load
    from ottenok.labelling.app import serve
    from ottenok.labelling.formats import format_of, write_answers
    from ottenok.labelling.journal import opened
    from ottenok.labelling.learner import DEFAULT_METHOD, Learner
    from ottenok.labelling.pool import check_examples, read_pool
    from ottenok.labelling.session import Options, Session

    if export and out is None:
        raise click.UsageError("--export writes to a file: name it with -o")
    kind = format_of(out, output_format) if out is not None else None
    journal_file = place or file.with_name(f"{file.name}.labels.jsonl")
    if out is not None and out.absolute() in {journal_file.absolute(), file.absolute()}:
        raise click.UsageError("-o names the file that is read: name another one")
    with opened(journal_file) as journal:
        if journal.cut:
            tell(f"The last line of {harmless(journal_file)} was cut, and is taken off; all before it counts.")
        pool = read_pool(file, text=text, label=column, table=table, most=sample, seed=seed, progress=Bars())
        # Those that are asked for, else the journal's, else those of the file's column.
        asked = [name.strip() for name in names.split(",")] if names is not None else []
        if not asked and not journal.labels:
            asked = sorted({one for given in pool.given.values() for one in given})
            if not asked:
                raise ConfigError(
                    "no labels are named", hint="Name them: --labels joy,anger,neutral", file=str(file), key="--labels"
                )
        journal.begin(asked, several=multi_label or journal.several)
        if others:
            _take_over(journal, others, import_text, import_label, as_json=as_json)
            return
        learned: list[tuple[str, tuple[str, ...]]] = []
        if examples is not None:
            shown = read_pool(examples, text=text, label=column or "label", table=table, seed=seed)
            given = check_examples(shown, journal.labels)
            learned = [(shown.texts[at], labels) for at, labels in given.items()]
            tell(f"{len(learned):,} labelled examples are learned from.")
        session = Session(
            pool,
            journal,
            given=check_examples(pool, journal.labels),
            examples=learned,
            options=Options(overlap=overlap, seed=seed),
        )
        if not export:
            classifier = load(model, cache=cache)
            learner = Learner(classifier, session, method=choose or DEFAULT_METHOD, seed=seed)
            serve(session, learner, port=port, rater=rater, ready=lambda address: _ready(address, pool, browse=browse))
        written = write_answers(session, out, kind) if out is not None and kind is not None else None
    _end(session, journal_file, out, written, as_json=as_json)


def _ready(address: str, pool: Pool, *, browse: bool) -> None:
    import webbrowser

    for reason, count in pool.left_out.items():
        tell(f"Rows left out, {harmless(reason)}: {count:,}")
    if len(pool.texts) < pool.total:
        tell(f"{pool.total:,} rows have a text; {len(pool.texts):,} different ones, drawn at random, are asked from.")
    tell(f"Label at {address} (Ctrl-C ends it; whoever has this address can answer)")
    if browse:
        webbrowser.open(address)


def _take_over(journal: Journal, files: tuple[Path, ...], text: str, label: str, *, as_json: bool) -> None:
    """Write the answers of other tools into the journal; those that are there already are not written again."""
    from ottenok.core.errors import ConfigError
    from ottenok.labelling.formats import read_answers
    from ottenok.labelling.pool import same_labels

    read: list[tuple[Path, Imported]] = [(path, read_answers(path, text=text, label=label)) for path in files]
    known = {(one.kind, one.text, one.labels, one.rater) for one in journal.standing()}
    taken = 0
    for path, found in read:
        theirs = sorted({name for one in found.answers for name in one.labels})
        same = same_labels(theirs, journal.labels)
        strange = [name for name in theirs if name not in same]
        if strange:
            raise ConfigError(
                f"it has the labels {', '.join(map(repr, strange[:10]))}, which are not among --labels",
                hint="Name them in --labels too, or leave them out of what is exported there.",
                file=str(path),
            )
        several = [one for one in found.answers if len(one.labels) != 1]
        if several and not journal.several:
            raise ConfigError(
                f"{len(several)} of its texts have several labels or none", hint="Say --multi-label.", file=str(path)
            )
    for path, found in read:
        same = same_labels(sorted({name for one in found.answers for name in one.labels}), journal.labels)
        entries = []
        for one in found.answers:
            labels = tuple(name for name in journal.labels if name in {same[label] for label in one.labels})
            who = (one.rater or path.stem).replace("+", " ")[:100]
            entry = ("settle" if one.settled else "answer", one.text, labels, who)
            if entry not in known:
                known.add(entry)
                entries.append((*entry, "import", one.time))
        journal.extend(entries)
        taken += len(entries)
        if not as_json:
            say(f"{harmless(path)}, {found.format}: {len(entries):,} answers are taken over")
            for reason, count in found.left_out.items():
                say(f"  left out, {harmless(reason)}: {count:,}")
    if as_json:
        write_json(
            {"journal": str(journal.path), "answers": taken, "left_out": [dict(one.left_out) for _, one in read]}
        )


def _end(session: Session, journal: Path, out: Path | None, written: int | None, *, as_json: bool) -> None:
    alpha, both = session.agreement()
    counts, disputes = session.counts(), len(session.disagreements())
    measured = session.journal.measured[-1] if session.journal.measured else None
    if as_json:
        facts = {"journal": str(journal), "out": None if out is None else str(out), "written": written, **counts}
        told = None if alpha is None else {"value": alpha.value, "low": alpha.low, "high": alpha.high}
        write_json({**facts, "alpha": told, "both": both, "disagreements": disputes, "measured": measured})
        return
    tell(f"{counts['labelled']:,} texts have a label; every answer is in {harmless(journal)}")
    if written is not None:
        tell(f"{written:,} texts with their labels are in {harmless(out)}")
    if disputes:
        tell(f"Raters disagree on {disputes:,} texts, which are not written; the page settles them.")
    if alpha is not None:
        tell(f"Krippendorff's alpha of {both:,} texts that several raters answered: {alpha.value:.2f}")
