"""ottenok: sentiment and emotions in Russian and Chinese texts.

    >>> import ottenok
    >>> clf = ottenok.load()                                        # doctest: +SKIP
    >>> clf("Какая гадость эта ваша заливная рыба!").label          # doctest: +SKIP
    'negative'

Names are loaded on first use, so `import ottenok` imports neither numpy nor torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.version import __version__

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus, open_corpus
    from ottenok.inference.api import classify, load
    from ottenok.inference.predictor import Prediction, Predictor
    from ottenok.studies.evaluation import evaluate
    from ottenok.studies.training import train
    from ottenok.tasks.report import Report

__all__ = [
    "Corpus",
    "Prediction",
    "Predictor",
    "Report",
    "__version__",
    "classify",
    "evaluate",
    "load",
    "open_corpus",
    "train",
]

_HOMES = {
    "Corpus": "ottenok.data.corpus",
    "Prediction": "ottenok.inference.predictor",
    "Predictor": "ottenok.inference.predictor",
    "Report": "ottenok.tasks.report",
    "classify": "ottenok.inference.api",
    "evaluate": "ottenok.studies.evaluation",
    "load": "ottenok.inference.api",
    "open_corpus": "ottenok.data.corpus",
    "train": "ottenok.studies.training",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ottenok' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
