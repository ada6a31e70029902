"""The facts of a run for `ottenok.json`: data, licences, encoder, versions."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import ottenok
from ottenok.bundle.manifest import DataFacts, EncoderFacts, LicenceFacts, SourceFacts
from ottenok.text.normalise import TextOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.data.corpus import Corpus
    from ottenok.models.options import ModelOptions

__all__ = ["data_facts", "encoder_facts", "languages", "text_options", "versions", "weights_licence"]

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "accelerate", "numpy")
# A language with fewer rows than this share of the corpus is noise of detection, not what a model is meant for.
_LEAST_SHARE = 0.01


def data_facts(corpus: Corpus) -> DataFacts:
    """Return what the corpus's manifest says of the data."""
    manifest = corpus.manifest
    sources = [_source(source) for source in manifest.get("sources", [])]
    dropped: dict[str, int] = {}
    for source in manifest.get("sources", []):
        for entry in source.get("dropped", []):
            dropped[entry["reason"]] = dropped.get(entry["reason"], 0) + entry["rows"]
    return DataFacts(
        name=str(manifest.get("name", corpus.folder.name)),
        rows=manifest.get("rows", {}),
        sources=tuple(sources),
        dropped=dropped,
        recipe=manifest.get("recipe", {}),
    )


def _source(source: dict[str, Any]) -> SourceFacts:
    return SourceFacts(
        name=source["name"],
        title=source.get("title", ""),
        rows=source.get("kept", {}),
        languages=tuple(source.get("languages", {})),
        annotation=source.get("annotation", "unknown"),
        homepage=source.get("homepage", ""),
        licence=LicenceFacts(id=source.get("licence", "unknown"), commercial=source.get("commercial")),
        files={file["path"]: file.get("sha256") for file in source.get("files", [])},
    )


def text_options(corpus: Corpus) -> TextOptions:
    """Return how the corpus's texts were normalised, which prediction has to repeat."""
    return TextOptions(**corpus.manifest.get("recipe", {}).get("text", {}))


def languages(corpus: Corpus) -> tuple[str, ...]:
    """Return the languages of the corpus, most rows first."""
    rows: dict[str, int] = {}
    for source in corpus.manifest.get("sources", []):
        for language, count in source.get("languages", {}).items():
            rows[language] = rows.get(language, 0) + count
    least = sum(rows.values()) * _LEAST_SHARE
    return tuple(sorted((name for name, count in rows.items() if count >= least), key=lambda name: -rows[name]))


def encoder_facts(options: ModelOptions) -> EncoderFacts:
    """Return what the recipe says of the encoder; a local folder is named without its path."""
    name = options.encoder if not _is_local(options.encoder) else PurePath(options.encoder).name
    return EncoderFacts(
        name=name, origin=options.origin, licence=LicenceFacts(id=options.licence, commercial=None, statement="recipe")
    )


def _is_local(encoder: str) -> bool:
    # Hub names have at most one slash and begin with a letter or digit.
    return encoder.startswith((".", "/", "~", "\\")) or len(PurePath(encoder).parts) > 2 or ":" in encoder


def weights_licence(identifier: str, sources: Sequence[SourceFacts]) -> LicenceFacts:
    """Say under which terms the weights are: the recipe's licence, and what the data's licences do to it.

    Data that forbids commercial use makes the weights non-commercial, whatever else is written on them; data without
    stated terms leaves it open.
    """
    used = [source for source in sources if source.rows.get("train", 0)]
    barring = [source.name for source in used if source.licence.commercial is False]
    open_ = [source.name for source in used if source.licence.commercial is None]
    if barring:
        statement = f"Trained on data that is licensed for non-commercial use only: {', '.join(barring)}."
        return LicenceFacts(id=identifier, commercial=False, statement=statement)
    if open_:
        statement = f"Trained on data whose publishers state no terms for commercial use: {', '.join(open_)}."
        return LicenceFacts(id=identifier, commercial=None, statement=statement)
    statement = "All data that it was trained on may be used commercially." if used else ""
    return LicenceFacts(id=identifier, commercial=True if used else None, statement=statement)


def versions() -> dict[str, str]:
    """Return the versions that decide what a run computes."""
    found = {name: metadata.version(name) for name in _PACKAGES}
    return {"ottenok": ottenok.__version__, "python": platform.python_version(), **found}
