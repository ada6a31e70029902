"""int8 row by row: every token's activations get a scale of their own, so no text sees its neighbours.

Weights are int8 with one scale per output column. Activations are measured when they come: each row (token) is divided
by its largest magnitude and rounded to 8 bits, multiplied in integers, exactly, and scaled back. This is the per-token
dynamic scheme of ZeroQuant (Yao et al., NeurIPS 2022) and LLM.int8() (Dettmers et al., NeurIPS 2022). onnxruntime's own
dynamic quantisation measures a whole batch at once, so that there a text's scores depend on its neighbours.

Two refinements. The outputs of GELU never fall below -0.17, so they are shifted and use all 255 steps; the shift is
taken back by a constant. Embeddings are stored in int8 with one scale per row and read back at the look-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.export.graph import CONTRIB, Editor

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnx import ModelProto, NodeProto

    Floats = npt.NDArray[np.float32]

__all__ = ["quantise_rows", "quantise_tables"]

_STEPS = 127
_MIDDLE = 128
# The least value of GELU is -0.16997 (Hendrycks and Gimpel 2016), of ReLU 0.
_FLOORS = {"Gelu": 0.17, "Relu": 0.0}
# Smaller matrices (heads, position tables) gain nothing and keep their precision.
_LEAST_SIDE = 64
_LEAST_ROWS = 1000
# A row of zeros needs some scale.
_TINY = 1e-12


def quantise_rows(model: ModelProto) -> None:
    """Turn the large matrix products and embeddings of an fp32 graph into int8, in place.

    Args:
        model: A graph whose linear layers are `MatMul` nodes with constant float32 matrices, as `torch.onnx` writes.
    """
    editor = Editor(model)
    rows = _Rows(editor)
    editor.rewrite(rows.replace)


def quantise_tables(model: ModelProto) -> None:
    """Turn the embeddings of an fp32 graph into int8, in place."""
    Editor(model).rewrite(_look_up)


def _look_up(editor: Editor, node: NodeProto) -> bool:
    """Store a table in int8 with a scale for each row, and read rows back at the look-up."""
    from onnx import TensorProto

    table = editor.constant(node.input[0]) if node.op_type == "Gather" else None
    if table is None or not _is_table(table):
        return False
    steps, scales = _steps(table, axis=1)
    rows = editor.add("Gather", [editor.new_constant(steps, "table"), node.input[1]])
    scale = editor.add("Gather", [editor.new_constant(scales, "row_scales"), node.input[1]])
    editor.add("Mul", [editor.add("Cast", [rows], to=int(TensorProto.FLOAT)), scale], output=node.output[0])
    return True


class _Rows:
    """The replacements; remembers which activations are quantised already."""

    def __init__(self, editor: Editor) -> None:
        self._editor = editor
        self._done: dict[str, _Quantised] = {}
        self._last = editor.new_constant(np.array([-1], dtype=np.int64), "last")
        self._one = editor.new_constant(np.float32(1.0), "one")
        self._tiny = editor.new_constant(np.float32(_TINY), "tiny")
        self._middle = editor.new_constant(np.uint8(_MIDDLE), "middle")
        self._zero = editor.new_constant(np.uint8(0), "zero")

    def replace(self, editor: Editor, node: NodeProto) -> bool:
        """Replace a product or a look-up; False for every other node."""
        weights = editor.constant(node.input[1]) if node.op_type == "MatMul" else None
        if weights is not None and _is_large(weights):
            self._product(node, weights)
            return True
        return _look_up(editor, node)

    def _product(self, node: NodeProto, weights: Floats) -> None:
        add = self._editor.add
        steps, scales = _by_column(weights)
        rows = self._quantised(node.input[0])
        inputs = [
            rows.values,
            self._editor.new_constant(steps, "weights"),
            self._one,
            self._editor.new_constant(scales, "scales"),
            rows.middle,
        ]
        product = add("MatMulIntegerToFloat", inputs, domain=CONTRIB)
        if not rows.floor:
            add("Mul", [product, rows.scale], output=node.output[0])
            return
        # x = (x + floor) - floor: the second part is the same for every row.
        back = -rows.floor * (steps.astype(np.float64) * scales).sum(axis=0)
        shift = self._editor.new_constant(back.astype(np.float32), "shift")
        add("Add", [add("Mul", [product, rows.scale]), shift], output=node.output[0])

    def _quantised(self, name: str) -> _Quantised:
        if name not in self._done:
            maker = self._editor.maker(name)
            floor = _FLOORS.get(maker.op_type) if maker is not None else None
            self._done[name] = self._signed(name) if floor is None else self._floored(name, floor)
        return self._done[name]

    def _signed(self, name: str) -> _Quantised:
        size = self._editor.add("Abs", [name])
        return self._divide(name, size, steps=_STEPS, middle=self._middle, floor=0.0)

    def _floored(self, name: str, floor: float) -> _Quantised:
        raised = self._editor.add("Add", [name, self._editor.new_constant(np.float32(floor), "floor")])
        return self._divide(raised, raised, steps=2 * _STEPS + 1, middle=self._zero, floor=floor)

    def _divide(self, name: str, size: str, *, steps: int, middle: str, floor: float) -> _Quantised:
        add = self._editor.add
        largest = add("ReduceMax", [size, self._last], keepdims=1)
        share = self._editor.new_constant(np.float32(1.0 / steps), "share")
        scale = add("Max", [add("Mul", [largest, share]), self._tiny])
        values = add("QuantizeLinear", [add("Div", [name, scale]), self._one, middle])
        return _Quantised(values, scale, middle, floor)


class _Quantised:
    """Names of a row-wise quantised value, its scales and its zero point, and what was added to it before."""

    __slots__ = ("floor", "middle", "scale", "values")

    def __init__(self, values: str, scale: str, middle: str, floor: float) -> None:
        self.values = values
        self.scale = scale
        self.middle = middle
        self.floor = floor


def _is_large(weights: npt.NDArray[np.generic]) -> bool:
    return weights.ndim == 2 and weights.dtype == np.float32 and min(weights.shape) >= _LEAST_SIDE


def _is_table(table: npt.NDArray[np.generic]) -> bool:
    return table.ndim == 2 and table.dtype == np.float32 and table.shape[0] >= _LEAST_ROWS


def _steps(values: Floats, *, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return int8 steps of -127..127 and the scales, one for each slice along `axis`."""
    scales = np.abs(values).max(axis=axis, keepdims=True) / _STEPS
    scales[scales == 0.0] = 1.0
    steps = np.clip(np.round(values / scales), -_STEPS, _STEPS).astype(np.int8)
    return steps, scales.astype(np.float32)


def _by_column(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    steps, scales = _steps(weights, axis=0)
    return steps, scales[0]
