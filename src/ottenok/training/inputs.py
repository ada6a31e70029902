"""The corpus that a recipe means: a folder, a corpus recipe, or the user's own file; built if it is not there yet."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.home import cache_home
from ottenok.core.lazy import require
from ottenok.core.progress import SILENT, Progress
from ottenok.core.version import __version__
from ottenok.data.build import build
from ottenok.data.corpus import open_corpus
from ottenok.recipes.corpus import CorpusRecipe, OwnData, SourceSpec, load_recipe
from ottenok.recipes.files import recipe_file

if TYPE_CHECKING:
    from ottenok.data.corpus import Corpus
    from ottenok.recipes.train import DataOptions

__all__ = ["Places", "corpus_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where data is, and where runs are logged.

    Attributes:
        cache: Folder of fetched data sets and built corpora.
        root: Folder of data sets that is looked into first, or None.
        tracking: Address of MLflow's store, for recipes with `run.mlflow`; None: one in the run's folder.
    """

    cache: Path = field(default_factory=cache_home)
    root: Path | None = None
    tracking: str | None = None


def corpus_of(options: DataOptions, places: Places, progress: Progress = SILENT) -> Corpus:
    """Return the corpus that a recipe means.

    A corpus that is built is kept in the cache, under a name that its recipe, its files and ottenok's version decide.

    Raises:
        ConfigError: The recipe names no data, or more than one.
        DataError: The data is absent or can't be read.
        SchemeError: Labels do not lead to the scheme.
    """
    # A corpus folder is named on the command line to save building what a recipe also describes; it goes first.
    if options.corpus is not None:
        return open_corpus(options.corpus)
    if (options.recipe is None) == (options.file is None):
        raise ConfigError(
            "expected one of data.corpus, data.recipe and data.file",
            hint="Name what to learn from, for example: --data.corpus FOLDER, or --data.file FILE.csv",
            key="data",
        )
    if options.recipe is not None:
        recipe = load_recipe(recipe_file(options.recipe, "data"))
    else:
        file = Path(str(options.file)).resolve()
        if not file.is_file():
            raise DataError("there is no such file", hint="Check --data.file.", file=str(options.file))
        source = SourceSpec(own=OwnData(name=file.stem, file=str(file), text=options.text, label=options.label))
        recipe = CorpusRecipe(name=file.stem, scheme=options.scheme, sources=(source,))
    # A built corpus goes by what decides it; a user's file that was changed since makes another one.
    files = [
        Path(file) for spec in recipe.sources if (own := spec.own) for file in (own.file, *own.files.values()) if file
    ]
    facts: dict[str, Any] = {
        "recipe": recipe.model_dump(mode="json"),
        "files": [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files if file.is_file()],
        "version": __version__,
    }
    fingerprint = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    folder = places.cache / "corpora" / f"{recipe.name}-{fingerprint}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Of several processes that want the same corpus one builds it, and the others wait.
    with require("filelock", extra="data").FileLock(folder.with_name(f"{folder.name}.lock")):
        if folder.is_dir():
            return open_corpus(folder)
        return build(recipe, root=places.root, cache=places.cache, out=folder, progress=progress)
