"""The model card, written from what happened: the manifest says it, nobody has to remember it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import CARD, EARLIER, ONNX, ONNX_INT8, LicenceFacts
from ottenok.bundle.stock import library_name, opened_by, takes_single_texts
from ottenok.core.files import atomic_write_text
from ottenok.core.schemes import LEARNED_ROWS
from ottenok.tasks.tables import code_span, decision_text, escape_markdown

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.bundle.folder import Bundle
    from ottenok.bundle.manifest import BundleManifest, SourceFacts


__all__ = [
    "ANNOTATION",
    "COMMERCIAL",
    "card_for",
    "card_text",
    "front_matter",
    "limits",
    "terms",
    "trained_on",
    "warning",
    "write_card",
]

# A link that nothing breaks out of.
_LINK = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%\-]+")


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


def _permits(licence: str) -> bool:
    """Say whether a licence's name alone would tell that commercial use is allowed."""
    name = licence.lower()
    return name in _HUB_LICENCES - {"unknown"} and "-nc" not in name


def trained_on(manifest: BundleManifest) -> tuple[SourceFacts, ...]:
    """Return the sources with rows that training or the choice of thresholds saw."""
    sources = manifest.data.sources if manifest.data else ()
    return tuple(source for source in sources if source.rows.get("train") or source.rows.get("validation"))


def terms(manifest: BundleManifest) -> LicenceFacts:
    """Return the strictest terms: a source that forbids commercial use wins over what the weights claim.

    Terms that are unknown anywhere leave the whole unknown, but under the licence that the weights name. Where
    commercial use is forbidden no licence is named whose name allows it, but `other`: a set's may be of its code alone.
    """
    claimed, sources = manifest.licence, trained_on(manifest)
    barring = [source for source in sources if source.licence.commercial is False]
    if barring or claimed.commercial is False:
        # A permissive name over non-commercial data would mislead whoever reads only the name.
        names = [*(source.licence.id for source in barring), claimed.id]
        id_ = next((name for name in names if not _permits(name) and name != "unknown"), "other")
        if claimed.commercial is False:
            return claimed.model_copy(update={"id": id_})
        told = ", ".join(source.name for source in barring)
        return LicenceFacts(id=id_, commercial=False, statement=f"Because of: {told}.")
    if claimed.commercial is None or any(source.licence.commercial is None for source in sources):
        return claimed.model_copy(update={"commercial": None})
    return claimed


def warning(manifest: BundleManifest, *, plain: bool = False) -> str | None:
    """Return the sentence that a card must begin with, as Markdown or plain; None where commercial use is open."""
    escape, bold = (str, "") if plain else (escape_markdown, "**")
    found, sources = terms(manifest), trained_on(manifest)
    if found.commercial is True:
        return None
    strict = [source for source in sources if source.licence.commercial is found.commercial]
    sets = [(source.name, source.licence.id) for source in strict]
    forbidden = found.commercial is False
    names = escape("; ".join(name if forbidden and _permits(one) else f"{name} ({one})" for name, one in sets))
    if forbidden:
        told = "" if found.id == "other" else f" ({escape(found.id)})"
        return f"{bold}Non-commercial use only{bold}{told}." + (f" Trained on: {names}." if names else "")
    return f"{bold}Terms partly unknown: check them before commercial use.{bold}" + (
        f" The publishers of these training sets state no terms: {names}." if names else ""
    )


_LANGUAGES = {"ru": "Russian", "zh": "Chinese", "en": "English"}
# Labels that people did not give: what a model learns from them is partly something else.
_INDIRECT = {
    "author": "were labelled by their authors' stars, which do not always match the words",
    "distant": "were labelled by emoticons, which is noisy",
    "translated": "are machine translations of a labelled set",
    "unknown": "have labels of undocumented origin",
}


def limits(manifest: BundleManifest, *, plain: bool = False) -> list[str]:
    """Return what a model is for and where it fails, in sentences, Markdown or plain, most general first."""
    escape, code = (str, str) if plain else (escape_markdown, code_span)
    names = [_LANGUAGES.get(code, escape(code)) for code in manifest.languages]
    languages = " and ".join(names) if names else "the languages of its training data"
    what = "sentiment" if manifest.scheme.values else "labels"
    found = [f"Meant for the {what} of texts in {languages}, of the kinds that it was trained on. Measure it on yours."]
    several = len(manifest.tasks) > 1
    sets = [name for name in manifest.metrics if EARLIER not in name]
    chosen = "test" if "test" in sets else next(iter(sets), "")
    for task in manifest.tasks:
        reports = manifest.reports(chosen, task.name)
        if not reports:
            continue
        report, of = reports[0], f" of {task.name}" if several else ""
        labels = [label for label in report.labels if label.support]
        if len(labels) > 1:
            worst = min(labels, key=lambda label: label.f1.value)
            found.append(
                f"Its weakest label{of} is {code(worst.label)}: F1 {worst.f1.value:.2f} on {worst.support:,} rows."
            )
        metric = "macro_f1" if report.kind == "multi-label" else "macro_f1_present"
        sources = sorted(
            (source.metrics[metric].value, source.source) for source in report.sources if metric in source.metrics
        )
        if len(sources) > 1:
            (low, worse), (high, better) = sources[0], sources[-1]
            found.append(
                f"It is not equally good everywhere: macro F1{of} {low:.2f} on {escape(worse)}, {high:.2f} on "
                f"{escape(better)}{'.' if metric == 'macro_f1' else ' (labels present).'}"
            )
    by_annotation: dict[str, list[str]] = {}
    for source in trained_on(manifest):
        if source.annotation in _INDIRECT:
            by_annotation.setdefault(source.annotation, []).append(escape(source.title or source.name))
    found += [
        f"Training texts of {', '.join(titles)} {_INDIRECT[annotation]}."
        for annotation, titles in by_annotation.items()
    ]
    # What the average over languages and sources hides.
    cells = [
        f"{code(label)} of {escape(f'{task} in {_LANGUAGES.get(language, language)}')} ({rows:,})"
        for task, by_language in (manifest.data.cells if manifest.data else {}).items()
        for language, counts in by_language.items()
        for label, rows in counts.items()
        if rows < LEARNED_ROWS and label != "(none)"
    ]
    if cells:
        found.append(f"Not learned, for want of training rows (under {LEARNED_ROWS}): {', '.join(cells)}.")
    return [
        *found,
        "Irony, quotations and mixed feelings are often read wrongly; so are texts of other kinds than those above.",
        "Not for decisions about single people. A probability is a model's belief and not a fact.",
    ]


_LANGUAGE_TAGS = {"ru": "russian", "zh": "chinese", "en": "english"}
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.\-]*/[\w.\-]+")
# ottenok's metrics by the hub's names for them.
_METRIC_TYPES = {"accuracy": "accuracy", "macro_f1": "f1", "weighted_f1": "f1", "macro_auc": "roc_auc"}


def front_matter(manifest: BundleManifest, *, library: str) -> str:
    """Return the YAML head of a model card, from `---` to `---`, as the hub reads it.

    Each value is written as JSON, which is YAML too: nothing needs quoting rules, and nothing in a name can break out.
    The results are those on the test rows, or on the first rows that there are.
    """
    found = terms(manifest)
    licence = "non-commercial" if found.id == "other" and found.commercial is False else found.id.lower()
    kinds = dict.fromkeys(task.scheme.kind for task in manifest.tasks)
    topics = dict.fromkeys(
        "sentiment-analysis" if task.scheme.values else "emotion-classification" for task in manifest.tasks
    )
    base = manifest.encoder.name if manifest.encoder else ""
    corpus = manifest.data.name if manifest.data else "corpus"
    rows = "test" if "test" in manifest.metrics else next(iter(manifest.metrics), "")
    several = len(manifest.tasks) > 1
    results, types = [], set()
    for task in manifest.tasks:
        report = next(iter(manifest.reports(rows, task.name)), None)
        values = {name: report.metrics[name].value for name in _METRIC_TYPES if report and name in report.metrics}
        if not values:
            continue
        types |= {_METRIC_TYPES[name] for name in values}
        title = "Text classification" + (f", {task.name}" if several else "")
        results.append(
            {
                "task": {"type": "text-classification", "name": title},
                "dataset": {"name": corpus, "type": corpus},
                "metrics": [
                    {"type": _METRIC_TYPES[name], "name": name.replace("_", " "), "value": round(value, 4)}
                    for name, value in values.items()
                ],
            }
        )
    fields: dict[str, Any] = {
        "language": list(manifest.languages) or None,
        "license": licence if licence in _HUB_LICENCES else "other",
        "license_name": None
        if licence in _HUB_LICENCES
        else re.sub(r"[^a-z0-9.\-]+", "-", licence).strip("-") or "see-below",
        "library_name": library,
        "pipeline_tag": "text-classification",
        "tags": [
            "ottenok",
            *topics,
            *(f"{kind}-classification" for kind in kinds),
            *(_LANGUAGE_TAGS[code] for code in manifest.languages if code in _LANGUAGE_TAGS),
        ],
        "base_model": base if _HUB_NAME.fullmatch(base) else None,
        "metrics": sorted(types) or None,
        "model-index": [{"name": manifest.name, "results": results}] if results else None,
    }
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items() if value is not None]
    return "\n".join(("---", *lines, "---"))


COMMERCIAL = {True: "yes", False: "no", None: "unknown"}
_TITLES = {"en": "English", "ru": "Русский", "zh": "中文"}
ANNOTATION = {
    "human": "people",
    "author": "the texts' authors (stars)",
    "distant": "emoticons",
    "translated": "translation of a labelled set",
    "unknown": "not documented",
}
_EXAMPLES = {"zh": "今天的菜真好吃！", "en": "What a lovely day!"}


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
    """Return the card; the same bundle and results give the same text.

    Names, labels and titles stand in it as they are: Markdown and HTML in them is escaped.
    """
    manifest = bundle.manifest
    found = terms(manifest)
    licence, statement = escape_markdown(found.id), f" {escape_markdown(found.statement)}" if found.statement else ""
    tables = "\n\n".join(f"### {escape_markdown(heading)}\n\n{table}" for heading, table in results.items())
    made = ", ".join(
        f"{escape_markdown(name)} {escape_markdown(version)}" for name, version in manifest.versions.items()
    )
    parts = [
        front_matter(manifest, library=library_name(bundle)),
        warning(manifest),
        f"# {escape_markdown(manifest.name)}",
        escape_markdown(manifest.description),
        _labels(manifest),
        _use(bundle),
        f"## Results\n\n{tables}" if tables else "",
        _training(manifest),
        _data(manifest),
        _list("Intended use and limits", limits(manifest)),
        f"## Terms\n\nWeights: {licence}; commercial use: {COMMERCIAL[found.commercial]}.{statement}",
        _list("Notes", [escape_markdown(note) for note in manifest.notes]),
        f"Made with {made}." if made else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(header: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table of cells that are escaped already."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows))


def _list(heading: str, items: list[str]) -> str:
    return f"## {heading}\n\n" + "\n".join(f"- {item}" for item in items) if items else ""


def _labels(manifest: BundleManifest) -> str:
    parts = ["## Labels"]
    for task in manifest.tasks:
        scheme = task.scheme
        languages = [language for language in _TITLES if language in scheme.titles]
        header = ["id", "label", *(["value"] if scheme.values else []), *(_TITLES[language] for language in languages)]
        rows = [
            [
                str(i),
                code_span(label),
                *([f"{scheme.values[i]:g}"] if scheme.values else []),
                *(escape_markdown(scheme.titles[language][i]) for language in languages),
            ]
            for i, label in enumerate(scheme.labels)
        ]
        parts += [f"### {task.name}"] if len(manifest.tasks) > 1 else []
        parts += [decision_text(task.task(), mark=code_span), _table(header, rows)]
    return "\n\n".join(parts)


def _use(bundle: Bundle) -> str:
    """Say which tools open the folder, how, and what others than ottenok leave out."""
    manifest = bundle.manifest
    example = _EXAMPLES.get(next(iter(manifest.languages), "ru"), "Какая гадость эта ваша заливная рыба!")
    graphs = [name for name in (ONNX_INT8, ONNX) if bundle.has(name)]
    engine = f" It runs `{graphs[0]}` on an ordinary CPU and needs no torch." if graphs else ""
    text = (
        f"## Use\n\nWith ottenok.{engine}\n\n"
        "```python\n"
        "import ottenok\n\n"
        'classifier = ottenok.load("FOLDER")  # this folder\n'
        f'print(classifier("{example}"))\n'
        "```"
    )
    tools = opened_by(bundle)
    if "transformers" in tools:
        head = "import ottenok.models  # registers this architecture; no remote code\n"
        own = "import ottenok" in tools["transformers"]
        call = ", truncation=True, top_k=None" if manifest.scheme.kind == "multi-label" else ", truncation=True"
        text += (
            f"\n\nWith transformers:\n\n```python\n{head if own else ''}from transformers import pipeline\n\n"
            'classifier = pipeline("text-classification", model="FOLDER")\n'
            f'print(classifier("{example}"{call}))\n```'
        )
        if takes_single_texts(bundle):
            text += "\n\nOne text at a time, as here: the class that it opens as would count padding as text."
    others = {tool: line for tool, line in tools.items() if tool not in {"ottenok", "transformers"}}
    if others:
        rows = [[tool, code_span(line)] for tool, line in others.items()]
        text += f"\n\nAnd with other tools:\n\n{_table(['tool', 'how it opens the folder'], rows)}"
    gaps = [
        *([f"give the outputs of {manifest.tasks[0].name} only"] if len(manifest.tasks) > 1 else []),
        "read texts as they are (ottenok normalises them first)",
        "cut what is longer than the model",
        *(["leave the thresholds to you"] if manifest.decision.thresholds else []),
        *(["leave the temperature out"] if manifest.decision.temperature != 1.0 else []),
    ]
    if set(tools) == {"ottenok"}:
        return text
    return f"{text}\n\nAll but ottenok {', '.join(gaps[:-1])} and {gaps[-1]}."


def card_for(text: str, bundle: Bundle) -> str:
    """Return a card with what it says of the folder put right for a copy that holds other files.

    Args:
        text: The card of the original; what people have added to it stays.
        bundle: The copy.
    """
    text = re.sub(r"(?m)^library_name: .*$", f'library_name: "{library_name(bundle)}"', text, count=1)
    return re.sub(r"(?ms)^## Use\n.*?(?=^## |\Z)", lambda _: _use(bundle) + "\n\n", text, count=1)


def _training(manifest: BundleManifest) -> str:
    lines = []
    if manifest.encoder:
        origin = f": {escape_markdown(manifest.encoder.origin)}" if manifest.encoder.origin else ""
        licence = escape_markdown(manifest.encoder.licence.id)
        lines.append(f"- Encoder: {code_span(manifest.encoder.name)}{origin} (licence: {licence})")
    if manifest.window.read == "end":
        window = "of longer texts the end is read"
    else:
        mean = manifest.window.combine.removeprefix("mean-")
        window = (
            f"longer texts are read in windows that overlap by {manifest.window.overlap} tokens, and the windows' "
            f"{mean} are averaged, each weighing as much as it has tokens"
        )
    lines.append(f"- Longest input: {manifest.max_length} tokens; {window}")
    if manifest.created:
        lines.append(f"- Trained: {escape_markdown(manifest.created)}")
    if (took := manifest.training) is not None and took.texts:
        where = f". {escape_markdown(took.elsewhere)}" if took.elsewhere else ""
        lines.append(
            f"- Learned from {took.texts:,} texts, {took.tokens:,} tokens, each as often as it was read "
            f"({took.epochs:g} epochs), in {took.seconds / 60.0:,.1f} minutes on {escape_markdown(took.device)} "
            f"({escape_markdown(took.precision)}){where}"
        )
    text = "## Training\n\n" + "\n".join(lines)
    if manifest.recipe:
        recipe = json.dumps(manifest.recipe, ensure_ascii=False, indent=2)
        text += f"\n\n<details><summary>The resolved recipe</summary>\n\n```json\n{recipe}\n```\n\n</details>"
    return text


def _data(manifest: BundleManifest) -> str:
    if manifest.data is None or not manifest.data.sources:
        return ""
    splits = ("train", "validation", "test")
    header = ["set", *splits, "languages", "labelled by", "licence", "commercial use"]
    rows = []
    for source in manifest.data.sources:
        title = escape_markdown(source.title or source.name)
        rows.append(
            [
                f"[{title}]({source.homepage})" if _LINK.fullmatch(source.homepage) else title,
                *(f"{source.rows.get(split, 0):,}" for split in splits),
                escape_markdown(", ".join(source.languages)),
                escape_markdown(ANNOTATION.get(source.annotation, source.annotation)),
                escape_markdown(source.licence.id),
                COMMERCIAL[source.licence.commercial],
            ]
        )
    text = f"## Data\n\nThe corpus {code_span(manifest.data.name)}, in rows:\n\n{_table(header, rows)}"
    if manifest.data.dropped:
        dropped = ", ".join(f"{escape_markdown(reason)} {rows:,}" for reason, rows in manifest.data.dropped.items())
        text += f"\n\nRows left out: {dropped}."
    for task, languages in manifest.data.cells.items():
        labels = list(dict.fromkeys(label for counts in languages.values() for label in counts))
        lines = []
        for language, counts in languages.items():
            cells = [
                ""
                if label not in counts
                else f"{counts[label]:,}"
                if counts[label] >= LEARNED_ROWS or label == "(none)"
                else f"**{counts[label]:,}, not learned**"
                for label in labels
            ]
            lines.append([escape_markdown(language), *cells])
        table = _table(["language", *map(code_span, labels)], lines)
        text += (
            f"\n\nTraining rows of each label of {escape_markdown(task)}; under {LEARNED_ROWS} it is not learned:"
            f"\n\n{table}"
        )
    return text
