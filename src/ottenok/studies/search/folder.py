"""The folder of a search: what identifies it, and that one search at a time is in it.

`search.json` says what is searched, `study.db` is Optuna's study, `trials/NNNN` are the trials' run folders, and
`trials.csv`, `trials.json`, `best.toml` and `plots/` are what came out.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError
from ottenok.core.files import atomic_write_text, sha256_file
from ottenok.core.lazy import require
from ottenok.data.corpus import CORPUS_FILE
from ottenok.training.facts import public_recipe
from ottenok.training.folder import read_identity, refuse_other, refuse_used

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.data.corpus import Corpus
    from ottenok.recipes.space import SearchOptions
    from ottenok.recipes.train import TrainRecipe
    from ottenok.studies.search.space import Space

__all__ = ["PLOTS_FOLDER", "TRIALS_FOLDER", "identity_of", "open_folder"]

PLOTS_FOLDER = "plots"
TRIALS_FOLDER = "trials"
_SEARCH_FILE = "search.json"
_LOCK_FILE = ".lock"


def identity_of(recipe: TrainRecipe, options: SearchOptions, space: Space, corpus: Corpus) -> dict[str, Any]:
    """Return what makes a search this search; anything else may change when it is taken up again."""
    search = {"pruner": options.pruner, "startup": options.startup, "space": space.to_json()}
    return {
        "recipe": public_recipe(recipe) | {"search": search},
        "corpus": sha256_file(corpus.folder / CORPUS_FILE),
    }


@contextmanager
def open_folder(out: Path, identity: dict[str, Any], *, resume: bool) -> Iterator[None]:
    """Begin a search in an empty or absent folder, or take up the one that is there; hold it meanwhile.

    Raises:
        ConfigError: The folder is in use and `resume` is not asked for, it holds another search, or another process is
            at work in it.
    """
    file = out / _SEARCH_FILE
    if not (resume and file.is_file()):
        refuse_used(out, file=_SEARCH_FILE, what="search")
    out.mkdir(parents=True, exist_ok=True)
    filelock = require("filelock", extra="data")
    lock = filelock.FileLock(out / _LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout as error:
        raise ConfigError(
            "another search is at work in this folder", hint="Wait for it, or name another folder.", file=str(out)
        ) from error
    try:
        if file.is_file():
            refuse_other(read_identity(file), identity, out, what="search")
        else:
            atomic_write_text(file, json.dumps(identity, ensure_ascii=False, indent=2) + "\n")
        yield
    finally:
        lock.release()
