"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.data.corpus import Corpus

_BESIDE = Path(__file__).parents[2] / "shared"
# Rooms whose files take longest: begun first, so that several workers end together.
_LONG = ("cluster", "training", "project", "studies", "export", "models", "inference", "serve", "labelling")


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the process, and through its environment the programs that the tests begin."""
    # A shell that began the tests in the background has switched Ctrl-C off.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Tiny networks gain nothing from more threads, which wait for each other busily.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # pytest-xdist would begin with the files that hold the most tests, and so end with the longest ones.
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long rooms; within them the order stays."""
    place = {room: number for number, room in enumerate(_LONG)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is fetched, converted and tried out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTTENOK_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def _folder(variable: str, default: Path) -> Path:
    folder = Path(os.environ.get(variable, default))
    if not folder.is_dir():
        pytest.skip(f"needs the folder {default.name!r}: set {variable}")
    return folder


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Return the folder of real data sets, or skip."""
    return _folder("OTTENOK_DATA", _BESIDE / "data")


@pytest.fixture(scope="session")
def encoder_folder() -> Path:
    """Return the folder of the real pretrained encoder, or skip."""
    return _folder("OTTENOK_ENCODER", _BESIDE / "encoder" / "e5-small-ru-zh")


@pytest.fixture(scope="session")
def published_tokenizer(encoder_folder: Path) -> Path:
    """Return the folder of rubert-tiny2's tokenizer, beside the real encoder, or skip."""
    folder = encoder_folder.parent / "tokenizers" / "rubert-tiny2"
    if not folder.is_dir():
        pytest.skip("needs the published tokenizers beside the encoder")
    return folder


@pytest.fixture(scope="session")
def tiny_manifest() -> Callable[..., BundleManifest]:
    """Return a maker of manifests by schemes, for tiny models."""
    from toys import tiny_manifest

    return tiny_manifest


@pytest.fixture(scope="session")
def recipe_corpus(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Corpus]:
    """Return a builder of the repository's corpora from the real data, each built once for all workers."""
    from filelock import FileLock

    from ottenok.data.build import build
    from ottenok.data.corpus import open_corpus
    from ottenok.recipes.corpus import load_recipe
    from ottenok.recipes.files import recipe_file

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "corpora"
    folder.mkdir(exist_ok=True)

    def built(name: str) -> Corpus:
        with FileLock(folder / f"{name}.building"):
            if (folder / name / "manifest.json").is_file():
                return open_corpus(folder / name)
            recipe = load_recipe(recipe_file(name, "data"))
            return build(recipe, root=data_root, cache=folder / "cache" / name, out=folder / name)

    return built
