"""Small bundles made in code: a graph of a few nodes, a tokenizer of a few words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ottenok.bundle.manifest import ONNX, TOKENIZER
from toys import character_tokenizer, tiny_manifest, write_bundle, write_config, write_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny bundle for three sentiments."""
    return write_bundle(tmp_path_factory.mktemp("tiny"), tiny_manifest("sentiment-3"))


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of tiny bundles for one or more schemes."""
    return lambda *schemes: write_bundle(tmp_path / "-".join(schemes), tiny_manifest(*schemes))


@pytest.fixture
def make_foreign(tmp_path: Path) -> Callable[..., Path]:
    """Return a maker of folders as other tools write them: a configuration, a tokenizer and a graph."""

    def make(labels: list[str], *, extra_input: str | None = None, **fields: object) -> Path:
        folder = tmp_path / "foreign"
        write_config(folder, labels, **fields)
        write_graph(folder / ONNX, {"logits": len(labels)}, extra_input=extra_input)
        character_tokenizer().save(str(folder / TOKENIZER))
        return folder

    return make
