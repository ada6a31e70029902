"""A smaller vocabulary: pieces that no text needs go from the tokenizer, and their rows from the graph's embeddings.

A text all of whose pieces stay is divided as before, and its answers stay the same to the last bit: a Unigram model's
best division is still there and still the best, WordPiece still finds the longest piece first, and BPE keeps with a
piece every merge that makes it. Other texts are spelt in shorter pieces, for single characters stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import numpy.typing as npt
    from onnx import ModelProto

__all__ = ["cut_config", "cut_graph", "cut_tokenizer", "kept_pieces"]

_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
# What the kinds of tokenizers put before or after a piece to say where in a word it stands.
_MARKS = ("▁", "Ġ", "##", "</w>")
_IDS = frozenset({"id", "ids", "pad_id", "unk_id"})


def _numbered(model: Mapping[str, Any]) -> dict[int, str]:
    """Return id to piece of a tokenizer's model.

    Raises:
        ModelError: It is of a kind that has no such list.
    """
    found = model.get("vocab")
    if isinstance(found, list):
        return {number: entry[0] for number, entry in enumerate(found)}
    if not isinstance(found, dict):
        raise ModelError(f"a tokenizer of the kind {model.get('type')!r} has no vocabulary that can be cut")
    return {number: piece for piece, number in found.items()}


def _merges(model: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the merges of BPE: left, right and what they become."""
    inner = model.get("continuing_subword_prefix") or ""
    for entry in model.get("merges", ()):
        left, right = entry.split(" ") if isinstance(entry, str) else entry
        yield left, right, left + right.removeprefix(inner)


def kept_pieces(tree: Mapping[str, Any], needed: Iterable[int]) -> npt.NDArray[np.int64]:
    """Return the ids that stay where texts need some of them, rising.

    Beside those: added and special tokens, single characters and bytes, what merges need, and a Unigram model's least
    probable piece, by which it weighs unknown characters.

    Args:
        tree: `tokenizer.json`.
        needed: Ids of pieces.

    Raises:
        ModelError: The tokenizer is of a kind that can't be cut.
    """
    model = tree["model"]
    pieces = _numbered(model)
    kept = set(needed) | set(_mentioned(tree.get("post_processor"))) | set(_mentioned(tree.get("padding")))
    kept |= {token["id"] for token in tree.get("added_tokens") or ()}
    for number, piece in pieces.items():
        bare = piece
        for mark in _MARKS:
            bare = bare.removeprefix(mark).removesuffix(mark)
        if len(bare) <= 1 or _BYTE.fullmatch(piece) or piece == model.get("unk_token"):
            kept.add(number)
    if isinstance(model["vocab"], list):
        kept.add(min(pieces, key=lambda number: model["vocab"][number][1]))
        if model.get("unk_id") is not None:
            kept.add(model["unk_id"])
    # Of every kept piece, what it may have been merged of, and so on: mostly one round, for parts come first.
    ids = {piece: number for number, piece in pieces.items()}
    merges, before = [tuple(ids[part] for part in merge) for merge in _merges(model)][::-1], -1
    while len(kept) > before:
        before = len(kept)
        for left, right, whole in merges:
            if whole in kept:
                kept |= {left, right}
    return np.array(sorted(kept), dtype=np.int64)


def _mentioned(part: Any) -> Iterator[int]:  # noqa: ANN401 - a part of a JSON tree
    """Yield the ids that a post-processor or the padding names."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in {"sep", "cls"} and isinstance(value, list):
                yield value[1]
            elif key in _IDS and not isinstance(value, str):
                yield from value if isinstance(value, list) else [value]
            else:
                yield from _mentioned(value)
    elif isinstance(part, list):
        for value in part:
            yield from _mentioned(value)


def cut_tokenizer(tree: Mapping[str, Any], kept: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Return `tokenizer.json` with these pieces alone, numbered anew in their order.

    Args:
        tree: `tokenizer.json`.
        kept: From `kept_pieces`.
    """
    new = {int(old): number for number, old in enumerate(kept)}

    def renumbered(part: Any) -> Any:  # noqa: ANN401 - a part of a JSON tree
        if isinstance(part, list):
            return [renumbered(value) for value in part]
        if not isinstance(part, dict):
            return part
        found: dict[str, Any] = {}
        for key, value in part.items():
            if key in {"sep", "cls"} and isinstance(value, list):
                found[key] = [value[0], new[value[1]]]
            elif key in _IDS and isinstance(value, int):
                found[key] = new[value]
            elif key in _IDS and isinstance(value, list):
                found[key] = [new[one] for one in value]
            else:
                found[key] = renumbered(value)
        return found

    model = dict(tree["model"])
    pieces = _numbered(model)
    if isinstance(model["vocab"], list):
        model["vocab"] = [model["vocab"][old] for old in new if old in pieces]
        model["unk_id"] = None if model.get("unk_id") is None else new[model["unk_id"]]
    else:
        model["vocab"] = {pieces[old]: number for old, number in new.items() if old in pieces}
    if "merges" in model:
        pairs = zip(model["merges"], _merges(model), strict=True)
        model["merges"] = [entry for entry, merge in pairs if all(part in model["vocab"] for part in merge)]
    parts = {key: renumbered(tree.get(key)) for key in ("post_processor", "padding", "added_tokens")}
    return {**tree, **parts, "model": model}


def cut_config(tree: Any, kept: npt.NDArray[np.int64]) -> Any:  # noqa: ANN401 - a part of a JSON tree
    """Return `config.json` with the new size of the vocabulary and the new ids of special tokens."""
    if not isinstance(tree, dict):
        return tree
    new = {int(old): number for number, old in enumerate(kept)}
    found = {key: cut_config(value, kept) for key, value in tree.items()}
    for key, value in tree.items():
        if key == "vocab_size":
            found[key] = len(kept)
        elif key.endswith("_token_id") and isinstance(value, int):
            found[key] = new.get(value, value)
    return found


def cut_graph(model: ModelProto, kept: npt.NDArray[np.int64], *, special: Iterable[int] = ()) -> None:
    """Leave the rows of these pieces in the graph's embeddings, in place.

    Args:
        model: A graph with an input `input_ids` that rows of a constant table are looked up by: fp32, or int8 with
            scales.
        kept: From `kept_pieces`.
        special: Ids that the graph itself may compare with, such as the padding's.

    Raises:
        ModelError: There is no such table, something else reads it, or the graph may compare ids that change.
    """
    from onnx import numpy_helper

    graph = model.graph
    names = {"input_ids"}
    for node in graph.node:
        if node.op_type in {"Cast", "Identity"} and node.input[0] in names:
            names.add(node.output[0])
    constants = {entry.name: entry for entry in graph.initializer}
    tables = {
        node.input[0]
        for node in graph.node
        if node.op_type == "Gather" and node.input[1] in names and node.input[0] in constants
    }
    fits = [name for name in tables if constants[name].dims[0] > int(kept[-1])]
    if not tables or len(fits) < len(tables):
        raise ModelError("the graph looks no pieces up in a table that could be cut")
    moved = [old for old in special if old not in kept or int(np.searchsorted(kept, old)) != old]
    for node in graph.node:
        looks_up = node.op_type == "Gather" and node.input[1] in names
        if tables.intersection(node.input[1:] if looks_up else node.input):
            raise ModelError("the graph reads its embeddings elsewhere too, so that they can't be cut")
        harmless = looks_up or node.op_type in {"Cast", "Identity", "Shape"}
        if moved and not harmless and names.intersection(node.input):
            raise ModelError(f"the graph may know the piece {moved[0]} by its number, which would change")
    for name in tables:
        entry = constants[name]
        entry.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(numpy_helper.to_array(entry)[kept]), name))
