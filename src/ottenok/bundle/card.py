"""The model card, written from what happened: the manifest says it, nobody has to remember it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ottenok.bundle.foreign import read_json
from ottenok.bundle.frontmatter import front_matter
from ottenok.bundle.layout import CARD, CONFIG, ONNX, ONNX_INT8, WEIGHTS
from ottenok.bundle.limits import limits
from ottenok.bundle.terms import terms, warning
from ottenok.core.files import atomic_write_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.bundle.folder import Bundle
    from ottenok.bundle.manifest import BundleManifest, LicenceFacts, SourceFacts

__all__ = ["card_text", "write_card"]

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
    return text


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
