"""The YAML head of a model card, as the hub reads it.

Each value is written as JSON, which is YAML too: nothing needs quoting rules, and nothing in a name can break out.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ottenok.bundle.terms import terms

if TYPE_CHECKING:
    from ottenok.bundle.manifest import BundleManifest

__all__ = ["front_matter", "headline"]

# Licence names that the hub knows; anything else is `other` with a name.
_HUB_LICENCES = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "mpl-2.0", "openrail"),
        *("gpl-3.0", "lgpl-3.0", "agpl-3.0"),
        *("cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nd-4.0"),
        *("cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        "unknown",
    }
)
_LANGUAGE_TAGS = {"ru": "russian", "zh": "chinese", "en": "english"}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")
# ottenok's figures by the hub's names for metrics.
_METRIC_TYPES = {"accuracy": "accuracy", "macro_f1": "f1", "weighted_f1": "f1", "macro_auc": "roc_auc"}


def headline(manifest: BundleManifest) -> dict[str, float]:
    """Return the figures of the report that a card leads with: `test`, or else the first that there is."""
    metrics = manifest.metrics
    report: Any = metrics.get("test") or next(iter(metrics.values()), {})
    figures = report.get("metrics", {})
    return {name: figures[name]["value"] for name in _METRIC_TYPES if name in figures}


def front_matter(manifest: BundleManifest, *, has_weights: bool) -> str:
    """Return the head, from `---` to `---`."""
    fields: dict[str, Any] = {
        "language": list(manifest.languages) or None,
        **_licence(manifest),
        "library_name": "transformers" if has_weights else "onnx",
        "pipeline_tag": "text-classification",
        "tags": _tags(manifest),
        "base_model": _base_model(manifest),
        "metrics": sorted({_METRIC_TYPES[name] for name in headline(manifest)}) or None,
        "model-index": _model_index(manifest),
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items() if value is not None]
    return "\n".join(("---", *lines, "---"))


def _licence(manifest: BundleManifest) -> dict[str, str]:
    name = terms(manifest).id.lower()
    if name in _HUB_LICENCES:
        return {"license": name}
    return {"license": "other", "license_name": re.sub(r"[^a-z0-9.\-]+", "-", name).strip("-") or "see-below"}


def _tags(manifest: BundleManifest) -> list[str]:
    ordered = bool(manifest.scheme.values)
    languages = [_LANGUAGE_TAGS[code] for code in manifest.languages if code in _LANGUAGE_TAGS]
    topic = "sentiment-analysis" if ordered else "emotion-classification"
    return ["ottenok", topic, f"{manifest.scheme.kind}-classification", *languages]


def _base_model(manifest: BundleManifest) -> str | None:
    name = manifest.encoder.name if manifest.encoder else ""
    return name if _HUB_NAME.fullmatch(name) else None


def _model_index(manifest: BundleManifest) -> list[dict[str, Any]] | None:
    figures = headline(manifest)
    if not figures:
        return None
    corpus = manifest.data.name if manifest.data else "corpus"
    metrics = [
        {"type": _METRIC_TYPES[name], "name": name.replace("_", " "), "value": round(value, 4)}
        for name, value in figures.items()
    ]
    result = {
        "task": {"type": "text-classification", "name": "Text classification"},
        "dataset": {"name": corpus, "type": corpus},
        "metrics": metrics,
    }
    return [{"name": manifest.name, "results": [result]}]
