"""A classifier's graph that gives embeddings too: what its last linear layer reads becomes a further output.

The package onnx is not needed: an ONNX file is a protobuf message, and a message that another of its kind follows means
both, put together (https://protobuf.dev/programming-guides/encoding/#last-one-wins). So the names of the nodes are
read, and a graph of one output is put at the file's end.
"""

from __future__ import annotations

from typing import NamedTuple

from ottenok.core.errors import ModelError
from ottenok.inference.onnx_file import field, fields

__all__ = ["with_embedding"]

# Numbers of fields in onnx.proto: of a model, a graph, a node, and the names of a tensor and of an input or output.
_GRAPH, _NODE, _CONSTANT, _INPUT, _OUTPUT = 7, 1, 5, 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_KIND = 1, 2, 4
_TENSOR_NAME, _VALUE_NAME = 8, 1

_PRODUCTS = {
    *("Gemm", "MatMul", "MatMulInteger"),
    *("DynamicQuantizeMatMul", "FusedGemm", "FusedMatMul", "MatMulIntegerToFloat", "MatMulNBits"),
}
_ROUNDING = {"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear"}


class _Node(NamedTuple):
    kind: str
    inputs: list[str]
    outputs: list[str]


def with_embedding(graph: bytes, logits: str) -> tuple[bytes, str]:
    """Add an output to a graph.

    Args:
        graph: A serialised ONNX model.
        logits: The output whose linear layer is meant. Where others are made in the same place, the first of them.

    Returns:
        The new model, and the name of its new output, `[batch, width]`; `[batch, length, width]` where the layer reads
        every token, as in decoders.

    Raises:
        ModelError: No linear layer with constant weights makes these logits, or this is no ONNX model.
    """
    nodes: list[_Node] = []
    computed: set[str] = set()
    constants: set[str] = set()
    try:
        for number, part in fields(memoryview(graph)):
            for kind, value in fields(part) if number == _GRAPH else ():
                if kind == _NODE:
                    found: dict[int, list[str]] = {_NODE_INPUT: [], _NODE_OUTPUT: [], _NODE_KIND: []}
                    for place, text in fields(value):
                        if place in found:
                            found[place].append(str(text, "utf-8"))
                    nodes.append(_Node(found[_NODE_KIND][-1], found[_NODE_INPUT], found[_NODE_OUTPUT]))
                elif kind in {_CONSTANT, _INPUT}:
                    name = _TENSOR_NAME if kind == _CONSTANT else _VALUE_NAME
                    (constants if kind == _CONSTANT else computed).update(
                        str(text, "utf-8") for place, text in fields(value) if place == name
                    )
    except (IndexError, ValueError) as error:
        raise ModelError(f"this is no ONNX model: {error}") from error
    # Nodes stand in the order in which they can be computed.
    computed -= constants
    for node in nodes:
        if computed.intersection(node.inputs):
            computed.update(node.outputs)
    source, needed = "", {logits}
    for node in reversed(nodes):
        if not needed.intersection(node.outputs):
            continue
        read = [name for name in node.inputs[:2] if name in computed]
        if node.kind in _PRODUCTS and len(read) == 1:
            source = read[0]
        else:
            needed.update(node.inputs)
    makers = {name: node for node in nodes for name in node.outputs}
    while source in makers and makers[source].kind in _ROUNDING:
        source = makers[source].inputs[0]
        if source in makers and makers[source].kind == "Div":  # ottenok's own int8 brings each row to one scale
            source = makers[source].inputs[0]
    if not source or source not in computed:
        raise ModelError(f"no linear layer makes the output {logits!r}, so there is nothing to take embeddings from")
    return graph + field(_GRAPH, field(_OUTPUT, field(_VALUE_NAME, source.encode()))), source
