"""int8 block by block: a scale for every 32 weights, and for every 32 activations of a token.

onnxruntime's `MatMulNBits`. Slower than row by row (`ottenok.export.rowwise`), and nearer to fp32; a token's arithmetic
does not depend on its neighbours here either. Embeddings are stored as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.export.graph import CONTRIB, Editor
from ottenok.export.rowwise import quantise_tables

if TYPE_CHECKING:
    import numpy.typing as npt
    from onnx import ModelProto, NodeProto

__all__ = ["quantise_blocks", "replace_products"]

_STEPS = 127
_MIDDLE = 128
_LEAST_SIDE = 64
_TINY = 1e-12


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


def _is_large(weights: npt.NDArray[Any]) -> bool:
    return weights.ndim == 2 and weights.dtype == np.float32 and min(weights.shape) >= _LEAST_SIDE
