"""What a model is for and where it fails, as far as its own manifest knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ottenok.bundle.terms import trained_on

if TYPE_CHECKING:
    from ottenok.bundle.manifest import BundleManifest

__all__ = ["EARLIER", "limits"]

# In the names of reports on an earlier decision, before the number of the tuning that replaced it.
EARLIER = ", before tuning "

_LANGUAGES = {"ru": "Russian", "zh": "Chinese", "en": "English"}
# Labels that people did not give: what a model learns from them is partly something else.
_INDIRECT = {
    "author": "were labelled by their authors' stars, which do not always match the words",
    "distant": "were labelled by emoticons, which is noisy",
    "translated": "are machine translations of a labelled set",
    "unknown": "have labels of undocumented origin",
}


def limits(manifest: BundleManifest) -> list[str]:
    """Return sentences, most general first."""
    return [
        *_purpose(manifest),
        *_weak_labels(manifest),
        *_weak_sources(manifest),
        *_indirect(manifest),
        "Irony, quotations and mixed feelings are often read wrongly; so are texts of other kinds than those above.",
        "Not for decisions about single people. A probability is a model's belief and not a fact.",
    ]


def _purpose(manifest: BundleManifest) -> list[str]:
    names = [_LANGUAGES.get(code, code) for code in manifest.languages]
    languages = " and ".join(names) if names else "the languages of its training data"
    what = "sentiment" if manifest.scheme.values else "labels"
    return [f"Meant for the {what} of texts in {languages}, of the kinds that it was trained on. Measure it on yours."]


def _report(manifest: BundleManifest) -> dict[str, Any]:
    metrics: Any = {name: report for name, report in manifest.metrics.items() if EARLIER not in name}
    return metrics.get("test") or next(iter(metrics.values()), {})


def _weak_labels(manifest: BundleManifest) -> list[str]:
    rows = [row for row in _report(manifest).get("labels", []) if row["support"]]
    if len(rows) < 2:
        return []
    worst = min(rows, key=lambda row: row["f1"]["value"])
    return [f"Its weakest label is `{worst['label']}`: F1 {worst['f1']['value']:.2f} on {worst['support']:,} rows."]


def _weak_sources(manifest: BundleManifest) -> list[str]:
    several = manifest.scheme.kind == "multi-label"
    name = "macro_f1" if several else "macro_f1_present"
    sources = [source for source in _report(manifest).get("sources", []) if name in source["metrics"]]
    if len(sources) < 2:
        return []
    ordered = sorted(sources, key=lambda source: source["metrics"][name]["value"])
    worst, best = ordered[0], ordered[-1]
    return [
        f"It is not equally good everywhere: macro F1 {worst['metrics'][name]['value']:.2f} on {worst['source']}, "
        f"{best['metrics'][name]['value']:.2f} on {best['source']}" + ("." if several else " (labels present).")
    ]


def _indirect(manifest: BundleManifest) -> list[str]:
    found: dict[str, list[str]] = {}
    for source in trained_on(manifest):
        if source.annotation in _INDIRECT:
            found.setdefault(source.annotation, []).append(source.title or source.name)
    return [f"Training texts of {', '.join(names)} {_INDIRECT[annotation]}." for annotation, names in found.items()]
