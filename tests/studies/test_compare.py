"""Trained models side by side; their folders are written here, as training leaves them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from click.testing import CliRunner

from ottenok.bundle.folder import write_manifest
from ottenok.bundle.manifest import BundleManifest, DataFacts, LicenceFacts, SchemeFacts, TaskFacts, TrainingFacts
from ottenok.cli.compare import compare as command
from ottenok.core.errors import BundleError, ConfigError, DataError
from ottenok.core.schemes import load_scheme
from ottenok.studies.compare import Comparison, Failed, compare, sample_texts
from ottenok.studies.compare_tables import as_html, as_markdown, as_text
from ottenok.tasks.decision import Decision
from ottenok.tasks.metrics import Kind, fitting
from ottenok.tasks.paired import PairedOptions
from ottenok.tasks.predictions import Predictions, load_predictions, predictions_file, save_predictions

if TYPE_CHECKING:
    from pathlib import Path

_QUICK = PairedOptions(resamples=100, permutations=200)
_ROWS = 200


def _write(
    folder: Path,
    *,
    right: float,
    seed: int = 1,
    scheme: str = "sentiment-3",
    rows: range = range(_ROWS),
    **recipe: Any,
) -> Path:
    """Write what is left of a run that is right with this probability, and else says anything."""
    facts = load_scheme(scheme)
    several = facts.kind == "multi-label"
    labels = len(facts.labels)
    truth = np.eye(labels, dtype=bool)[np.random.default_rng(0).integers(0, labels, 1000)][list(rows)]
    chance = np.random.default_rng([seed, int(right * 1000)])
    probs = chance.dirichlet(np.ones(labels), len(rows)).astype(np.float32) / 2.0
    found = chance.random(len(rows)) < right
    probs = np.where(found[:, None], 0.5 * truth + probs, probs + probs.max(axis=1, keepdims=True) * 0.1)
    probs = (probs / (1 if several else probs.sum(axis=1, keepdims=True))).astype(np.float32)
    manifest = BundleManifest(
        name=recipe.get("name", folder.name),
        tasks=(
            TaskFacts(
                name=facts.name,
                scheme=SchemeFacts.of(facts),
                problem_type="multi-label" if several else "multi-class",
                decision=Decision(activation="sigmoid" if several else "softmax"),
            ),
        ),
        max_length=128,
        recipe={"seed": seed, "run": {"keep": seed}, **recipe},
        data=DataFacts(name="toy", rows={"test": len(rows)}),
        training=TrainingFacts(epochs=2, seconds=90.0 + 60.0 * seed, parameters=29_000_000, trained=1_000_000),
        licence=LicenceFacts(id="MIT", commercial=True),
    )
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x" * 2_500_000)
    write_manifest(folder, manifest)
    save_predictions(
        predictions_file(folder),
        Predictions(
            ids=tuple(f"toy/0/{row}" for row in rows),
            sources=("toy",) * len(rows),
            labels=facts.labels,
            truth=truth,
            probs=probs,
        ),
    )
    return folder


def test_better_models_are_told_from_worse_ones(tmp_path: Path) -> None:
    """Figures with intervals, differences to the best with corrected p values, McNemar's counts, costs."""
    places = [
        _write(tmp_path / "weak", right=0.4),
        _write(tmp_path / "strong", right=0.8),
        _write(tmp_path / "near", right=0.79),
    ]
    found = compare(places, tests=PairedOptions(resamples=200, permutations=500))

    assert found.metrics == ("macro_f1", "accuracy", "weighted_f1", "mae", "quadratic_kappa")
    assert (found.baseline, found.rows) == ("strong", _ROWS)
    weak, strong, near = found.systems
    for one in found.systems:
        value = one.metrics["macro_f1"]
        assert value.low is not None
        assert value.high is not None
        assert value.low < value.value < value.high
    assert strong.differences == {}
    difference = weak.differences["macro_f1"]
    assert difference.high is not None
    assert difference.p is not None
    assert difference.high < 0
    assert difference.p < weak.corrected["macro_f1"] < 0.01
    assert near.corrected["macro_f1"] > 0.05
    assert weak.mcnemar is not None
    lost = round((strong.metrics["accuracy"].value - weak.metrics["accuracy"].value) * _ROWS)
    assert weak.mcnemar.second - weak.mcnemar.first == lost
    assert (weak.cost.parameters, weak.cost.minutes, weak.cost.weights_mb) == (29_000_000, 2.5, 2.5)


def test_seeds_of_one_recipe_are_one_row(tmp_path: Path) -> None:
    """Runs that differ in the seed, and in what a run may change, are grouped; another recipe or corpus is not."""
    # One was trained by a version that had no text.keep.
    for seed, known in ((3, {}), (1, {}), (2, {"text": {"keep": "start"}})):
        _write(tmp_path / f"small-{seed}", right=0.6, seed=seed, name="small", optim={"lr": 1e-4}, **known)
    _write(tmp_path / "small-again", right=0.6, seed=1, name="small", optim={"lr": 1e-4})
    _write(tmp_path / "large-1", right=0.6, seed=1, name="large", optim={"lr": 2e-4})
    found = compare([tmp_path], tests=_QUICK, metrics=("accuracy",), baseline="large")

    by_name = {one.name: one for one in found.systems}
    assert list(by_name) == ["large", "small (small-1)", "small (small-again)"]
    grouped = by_name["small (small-1)"]
    assert (grouped.seeds, grouped.folders) == ((1, 2, 3), ("small-1", "small-2", "small-3"))
    assert grouped.metrics["accuracy"].deviation is not None
    assert grouped.cost.minutes == pytest.approx(3.5)
    assert grouped.mcnemar is None
    assert by_name["small (small-again)"].metrics["accuracy"].deviation is None


def test_other_rows_are_refused_and_named(tmp_path: Path) -> None:
    """Which rows differ is said; what is common can be compared when that is asked for."""
    places = [
        _write(tmp_path / "one", right=0.7),
        _write(tmp_path / "two", right=0.5, rows=range(20, _ROWS + 5)),
    ]
    with pytest.raises(DataError) as caught:
        compare(places, tests=_QUICK)
    assert "20 only in one (the first: toy/0/0), 5 only in two (the first: toy/0/200)" in str(caught.value)
    assert "--common" in str(caught.value)

    found = compare(places, tests=_QUICK, common=True)
    assert found.rows == _ROWS - 20
    assert found.notes == ("20 of the 200 rows of one are left out.", "5 of the 185 rows of two are left out.")
    with pytest.raises(DataError, match="no row in common"):
        compare([places[0], _write(tmp_path / "far", right=0.5, rows=range(500, 510))], common=True)


def test_rows_with_another_truth_are_refused(tmp_path: Path) -> None:
    """The same row with two labels is no row to compare on."""
    places = [_write(tmp_path / name, right=0.7) for name in ("one", "two")]
    file = predictions_file(places[1])
    there = load_predictions(file)
    truth = there.truth.copy()
    truth[3] = [True, False, False] if not truth[3, 0] else [False, True, False]
    fields = {"ids": there.ids, "sources": there.sources, "labels": there.labels, "probs": there.probs}
    save_predictions(file, Predictions(truth=truth, **fields))

    with pytest.raises(DataError, match=r"1 rows have other labels: toy/0/3 is .* in one and .* in two"):
        compare(places, tests=_QUICK)
    assert compare(places, tests=_QUICK, common=True).rows == _ROWS - 1


def test_rows_and_labels_may_have_another_order(tmp_path: Path) -> None:
    """Rows are brought together by their ids, and columns by their labels."""
    places = [_write(tmp_path / name, right=0.7) for name in ("one", "two")]
    file = predictions_file(places[1])
    there = load_predictions(file).take(np.random.default_rng(0).permutation(_ROWS))
    turned = {"labels": there.labels[::-1], "truth": there.truth[:, ::-1], "probs": there.probs[:, ::-1]}
    save_predictions(file, Predictions(ids=there.ids, sources=there.sources, **turned))

    found = compare(places, tests=_QUICK, metrics=("accuracy", "mae", "macro_auc", "calibration_error"))
    one, two = found.systems
    assert one.metrics == two.metrics
    assert [value.p for value in found.systems[1].differences.values()] == [1.0, 1.0, 1.0]


def test_several_labels_and_areas(tmp_path: Path) -> None:
    """Multi-label models are compared by their own usual figures, and by areas when these are asked for."""
    places = [_write(tmp_path / f"model-{n}", right=0.9 - n / 4, scheme="emotions-7") for n in range(2)]
    found = compare(places, tests=_QUICK)
    assert found.metrics == ("macro_f1", "subset_accuracy", "weighted_f1")

    areas = compare(places, tests=_QUICK, metrics=("macro_auc", "micro_f1"))
    assert areas.systems[0].metrics["macro_auc"].low is not None
    assert areas.systems[1].differences["macro_auc"].value < 0


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"metrics": ("macro_f2",)}, "Did you mean 'macro_f1'"),
        ({"metrics": ("subset_accuracy",)}, "no metric 'subset_accuracy'"),
        ({"baseline": "strongest"}, "no model 'strongest'"),
        ({"split": "validation"}, "no such file of predictions"),
    ],
)
def test_what_is_not_there_is_refused(spec: dict[str, Any], words: str, tmp_path: Path) -> None:
    """Figures, baselines and splits, each with what to do."""
    place = _write(tmp_path / "strong", right=0.8)
    with pytest.raises((ConfigError, DataError)) as caught:
        compare([place], tests=_QUICK, **spec)
    assert words in str(caught.value)


def test_folders_without_runs_are_refused(tmp_path: Path) -> None:
    """No folder, an empty one, one with half a manifest, other labels."""
    with pytest.raises(DataError, match="no such folder"):
        compare([tmp_path / "none"])
    with pytest.raises(DataError, match="no finished run"):
        compare([tmp_path])
    three = _write(tmp_path / "three", right=0.8)
    with pytest.raises(ConfigError, match="answers in the labels"):
        compare([three, _write(tmp_path / "seven", right=0.8, scheme="emotions-7")])
    (three / "ottenok.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BundleError):
        compare([three])


def test_weights_are_not_needed(tmp_path: Path) -> None:
    """A run whose weights were deleted is compared, and its size is still known."""
    place = _write(tmp_path / "light", right=0.8)
    (place / "model.safetensors").unlink()

    assert compare([place], tests=_QUICK).systems[0].cost.weights_mb == 2.5


def test_the_baseline_is_the_best_or_the_one_named(tmp_path: Path) -> None:
    """By the first figure, whose better direction counts; order and baseline can be asked for."""
    places = [_write(tmp_path / name, right=right) for name, right in (("b", 0.5), ("a", 0.8), ("c", 0.6))]
    assert compare(places, tests=_QUICK, metrics=("mae",)).baseline == "a"
    assert compare(places, tests=_QUICK, baseline=str(tmp_path / "c")).baseline == "c"
    ordered = compare(places, tests=_QUICK, best_first=True)
    assert [one.name for one in ordered.systems] == ["a", "c", "b"]


def test_tables_say_what_was_found(tmp_path: Path) -> None:
    """Text, Markdown and HTML have the same cells; what a name holds is no markup."""
    places = [_write(tmp_path / "один", right=0.8), _write(tmp_path / "two", right=0.5, name="<b>two|2")]
    found = compare(places, tests=_QUICK)
    value = found.systems[0].metrics["macro_f1"]
    cell = f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"
    for text in (as_text(found), as_markdown(found), as_html(found)):
        assert cell in text
        assert "29.0 M" in text
        assert "Holm" in text
    assert "<b>" not in as_markdown(found).replace("\\<b", "")
    assert "two\\|2" in as_markdown(found)
    page = as_html(found)
    assert "<b>" not in page
    assert "&lt;b&gt;two|2" in page
    assert page.count("<svg") == len(found.metrics)
    assert "http://" not in page
    assert "Content-Security-Policy" in page
    old = found.to_json() | {"systems": [{"figures": one.pop("metrics"), **one} for one in found.to_json()["systems"]]}
    assert Comparison.from_json(old) == found
    assert json.loads(json.dumps(found.to_json()))["systems"][1]["differences"]["accuracy"]["p"] < 0.05


def test_models_that_failed_are_named_with_their_reason(tmp_path: Path) -> None:
    """In every form, as a sentence each."""
    found = compare([_write(tmp_path / "only", right=0.8)], tests=_QUICK)
    found = replace(found, failed=(Failed(name="gte", reason="it can't be <loaded>"),))

    assert "gte: it can't be <loaded>" in as_text(found)
    assert "- gte: it can't be \\<loaded\\>" in as_markdown(found)
    assert "<p>gte: it can&#39;t be &lt;loaded&gt;</p>" in as_html(found)


def test_one_model_alone_has_no_differences(tmp_path: Path) -> None:
    """Its figures are shown, and nothing is tested."""
    found = compare([_write(tmp_path / "only", right=0.8)], tests=_QUICK)

    assert "Differences" not in as_text(found)
    assert "<svg" not in as_html(found)


def test_the_command_writes_what_is_asked_for(tmp_path: Path) -> None:
    """Tables on the screen, JSON, and files by their suffix."""
    places = [str(_write(tmp_path / name, right=right)) for name, right in (("a", 0.5), ("b", 0.8))]
    quick = ["--resamples", "20", "--permutations", "20"]
    shown = CliRunner().invoke(command, [*places, *quick, "--baseline", "a"])
    assert shown.exit_code == 0, shown.output
    assert "Differences to a" in shown.output

    as_json = CliRunner().invoke(command, [*places, *quick, "--json"])
    assert json.loads(as_json.stdout)["baseline"] == "b"
    files = [tmp_path / f"found{suffix}" for suffix in (".json", ".md", ".html", ".txt")]
    written = CliRunner().invoke(command, [*places, *quick, *(part for file in files for part in ("-o", str(file)))])
    assert written.exit_code == 0, written.output
    starts = [file.read_text(encoding="utf-8")[:9] for file in files]
    assert starts[1:] == ["## Metric", "<!DOCTYPE", "Metrics o"]
    assert json.loads(files[0].read_text(encoding="utf-8"))["rows"] == _ROWS


def test_sample_texts_are_the_same_everywhere() -> None:
    """Speeds are comparable because the texts are the same."""
    assert sample_texts(20) == sample_texts(40)[:20]
    assert len(set(map(len, sample_texts(40)))) > 5


@pytest.mark.parametrize(
    ("scheme", "metric"),
    [
        (scheme, name)
        for scheme in ("sentiment-3", "cedr-5")
        for name in fitting(Kind.of(load_scheme(scheme)))
        # Of answers that are not given here, and of none that is wrong.
        if name not in {"coverage", "open_accuracy", "open_f1", "open_auc"}
        and (scheme, name) != ("cedr-5", "macro_precision")
    ],
)
def test_the_baseline_is_the_better_model_by_every_metric(scheme: str, metric: str, tmp_path: Path) -> None:
    """The one that others are tested against has the least of an error, and the most of everything else."""
    shares = {"a": 0.3, "b": 0.9, "c": 0.5}
    places = [_write(tmp_path / name, right=right, scheme=scheme) for name, right in shares.items()]
    for place in places:
        kept = load_predictions(predictions_file(place))
        save_predictions(predictions_file(place), replace(kept, languages=("ru", "zh") * (len(kept) // 2)))

    found = compare(places, metrics=(metric,), best_first=True, tests=PairedOptions(resamples=0, permutations=0))

    values = {one.name: one.metrics[metric].value for one in found.systems}
    wanted = (min if metric in {"mae", "calibration_error"} else max)(values.values())
    assert len(set(values.values())) > 1
    assert values[found.baseline] == values[found.systems[0].name] == wanted
