"""Light copies: what prediction needs of a bundle, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ottenok.bundle.copies import copy_light
from ottenok.bundle.folder import open_bundle
from ottenok.core.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_a_light_copy_holds_one_graph_and_no_weights(folder: Path, tmp_path: Path) -> None:
    """The copy has tokenizer, labels, the int8 graph and the card, which says what opens it; torch's weights stay."""
    card = (
        '---\nlibrary_name: "transformers"\n---\n\n# Mine\n\n## Use\n\nfrom transformers import pipeline\n\n## More\n'
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    bundle = open_bundle(folder)

    light = copy_light(bundle, tmp_path / "light")

    assert set(light.manifest.files) == {
        "config.json",
        "onnx/model_quantized.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    text = (light.folder / "README.md").read_text(encoding="utf-8")
    assert text.startswith('---\nlibrary_name: "transformers.js"\n---\n\n# Mine\n\n## Use\n\nWith ottenok.')
    assert text.endswith("\n\n## More\n")
    assert "from transformers" not in text
    assert light.manifest.model_copy(update={"files": {}}) == bundle.manifest.model_copy(update={"files": {}})


def test_damaged_files_are_not_copied(folder: Path, tmp_path: Path) -> None:
    """A graph whose bytes are not the manifest's is refused, and an older copy stays as it was."""
    copy_light(open_bundle(folder), tmp_path / "light")
    (folder / "onnx" / "model_quantized.onnx").write_bytes(b"grapH")

    with pytest.raises(BundleError, match="bytes"):
        copy_light(open_bundle(folder), tmp_path / "light")

    assert (tmp_path / "light" / "onnx" / "model_quantized.onnx").read_bytes() == b"graph"
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_folder_of_transformers_is_refused(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    """Only ottenok's own classifiers with a graph can be made light; the error says what to do."""
    make_folder(tmp_path / "foreign")

    with pytest.raises(BundleError) as caught:
        copy_light(open_bundle(tmp_path / "foreign"), tmp_path / "light")

    assert "ottenok export" in (caught.value.hint or "")


@pytest.mark.parametrize("name", ["notes.txt", "model.safetensors"])
def test_nothing_but_a_light_copy_is_replaced(folder: Path, tmp_path: Path, name: str) -> None:
    """A folder with a user's files, and one with torch's weights, stay as they are."""
    out = copy_light(open_bundle(folder), tmp_path / "out").folder
    (out / name).write_bytes(b"dear to somebody")
    if name == "notes.txt":
        (out / "ottenok.json").unlink()

    with pytest.raises(BundleError, match="no light copy"):
        copy_light(open_bundle(folder), out)

    assert (out / name).read_bytes() == b"dear to somebody"
