"""Bundle folders: open with every check, write the manifest with every checksum."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.bundle.foreign import foreign_manifest, read_labels
from ottenok.bundle.manifest import (
    CONFIG,
    FORMAT,
    GRAPHS,
    MANIFEST,
    ONNX,
    TOKENIZER,
    WEIGHTS,
    BundleManifest,
    FileFacts,
    is_safe,
    listed_files,
    pickles,
    read_json,
    upgraded,
)
from ottenok.bundle.stock import write_stock
from ottenok.core.config import parse
from ottenok.core.errors import BundleError, OttenokError
from ottenok.core.files import atomic_write_text, sha256_file

if TYPE_CHECKING:
    from collections.abc import Iterable


__all__ = ["Bundle", "open_bundle", "read_manifest", "write_manifest"]

# Checked whenever a bundle is opened; larger files when they are loaded (`Bundle.verify`).
_SMALL = 4 << 20
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A checked bundle folder.

    Attributes:
        folder: Where it is.
        manifest: Its `ottenok.json`, or what was made of `config.json`.
        own: True if ottenok wrote it, so that it has a manifest of its own.
    """

    folder: Path
    manifest: BundleManifest
    own: bool

    def has(self, name: str) -> bool:
        """Say whether the bundle has this file; one that a manifest does not list does not count."""
        listed = not self.own or name in self.manifest.files
        return listed and is_safe(name) and (self.folder / name).is_file()

    def file(self, name: str, *, verify: bool = False) -> Path:
        """Return the path of a file of the bundle.

        Args:
            name: Relative, as in `ottenok.bundle.manifest`.
            verify: Check its sha256 first.

        Raises:
            BundleError: The bundle has no such file, or its bytes are not those of the manifest.
        """
        if not self.has(name):
            raise BundleError(f"the bundle has no {name}", file=str(self.folder))
        if verify:
            self.verify([name])
        return self.folder / name

    def verify(self, names: Iterable[str] | None = None) -> None:
        """Check the sha256 of these files, or of all; nothing is known of the files of other tools.

        Raises:
            BundleError: A file's bytes are not those that the manifest names.
        """
        asked = set(self.manifest.files if names is None else names)
        for name, facts in self.manifest.files.items():
            if name not in asked:
                continue
            try:
                digest = sha256_file(self.folder / name)
            except OSError as error:
                raise BundleError(f"the file can't be read: {error}", file=str(self.folder / name)) from error
            if digest != facts.sha256:
                raise BundleError(
                    f"the bytes of {name} are not those that {MANIFEST} names",
                    hint="The file was altered or damaged: get the bundle again.",
                    file=str(self.folder),
                )


def open_bundle(path: str | Path, *, full: bool = False) -> Bundle:
    """Open a bundle folder and check it.

    Always: the manifest is whole and not newer than this ottenok, each file is there with its size, small files have
    their sha256, and `config.json` has the manifest's labels in their order.

    Args:
        path: A folder that ottenok wrote, or a text classifier of transformers (safetensors or ONNX).
        full: Check the sha256 of large files too; without it they are checked where they are loaded.

    Raises:
        BundleError: The folder is absent, incomplete, altered, from a newer ottenok, or no text classifier.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise BundleError("there is no such folder", hint="Give the folder of a trained classifier.", file=str(path))
    own = (folder / MANIFEST).is_file()
    if not own and not (folder / CONFIG).is_file():
        raise BundleError(
            f"this folder is no classifier: it has neither {MANIFEST} nor {CONFIG}",
            hint="Give the folder that `ottenok train` wrote, or one of transformers.",
            file=str(folder),
        )
    manifest = read_manifest(folder) if own else foreign_manifest(folder)
    # From some folders nothing can be predicted.
    if not (folder / TOKENIZER).is_file():
        raise BundleError(
            f"{TOKENIZER} is missing",
            hint="transformers makes it: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)",
            file=str(folder),
        )
    graphs = (name for names in GRAPHS.values() for name in names)
    if not any((folder / name).is_file() for name in (WEIGHTS, _INDEX, *graphs)):
        found = pickles(folder)
        raise BundleError(
            f"there are no weights: neither {WEIGHTS} nor {ONNX}" + (f", only {found[0]}" if found else ""),
            hint="ottenok never reads pickled weights: save the model again with safetensors." if found else None,
            file=str(folder),
        )
    bundle = Bundle(folder=folder, manifest=manifest, own=own)
    if not own:
        return bundle
    for name, facts in manifest.files.items():
        if not (folder / name).is_file():
            raise BundleError(f"{name} is missing", hint="Copy the whole folder.", file=str(folder))
        size = (folder / name).stat().st_size
        if size != facts.bytes:
            raise BundleError(
                f"{name} has {size} bytes, and {MANIFEST} says {facts.bytes}",
                hint="The file was altered or is not whole: get the bundle again.",
                file=str(folder),
            )
    bundle.verify(name for name, facts in manifest.files.items() if full or facts.bytes <= _SMALL)
    # The order of the labels is what turns numbers into answers; a regression has none of its own in transformers.
    config = folder / CONFIG
    if config.is_file() and manifest.problem_type != "regression":
        labels, expected = read_labels(read_json(config), file=str(config)), manifest.scheme.labels
        if labels != expected:
            raise BundleError(
                f"found the labels {', '.join(labels)}, and {MANIFEST} has {', '.join(expected)}",
                hint="The order is that of the model's outputs: one of the two files is not this model's.",
                file=str(config),
                key="id2label",
            )
    return bundle


def read_manifest(folder: Path) -> BundleManifest:
    """Read `ottenok.json` alone, without a look at the files that it names: their facts may outlive them.

    Raises:
        BundleError: It is absent, no manifest, or from a newer ottenok.
    """
    file = folder / MANIFEST
    tree = read_json(file, finite=True)
    version = tree.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BundleError(f"expected a format version, found {version!r}", file=str(file), key="format")
    if version > FORMAT:
        raise BundleError(
            f"this bundle has format {version}, and this ottenok reads formats up to {FORMAT}",
            hint="Upgrade with: pip install --upgrade ottenok",
            file=str(file),
            key="format",
        )
    try:
        return parse(BundleManifest, upgraded(tree), file=str(file))
    except OttenokError as error:
        raise BundleError(error.message, hint=error.hint, file=str(file), key=error.key) from error


def write_manifest(folder: Path, manifest: BundleManifest) -> BundleManifest:
    """Write `ottenok.json` with the checksums of the files that are in the folder now, atomically.

    Before it what other tools read beside the graphs is written: see `write_stock`.

    Returns:
        The manifest as written.

    Raises:
        BundleError: A file's name is unsafe, a pickle lies beside the weights, or a number in it is not finite.
    """
    write_stock(folder, max_length=manifest.max_length)
    facts = {
        name: FileFacts(sha256=sha256_file(folder / name), bytes=(folder / name).stat().st_size)
        for name in listed_files(folder)
    }
    whole = manifest.model_copy(update={"files": facts})
    try:
        text = json.dumps(whole.to_json(), ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    except ValueError as error:
        raise BundleError(f"the manifest holds a number that JSON has not: {error}", file=str(folder)) from error
    atomic_write_text(folder / MANIFEST, text)
    return whole
