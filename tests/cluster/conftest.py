"""One Ray for all tests of the cluster, and tiny bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def cluster() -> Iterator[str]:
    """Return the address of a Ray that runs on two processors of this machine."""
    pytest.importorskip("ray", reason="needs the extra `ray`")
    from ottenok.cluster.start import started

    with started("local", workers=2) as ray:
        yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny bundle that reads every text but those with a `$`, of which its logits are no numbers."""
    onnx: Any = pytest.importorskip("onnx")
    from ottenok.bundle.folder import write_manifest
    from ottenok.bundle.manifest import ONNX
    from toys import character_tokenizer, tiny_manifest, write_bundle

    manifest = tiny_manifest("sentiment-3", "emotions-7")
    folder = write_bundle(tmp_path_factory.mktemp("cluster-bundle"), manifest)
    graph = onnx.load(str(folder / ONNX))
    table = next(one for one in graph.graph.initializer if one.name == "table")
    vectors = onnx.numpy_helper.to_array(table).copy()
    vectors[character_tokenizer().token_to_id("$")] = np.nan
    table.CopyFrom(onnx.numpy_helper.from_array(vectors, "table"))
    onnx.save(graph, str(folder / ONNX))
    write_manifest(folder, manifest)
    return folder
