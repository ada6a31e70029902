"""ONNX files as what they are, protobuf messages: a graph is looked into and changed without the package onnx.

A message is a row of fields (https://protobuf.dev/programming-guides/encoding); the numbers of ONNX fields are in its
onnx.proto.
"""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["field", "fields", "with_mapped_weights"]

_GRAPH, _TENSOR = 7, 5
_KIND, _NAME, _RAW, _OUTSIDE, _PLACE = 2, 8, 9, 13, 14
# Tensors of 8-bit numbers: they may begin at any byte of a file. Small ones are not worth a map.
_BYTES = {b"\x02", b"\x03"}
_LEAST = 1 << 16


def fields(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield the number and the bytes of every field of a message that has a length; numbers are passed over.

    Raises:
        ValueError: This is no message.
        IndexError: It ends too early.
    """
    return ((number, content) for number, content, _, has_length in _spans(message) if has_length)


def _spans(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview, bool]]:
    """Yield number, content, whole and whether it has a length, of every field."""
    place = 0
    while place < len(message):
        begin = place
        key, place = _number(message, place)
        kind, start = key & 7, place
        if kind == 0:
            _, place = _number(message, place)
        elif kind == 2:
            size, start = _number(message, place)
            place = start + size
        elif kind in {1, 5}:
            place += 8 if kind == 1 else 4
        else:
            raise ValueError(f"there is no kind {kind} of fields")
        if place > len(message):
            raise ValueError("it ends too early")
        yield key >> 3, message[start:place], message[begin:place], kind == 2


def _number(message: memoryview, place: int) -> tuple[int, int]:
    """Return the number that stands at a place in groups of seven bits, the lowest first, and the place after it."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def field(number: int, content: bytes | bytearray) -> bytes:
    """Return a field with a length; of numbers below 16, and contents of any size."""
    size, rest = bytearray(), len(content)
    while rest > 127:
        size.append(rest & 127 | 128)
        rest >>= 7
    return bytes([number << 3 | 2, *size, rest]) + content


def with_mapped_weights(file: Path) -> bytes:
    """Return a graph without its large tensors of 8-bit numbers: it says where in its own file they stand.

    onnxruntime then maps them into memory in place of reading them twice: it starts sooner, takes less memory, and
    what no text needs of a table of embeddings is never read. The file must not be written to while it is mapped.

    Raises:
        ValueError: This is no ONNX model.
        IndexError: It ends too early.
    """
    with file.open("rb") as stream:
        data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
    model, place = bytearray(), 0
    for number, graph, whole, _ in _spans(data):
        place += len(whole)
        if number != _GRAPH:
            model += whole
            continue
        kept, end = bytearray(), place - len(graph)
        for kind, tensor, part, _ in _spans(graph):
            end += len(part)
            kept += part if kind != _TENSOR or len(tensor) < _LEAST else _mapped(tensor, end, file.name) or part
        model += field(_GRAPH, kept)
    return bytes(model)


def _mapped(tensor: memoryview, end: int, name: str) -> bytes | None:
    """Return a tensor whose numbers stand in a file, where it ends at `end`; None if they can't stay there."""
    place, rest, found = end - len(tensor), bytearray(), None
    for number, content, whole, _ in _spans(tensor):
        place += len(whole)
        if number == _RAW:
            found = {"location": name, "offset": str(place - len(content)), "length": str(len(content))}
        elif number == _KIND and bytes(content) not in _BYTES:
            return None
        else:
            rest += whole
    if found is None:
        return None
    for key, value in found.items():
        rest += field(_OUTSIDE, field(1, key.encode()) + field(2, value.encode()))
    return field(_TENSOR, rest + bytes([_PLACE << 3, 1]))
