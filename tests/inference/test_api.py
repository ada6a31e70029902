"""Loading: bundles, folders and hub names of other people's models, and every refusal."""

from __future__ import annotations

import copy
import json
import pickle
import shutil
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ottenok.bundle.manifest import CONFIG, MANIFEST, ONNX, ONNX_INT8, TOKENIZER, WEIGHTS
from ottenok.core.errors import BundleError, ConfigError, MissingExtraError, ModelError, SchemeError
from ottenok.inference import places
from ottenok.inference.api import classify, load
from ottenok.inference.engine import OnnxBackend
from toys import fake_classifier, write_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.inference.classifier import Classifier


def test_a_bundle_is_loaded_and_classifies(tiny_bundle: Path) -> None:
    """A folder gives a classifier, and `classify` is the same in one call."""
    classifier = load(tiny_bundle)

    prediction = classifier("Какая гадость эта ваша заливная рыба!")

    assert prediction.label in {"negative", "neutral", "positive"}
    assert classify(["раз", "два"], model=classifier) == classify(["раз", "два"], model=tiny_bundle)
    assert repr(classifier) == "<Classifier 'tiny' (sentiment-3: negative/neutral/positive) on onnx fp32>"


@pytest.mark.parametrize("copied", [lambda it: pickle.loads(pickle.dumps(it)), copy.deepcopy])
def test_a_classifier_is_copied_by_its_place(
    make_bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, copied: Callable[[Classifier], Classifier]
) -> None:
    """Pickles and deep copies load the same folder with the same options, wherever they wake up, or say why not."""
    folder = make_bundle("sentiment-3")
    monkeypatch.chdir(folder.parent)
    classifier = load(folder.name, threads=1, max_windows=1, read="end")
    packed = pickle.dumps(classifier)
    monkeypatch.chdir(folder)

    twin = copied(classifier)

    assert twin is not classifier
    assert twin("очень длинный текст " * 20) == classifier("очень длинный текст " * 20)
    assert twin.identity == classifier.identity
    assert twin.manifest == classifier.manifest
    assert len(packed) < 2000
    shutil.rmtree(folder)
    make_bundle("stars-5").rename(folder)
    with pytest.raises(ModelError, match="not the one that was pickled"):
        pickle.loads(packed)


def test_a_classifier_from_nowhere_cannot_be_pickled() -> None:
    """One that was put together by hand has no place to be loaded from."""
    with pytest.raises(TypeError, match="not loaded from a folder"):
        pickle.dumps(fake_classifier())


def test_the_embedded_one_has_a_name() -> None:
    """`default` is the classifier that ottenok ships, in Python as on the command line, and pickles by that name."""
    named, plain = load("default"), load()

    assert named.identity == plain.identity
    assert classify("Ужас", model="default") == plain("Ужас")
    assert pickle.loads(pickle.dumps(plain))("Ужас") == plain("Ужас")


def test_tasks_of_a_graph_are_answered_together_or_by_choice(make_bundle: Callable[..., Path]) -> None:
    """A graph with an output for each task is run once; with `tasks` only those are answered, the first one primary."""
    folder = make_bundle("sentiment-3", "emotions-7", "stars-5")
    texts = ["раз", "два слова", "", "длинный текст " * 20]
    every = load(folder)

    answers = every(texts)
    chosen = load(folder, tasks=["stars-5", "sentiment-3"])(texts)
    one = load(folder, tasks="emotions-7")

    assert list(answers[0].tasks) == ["sentiment-3", "emotions-7", "stars-5"]
    assert [list(found.tasks) for found in chosen] == [["stars-5", "sentiment-3"]] * 4
    for found, part, single in zip(answers, chosen, one(texts), strict=True):
        assert part.label == found.tasks["stars-5"].label
        assert {name: part.tasks[name] for name in part.tasks} == {name: found.tasks[name] for name in part.tasks}
        assert single.tasks == {"emotions-7": found.tasks["emotions-7"]}
    assert one.labels == tuple(answers[0].tasks["emotions-7"].probabilities)
    assert pickle.loads(pickle.dumps(one))(texts) == one(texts)


def test_tasks_that_are_not_there_are_refused(make_bundle: Callable[..., Path]) -> None:
    """A name that no task has, none at all, and one twice are errors."""
    folder = make_bundle("sentiment-3", "emotions-7")

    with pytest.raises(SchemeError, match="no task 'emotions'"):
        load(folder, tasks=["emotions"])
    for tasks in ((), ["emotions-7", "emotions-7"]):
        with pytest.raises(ConfigError, match="names of tasks, each once"):
            load(folder, tasks=tasks)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"logits": 3}, "no output 'logits_emotions_7', only logits"),
        ({"logits": 7, "logits_emotions_7": 3}, "'logits' is batch x 7, expected texts x 3"),
        ({"logits": 3, "logits_emotions_7": 6}, "'logits_emotions_7' is batch x 6, expected texts x 7"),
    ],
)
def test_outputs_that_do_not_fit_are_refused(
    make_bundle: Callable[..., Path], graph: dict[str, int], message: str
) -> None:
    """A graph without an output for each task, or with outputs of other widths (also swapped ones), never answers."""
    from ottenok.bundle.folder import open_bundle, write_manifest

    folder = make_bundle("sentiment-3", "emotions-7")
    manifest = open_bundle(folder).manifest
    write_graph(folder / ONNX, graph)
    write_manifest(folder, manifest)

    with pytest.raises(ModelError, match=message):
        load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_windows", 0),
        ("max_windows", -1),
        ("max_windows", 1.5),
        ("threads", 0),
        ("threads", True),
        ("read", "start"),
        ("read", ""),
        ("precision", "fp16"),
        ("precision", None),
    ],
)
def test_options_out_of_range_are_refused(tiny_bundle: Path, key: str, value: object) -> None:
    """A value that an option can't have is an error that names the option and what it may be."""
    with pytest.raises(ConfigError, match="expected") as caught:
        load(tiny_bundle, **{key: value})  # type: ignore[arg-type]

    assert caught.value.key == key


def test_int8_comes_first_and_can_be_chosen(make_bundle: Callable[[str], Path]) -> None:
    """`auto` takes the int8 graph where there is one; a precision that is not there is an error."""
    from ottenok.bundle.folder import open_bundle, write_manifest

    folder = make_bundle("sentiment-3")
    with pytest.raises(BundleError, match=r"has no onnx/model_quantized\.onnx") as caught:
        load(folder, precision="int8")
    shutil.copy(folder / ONNX, folder / ONNX_INT8)
    write_manifest(folder, open_bundle(folder).manifest)

    assert "ottenok export" in (caught.value.hint or "")
    assert load(folder).backend.name == "onnx int8"
    assert load(folder, precision="fp32").backend.name == "onnx fp32"


def test_altered_graphs_are_refused(make_bundle: Callable[[str], Path]) -> None:
    """A graph whose bytes are not those of the manifest is never run."""
    folder = make_bundle("sentiment-3")
    data = bytearray((folder / ONNX).read_bytes())
    data[-40] ^= 1
    (folder / ONNX).write_bytes(bytes(data))

    with pytest.raises(BundleError, match="not those that"):
        load(folder)


def test_a_bundle_that_names_emoji_needs_their_names(
    make_bundle: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emoji are treated as in training; without the package that names them loading says what to install."""
    pytest.importorskip("emoji")
    from ottenok.bundle.folder import open_bundle, write_manifest
    from ottenok.text.normalise import TextOptions

    folder = make_bundle("sentiment-3")
    manifest = open_bundle(folder).manifest
    plain = load(folder)
    write_manifest(folder, manifest.model_copy(update={"text": TextOptions(emoji="name")}))

    assert load(folder)("да 😂 :(").probabilities == plain("да смеется до слез грусть").probabilities
    monkeypatch.setitem(sys.modules, "emoji", None)
    with pytest.raises(MissingExtraError, match=r"ottenok\[emoji\]"):
        load(folder)


def test_a_foreign_graph_needs_no_conversion(make_foreign: Callable[..., Path]) -> None:
    """A folder with config.json, tokenizer.json and a graph works as it is; its id2label names the outputs in order."""
    classifier = load(make_foreign(["NEUTRAL", "POSITIVE", "NEGATIVE"], extra_input="token_type_ids"))

    prediction = classifier("текст")

    assert list(prediction.probabilities) == ["NEUTRAL", "POSITIVE", "NEGATIVE"]
    expected = prediction.probabilities["POSITIVE"] - prediction.probabilities["NEGATIVE"]
    assert prediction.polarity == pytest.approx(expected, abs=1e-6)


def test_a_foreign_multi_label_model_gets_sigmoids(make_foreign: Callable[..., Path]) -> None:
    """`problem_type` of a foreign model decides the activation."""
    classifier = load(make_foreign(["joy", "anger"], problem_type="multi_label_classification"))

    probs = np.array(list(classifier("текст").probabilities.values()))

    prepared = classifier.prepare(["текст"])
    np.testing.assert_allclose(probs, 1 / (1 + np.exp(-classifier.run(prepared)[0])), atol=1e-6)


def test_a_graph_that_asks_for_more_is_refused(make_foreign: Callable[..., Path]) -> None:
    """An input that prediction can't give is an error, not a guess."""
    with pytest.raises(ModelError, match="asks for an input 'pixel_values'"):
        load(make_foreign(["a", "b"], extra_input="pixel_values"))


def test_pickled_weights_are_refused(tmp_path: Path, make_foreign: Callable[..., Path]) -> None:
    """A folder with pickled weights only says that they are never read."""
    folder = make_foreign(["a", "b"])
    shutil.rmtree(folder / "onnx")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")

    with pytest.raises(BundleError, match=r"only pytorch_model\.bin") as caught:
        load(folder, cache=tmp_path / "cache")

    assert "safetensors" in (caught.value.hint or "")


def test_conversion_without_torch_names_the_extra(
    tmp_path: Path, make_foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra `train`, weights in safetensors give an error that says what to install."""
    folder = make_foreign(["a", "b"])
    shutil.rmtree(folder / "onnx")
    (folder / WEIGHTS).write_bytes(b"")
    for module in [name for name in sys.modules if name.split(".")[0] == "torch" or name.startswith("ottenok.export")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(MissingExtraError, match="torch") as caught:
        load(folder, cache=tmp_path / "cache")

    assert caught.value.extra == "train"


def test_a_hub_name_is_found_in_the_cache(
    tmp_path: Path, make_foreign: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that was fetched before is loaded by its hub name without a network."""
    pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    repository = tmp_path / "cache" / "hub" / "models--someone--sentiment"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(make_foreign(["negative", "positive"]), repository / "snapshots" / ("0" * 40))

    classifier = load("someone/sentiment", cache=tmp_path / "cache")

    assert classifier.scheme.labels == ("negative", "positive")


def test_what_is_neither_folder_nor_name_is_refused(tmp_path: Path) -> None:
    """A path that is not there is an error with a way out."""
    with pytest.raises(BundleError, match="no such folder") as caught:
        load(tmp_path / "nowhere")

    assert "hub" in (caught.value.hint or "")


def test_an_installation_without_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the embedded classifier, `load()` asks for a name."""
    monkeypatch.setattr(places, "package_home", lambda: tmp_path)

    with pytest.raises(BundleError, match="ships no classifier"):
        load()


@pytest.mark.parametrize("name", [CONFIG, TOKENIZER])
def test_broken_files_are_refused(make_foreign: Callable[..., Path], name: str) -> None:
    """A configuration or tokenizer that can't be read is an error that names the file."""
    folder = make_foreign(["a", "b"])
    (folder / name).write_text("{" if name == CONFIG else json.dumps({"model": 5}))

    with pytest.raises(BundleError) as caught:
        load(folder)

    assert name in (caught.value.file or "")


def test_a_broken_graph_is_refused(tmp_path: Path) -> None:
    """Errors of onnxruntime become ours, in one line."""
    (tmp_path / "model.onnx").write_bytes(b"no graph")

    with pytest.raises(ModelError, match="can't read this graph") as caught:
        OnnxBackend(tmp_path / "model.onnx", {"logits": 3})

    assert "\n" not in caught.value.message


def test_prediction_imports_no_torch(tiny_bundle: Path) -> None:
    """Loading and classifying import neither torch nor transformers."""
    import subprocess

    code = (
        "import sys, ottenok\n"
        f"ottenok.load({str(tiny_bundle)!r})('текст')\n"
        "print(sorted({'torch', 'transformers', 'onnx', 'pandas', 'sklearn'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "[]"
    assert MANIFEST in {entry.name for entry in tiny_bundle.iterdir()}
