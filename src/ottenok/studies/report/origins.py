"""What a model was made from: data and licences, training, recipe, versions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ottenok.bundle.card import terms, warning
from ottenok.studies.report.parts import Cell, Section
from ottenok.studies.report.tables import plain_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.bundle.manifest import BundleManifest, SourceFacts, TrainingFacts
    from ottenok.studies.report.parts import Table

__all__ = ["data_section", "making_section", "recipe_section"]

_SPLITS = ("train", "validation", "test")
_COMMERCIAL = {True: "yes", False: "no", None: "unknown"}
_ANNOTATION = {
    "human": "people",
    "author": "the texts' authors",
    "distant": "emoticons",
    "translated": "translation of a labelled set",
    "unknown": "not documented",
}


def data_section(manifest: BundleManifest) -> Section:
    """Return the data sets, their rows, licences and hashes, and the terms that follow for the model."""
    found = terms(manifest)
    lines = [f"Weights: {found.id}; commercial use: {_COMMERCIAL[found.commercial]}. {found.statement}".strip()]
    if (word := warning(manifest)) is not None:
        lines.insert(0, word.replace("**", ""))
    if manifest.data is None or not manifest.data.sources:
        lines.append("The bundle does not say what it was trained on.")
        return Section(name="data", title="Data and licences", lines=tuple(lines))
    lines.append(f"The corpus is called {manifest.data.name}.")
    if manifest.data.dropped:
        dropped = ", ".join(f"{reason} {rows:,}" for reason, rows in manifest.data.dropped.items())
        lines.append(f"Rows left out of it: {dropped}.")
    tables = (_sources(manifest.data.sources), _files(manifest.data.sources))
    return Section(
        name="data", title="Data and licences", lines=tuple(lines), tables=tuple(one for one in tables if one.rows)
    )


def _sources(sources: Sequence[SourceFacts]) -> Table:
    rows: list[Sequence[str | Cell]] = [
        (
            Cell(text=source.title or source.name, link=_address(source.homepage)),
            *(f"{source.rows.get(split, 0):,}" for split in _SPLITS),
            ", ".join(source.languages),
            _ANNOTATION.get(source.annotation, source.annotation),
            source.licence.id,
            _COMMERCIAL[source.licence.commercial],
        )
        for source in sources
    ]
    header = ("data set", *_SPLITS, "languages", "labelled by", "licence", "commercial use")
    return plain_table("Data sets, in rows", header, rows, numeric=False)


def _address(homepage: str) -> str:
    """Return an address that may be a link: nothing but plain web pages."""
    return homepage if homepage.startswith(("https://", "http://")) else ""


def _files(sources: Sequence[SourceFacts]) -> Table:
    rows = [
        (Cell(text=path, code=True), source.name, Cell(text=digest or "unknown", code=True))
        for source in sources
        for path, digest in source.files.items()
    ]
    return plain_table("Files", ("file", "data set", "sha256"), rows, numeric=False)


def recipe_section(manifest: BundleManifest) -> Section:
    """Return the resolved recipe, or say that there is none."""
    if not manifest.recipe:
        line = "The bundle keeps no recipe."
        return Section(name="recipe", title="Recipe", lines=(line,))
    recipe = json.dumps(manifest.recipe, ensure_ascii=False, indent=2)
    line = "As it was run, with every default and every override."
    return Section(name="recipe", title="Recipe", lines=(line,), code=recipe)


def making_section(manifest: BundleManifest, notes: Sequence[str]) -> Section:
    """Return what the training took, versions, the bundle's files and notes."""
    lines = [*_facts(manifest), *notes]
    tables = []
    if manifest.training is not None:
        cost = _cost(manifest.training)
        tables.append(plain_table("What the training took", ("what", "how much"), cost, numeric=False))
    if manifest.versions:
        rows = [(name, Cell(text=version, code=True)) for name, version in manifest.versions.items()]
        tables.append(plain_table("Versions", ("package", "version"), rows, numeric=False))
    if manifest.files:
        files = [
            (Cell(text=name, code=True), f"{facts.bytes:,}", Cell(text=facts.sha256, code=True))
            for name, facts in manifest.files.items()
        ]
        tables.append(plain_table("The model's files", ("file", "bytes", "sha256"), files, numeric=False))
    return Section(name="making", title="Versions and notes", lines=tuple(lines), tables=tuple(tables))


def _facts(manifest: BundleManifest) -> list[str]:
    lines = []
    if manifest.encoder is not None:
        origin = f", {manifest.encoder.origin}" if manifest.encoder.origin else ""
        lines.append(f"Encoder: {manifest.encoder.name}{origin} (licence: {manifest.encoder.licence.id}).")
    windows = f"Texts of more than {manifest.max_length} tokens are read in windows"
    lines.append(
        f"Of texts of more than {manifest.max_length} tokens the end is read."
        if manifest.window.read == "end"
        else f"{windows} that overlap by {manifest.window.overlap} tokens."
    )
    if manifest.created:
        lines.append(f"Trained: {manifest.created}.")
    return [*lines, *manifest.notes]


def _cost(training: TrainingFacts) -> list[tuple[str, str]]:
    return [
        ("epochs", f"{training.epochs}"),
        ("minutes of training steps", f"{training.seconds / 60.0:,.1f}"),
        ("texts seen", f"{training.texts:,}"),
        ("tokens seen", f"{training.tokens:,}"),
        ("parameters", f"{training.parameters:,}"),
        ("of them trained", f"{training.trained:,}"),
        ("device", f"{training.device} ({training.precision})"),
    ]
