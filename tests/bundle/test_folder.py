"""Opening and writing bundles: what is checked, and what is said when a check fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import is_safe
from ottenok.core.errors import BundleError, SchemeError
from ottenok.tasks.decision import Decision

Maker = Callable[..., Any]


def _change(folder: Path, **changes: Any) -> None:
    file = folder / "ottenok.json"
    tree = json.loads(file.read_text(encoding="utf-8"))
    of_task = {key: changes.pop(key) for key in ("scheme", "problem_type", "decision") if key in changes}
    tree["tasks"][0] |= of_task
    file.write_text(json.dumps({**tree, **changes}), encoding="utf-8")


def test_a_bundle_opens_as_it_was_written(folder: Path, make_manifest: Maker) -> None:
    """Opening gives the manifest that was written, with every file and its checksum."""
    bundle = open_bundle(folder, full=True)

    assert bundle.own
    assert bundle.manifest.model_copy(update={"files": {}}) == make_manifest()
    assert set(bundle.manifest.files) == {
        "config.json",
        "model.safetensors",
        "onnx/model_quantized.onnx",
        "tokenizer.json",
    }
    assert bundle.file("onnx/model_quantized.onnx", verify=True).read_bytes() == b"graph"


def test_a_bundle_for_prediction_alone_opens(tmp_path: Path, make_manifest: Maker) -> None:
    """Tokenizer, one graph and the manifest are enough: neither weights nor config.json are needed."""
    folder = tmp_path / "light"
    (folder / "onnx").mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    (folder / "onnx" / "model.onnx").write_bytes(b"graph")
    write_manifest(folder, make_manifest())

    bundle = open_bundle(folder)

    assert bundle.has("onnx/model.onnx")
    assert not bundle.has("model.safetensors")


def test_what_training_leaves_is_no_part(folder: Path, make_manifest: Maker) -> None:
    """Checkpoints, logs, a run's state, hidden files and the card are not listed."""
    for name in ("checkpoints/1/optimizer.pt", "tensorboard/events", ".cache.json", "README.md", "run.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x", encoding="utf-8")

    manifest = write_manifest(folder, make_manifest())

    assert set(manifest.files) == {"config.json", "model.safetensors", "onnx/model_quantized.onnx", "tokenizer.json"}


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "onnx/model_quantized.onnx"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """Every listed file must be there."""
    (folder / name).unlink()

    with pytest.raises(BundleError, match=f"{name} is missing"):
        open_bundle(folder)


def test_a_cut_file_is_found_by_its_size(folder: Path) -> None:
    """Half a download is found without reading it."""
    (folder / "model.safetensors").write_bytes(b"wei")

    with pytest.raises(BundleError, match=r"model.safetensors has 3 bytes, and ottenok.json says 7"):
        open_bundle(folder)


def test_an_altered_file_is_found_by_its_bytes(folder: Path) -> None:
    """A small file of the right size with other bytes is refused."""
    (folder / "model.safetensors").write_bytes(b"WEIGHTS")

    with pytest.raises(BundleError, match=r"the bytes of model.safetensors are not those"):
        open_bundle(folder)


def test_a_large_file_is_checked_where_it_is_loaded(tmp_path: Path, make_folder: Maker, make_manifest: Maker) -> None:
    """Opening is cheap; loading, or a full check, finds the altered graph."""
    folder = make_folder(tmp_path / "large")
    graph = folder / "onnx" / "model.onnx"
    graph.parent.mkdir()
    graph.write_bytes(b"a" * (5 << 20))
    write_manifest(folder, make_manifest())
    graph.write_bytes(b"b" * (5 << 20))

    bundle = open_bundle(folder)

    with pytest.raises(BundleError, match=r"the bytes of onnx/model.onnx"):
        bundle.file("onnx/model.onnx", verify=True)
    with pytest.raises(BundleError, match=r"the bytes of onnx/model.onnx"):
        open_bundle(folder, full=True)


def test_a_newer_format_is_refused_before_it_is_read(folder: Path) -> None:
    """A later format may mean anything, so only its number is read, and the way out is told."""
    _change(folder, format=3, tasks="something new")

    with pytest.raises(BundleError, match="format 3, and this ottenok reads formats up to 2") as caught:
        open_bundle(folder)

    assert "pip install --upgrade" in str(caught.value)


@pytest.mark.parametrize("version", [None, "1", True, 0, -1, 1.5])
def test_a_strange_format_is_refused(folder: Path, version: object) -> None:
    """A format is a whole number from 1."""
    _change(folder, format=version)

    with pytest.raises(BundleError, match="expected a format version"):
        open_bundle(folder)


@pytest.mark.parametrize(
    "name",
    [
        "../other/model.onnx",
        "/etc/passwd",
        "onnx/../../x",
        "C:/x",
        "..\\x",
        "onnx//x",
        "./x",
        ".hidden",
        "a\nb",
        "",
        "x" * 201,
    ],
)
def test_a_path_that_leads_out_is_refused(folder: Path, name: str) -> None:
    """A manifest can't name a file outside its folder."""
    _change(folder, files={name: {"sha256": "0" * 64, "bytes": 1}})

    with pytest.raises(BundleError, match="no plain path inside the bundle"):
        open_bundle(folder)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_safe_names_stay_inside(name: str) -> None:
    """Whatever is called safe leads to a place inside the folder."""
    root = Path("/bundle")
    if is_safe(name):
        assert root in (root / name).resolve().parents


@pytest.mark.parametrize("name", ["../small/model.safetensors", "README.md", "nothing.onnx"])
def test_only_listed_files_are_given(folder: Path, name: str) -> None:
    """A bundle gives only files that its manifest lists."""
    (folder / "README.md").write_text("x", encoding="utf-8")

    with pytest.raises(BundleError, match="the bundle has no"):
        open_bundle(folder).file(name)


def test_labels_in_another_order_are_refused(folder: Path, make_folder: Maker, make_manifest: Maker) -> None:
    """The two files must agree on the order of the labels, even if someone made the checksums agree."""
    make_folder(folder, id2label={"0": "neutral", "1": "positive", "2": "negative"})
    write_manifest(folder, make_manifest())

    with pytest.raises(BundleError, match="found the labels neutral, positive, negative, and") as caught:
        open_bundle(folder)

    assert caught.value.key == "id2label"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"problem_type": "multi-label"}, "can't have the activation softmax, only sigmoid"),
        ({"decision": {"activation": "sigmoid"}}, "can't have the activation sigmoid, only softmax"),
        ({"decision": {"activation": "softmax", "temprature": 2}}, "decision.temprature: Unexpected"),
        ({"decision": {"activation": "softmax", "thresholds": [0.5, 0.5]}}, "found 2 thresholds"),
        ({"text": {"urls": "kep"}}, 'text.urls: .*found "kep"'),
        ({"text": {"url": "keep"}}, "no text option 'url'"),
        ({"max_length": 1}, "greater than or equal to 3"),
        ({"window": {"overlap": 126, "combine": "mean-logits"}}, "overlap by less"),
        ({"thresholds": [0.5]}, "unknown key"),
        ({"licence": None}, "key licence"),
        ({"files": {"config.json": {"sha256": "xyz", "bytes": 1}}}, "pattern"),
    ],
)
def test_a_wrong_manifest_is_refused(folder: Path, changes: dict[str, Any], message: str) -> None:
    """Wrong, unknown and contradicting keys are refused with the file's name."""
    _change(folder, **changes)

    with pytest.raises(BundleError, match=message) as caught:
        open_bundle(folder)

    assert str(caught.value.file).endswith("ottenok.json")


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "\x00", "[" * 100_000])
def test_a_manifest_that_is_no_object_is_refused(folder: Path, content: str) -> None:
    """Damaged JSON, however deep, gives an error and no traceback of the parser's own."""
    (folder / "ottenok.json").write_text(content, encoding="utf-8")

    with pytest.raises(BundleError, match="JSON"):
        open_bundle(folder)


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path, name: str) -> None:
    """An absent and an empty folder are told apart from a damaged one."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(BundleError, match=r"no such folder|no classifier"):
        open_bundle(tmp_path / name)


@pytest.mark.parametrize("own", [True, False])
def test_pickled_weights_are_never_taken(tmp_path: Path, own: bool, make_folder: Maker, make_manifest: Maker) -> None:
    """A folder whose only weights are pickled is refused, in ottenok's own form and in transformers'."""
    folder = make_folder(tmp_path / "old")
    (folder / "model.safetensors").unlink()
    if own:
        write_manifest(folder, make_manifest())
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")

    with pytest.raises(BundleError, match=r"only pytorch_model.bin") as caught:
        open_bundle(folder)

    assert "safetensors" in str(caught.value.hint)


def test_a_pickle_is_never_packed(folder: Path, make_manifest: Maker) -> None:
    """A bundle with a pickle beside the weights is not written."""
    (folder / "training_args.bin").write_bytes(b"\x80\x04.")

    with pytest.raises(BundleError, match="runs code when it is read"):
        write_manifest(folder, make_manifest())


def test_a_number_that_json_has_not_is_not_written(folder: Path, make_manifest: Maker) -> None:
    """NaN in a metric is refused, so every manifest is strict JSON, and the old manifest stays."""
    before = (folder / "ottenok.json").read_bytes()

    with pytest.raises(BundleError, match="number that JSON has not"):
        write_manifest(folder, make_manifest(metrics={"test": {"sentiment-3": {"accuracy": float("nan")}}}))

    assert (folder / "ottenok.json").read_bytes() == before


def test_a_manifest_that_contradicts_itself_is_not_made(make_manifest: Maker) -> None:
    """A softmax decision never gets into a multi-label manifest, in code either."""
    with pytest.raises((ValueError, SchemeError)):
        make_manifest(problem_type="multi-label", decision=Decision(activation="softmax"))
