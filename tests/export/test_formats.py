"""Which tools open which folders: each kind is made and opened by each tool, as docs/formats.md tells."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ottenok
from ottenok.bundle.copies import copy_light
from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import ONNX
from ottenok.bundle.stock import opened_by
from ottenok.core.schemes import load_scheme
from pages import run_node
from toys import tiny_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.train
pytest.importorskip("torch")

DOC = Path(__file__).parents[2] / "docs" / "formats.md"
OTHER = "another pooling or head, or several tasks"
LIGHT = "any, light copy"
# Kind of folder to the encoder, the pooling and the number of tasks.
KINDS = {
    "BERT, mean, linear head": ("bert", "mean", 1),
    "BERT, first token": ("bert", "cls", 1),
    "ModernBERT, mean": ("modernbert", "mean", 1),
    OTHER: ("bert", "attention", 2),
}
TEXTS = ["какая гадость", "хорошо", "这 个 酒 店 很 好"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return a trained-like bundle of each kind, with its fp32 graph."""
    import torch

    from ottenok.export.onnx import export
    from ottenok.models.network import save
    from ottenok.recipes.model import ModelOptions
    from tiny_encoders import network_of, tiny_encoder

    root = tmp_path_factory.mktemp("formats")
    found = {}
    for number, (name, (family, pooling, tasks)) in enumerate(KINDS.items()):
        names = ["sentiment-3", "emotions-7"][:tasks]
        encoder = tiny_encoder(root / f"encoder-{number}", family=family, sizes={"num_hidden_layers": 1})
        torch.manual_seed(number)
        network = network_of(ModelOptions(encoder=str(encoder), pooling=pooling), *map(load_scheme, names))
        folder = root / f"kind-{number}"
        folder.mkdir()
        save(network.model.eval(), network.tokenizer, folder, max_length=40)
        write_manifest(folder, tiny_manifest(*names, max_length=40))
        export(folder)
        found[name] = folder
    found[LIGHT] = copy_light(open_bundle(found[OTHER]), root / "light").folder
    return found


@pytest.fixture(scope="module")
def expected(folders: Mapping[str, Path]) -> Mapping[str, Any]:
    """Return ottenok's probabilities of each kind."""
    return {name: ottenok.load(folder).predict_proba(TEXTS) for name, folder in folders.items()}


def _rows(answers: list[dict[str, float]]) -> list[list[float]]:
    return [[answer[label] for label in load_scheme("sentiment-3").labels] for answer in answers]


TRANSFORMERS = """
import json, sys
from transformers import pipeline
from transformers.utils import logging
logging.disable_progress_bar()
texts, alone, own = map(json.loads, sys.argv[1:])
def opened(folder):
    try:
        rows = pipeline("text-classification", model=folder)(texts, top_k=None)
        return [{row["label"]: row["score"] for row in answer} for answer in rows]
    except Exception as error:
        return str(error)
found = [opened(folder) for folder in alone + own]
assert "ottenok" not in sys.modules
import ottenok.models
print(json.dumps([found, [opened(folder) for folder in own]]))
"""


def test_transformers_gives_the_same_probabilities(folders: Mapping[str, Path], expected: Mapping[str, Any]) -> None:
    """Without ottenok where a stock class can be the network; else its error says what to do, and then it opens."""
    pytest.importorskip("transformers")
    how = {name: opened_by(open_bundle(folder)).get("transformers", "") for name, folder in folders.items()}
    alone = [name for name, line in how.items() if line.startswith("pipeline")]
    own = [name for name, line in how.items() if line.startswith("import ottenok.models")]
    assert own == [OTHER]
    assert set(folders) - {*alone, *own} == {LIGHT}

    given = [TEXTS, [str(folders[name]) for name in [*alone, LIGHT]], [str(folders[name]) for name in own]]
    done = subprocess.run(
        [sys.executable, "-c", TRANSFORMERS, *map(json.dumps, given)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout)
    for name, found in zip(alone, before, strict=False):
        np.testing.assert_allclose(_rows(found), expected[name], atol=1e-5, err_msg=name)
    assert "an ONNX graph alone. pip install ottenok, then ottenok.load(FOLDER)" in before[len(alone)]
    assert all("import ottenok.models" in message for message in before[len(alone) + 1 :])
    for name, found in zip(own, after, strict=True):
        np.testing.assert_allclose(_rows(found), expected[name], atol=1e-5, err_msg=name)


def test_a_padded_batch_is_an_error_and_no_wrong_answer(folders: Mapping[str, Path]) -> None:
    """XLM's mean counts padding, so the tokenizer beside it names no padding token; texts one by one are right."""
    transformers = pytest.importorskip("transformers")
    classify = transformers.pipeline("text-classification", model=str(folders["BERT, mean, linear head"]))

    with pytest.raises(ValueError, match="without pad_token"):
        classify(TEXTS, batch_size=2)
    assert classify(TEXTS[0])


def test_transformers_js_gives_the_same_probabilities(folders: Mapping[str, Path], expected: Mapping[str, Any]) -> None:
    """Node opens every kind whose encoder transformers.js knows, batches with padding too."""
    lines = {name: opened_by(open_bundle(folder)).get("transformers.js") for name, folder in folders.items()}
    names = [name for name, line in lines.items() if line]
    assert set(names) == set(folders)
    places = []
    for name in names:
        line = lines[name]
        below = "/onnx" if "FOLDER/onnx" in line else ""
        places.append([folders[name].name + below, {"subfolder": ""} if "subfolder" in line else {}])
    root = f"{folders[LIGHT].parent}/"

    answers = run_node(
        "open.mjs",
        {"root": root, "folders": places, "texts": TEXTS, "session": {}},
        package="@huggingface/transformers",
    )

    for name, found in zip(names, answers, strict=True):
        assert isinstance(found, list), f"{name}: {found}"
        np.testing.assert_allclose(_rows(found), expected[name], atol=1e-4, err_msg=name)


def test_onnx_runtime_alone_gives_the_same_probabilities(
    folders: Mapping[str, Path], expected: Mapping[str, Any]
) -> None:
    """The graph takes ids and a mask, and gives the first task's logits first."""
    import onnxruntime
    from tokenizers import Tokenizer

    for name, folder in folders.items():
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        session = onnxruntime.InferenceSession(str(folder / ONNX))
        for text, wanted in zip(TEXTS, expected[name], strict=True):
            ids = np.array([tokenizer.encode(text).ids])
            logits = session.run(None, {"input_ids": ids, "attention_mask": np.ones_like(ids)})[0]
            shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
            np.testing.assert_allclose(shares, wanted, atol=1e-5)


def test_transformers_4_knows_the_tokenizers(folders: Mapping[str, Path]) -> None:
    """Its name for them, which 5 knows too, is in every `tokenizer_config.json`."""
    for file in (file for folder in folders.values() for file in folder.rglob("tokenizer_config.json")):
        assert json.loads(file.read_text(encoding="utf-8"))["tokenizer_class"] == "PreTrainedTokenizerFast"


def test_optimum_gives_the_same_probabilities(folders: Mapping[str, Path], expected: Mapping[str, Any]) -> None:
    """Each kind opens with the line of its card."""
    reason = "needs optimum-onnx, whose latest, 0.1.0, needs transformers below 4.58"
    names = {"ORTModelForSequenceClassification": pytest.importorskip("optimum.onnxruntime", reason=reason)}
    names = {name: getattr(module, name) for name, module in names.items()}
    for name, folder in folders.items():
        model = eval(opened_by(open_bundle(folder))["optimum"].replace("FOLDER", str(folder)), names)
        found = [model(**_tokens(folder, text)).logits.softmax(-1)[0].tolist() for text in TEXTS]
        np.testing.assert_allclose(found, expected[name], atol=1e-5)


def _tokens(folder: Path, text: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt", return_token_type_ids=False)


def test_the_table_of_the_docs_is_what_opens(folders: Mapping[str, Path]) -> None:
    """`docs/formats.md` has a row for each kind, with a mark for each tool that opened it above."""
    rows = re.findall(r"(?m)^\| ([^|]+?) \| (.+) \|$", DOC.read_text(encoding="utf-8"))
    header, *lines = [(name, cells.split(" | ")) for name, cells in rows if not name.startswith("---")]
    found = dict(lines)
    assert set(found) == set(folders)
    for name, folder in folders.items():
        tools = opened_by(open_bundle(folder))
        lines = [tools.get(tool, "") for tool in header[1]]
        marks = ["no" if not line else "import" if line.startswith("import") else "yes" for line in lines]
        assert found[name] == marks, name
