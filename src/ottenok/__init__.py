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
    from ottenok.audit.run import audit_data
    from ottenok.data.build import build_corpus
    from ottenok.data.corpus import Corpus, open_corpus
    from ottenok.drift.compare import find_drift
    from ottenok.drift.shares import true_shares
    from ottenok.inference.api import classify, load
    from ottenok.inference.classifier import Classifier
    from ottenok.inference.prediction import Prediction
    from ottenok.integrations.pipeline import pipeline
    from ottenok.studies.compare import compare
    from ottenok.studies.evaluation import evaluate
    from ottenok.studies.reporting import report
    from ottenok.studies.training import train
    from ottenok.studies.tuning import tune

__all__ = [
    "Classifier",
    "Corpus",
    "Prediction",
    "__version__",
    "audit_data",
    "build_corpus",
    "classify",
    "compare",
    "evaluate",
    "find_drift",
    "load",
    "open_corpus",
    "pipeline",
    "report",
    "train",
    "true_shares",
    "tune",
]

_HOMES = {
    "Classifier": "ottenok.inference.classifier",
    "Corpus": "ottenok.data.corpus",
    "Prediction": "ottenok.inference.prediction",
    "audit_data": "ottenok.audit.run",
    "build_corpus": "ottenok.data.build",
    "classify": "ottenok.inference.api",
    "compare": "ottenok.studies.compare",
    "evaluate": "ottenok.studies.evaluation",
    "find_drift": "ottenok.drift.compare",
    "load": "ottenok.inference.api",
    "open_corpus": "ottenok.data.corpus",
    "pipeline": "ottenok.integrations.pipeline",
    "report": "ottenok.studies.reporting",
    "train": "ottenok.studies.training",
    "true_shares": "ottenok.drift.shares",
    "tune": "ottenok.studies.tuning",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ottenok' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
