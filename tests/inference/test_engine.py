"""The backend on onnxruntime."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from ottenok.inference import engine
from ottenok.inference.api import load


@pytest.mark.parametrize("threads", [1, 2])
def test_products_of_int8_are_exact_here(threads: int) -> None:
    """With the settings that we take on this processor, the largest 8-bit numbers are multiplied without overflow."""
    with resources.as_file(resources.files("ottenok.inference") / "overflow.onnx") as file:
        session = engine._open(Path(file), threads)

    (found,) = session.run(None, {"x": np.full((3, 64), 255, dtype=np.uint8)})

    np.testing.assert_array_equal(found, 127 * 127 * 64)


def test_threads_may_share_a_classifier(tiny_bundle: Path) -> None:
    """Calls from several threads at once give what one call gives."""
    classifier = load(tiny_bundle, threads=1)
    texts = [f"текст номер {number}" * (number % 5 + 1) for number in range(60)]
    expected = classifier(texts)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(classifier, [texts] * 8))

    assert all(answers == expected for answers in found)


def test_the_identity_is_that_of_the_bytes(tiny_bundle: Path) -> None:
    """Two classifiers of the same files have the same identity; another limit makes another."""
    first, second, limited = load(tiny_bundle), load(tiny_bundle), load(tiny_bundle, max_windows=1)

    assert first.identity == second.identity != limited.identity
