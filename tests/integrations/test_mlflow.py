"""The flavour of MLflow."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ottenok
from ottenok.core.errors import InputError

mlflow = pytest.importorskip("mlflow")
pandas = pytest.importorskip("pandas")
import ottenok.mlflow  # noqa: E402 - after the check for MLflow
from ottenok.mlflow import PyfuncModel  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

# MLflow warns of its own classes, of SQLAlchemy under it, and of input examples that we leave to the caller.
pytestmark = pytest.mark.filterwarnings("ignore")
TEXTS = ["Какая гадость!", None, "Отличный фильм"]


def test_a_saved_classifier_is_a_pyfunc_without_torch(tiny_bundle: Path, tmp_path: Path) -> None:
    """MLflow loads what was saved where torch is not, and its answers are the classifier's."""
    ottenok.mlflow.save_model(tiny_bundle, tmp_path / "saved")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "import mlflow.pyfunc, pandas\n"
        f"model = mlflow.pyfunc.load_model({str(tmp_path / 'saved')!r})\n"
        f"print(model.predict(pandas.DataFrame({{'text': {TEXTS!r}}})).to_json(orient='records', double_precision=15))"
    )
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, encoding="utf-8")

    found = json.loads(answer.stdout)
    expected = ottenok.load(tiny_bundle)(TEXTS)
    assert [row["label"] for row in found] == [one.label for one in expected]
    assert found[0]["polarity"] == pytest.approx(expected[0].polarity, abs=1e-6)
    assert found[2]["negative"] == pytest.approx(expected[2].probabilities["negative"], abs=1e-6)
    assert found[1]["negative"] is None
    kept = (tmp_path / "saved" / "requirements.txt").read_text(encoding="utf-8")
    assert kept.startswith(f"ottenok=={ottenok.__version__}\n")
    assert "torch" not in kept


def test_a_logged_classifier_comes_back(tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier is logged to a run and loaded again, as itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a database takes seconds to be made
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    classifier = ottenok.load(tiny_bundle)
    with mlflow.start_run():
        info = ottenok.mlflow.log_model(classifier, name="moods", metadata={"for": "tests"})

    again = ottenok.mlflow.load_model(info.model_uri)

    assert again(TEXTS) == classifier(TEXTS)
    assert info.signature.inputs.input_names() == ["text"]


def test_columns_and_lists_are_texts(tiny_bundle: Path) -> None:
    """A list, a column, and a frame with one column give the same; of several columns one has to be called `text`."""
    model = PyfuncModel(ottenok.load(tiny_bundle))
    series = pandas.Series(TEXTS, index=[4, 2, 7])

    expected = model.predict(series.to_frame("text"))

    pandas.testing.assert_frame_equal(model.predict(series), expected)
    pandas.testing.assert_frame_equal(model.predict(series.to_frame("review")), expected)
    pandas.testing.assert_frame_equal(model.predict(TEXTS), expected.reset_index(drop=True))
    with pytest.raises(InputError, match="expected a column 'text', found a, b"):
        model.predict(pandas.DataFrame({"a": ["x"], "b": ["y"]}))
