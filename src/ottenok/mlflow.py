"""A flavour of MLflow: classifiers as pyfunc models, which need no torch to be loaded.

>>> import ottenok.mlflow
>>> info = ottenok.mlflow.log_model(classifier, name="moods")                        # doctest: +SKIP
>>> mlflow.pyfunc.load_model(info.model_uri).predict(frame)                          # doctest: +SKIP
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import InputError
from ottenok.core.lazy import require
from ottenok.core.version import __version__
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.inference.frames import answer_columns

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PyfuncModel", "load_model", "log_model", "save_model"]

_TEXT = "text"


def log_model(model: Classifier | str | Path | None, name: str, **options: Any) -> Any:  # noqa: ANN401 - MLflow's
    """Log a classifier to the current run of MLflow.

    Args:
        model: A classifier that was loaded from a folder, or what `ottenok.load` takes.
        name: Of the logged model.
        options: Others of `mlflow.pyfunc.log_model`, such as `registered_model_name`, `input_example` or `metadata`.

    Returns:
        MLflow's `ModelInfo`.

    Raises:
        BundleError: There is no such model.
        MissingExtraError: The extra `mlflow` is not installed.
    """
    pyfunc = require("mlflow.pyfunc", extra="mlflow")
    with tempfile.TemporaryDirectory() as folder:
        return pyfunc.log_model(name=name, **{**_saved(model, Path(folder) / "model"), **options})


def save_model(model: Classifier | str | Path | None, path: str | Path, **options: Any) -> None:  # noqa: ANN401
    """Save a classifier in the form of MLflow.

    Args:
        model: See `log_model`.
        path: The new folder.
        options: Others of `mlflow.pyfunc.save_model`.

    Raises:
        BundleError: There is no such model.
        MissingExtraError: The extra `mlflow` is not installed.
    """
    pyfunc = require("mlflow.pyfunc", extra="mlflow")
    with tempfile.TemporaryDirectory() as folder:
        pyfunc.save_model(str(path), **{**_saved(model, Path(folder) / "model"), **options})


def load_model(model_uri: str) -> Classifier:
    """Load the classifier itself, not its pyfunc, from an address of MLflow or a folder.

    Raises:
        MissingExtraError: The extra `mlflow` is not installed.
    """
    pyfunc = require("mlflow.pyfunc", extra="mlflow")
    found: Classifier = pyfunc.load_model(model_uri).get_raw_model()
    return found


def _saved(model: Classifier | str | Path | None, folder: Path) -> dict[str, Any]:
    """Write what prediction needs of a classifier into a folder, and return what MLflow is told of it."""
    mlflow = require("mlflow", extra="mlflow")
    schema = require("mlflow.types.schema", extra="mlflow")
    models = require("mlflow.models", extra="mlflow")
    classifier = model if isinstance(model, Classifier) else load(model)
    classifier.save_pretrained(folder, light=True)
    types = {"text": schema.DataType.string, "number": schema.DataType.double}
    types["texts"] = schema.Array(schema.DataType.string)
    outputs = [
        schema.ColSpec(types[kind], name, required=False)
        for name, (kind, _) in answer_columns(classifier, [], None, "").items()
    ]
    return {
        "loader_module": "ottenok.mlflow",
        "data_path": str(folder),
        "pip_requirements": [f"ottenok=={__version__}", f"mlflow-skinny=={mlflow.__version__}", "pandas"],
        "signature": models.ModelSignature(
            inputs=schema.Schema([schema.ColSpec(schema.DataType.string, _TEXT)]), outputs=schema.Schema(outputs)
        ),
    }


def _load_pyfunc(path: str) -> PyfuncModel:
    """Return what MLflow calls; this is the name that it looks for."""
    return PyfuncModel(load(path))


class PyfuncModel:
    """A classifier as MLflow calls it.

    Args:
        classifier: What answers.

    Attributes:
        classifier: As given.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def get_raw_model(self) -> Classifier:
        """Return the classifier; MLflow asks by this name."""
        return self.classifier

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> pd.DataFrame:  # noqa: ANN401, ARG002
        """Return a frame with the answers: label, confidence, polarity, a probability for each label.

        Args:
            model_input: A frame with a column `text` or only one, or a list or column of texts.
            params: None are known.

        Raises:
            InputError: The frame has several columns and none is called `text`, or a value is no text.
        """
        import pandas as pd

        texts = model_input
        if isinstance(model_input, pd.DataFrame):
            names = list(model_input.columns)
            if _TEXT not in names and len(names) != 1:
                raise InputError(f"expected a column {_TEXT!r}, found {', '.join(map(str, names))}")
            texts = model_input[_TEXT if _TEXT in names else names[0]]
        found = answer_columns(self.classifier, list(texts), None, "")
        return pd.DataFrame(
            {name: values for name, (_, values) in found.items()},
            index=texts.index if isinstance(texts, pd.Series) else None,
        )
