"""The rows of a report: predictions that training kept, and their texts in a corpus."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.recipes.train import DataOptions
from ottenok.tasks.predictions import load_predictions, predictions_file
from ottenok.training.inputs import corpus_of

if TYPE_CHECKING:
    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, Split
    from ottenok.tasks.predictions import Predictions
    from ottenok.training.inputs import Places

__all__ = ["SPLITS", "kept_predictions", "named_corpus", "texts_of"]

SPLITS: tuple[Split, ...] = ("test", "validation")


def kept_predictions(folder: Path, scheme: LabelScheme) -> dict[str, Predictions]:
    """Return split to predictions that training kept in a model's folder, columns in the scheme's order.

    Raises:
        DataError: A file can't be read, or is another model's.
    """
    files = {split: predictions_file(folder, split) for split in SPLITS}
    return {split: _ordered(load_predictions(file), scheme, file) for split, file in files.items() if file.is_file()}


def _ordered(rows: Predictions, scheme: LabelScheme, file: Path) -> Predictions:
    """Return predictions with their columns in the scheme's order."""
    if set(rows.labels) != set(scheme.labels) or not len(rows):
        raise DataError(
            f"found {len(rows)} predictions of the labels {', '.join(rows.labels)}, expected some of "
            f"{', '.join(scheme.labels)}",
            hint="They are another model's: train again, or delete the file.",
            file=str(file),
        )
    places = [rows.labels.index(label) for label in scheme.labels]
    return replace(rows, labels=scheme.labels, truth=rows.truth[:, places], probs=rows.probs[:, places])


def named_corpus(data: str | Path | None, places: Places, progress: Progress) -> Corpus | None:
    """Return the corpus that a folder or a recipe's name means; None for a file, and where nothing is named."""
    if data is None or (Path(data).is_file() and Path(data).suffix != ".toml"):
        return None
    options = DataOptions(corpus=str(data)) if Path(data).is_dir() else DataOptions(recipe=str(data))
    return corpus_of(options, places, progress)


def texts_of(corpus: Corpus, rows: Predictions) -> dict[str, str]:
    """Return the texts of those rows that the corpus has."""
    wanted = set(rows.ids)
    found: dict[str, str] = {}
    for batch in corpus.batches(columns=("id", "text")):
        ids = batch.column("id").to_pylist()
        places = [place for place, one in enumerate(ids) if one in wanted]
        found |= {ids[place]: batch.column("text")[place].as_py() for place in places}
    return found
