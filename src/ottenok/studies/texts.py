"""Train the whole model on texts and labels that are in memory, without files of one's own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.bundle.manifest import MANIFEST, WEIGHTS
from ottenok.core.progress import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.core.progress import Progress

__all__ = ["train_texts"]


def train_texts(
    names: Sequence[str],
    learned: tuple[Sequence[str], npt.NDArray[np.int64]],
    held: tuple[Sequence[str], npt.NDArray[np.int64]] | None = None,
    out: Path | None = None,
    *,
    model: str | Path | None = None,
    over: Mapping[str, Any] | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> float:
    """Train a classifier on a corpus in a temporary folder.

    Args:
        names: The labels.
        learned: Texts to learn from, with the numbers of their labels or a matrix of 0 and 1.
        held: Such to be asked afterwards, which nothing is learned from; None: none.
        out: Where the model goes, with its ONNX graphs; None: it is only asked.
        model: The folder of a classifier that training starts from, where it has torch's weights.
        over: Keys of a training recipe, nested, that are laid over the recipe `default`.
        seed: Of splits and training.
        progress: Whom to tell.

    Returns:
        Macro F1 of what was held out; 0 without that.

    Raises:
        OttenokError: The recipe or the labels don't fit; see `ottenok.train`.
    """
    from ottenok.core.config import merge
    from ottenok.data.build import build
    from ottenok.recipes.corpus import CorpusRecipe
    from ottenok.recipes.train import load_recipe
    from ottenok.studies.training import train

    folder = None if model is None else Path(model)
    trained = folder is not None and (folder / WEIGHTS).is_file() and (folder / MANIFEST).is_file()
    with tempfile.TemporaryDirectory(prefix="ottenok-") as work:
        column = "text" if "text" not in names else max(names, key=len) + "_"
        own: dict[str, Any] = {"name": "texts", "text": column, "label": names}
        if learned[1].ndim == 1:
            own |= {"label": "label", "text": "text", "label_list": "one"}
        files = {}
        for split, part in (("train", learned), ("test", held)):
            if part is not None:
                files[split] = str(Path(work) / f"{split}.jsonl")
                rows = [
                    {own["text"]: text}
                    | (dict(zip(names, code.tolist(), strict=True)) if code.ndim else {"label": names[code]})
                    for text, code in zip(*part, strict=True)
                ]
                lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
                Path(files[split]).write_text("".join(lines), encoding="utf-8")
        recipe = CorpusRecipe.model_validate(
            {
                "name": "texts",
                "scheme": "own",
                "seed": seed,
                "sources": [{"own": {**own, "files": files}}],
                "split": {"train": 0.85, "validation": 0.15, "test": 0},
            }
        )
        corpus = build(recipe, root=None, cache=Path(work) / "cache", out=Path(work) / "corpus", progress=progress)
        keys: dict[str, Any] = {
            "name": "texts",
            "seed": seed,
            "data": {"recipe": None, "corpus": str(corpus.folder), "epoch_rows": None},
            "balance": {"method": "none"},
            # Few texts are read more often: some 300 steps in all.
            "schedule": {"num_train_epochs": int(np.clip(300 * 16 / len(learned[0]), 3, 30))},
            "batch": {"batch_size": 16},
            "run": {"metric": "macro_f1", "test": held is not None, "export": out is not None},
            **({"model": {"init_from": str(folder)}} if trained else {}),
        }
        found = train(
            load_recipe("default", merge(keys, dict(over or {}))), out or Path(work) / "model", progress=progress
        )
        if found is None or held is None:
            return 0.0
        (report,) = found.reports["test"].values()
        return report.value("macro_f1")
