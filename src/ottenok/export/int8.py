"""int8 arithmetic for ONNX graphs, in two ways; in both a token's arithmetic does not depend on its neighbours.

Row by row: weights are int8 with one scale per output column. Activations are measured when they come: each row (token)
is divided by its largest magnitude and rounded to 8 bits, multiplied in integers, exactly, and scaled back. This is the
per-token dynamic scheme of ZeroQuant (Yao et al., NeurIPS 2022) and LLM.int8() (Dettmers et al., NeurIPS 2022).
onnxruntime's own dynamic quantisation measures a whole batch at once, so that there a text's scores depend on its
neighbours. The outputs of GELU never fall below -0.17, so they are shifted and use all 255 steps; the shift is taken
back by a constant.

Block by block: a scale for every 32 weights, and for every 32 activations of a token (onnxruntime's `MatMulNBits`).
Slower than row by row, and nearer to fp32.

In both, embeddings are stored in int8 with one scale per row and read back at the look-up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ottenok.export.graph import CONTRIB, Editor

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnx import ModelProto, NodeProto

    Floats = npt.NDArray[np.float32]

__all__ = ["quantise_blocks", "quantise_rows", "quantise_tables", "replace_products"]

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
    editor.rewrite(_Rows(editor).replace)


def quantise_tables(model: ModelProto) -> None:
    """Turn the embeddings of an fp32 graph into int8, in place."""
    Editor(model).rewrite(_look_up)


def _look_up(editor: Editor, node: NodeProto) -> bool:
    """Store a table in int8 with a scale for each row, and read rows back at the look-up; scales alone stay."""
    from onnx import TensorProto

    table = editor.constant(node.input[0]) if node.op_type == "Gather" else None
    if table is None or table.ndim != 2 or table.dtype != np.float32 or len(table) < _LEAST_ROWS or table.shape[1] == 1:
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
        if weights is None or not _is_large(weights):
            return _look_up(editor, node)
        add = self._editor.add
        steps, scales = _steps(weights, axis=0)
        rows = self._quantised(node.input[0])
        inputs = [
            rows.values,
            self._editor.new_constant(steps, "weights"),
            self._one,
            self._editor.new_constant(scales[0], "scales"),
            rows.middle,
        ]
        product = add("MatMulIntegerToFloat", inputs, domain=CONTRIB)
        if not rows.floor:
            add("Mul", [product, rows.scale], output=node.output[0])
            return True
        # x = (x + floor) - floor: the second part is the same for every row.
        back = -rows.floor * (steps.astype(np.float64) * scales[0]).sum(axis=0)
        shift = self._editor.new_constant(back.astype(np.float32), "shift")
        add("Add", [add("Mul", [product, rows.scale]), shift], output=node.output[0])
        return True

    def _quantised(self, name: str) -> _Quantised:
        """Divide an activation by its rows' largest magnitudes, once for all products that read it."""
        if name in self._done:
            return self._done[name]
        add, constant = self._editor.add, self._editor.new_constant
        maker = self._editor.maker(name)
        floor = None if maker is None else _FLOORS.get(maker.op_type)
        if floor is None:
            raised, size, steps, middle = name, add("Abs", [name]), _STEPS, self._middle
        else:
            raised = size = add("Add", [name, constant(np.float32(floor), "floor")])
            steps, middle = 2 * _STEPS + 1, self._zero
        largest = add("ReduceMax", [size, self._last], keepdims=1)
        scale = add("Max", [add("Mul", [largest, constant(np.float32(1.0 / steps), "share")]), self._tiny])
        values = add("QuantizeLinear", [add("Div", [raised, scale]), self._one, middle])
        self._done[name] = _Quantised(values, scale, middle, floor or 0.0)
        return self._done[name]


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


def _steps(values: Floats, *, axis: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Return int8 steps of -127..127 and the scales, one for each slice along `axis`."""
    scales = np.abs(values).max(axis=axis, keepdims=True) / _STEPS
    scales[scales == 0.0] = 1.0
    steps = np.clip(np.round(values / scales), -_STEPS, _STEPS).astype(np.int8)
    return steps, scales.astype(np.float32)


def quantise_blocks(model: ModelProto) -> None:
    """Turn the large matrix products and embeddings of an fp32 graph into int8, in place.

    Args:
        model: A graph whose linear layers are `MatMul` nodes with constant float32 matrices, as `torch.onnx` writes.
    """
    replace_products(model, block=32, accuracy=4)
    quantise_tables(model)


def replace_products(model: ModelProto, *, block: int, accuracy: int) -> None:
    """Replace the products alone.

    Args:
        model: The graph.
        block: Weights that share a scale: 16, 32, 64, 128 or 256.
        accuracy: onnxruntime's `accuracy_level`: 4 multiplies in int8, 1 in float32.
    """

    def replace(editor: Editor, node: NodeProto) -> bool:
        weights = editor.constant(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None or not _is_large(weights):
            return False
        rows, columns = weights.shape
        # A width that is no multiple of the block, such as 312, ends in a part of one: zeros fill it.
        padded = np.pad(weights, ((0, -rows % block), (0, 0)))
        blocks = padded.T.reshape(columns, -1, block)
        scales = (np.maximum(np.abs(blocks).max(axis=2), _TINY) / _STEPS).astype(np.float32)
        steps = (np.round(blocks / scales[:, :, None]) + _MIDDLE).astype(np.uint8)
        inputs = [node.input[0], editor.new_constant(steps, "weights"), editor.new_constant(scales, "scales")]
        options = {"K": rows, "N": columns, "bits": 8, "block_size": block, "accuracy_level": accuracy}
        editor.add("MatMulNBits", inputs, output=node.output[0], domain=CONTRIB, **options)
        return True

    Editor(model).rewrite(replace)
