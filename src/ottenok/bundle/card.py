"""The model card, written from what happened: the manifest says it, nobody has to remember it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import CARD, CONFIG, ONNX, ONNX_INT8, WEIGHTS, LicenceFacts, read_json
from ottenok.core.files import atomic_write_text
from ottenok.core.schemes import LEARNED_ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.bundle.folder import Bundle
    from ottenok.bundle.manifest import BundleManifest, SourceFacts


__all__ = ["EARLIER", "card_text", "front_matter", "headline", "limits", "terms", "trained_on", "warning", "write_card"]


def trained_on(manifest: BundleManifest) -> tuple[SourceFacts, ...]:
    """Return the sources with rows that training or the choice of thresholds saw."""
    sources = manifest.data.sources if manifest.data else ()
    return tuple(source for source in sources if source.rows.get("train") or source.rows.get("validation"))


def terms(manifest: BundleManifest) -> LicenceFacts:
    """Return the strictest terms: a source that forbids commercial use wins over what the weights claim.

    Terms that are unknown anywhere leave the whole unknown, but under the licence that the weights name.
    """
    claimed, sources = manifest.licence, trained_on(manifest)
    barring = [source for source in sources if source.licence.commercial is False]
    if barring and claimed.commercial is not False:
        names = ", ".join(source.name for source in barring)
        return LicenceFacts(id=barring[0].licence.id, commercial=False, statement=f"Because of: {names}.")
    if claimed.commercial is False:
        # A permissive name over non-commercial data would mislead whoever reads only the name.
        return claimed.model_copy(update={"id": barring[0].licence.id}) if barring else claimed
    if claimed.commercial is None or any(source.licence.commercial is None for source in sources):
        return claimed.model_copy(update={"commercial": None})
    return claimed


def warning(manifest: BundleManifest) -> str | None:
    """Return the sentence that a card must begin with, or None where commercial use is open."""
    found, sources = terms(manifest), trained_on(manifest)
    if found.commercial is True:
        return None
    strict = [source for source in sources if source.licence.commercial is found.commercial]
    names = "; ".join(f"{source.name} ({source.licence.id})" for source in strict)
    if found.commercial is False:
        return f"**Non-commercial use only** ({found.id})." + (f" Trained on: {names}." if names else "")
    return "**Terms partly unknown: check them before commercial use.**" + (
        f" The publishers of these training sets state no terms: {names}." if names else ""
    )


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
        *_unlearned(manifest),
        "Irony, quotations and mixed feelings are often read wrongly; so are texts of other kinds than those above.",
        "Not for decisions about single people. A probability is a model's belief and not a fact.",
    ]


def _purpose(manifest: BundleManifest) -> list[str]:
    names = [_LANGUAGES.get(code, code) for code in manifest.languages]
    languages = " and ".join(names) if names else "the languages of its training data"
    what = "sentiment" if manifest.scheme.values else "labels"
    return [f"Meant for the {what} of texts in {languages}, of the kinds that it was trained on. Measure it on yours."]


def _report(manifest: BundleManifest) -> dict[str, Any]:
    metrics: Any = {name: reports for name, reports in manifest.metrics.items() if EARLIER not in name}
    found: dict[str, Any] = metrics.get("test") or next(iter(metrics.values()), {})
    report: dict[str, Any] = found.get(manifest.tasks[0].name, {})
    return report


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


def _unlearned(manifest: BundleManifest) -> list[str]:
    """Name what the average over languages and sources hides."""
    cells = [
        f"`{label}` of {task} in {_LANGUAGES.get(language, language)} ({rows:,})"
        for task, languages in (manifest.data.cells if manifest.data else {}).items()
        for language, counts in languages.items()
        for label, rows in counts.items()
        if rows < LEARNED_ROWS and label != "(none)"
    ]
    if not cells:
        return []
    return [f"Not learned, for want of training rows (under {LEARNED_ROWS}): {', '.join(cells)}."]


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
    reports: Any = metrics.get("test") or next(iter(metrics.values()), {})
    figures = reports.get(manifest.tasks[0].name, {}).get("metrics", {})
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


_COMMERCIAL = {True: "yes", False: "no", None: "unknown"}
_TITLES = {"en": "English", "ru": "Русский", "zh": "中文"}
_ANNOTATION = {
    "human": "people",
    "author": "the texts' authors (stars)",
    "distant": "emoticons",
    "translated": "translation of a labelled set",
    "unknown": "not documented",
}


def write_card(bundle: Bundle, results: Mapping[str, str]) -> Path:
    """Write the bundle's `README.md`, atomically; the manifest does not list it, so people may add to it.

    Args:
        bundle: The finished bundle.
        results: Heading to Markdown, the tables of `ottenok.tasks.tables`, in the order of the card.
    """
    target = bundle.folder / CARD
    atomic_write_text(target, card_text(bundle, results))
    return target


def card_text(bundle: Bundle, results: Mapping[str, str]) -> str:
    """Return the card; the same bundle and results give the same text."""
    manifest = bundle.manifest
    first = warning(manifest)
    parts = [
        front_matter(manifest, has_weights=bundle.has(WEIGHTS)),
        "\n\n".join((*([first] if first else []), f"# {manifest.name}")),
        manifest.description,
        _labels(manifest),
        _use(bundle),
        _results(results),
        _training(manifest),
        _data(manifest),
        _list("Intended use and limits", limits(manifest)),
        _terms(manifest),
        _list("Notes", list(manifest.notes)),
        _versions(manifest),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _list(heading: str, items: list[str]) -> str:
    return f"## {heading}\n\n" + "\n".join(f"- {item}" for item in items) if items else ""


def _labels(manifest: BundleManifest) -> str:
    scheme = manifest.scheme
    languages = [language for language in _TITLES if language in scheme.titles]
    header = ["id", "label", *(["value"] if scheme.values else []), *(_TITLES[language] for language in languages)]
    rows = [
        [
            str(i),
            f"`{label}`",
            *([f"{scheme.values[i]:g}"] if scheme.values else []),
            *(scheme.titles[language][i] for language in languages),
        ]
        for i, label in enumerate(scheme.labels)
    ]
    return f"## Labels\n\n{_ANSWER[manifest.scheme.kind]} {_decision(manifest)}\n\n{_table(header, rows)}"


_ANSWER = {
    "multi-class": "Each text gets one label.",
    "ordinal": "Each text gets one label, and the labels have an order.",
    "multi-label": "Each text gets any number of labels, also none.",
}


def _decision(manifest: BundleManifest) -> str:
    decision = manifest.decision
    words = [f"Probabilities are the {decision.activation} of the model's outputs"]
    if decision.temperature != 1.0:
        words.append(f"divided by the temperature {decision.temperature:.3f}")
    text = ", ".join(words) + "."
    if decision.thresholds:
        pairs = zip(manifest.scheme.labels, decision.thresholds, strict=True)
        text += " Thresholds: " + ", ".join(f"{label} {threshold:.3f}" for label, threshold in pairs) + "."
    if decision.empty != "allow":
        fallback = "the most probable label" if decision.empty == "top" else f"`{decision.empty}`"
        text += f" An answer without labels becomes {fallback}."
    if decision.exclusive:
        text += f" `{decision.exclusive}` stands alone: it is left out of an answer that has another label."
    return text


def _use(bundle: Bundle) -> str:
    return "\n\n".join(part for part in ("## Use", _with_ottenok(bundle), _with_transformers(bundle)) if part)


def _with_ottenok(bundle: Bundle) -> str:
    graphs = [name for name in (ONNX_INT8, ONNX) if bundle.has(name)]
    engine = f" It runs `{graphs[0]}` on an ordinary CPU and needs no torch." if graphs else ""
    return (
        f"With ottenok.{engine}\n\n"
        "```python\n"
        "import ottenok\n\n"
        'classifier = ottenok.load("FOLDER")  # this folder\n'
        f'print(classifier("{_example(bundle.manifest)}"))\n'
        "```"
    )


def _example(manifest: BundleManifest) -> str:
    first = manifest.languages[0] if manifest.languages else "ru"
    return {"zh": "今天的菜真好吃！", "en": "What a lovely day!"}.get(first, "Какая гадость эта ваша заливная рыба!")


def _with_transformers(bundle: Bundle) -> str:
    """Say how transformers opens the folder, and what it then leaves out."""
    config = bundle.folder / CONFIG
    if not (bundle.has(WEIGHTS) and config.is_file()):
        return ""
    own = read_json(config).get("model_type") == "ottenok"
    several = bundle.manifest.scheme.kind == "multi-label"
    call = ", truncation=True, top_k=None" if several else ", truncation=True"
    head = "import ottenok.models.classifier  # registers this architecture; no remote code\n" if own else ""
    gaps = [
        "reads texts as they are (ottenok normalises them first)",
        "cuts what is longer than the model",
        *(["leaves the thresholds to you"] if bundle.manifest.decision.thresholds else []),
        *(["leaves the temperature out"] if bundle.manifest.decision.temperature != 1.0 else []),
    ]
    return (
        "With transformers:\n\n"
        f"```python\n{head}from transformers import pipeline\n\n"
        'classifier = pipeline("text-classification", model="FOLDER")\n'
        f'print(classifier("{_example(bundle.manifest)}"{call}))\n```\n\n'
        f"transformers {', '.join(gaps[:-1])} and {gaps[-1]}."
    )


def _results(results: Mapping[str, str]) -> str:
    if not results:
        return ""
    return "\n\n".join(("## Results", *(f"### {heading}\n\n{table}" for heading, table in results.items())))


def _training(manifest: BundleManifest) -> str:
    lines = []
    if manifest.encoder:
        origin = f": {manifest.encoder.origin}" if manifest.encoder.origin else ""
        lines.append(f"- Encoder: `{manifest.encoder.name}`{origin} (licence: {manifest.encoder.licence.id})")
    lines.append(f"- Longest input: {manifest.max_length} tokens; {_window(manifest)}")
    if manifest.created:
        lines.append(f"- Trained: {manifest.created}")
    text = "## Training\n\n" + "\n".join(lines)
    if manifest.recipe:
        recipe = json.dumps(manifest.recipe, ensure_ascii=False, indent=2)
        text += f"\n\n<details><summary>The resolved recipe</summary>\n\n```json\n{recipe}\n```\n\n</details>"
    return text


def _window(manifest: BundleManifest) -> str:
    if manifest.window.read == "end":
        return "of longer texts the end is read"
    mean = manifest.window.combine.removeprefix("mean-")
    return (
        f"longer texts are read in windows that overlap by {manifest.window.overlap} tokens, and the windows' {mean} "
        "are averaged, each weighing as much as it has tokens"
    )


def _data(manifest: BundleManifest) -> str:
    if manifest.data is None or not manifest.data.sources:
        return ""
    splits = ("train", "validation", "test")
    header = ["set", *splits, "languages", "labelled by", "licence", "commercial use"]
    rows = [_source(source, splits) for source in manifest.data.sources]
    text = f"## Data\n\nThe corpus `{manifest.data.name}`, in rows:\n\n{_table(header, rows)}"
    if manifest.data.dropped:
        dropped = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest.data.dropped.items())
        text += f"\n\nRows left out: {dropped}."
    for task, languages in manifest.data.cells.items():
        labels = list(dict.fromkeys(label for counts in languages.values() for label in counts))
        counts = [
            [language, *(_count(counts[label], label) if label in counts else "" for label in labels)]
            for language, counts in languages.items()
        ]
        table = _table(["language", *(f"`{label}`" for label in labels)], counts)
        text += f"\n\nTraining rows of each label of {task}; under {LEARNED_ROWS} it is not learned:\n\n{table}"
    return text


def _count(rows: int, label: str) -> str:
    return f"{rows:,}" if rows >= LEARNED_ROWS or label == "(none)" else f"**{rows:,}, not learned**"


def _source(source: SourceFacts, splits: tuple[str, ...]) -> list[str]:
    title = source.title or source.name
    return [
        f"[{title}]({source.homepage})" if source.homepage.startswith("http") else title,
        *(f"{source.rows.get(split, 0):,}" for split in splits),
        ", ".join(source.languages),
        _ANNOTATION.get(source.annotation, source.annotation),
        source.licence.id,
        _COMMERCIAL[source.licence.commercial],
    ]


def _terms(manifest: BundleManifest) -> str:
    found: LicenceFacts = terms(manifest)
    statement = f" {found.statement}" if found.statement else ""
    return f"## Terms\n\nWeights: {found.id}; commercial use: {_COMMERCIAL[found.commercial]}.{statement}"


def _versions(manifest: BundleManifest) -> str:
    named: dict[str, Any] = manifest.versions
    return "Made with " + ", ".join(f"{name} {version}" for name, version in named.items()) + "." if named else ""
