"""Tables as the published cards have them, and systems side by side."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ottenok.core.errors import ConfigError
from ottenok.core.schemes import load_scheme
from ottenok.tasks.decision import Decision
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.tables import Grid, confusion_table, label_table, source_table, system_table
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    from ottenok.tasks.report import Report

SENTIMENT = load_scheme("sentiment-3")
CEDR = load_scheme("cedr-5")


def _report(system: str = "model", resamples: int = 0, rows: int = 6) -> Report:
    truth = np.eye(3, dtype=bool)[[0, 0, 1, 1, 2, 2][:rows]]
    probs = np.eye(3)[[0, 1, 1, 1, 2, 2][:rows]]
    return evaluate(
        Task.of(SENTIMENT, Decision(activation="softmax")),
        truth,
        probs,
        sources=["a", "a", "a", "b", "b", "b"][:rows],
        options=EvaluationOptions(system=system, resamples=resamples),
    )


def test_the_label_table_is_laid_out_as_published() -> None:
    """Columns are labels and averages, rows precision, recall, F1, AUC and support."""
    assert label_table(_report()).markdown().splitlines() == [
        "|  | negative | neutral | positive | macro avg | weighted avg |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| precision | 1.00 | 0.67 | 1.00 | 0.89 | 0.89 |",
        "| recall | 0.50 | 1.00 | 1.00 | 0.83 | 0.83 |",
        "| f1-score | 0.67 | 0.80 | 1.00 | 0.82 | 0.82 |",
        "| auc-roc | 0.75 | 0.88 | 1.00 | 0.88 | 0.88 |",
        "| support | 2 | 2 | 2 | 6 | 6 |",
    ]


def test_multi_label_tables_have_the_micro_average() -> None:
    """Where a row may have several labels the micro average says something of its own."""
    rng = np.random.default_rng(0)
    report = evaluate(Task.of(CEDR, Decision(activation="sigmoid")), rng.random((20, 5)) < 0.5, rng.random((20, 5)))

    assert label_table(report).header == ("", *CEDR.labels, "macro avg", "weighted avg", "micro avg")


def test_titles_stand_in_for_labels() -> None:
    """The table can be headed in Russian."""
    grid = label_table(_report(), titles=SENTIMENT.titles["ru"])

    assert grid.header[1:4] == ("негативный", "нейтральный", "позитивный")


def test_systems_stand_side_by_side_with_intervals() -> None:
    """Each system has a column; figures that follow from counts show their interval."""
    grid = system_table([_report("model", resamples=200), _report("baseline")])

    accuracy = {row[0]: row[1:] for row in grid.rows}["accuracy"]
    assert grid.header == ("", "model", "baseline")
    assert accuracy[0].startswith("0.833 [")
    assert accuracy[1] == "0.833"


def test_many_systems_go_down() -> None:
    """A leaderboard has its systems in rows."""
    grid = system_table([_report("model"), _report("baseline")], names=["accuracy"], down="systems")

    assert grid == Grid(header=("", "accuracy"), rows=(("model", "0.833"), ("baseline", "0.833")))


def test_micro_f1_is_shown_only_where_it_is_not_the_accuracy() -> None:
    """With one label a row the micro average repeats the accuracy, so the table leaves it out."""
    assert "micro F1" not in {row[0] for row in system_table([_report()]).rows}


def test_the_figures_can_be_chosen() -> None:
    """A table shows the figures that were asked for, and a dash for one that a report has not."""
    grid = system_table([_report()], names=["polar_f1", "subset_accuracy"])

    assert grid.rows == (("F1 of the two poles", "0.833"), ("subset accuracy", "-"))


def test_sources_are_rows() -> None:
    """Each source shows its rows and the macro F1 of every system."""
    grid = source_table([_report("model"), _report("baseline")])

    assert grid.header == ("", "rows", "model", "baseline")
    assert [row[:2] for row in grid.rows] == [("a", "3"), ("b", "3")]
    assert grid.rows[1][2] == "1.000"


def test_reports_of_other_rows_are_not_compared() -> None:
    """Figures on different rows or labels do not share a table."""
    other = replace(_report(), labels=tuple(replace(row, label=f"{row.label}!") for row in _report().labels))

    for different in (_report(rows=5), other):
        with pytest.raises(ConfigError, match="different rows or labels"):
            system_table([_report(), different])
        with pytest.raises(ConfigError, match="different rows or labels"):
            source_table([_report(), different])


def test_the_confusion_table_counts_rows() -> None:
    """True labels go down, answers across."""
    assert confusion_table(_report()).rows[0] == ("negative", "1", "1", "0")


def test_text_is_aligned_in_any_script() -> None:
    """Chinese characters take two columns, so the columns of numbers line up."""
    grid = Grid(header=("", "负面", "б"), rows=(("f1", "0.5", "0.25"), ("精确", "1", "2")))

    assert grid.text().splitlines() == ["      负面     б", "f1     0.5  0.25", "精确     1     2"]


def test_markdown_can_not_be_broken_by_a_label() -> None:
    """A bar or a line break in a label stays inside its cell."""
    grid = Grid(header=("", "a|b"), rows=(("x\ny", "1"),))

    assert grid.markdown().splitlines()[0] == "|  | a\\|b |"
    assert grid.markdown().splitlines()[2] == "| x y | 1 |"


@settings(deadline=None)
@example(["__0__"])
@given(st.lists(st.text(max_size=20), min_size=1, max_size=3))
def test_cells_of_a_markdown_table_are_no_markup(cells: list[str]) -> None:
    """Whatever a label or a source is called, the table has its cells and nothing else."""
    grid = Grid(header=("", *cells), rows=(("a [0.1, 0.2]", *cells), *((cell, *cells) for cell in cells)))
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(grid.markdown())
    assert set(re.findall(r"<([a-z0-9]+)", html)) == {"table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("<td") == (1 + len(cells)) ** 2
    assert "a [0.1, 0.2]" in grid.markdown()
