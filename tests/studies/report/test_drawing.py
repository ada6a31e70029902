"""Colours, fonts and settings of plots; the worst mistakes."""

from __future__ import annotations

import colorsys
import warnings
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest

from ottenok.studies.report.drawing import DARK, DASHES, LIGHT, SERIES, canvas, families, finish, writable
from ottenok.studies.report.plots import curve_plots, curves
from ottenok.studies.report.sections import Measured, worst_mistakes
from ottenok.tasks.decision import Decision
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task

if TYPE_CHECKING:
    import numpy.typing as npt
    from tests.report.conftest import Run

    Floats = npt.NDArray[np.float64]

# What eyes without one kind of cone see of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
_EYES = {
    "all": np.eye(3),
    "no red": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "no green": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "no blue": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)


def _linear(colour: str) -> Floats:
    shares = np.array([int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def _contrast(one: str, other: str) -> float:
    low, high = sorted(float(_linear(colour) @ _TO_XYZ[1]) + 0.05 for colour in (one, other))
    return high / low


def _lab(linear: Floats) -> Floats:
    whole = _TO_XYZ @ np.clip(linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    root = np.where(whole > 0.008856, np.cbrt(whole), 7.787 * whole + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_letters_and_lines_stand_out(theme: dict[str, str]) -> None:
    """WCAG 2.2: 7 to 1 for letters, 4.5 for small print, 3 for lines, on the page's colour."""
    paper = theme["--paper"]
    assert _contrast(theme["--ink"], paper) > 7
    assert _contrast(theme["--muted"], paper) > 4.5
    assert min(_contrast(colour, paper) for name, colour in theme.items() if "series" in name) > 3


@pytest.mark.parametrize("eyes", _EYES)
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_lines_are_told_apart_by_all_eyes(theme: dict[str, str], eyes: str) -> None:
    """Any two lines differ clearly for colour-blind readers (CIE76 distance), and by their dashes besides."""
    seen = [np.array(_EYES[eyes]) @ _linear(colour) for name, colour in theme.items() if "series" in name]
    distances = [float(np.linalg.norm(_lab(one) - _lab(other))) for one, other in combinations(seen, 2)]
    assert min(distances) > 18
    assert len(set(map(str, DASHES))) == len(DASHES) == len(SERIES)


def test_dark_is_dark() -> None:
    """Both themes name the same variables, and only one of them is light."""
    assert LIGHT.keys() == DARK.keys()
    lightness = [colorsys.rgb_to_hls(*_linear(theme["--paper"]))[1] for theme in (LIGHT, DARK)]
    assert lightness[0] > 0.9
    assert lightness[1] < 0.1


def test_names_that_no_font_has_get_a_number() -> None:
    """Russian is in matplotlib's own font; a Chinese name is a name only where some font has it."""
    names = ("positive", "злость", "愤怒", "", "x" * 80, "a\u202eb")
    own = writable(names, kind="label", fonts=families()[:1])

    assert own == ("positive", "злость", "label 3", "label 4", "label 5", "label 6")
    found = writable(names, kind="label")
    assert found[2] == ("愤怒" if len(families()) > 1 else "label 3")


def test_what_can_be_written_is_written_without_a_warning() -> None:
    """Every name that `writable` lets through has its glyphs; dollars are no formula, tags are no tags."""
    names = writable(("愤怒", "злость", "$a$ <b> & c"), kind="label")
    with warnings.catch_warnings(), canvas("x") as (figure, axes):
        warnings.simplefilter("error")
        axes.set_title(" ".join(names))
        drawn = finish(figure, name="x", alt="a 1")
    assert "$a$ &lt;b&gt; &amp; c" in drawn.svg
    assert "$a$ &lt;b&gt; &amp; c" in drawn.element


def test_settings_of_matplotlib_stay_as_they_were() -> None:
    """Drawing leaves no trace in the settings that a user's own figures go by; also when it fails."""
    before = dict(mpl.rcParams)
    with pytest.raises(RuntimeError), canvas("x"):
        raise RuntimeError
    with canvas("y") as (figure, _):
        finish(figure, name="y", alt="a")
    assert dict(mpl.rcParams) == before


def test_many_labels_go_into_several_figures(one_label: Run) -> None:
    """No figure has more than seven lines; every label that has a curve has one line."""
    rng = np.random.default_rng(0)
    labels = tuple(f"label_{i}" for i in range(16))
    truth = rng.random((60, 16)) < 0.5
    truth[:, 3] = False  # without true rows there is no curve
    rows = replace(one_label.rows.take(range(60)), labels=labels, truth=truth, probs=rng.random((60, 16), dtype="f4"))
    plots = [plot for plot in curve_plots(curves(rows), labels, "test") if plot.name.startswith("roc")]

    assert [len(plot.numbers) for plot in plots] == [7, 7, 1]
    assert {label for plot in plots for label in plot.numbers} == set(labels) - {"label_3"}
    assert [plot.name for plot in plots] == ["roc-test-1", "roc-test-2", "roc-test-3"]


def _measured(run: Run, decision: Decision) -> Measured:
    report = evaluate(
        Task.of(run.scheme, decision), run.rows.truth, run.rows.probs, options=EvaluationOptions(resamples=0)
    )
    return Measured(name="test", title="Test", origin="", report=report, predictions=run.rows)


def test_worst_mistakes_are_the_surest_wrong_answers(one_label: Run) -> None:
    """One label a row: by the answer's probability, and only wrong answers."""
    decision = Decision(activation="softmax")
    found = worst_mistakes(_measured(one_label, decision), Task.of(one_label.scheme, decision), most=1000)
    rows = one_label.rows
    best = rows.probs.argmax(axis=1)
    wrong = best != rows.truth.argmax(axis=1)

    assert len(found) == wrong.sum()
    assert [mistake.sureness for mistake in found] == sorted(rows.probs.max(axis=1)[wrong].tolist(), reverse=True)
    assert all(mistake.answer != mistake.truth and mistake.text is None for mistake in found)


def test_worst_mistakes_of_several_labels(several: Run) -> None:
    """Several labels a row: by the wrong label that the model was surest of, given or left out."""
    decision = Decision(activation="sigmoid")
    first = worst_mistakes(_measured(several, decision), Task.of(several.scheme, decision), most=1)[0]
    rows = several.rows
    answer = rows.probs >= 0.5
    side = np.where(answer, rows.probs, 1 - rows.probs)
    worst = np.where(answer != rows.truth, side, 0).max(axis=1)

    assert first.sureness == pytest.approx(worst.max())
    assert first.id == rows.ids[int(worst.argmax())]
    assert set(first.answer) != set(first.truth)
