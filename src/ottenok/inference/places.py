"""Where a model is: the embedded one, a folder, or a name on the hub, fetched and converted into a cache."""

from __future__ import annotations

import hashlib
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.bundle.foreign import foreign_manifest
from ottenok.bundle.manifest import CONFIG, GRAPHS, MANIFEST, ONNX, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS, pickles
from ottenok.core.errors import BundleError
from ottenok.core.files import sha256_file
from ottenok.core.home import cache_home, hub_home, package_home
from ottenok.core.lazy import load_object, need
from ottenok.core.progress import SILENT
from ottenok.inference.trial import try_folder

if TYPE_CHECKING:
    from ottenok.core.progress import Progress

__all__ = ["EMBEDDED", "embedded_folder", "find_folder"]

# The name of the classifier that ottenok ships.
EMBEDDED = "default"

_HUB_NAME = re.compile(r"([A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*)(?:@([\w.\-/]+))?")
# What is fetched of a repository: never pickles, nor weights for other frameworks.
_GRAPHS = tuple(name for names in GRAPHS.values() for name in names)
_WEIGHTS = ("model*.safetensors", "*_Dense/model.safetensors", "adapter_model.safetensors")
_WANTED = ("*.json", "*.txt", "*.model", *_WEIGHTS, *_GRAPHS, "README.md")
# What tells a folder of peft, and one of sentence-transformers.
_ADAPTER, _MODULES = "adapter_config.json", "modules.json"
# What a conversion depends on, beside the weights.
_READ = (CONFIG, TOKENIZER, TOKENIZER_CONFIG, "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")
# Raised when the same files would be converted otherwise.
_CONVERSION = "2"
_TOKENIZERS = (TOKENIZER, "vocab.txt", "vocab.json")
# How a file begins that stands for one which Git LFS has not fetched.
_POINTER = b"version https://git-lfs"


def embedded_folder() -> Path:
    """Return the folder of the classifier that ottenok ships.

    Raises:
        BundleError: This installation has none.
    """
    folder = package_home() / "weights" / EMBEDDED
    if not (folder / MANIFEST).is_file():
        raise BundleError(
            "this installation of ottenok ships no classifier",
            hint="Name one: the folder of a bundle, or a model on the hub.",
        )
    return folder


def find_folder(model: str | Path | None, *, cache: Path | None, progress: Progress | None) -> Path:
    """Return a folder with everything that prediction needs.

    Args:
        model: None or `default` for the embedded classifier, a folder, or a hub name `owner/name`, which `@` and a
            branch, tag or commit may follow.
        cache: Folder for what is fetched and converted; None: the user's cache folder.
        progress: Hears of fetching and converting.

    Raises:
        BundleError: There is no such model, or it has no weights that can be read.
        MissingExtraError: Fetching needs the extra `data`, or converting the extra `train`.
        ModelError: The model can't be converted.
    """
    if model is None or model == EMBEDDED:
        return embedded_folder()
    cache = cache_home(cache)
    progress = progress or SILENT
    folder, name = Path(model), Path(model).name
    if folder.is_file():
        raise BundleError("this is a file, not the folder of a model", hint="Give the folder.", file=str(model))
    if not folder.is_dir():
        folder, name = _from_hub(str(model), cache, progress), re.sub("[/@]", "--", str(model))
    for file in (
        *folder.glob("*.json"),
        *folder.glob("*.safetensors"),
        *folder.glob("*.onnx"),
        *folder.glob("*/*.onnx"),
    ):
        if file.is_file() and file.stat().st_size < 1024 and file.read_bytes().startswith(_POINTER):
            hint = "Fetch the files themselves: git lfs pull, or hf download."
            raise BundleError("this is a pointer of Git LFS, not the file itself", hint=hint, file=str(file))
    own = (folder / MANIFEST).is_file()
    way = None  # the function that converts a folder of another tool
    if not own:
        if (folder / _ADAPTER).is_file() and not any(folder.glob("model*.safetensors")):
            way = "ottenok.export.others:convert_adapter"
        elif (folder / _MODULES).is_file():
            way = "ottenok.export.others:convert_modules"
        elif (folder / CONFIG).is_file() and not _is_ready(folder):
            way = "ottenok.export.onnx:convert"
    if way is not None:
        folder = _convert(folder, name, way, cache, progress)
    # A folder that is no model at all is left to the bundle's own checks.
    if _is_ready(folder) and (own or (folder / CONFIG).is_file()):
        try_folder(folder, cache)
    return folder


def _is_ready(folder: Path) -> bool:
    """Say whether nothing has to be converted."""
    return (folder / TOKENIZER).is_file() and any((folder / name).is_file() for name in _GRAPHS)


def _from_hub(name: str, cache: Path, progress: Progress) -> Path:
    """Return the folder of a hub model: where other tools have it already, or in the cache, or fetched into it."""
    parts = _HUB_NAME.fullmatch(name)
    if parts is None:
        raise BundleError(
            "there is no such folder",
            hint="Give the folder of a trained classifier, or a name on the hub such as owner/name.",
            file=name,
        )
    with need("data"):
        import huggingface_hub as hub
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    repo, revision = parts[1], parts[2]
    for home in (cache / "hub", hub_home()):
        with suppress(LocalEntryNotFoundError, OSError, ValueError):
            found = Path(hub.snapshot_download(repo, revision=revision, cache_dir=home, local_files_only=True))
            whole = _is_ready(found) or any(found.glob("*model*.safetensors"))
            if (found / MANIFEST).is_file() or (whole and any((found / file).is_file() for file in (CONFIG, _ADAPTER))):
                return found
    progress.start(f"fetch {name}", total=None, unit="files")
    try:
        return Path(
            hub.snapshot_download(repo, revision=revision, cache_dir=cache / "hub", allow_patterns=list(_WANTED))
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise BundleError(
            f"the model {name!r} can't be fetched: {str(error).strip().splitlines()[0][:200]}",
            hint="Check the name and the network, or give a folder.",
        ) from error
    finally:
        progress.finish()


def _convert(folder: Path, name: str, way: str, cache: Path, progress: Progress) -> Path:
    weights = sorted(folder.rglob("*.safetensors"))
    if not weights:
        found = pickles(folder)
        raise BundleError(
            f"there are no weights: neither {WEIGHTS} nor {ONNX}" + (f", only {found[0]}" if found else ""),
            hint="ottenok never reads pickled weights, which can run code: save the model again with safetensors."
            if found
            else None,
            file=str(folder),
        )
    read = [folder / read for read in _READ]
    notes: tuple[str, ...] = ()
    if way == "ottenok.export.onnx:convert":
        notes = foreign_manifest(folder).notes  # before torch makes room for it
        if not any((folder / file).is_file() for file in _TOKENIZERS) and not any(folder.glob("*.model")):
            raise BundleError(
                f"there is no tokenizer: none of {', '.join(_TOKENIZERS)}",
                hint="Save it beside the model: AutoTokenizer.from_pretrained(ENCODER).save_pretrained(FOLDER)",
                file=str(folder),
            )
        weights = sorted(folder.glob("model*.safetensors"))
    else:
        read = sorted(folder.rglob("*.json"))
    # The name says which bytes were converted.
    digest = hashlib.sha256(_CONVERSION.encode())
    for file in [*read, *weights]:
        if file.is_file():
            digest.update(f"{file.relative_to(folder)} {sha256_file(file)}\n".encode())
    target = cache / "converted" / f"{name}-{digest.hexdigest()[:16]}"
    if not _is_ready(target):
        for note in notes:
            progress.note(note)
        load_object(way, extra="train")(folder, target, progress=progress)
    return target
