"""Editing of ONNX graphs: read constants, replace nodes, drop what nothing needs any more or nobody should read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from onnx import ModelProto, NodeProto

    Array = npt.NDArray[Any]
    Replacer = Callable[["Editor", NodeProto], bool]

__all__ = ["CONTRIB", "Editor", "strip"]

# The domain of onnxruntime's own operators.
CONTRIB = "com.microsoft"
_OURS = "ottenok."


class Editor:
    """Rewrites a graph node by node.

    Args:
        model: The graph; it is changed in place by `rewrite`.
    """

    def __init__(self, model: ModelProto) -> None:
        self.model = model
        self._constants = {entry.name: entry for entry in model.graph.initializer}
        self._makers = {name: node for node in model.graph.node for name in node.output}
        self._nodes: list[NodeProto] = []
        # A graph that was rewritten before has such names already.
        self._count = sum(
            name.startswith(_OURS) for name in (*self._constants, *(node.name for node in model.graph.node))
        )

    def constant(self, name: str) -> Array | None:
        """Return the value of a constant input; None if it is computed."""
        from onnx import numpy_helper

        entry = self._constants.get(name)
        return None if entry is None else np.asarray(numpy_helper.to_array(entry))

    def maker(self, name: str) -> NodeProto | None:
        """Return the node of the original graph that computes a value."""
        return self._makers.get(name)

    def new_constant(self, value: npt.ArrayLike, name: str) -> str:
        """Add a constant and return its unique name."""
        from onnx import numpy_helper

        unique = self._unique(name)
        self._constants[unique] = numpy_helper.from_array(np.ascontiguousarray(value), unique)
        return unique

    def add(
        self, kind: str, inputs: Sequence[str], *, output: str | None = None, domain: str = "", **attributes: int
    ) -> str:
        """Add a node with one output and return the output's name."""
        from onnx import helper

        name = self._unique(kind)
        node = helper.make_node(kind, list(inputs), [output or name], name=name, domain=domain)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return output or name

    def _unique(self, name: str) -> str:
        self._count += 1
        return f"{_OURS}{name}.{self._count}"

    def rewrite(self, replace: Replacer) -> None:
        """Offer every node to `replace`, which adds what stands for it and returns True, or returns False to keep it.

        Afterwards what no output needs is gone, and recorded shapes are dropped.
        """
        for node in self.model.graph.node:
            if not replace(self, node):
                self._nodes.append(node)
        graph = self.model.graph
        needed = {output.name for output in graph.output}
        kept: list[NodeProto] = []
        for node in reversed(self._nodes):
            if needed.intersection(node.output):
                kept.append(node)
                needed.update(node.input)
        constants = [entry for name, entry in self._constants.items() if name in needed]
        for field in ("node", "initializer", "value_info"):
            graph.ClearField(field)
        graph.node.extend(reversed(kept))
        graph.initializer.extend(constants)
        used = any(node.domain == CONTRIB for node in kept)
        if used and all(entry.domain != CONTRIB for entry in self.model.opset_import):
            from onnx import helper

            self.model.opset_import.append(helper.make_opsetid(CONTRIB, 1))


def strip(model: ModelProto) -> None:
    """Drop in place what a graph says about its making: doc strings and metadata of every part.

    torch's exporter writes the call stack of each node into them, with the folders of the machine that it ran on.
    """
    model.ClearField("doc_string")
    model.ClearField("metadata_props")
    parts: list[Any] = [model.graph, *model.functions]
    while parts:
        part = parts.pop()
        for field in ("doc_string", "metadata_props"):
            if field in part.DESCRIPTOR.fields_by_name:
                part.ClearField(field)
        for field, value in part.ListFields():
            # Tensors hold numbers by the million, and nothing below them has a text.
            if field.message_type is not None and part.DESCRIPTOR.name != "TensorProto":
                parts.extend([value] if hasattr(value, "DESCRIPTOR") else value)
