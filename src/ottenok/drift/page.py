"""The pages of true shares and of what has changed: static, without scripts, safe whatever the texts are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ottenok.core.language import detect_language
from ottenok.studies.report.drawing import DASHES, SERIES, WIDTH, canvas, finish, legend, writable
from ottenok.studies.report.page import page
from ottenok.studies.report.parts import Cell, Plot, Section, from_grid, plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.drift.compare import Change, Drift
    from ottenok.drift.shares import ShareGroup, Shares
    from ottenok.studies.report.parts import Table
    from ottenok.tasks.metrics import Interval

__all__ = ["drift_page", "shares_page"]

# Labels of a plot; more lines can't be told apart.
_MOST_LABELS = len(SERIES)
_LONGEST_WORD = 60
_LIE = (
    "Lines are where true shares may lie: 95 % intervals, or, with a model that was judged on sets of several kinds, "
    "the range over those."
)
_OVER = "Lines are 95 % intervals of the answers, and the range over the sets that the model was judged on."


def shares_page(shares: Shares) -> str:
    """Return the page of true shares.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    whole = shares.whole
    withheld = sum(whole.withheld.values())
    lines = [f"{shares.rows:,} texts were read, and {whole.texts:,} of them have a share in what follows."]
    if withheld:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in whole.withheld.items())
        lines.append(f"{withheld:,} have none ({reasons}).")
    lines += [f"Rows left out, {reason}: {count:,}." for reason, count in shares.left_out.items()]
    lines += shares.notes
    lines += [f"Labelled rows, {task}: {told}." for task, told in shares.validation.items()]
    sections = [Section(name="about", title="What this is", lines=tuple(lines))]
    tables = shares.tables()
    groups = [group for group in shares.groups[1:] if not group.language]
    for place, (task, found) in enumerate(whole.tasks.items()):
        plots = [
            _pairs_plot(
                f"task-{place}",
                f"{task}: shares",
                [(one.label, one.answered, one.share) for one in found.labels],
                names=("of the answers", "true share" if found.method != "answered" else "true share lies in"),
                note=_OVER if found.spread else "Lines are 95 % intervals.",
            )
        ]
        if len(groups) > 1:
            plots.append(_lines_plot(f"groups-{place}", f"{task} by {shares.by}", task, groups))
        own = [
            from_grid(title, grid) for title, grid in tables.items() if title == task or title.startswith(f"{task} by ")
        ]
        sections.append(Section(name=f"section-{place}", title=task, plots=tuple(plots), tables=tuple(own)))
    return page(f"True shares: {shares.data}", f"By the classifier {shares.model}.", sections)


def _pairs_plot(
    name: str,
    title: str,
    rows: Sequence[tuple[str, Interval, Interval]],
    *,
    names: tuple[str, str],
    note: str = "Lines are 95 % intervals.",
) -> Plot:
    """Draw two values of each label with their intervals, one below the other."""
    labels = writable([label for label, _, _ in rows], kind="label")
    told = "; ".join(
        f"{label} {first.value:.1%} and {second.value:.1%}"
        for label, (_, first, second) in zip(labels, rows, strict=True)
    )
    alt = f"{title}: {names[0]} and {names[1]}: {told}"
    with canvas(name, height=1.6 + 0.42 * len(rows)) as (figure, axes):
        for side, (colour, shift) in enumerate(((SERIES[6], -0.13), (SERIES[0], 0.13))):
            for place, (_, *both) in enumerate(rows):
                one = both[side]
                if one.low is not None and one.high is not None:
                    ends = [100 * one.low, 100 * one.high]
                    axes.plot(ends, [place + shift] * 2, color=colour, linewidth=2.2, solid_capstyle="butt")
                label = names[side] if not place else None
                axes.plot([100 * one.value], [place + shift], "os"[side], color=colour, markersize=5.5, label=label)
        axes.grid(visible=False, axis="y")
        axes.set_yticks(range(len(rows)), labels)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("% of the texts")
        legend(axes, columns=2)
        drawing = finish(figure, name=name, alt=alt)
    numbers = {
        label: {side: [one.value, one.low, one.high] for side, one in zip(names, (first, second), strict=True)}
        for label, first, second in rows
    }
    return Plot(name=name, title=title, alt=alt, note=note, drawing=drawing, numbers=numbers)


def _lines_plot(name: str, title: str, task: str, groups: Sequence[ShareGroup]) -> Plot:
    """Draw the shares of labels group by group."""
    kept = [group for group in groups if task in group.tasks]
    ticks = writable([group.name for group in kept], kind="group")
    first = kept[0].tasks[task].labels
    largest = sorted(
        range(len(first)), key=lambda place: -sum(group.tasks[task].labels[place].share.value for group in kept)
    )[:_MOST_LABELS]
    labels = writable([one.label for one in first], kind="label")
    alt = f"{title}, in {len(kept)} groups, in per cent of each: " + "; ".join(
        f"{labels[place]} from {min(group.tasks[task].labels[place].share.value for group in kept):.1%} "
        f"to {max(group.tasks[task].labels[place].share.value for group in kept):.1%}"
        for place in sorted(largest)
    )
    numbers = {}
    with canvas(name, width=max(WIDTH, min(12.0, 1.5 + 0.4 * len(kept))), height=4.2) as (figure, axes):
        for series, place in enumerate(sorted(largest)):
            shares = [group.tasks[task].labels[place].share for group in kept]
            values = [100 * one.value for one in shares]
            ends = [
                [100 * (one.value - (one.value if one.low is None else one.low)) for one in shares],
                [100 * ((one.value if one.high is None else one.high) - one.value) for one in shares],
            ]
            axes.errorbar(
                [x + 0.06 * (series - len(largest) / 2) for x in range(len(kept))],
                values,
                yerr=ends,
                color=SERIES[series],
                linestyle=DASHES[series],
                marker="o",
                markersize=3.5,
                elinewidth=1.0,
                label=labels[place],
            )
            numbers[first[place].label] = [[one.value, one.low, one.high] for one in shares]
        axes.set_xticks(
            range(len(kept)), ticks, rotation=45 if len(kept) > 4 else 0, ha="right" if len(kept) > 4 else "center"
        )
        axes.set_ylim(bottom=0)
        axes.set_ylabel("% of the texts")
        legend(axes, columns=3)
        drawing = finish(figure, name=name, alt=alt)
    return Plot(name=name, title=title, alt=alt, note="Lines are as above.", drawing=drawing, numbers=numbers)


def drift_page(drift: Drift) -> str:
    """Return the page of what has changed.

    Raises:
        MissingExtraError: jinja2 or matplotlib is not installed.
    """
    alarms = ", ".join(change.title for change in drift.alarms)
    verdict = f"Alarm: {alarms}." if alarms else "No alarm."
    sizes = [
        f"{side}: {texts:,} of {rows:,} texts of {name}."
        for side, texts, rows, name in zip(
            ("Reference", "New"), drift.texts, drift.rows, (drift.reference, drift.new), strict=True
        )
    ]
    rule = (
        f"An alarm needs both: a probability of at most {drift.alpha:g} that any of these differences is chance "
        "(permutation tests, together by Westfall and Young), and an effect that is worth it (floor): with many texts "
        "everything differs."
    )
    lines = [verdict, *sizes, rule, *drift.notes]
    for side, left in zip(("reference", "new"), drift.left_out, strict=True):
        lines += [f"Rows left out of the {side}, {reason}: {count:,}." for reason, count in left.items()]
    rows = [
        (
            change.title,
            f"{change.effect:.3f}",
            f"{change.floor:.3f}",
            _probability(change.p_adjusted),
            "ALARM" if change.alarm else "",
        )
        for change in drift.changes
    ]
    summary = plain_table("What was compared", ("", "effect", "floor", "p, of all tests", ""), rows)
    sections = [Section(name="summary", title="What has changed", lines=tuple(lines), tables=(summary,))]
    sections += [
        _change_section(place, change) for place, change in enumerate(drift.changes) if change.labels or change.old
    ]
    if drift.words:
        words = [
            (
                Cell(text=word.word[:_LONGEST_WORD], language=detect_language(word.word)),
                f"{word.old:.2%}",
                f"{word.new:.2%}",
                f"{word.z:+.1f}",
            )
            for word in drift.words
        ]
        note = (
            "Share of the texts that have the word. z: log-odds with an informative prior over their standard error; "
            "listed are those that differ with a false discovery rate (Benjamini and Hochberg) of at most "
            f"{drift.alpha:g}. Words alone give no alarm."
        )
        table = plain_table("Words", ("word", "reference", "new", "z"), words)
        sections.append(Section(name="words", title="Words that changed most", lines=(note,), tables=(table,)))
    return page("What has changed", f"{drift.reference} and {drift.new}.", sections)


def _probability(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else f"{p:.1e}"


def _change_section(place: int, change: Change) -> Section:
    told = f"Effect {change.effect:.3f} (floor {change.floor:.3f}), p {_probability(change.p_adjusted)} of all tests."
    tables: list[Table] = []
    plots: list[Plot] = []
    if change.labels:
        corrected = any(one.true_change for one in change.labels)
        rows = [
            (
                one.label,
                f"{one.old:.1%}",
                f"{one.new:.1%}",
                *((_told(one.true_old), _told(one.true_new), _told(one.true_change, signed=True)) if corrected else ()),
            )
            for one in change.labels
        ]
        more = ("true, reference", "true, new", "change") if corrected else ()
        tables.append(
            plain_table(
                "Shares of the answers, and where true shares may lie", ("label", "reference", "new", *more), rows
            )
        )
        if corrected:
            pairs = [(one.label, one.true_old, one.true_new) for one in change.labels]
            drawn = [(label, old, new) for label, old, new in pairs if old is not None and new is not None]
            title = f"{change.title}: true shares"
            plots.append(_pairs_plot(f"change-{place}", title, drawn, names=("reference", "new"), note=_LIE))
    elif change.old:
        quantiles = change.kind not in {"languages", "answers"}
        keys = [*change.old, *(key for key in change.new if key not in change.old)]
        rows = [
            (
                key,
                *(
                    f"{side.get(key, 0.0):.3g}" if quantiles else f"{side.get(key, 0.0):.1%}"
                    for side in (change.old, change.new)
                ),
            )
            for key in keys
        ]
        tables.append(plain_table(change.title, ("", "reference", "new"), rows))
    name = re.sub("[^a-z0-9]+", "-", change.kind)
    return Section(name=f"{name}-{place}", title=change.title, lines=(told,), plots=tuple(plots), tables=tuple(tables))


def _told(one: Interval | None, *, signed: bool = False) -> str:
    if one is None or one.low is None or one.high is None:
        return "-"
    sign = "+" if signed else ""
    return f"{one.value:{sign}.1%} ({one.low:{sign}.1%} to {one.high:{sign}.1%})"
