"""The facts of a run for `ottenok.json`: data, licences, encoder, versions."""

from __future__ import annotations

import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import DataFacts, EncoderFacts, LicenceFacts, SourceFacts
from ottenok.core.errors import ConfigError
from ottenok.core.version import __version__
from ottenok.data.stats import corpus_cells, training_rows
from ottenok.text.normalise import TextOptions

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus
    from ottenok.recipes.model import ModelOptions
    from ottenok.recipes.train import TextLimits, TrainRecipe

__all__ = [
    "data_facts",
    "encoder_facts",
    "languages",
    "licence_facts",
    "public_name",
    "public_recipe",
    "text_options",
    "versions",
]

_PACKAGES = ("torch", "transformers", "tokenizers", "safetensors", "numpy", "onnxruntime")
# Licences that surely allow commercial use; of any other that does not say NC, nothing is claimed.
_PERMISSIVE = frozenset(
    {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "ISC", "MIT", "Unlicense"}
)
# A language with fewer rows than this share of the corpus is noise of detection, not what a model is meant for.
_LEAST_SHARE = 0.01


def data_facts(corpus: Corpus) -> DataFacts:
    """Return what the corpus's manifest says of the data."""
    manifest = corpus.manifest
    sources = [
        SourceFacts(
            name=source["name"],
            title=source.get("title", ""),
            rows=source.get("kept", {}),
            languages=tuple(source.get("languages", {})),
            annotation=source.get("annotation", "unknown"),
            homepage=source.get("homepage", ""),
            licence=LicenceFacts(id=source.get("licence", "unknown"), commercial=source.get("commercial")),
            files={file["path"]: file.get("sha256") for file in source.get("files", [])},
        )
        for source in manifest.get("sources", [])
    ]
    dropped: dict[str, int] = {}
    for source in manifest.get("sources", []):
        for entry in source.get("dropped", []):
            dropped[entry["reason"]] = dropped.get(entry["reason"], 0) + entry["rows"]
    return DataFacts(
        name=str(manifest.get("name", corpus.folder.name)),
        rows=manifest.get("rows", {}),
        sources=tuple(sources),
        dropped=dropped,
        cells=training_rows(corpus_cells(corpus)),
        recipe=manifest.get("recipe", {}),
    )


def text_options(corpus: Corpus, limits: TextLimits | None = None) -> TextOptions:
    """Return how a model's texts are normalised in training, which prediction has to repeat.

    Args:
        corpus: Whose texts are normalised already.
        limits: The recipe's options, which may treat emoji and capitals otherwise; None: as the corpus has them.

    Raises:
        ConfigError: The corpus was built without its emoji, and the recipe wants them.
    """
    built = TextOptions(**corpus.manifest.get("recipe", {}).get("text", {}))
    wanted = {} if limits is None else {"emoji": limits.emoji, "capitals": limits.capitals}
    other = {name: way for name, way in wanted.items() if way not in {None, getattr(built, name)}}
    for name, way in other.items():
        there = getattr(built, name)
        if there != "keep":
            raise ConfigError(
                f"found {way!r}, but the corpus was built with text.{name} = {there!r}",
                hint=f'Build it with text.{name} = "keep": then one corpus serves every choice.',
                key=f"text.{name}",
            )
    return TextOptions(**{**asdict(built), **other})


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
    return EncoderFacts(
        name=public_name(options.encoder), origin=options.origin, licence=licence_facts(options.licence)
    )


def public_name(place: str) -> str:
    """Return a hub name as it is, and the last part of a path."""
    # Hub names have at most one slash and begin with a letter or digit.
    local = place.startswith((".", "/", "~", "\\")) or len(PurePath(place).parts) > 2 or ":" in place
    return PurePath(place).name if local else place


def licence_facts(identifier: str) -> LicenceFacts:
    """Return the facts of a licence that a recipe names."""
    commercial = None
    if identifier in _PERMISSIVE:
        commercial = True
    elif "-NC" in identifier.upper():
        commercial = False
    return LicenceFacts(id=identifier, commercial=commercial, statement="As the training recipe states.")


def public_recipe(recipe: TrainRecipe) -> dict[str, Any]:
    """Return the resolved recipe as JSON, without the folders of the machine that it ran on."""
    tree = recipe.model_dump(mode="json")
    file = tree["data"]["file"]
    tree["data"] |= {"corpus": None, "file": file and PurePath(file).name}
    tree["model"]["encoder"] = public_name(recipe.model.encoder)
    if recipe.model.init_from is not None:
        tree["model"]["init_from"] = public_name(recipe.model.init_from)
    if recipe.teacher is not None:
        tree["teacher"]["file"] = PurePath(recipe.teacher.file).name
    if recipe.distil is not None:
        tree["distil"]["teachers"] = [public_name(name) for name in recipe.distil.teachers]
        tree["distil"]["unlabelled"] = [PurePath(name).name for name in recipe.distil.unlabelled]
    del tree["search"]  # it says what may be tried, not what was done
    return tree


def versions() -> dict[str, str]:
    """Return the versions that decide what a run computes."""
    found = {name: metadata.version(name) for name in _PACKAGES}
    return {"ottenok": __version__, "python": platform.python_version(), **found}
