"""Copies of bundles: whole, or light, with what prediction needs."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from ottenok.bundle.card import card_for
from ottenok.bundle.folder import Bundle, open_bundle, write_manifest
from ottenok.bundle.manifest import (
    CARD,
    CONFIG,
    GRAPHS,
    MANIFEST,
    ONNX,
    ONNX_INT8,
    TOKENIZER,
    TOKENIZER_CONFIG,
    WEIGHTS,
    listed_files,
)
from ottenok.core.errors import BundleError
from ottenok.core.files import atomic_folder

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["check_place", "copy_light", "copy_whole"]


def copy_whole(bundle: Bundle, out: Path) -> None:
    """Copy every file of a bundle, its manifest and its card.

    Args:
        bundle: A bundle that ottenok wrote, or another tool.
        out: The new folder, or an empty one; an older light copy is replaced.

    Raises:
        BundleError: There is something else at `out`, a pickle lies in the bundle, or a file's bytes are not those of
            its manifest.
    """
    check_place(out)
    bundle.verify()
    graphs = [name for names in GRAPHS.values() for name in names if (bundle.folder / name).is_file()]
    names = bundle.manifest.files if bundle.own else {*listed_files(bundle.folder), *graphs}
    with atomic_folder(out) as folder:
        for name in (*names, MANIFEST, CARD):
            if (bundle.folder / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(bundle.folder / name, folder / name)


def copy_light(bundle: Bundle, out: Path) -> Bundle:
    """Copy the tokenizer, one graph (int8 where there is one), the labels, the card and the manifest.

    The copy is a folder that optimum and transformers.js open too.

    Args:
        bundle: A bundle that ottenok wrote.
        out: The new folder; an older light copy is replaced when the new one is whole.

    Raises:
        BundleError: It is not ottenok's own, has no graph, or a file's bytes are not those of its manifest; or there
            is something else at `out`, such as a classifier with torch's weights.
    """
    check_place(out)
    graph = next((name for name in (ONNX_INT8, ONNX) if bundle.has(name)), None)
    if not bundle.own or graph is None:
        raise BundleError(
            "only a classifier of ottenok with an ONNX graph can be made light",
            hint="Write the graphs first: ottenok export FOLDER --int8 DATA",
            file=str(bundle.folder),
        )
    names = [name for name in (CONFIG, TOKENIZER, TOKENIZER_CONFIG, graph) if bundle.has(name)]
    bundle.verify(names)
    with atomic_folder(out) as folder:
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.folder / name, folder / name)
        write_manifest(folder, bundle.manifest)
        if (bundle.folder / CARD).is_file():
            card = (bundle.folder / CARD).read_text(encoding="utf-8")
            (folder / CARD).write_text(card_for(card, open_bundle(folder)), encoding="utf-8")
    return open_bundle(out, full=True)


def check_place(out: Path) -> None:
    """Refuse a place where something else than an older light copy would be lost.

    Raises:
        BundleError: There is such a thing.
    """
    empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if not empty and (not (out / MANIFEST).is_file() or (out / WEIGHTS).exists()):
        raise BundleError(
            "there is something in this place that is no light copy",
            hint="Give another folder, or remove it first.",
            file=str(out),
        )
