"""`ottenok compress`: a smaller copy of a classifier, each step measured, and refused where it loses too much."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.bundle.manifest import CARD, MANIFEST, ONNX, TOKENIZER
from ottenok.cli.compress import compress as command
from ottenok.core.errors import BundleError, ConfigError, DataError
from ottenok.inference.api import load
from ottenok.studies.compress import compress
from toys import write_graph

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.bundle.manifest import BundleManifest

pytest.importorskip("onnx")

WORDS = [f"слово{number}" for number in range(2500)]
COMMON = WORDS[:1200]


def _texts(words: list[str], count: int, *, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=chance.randint(3, 12))) for _ in range(count)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, tiny_manifest: Callable[..., BundleManifest]) -> Path:
    """Return a bundle of two tasks with a vocabulary of words, in fp32."""
    folder = tmp_path_factory.mktemp("model") / "bundle"
    vocabulary = {word: number for number, word in enumerate(["<s>", "</s>", "<unk>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    manifest = tiny_manifest("sentiment-3", "emotions-7")
    outputs = {facts.output: facts.task().outputs for facts in manifest.tasks}
    write_graph(folder / ONNX, outputs, width=64, vocabulary=len(vocabulary))
    tokenizer.save(str(folder / TOKENIZER))
    write_manifest(folder, manifest)
    return folder


@pytest.fixture(scope="module")
def rows(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a table of common words, labelled by the model itself, so that it makes no mistake."""
    texts = _texts(COMMON, 300, seed=1)
    file = tmp_path_factory.mktemp("rows") / "rows.csv"
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        writer.writerows(zip(texts, load(model).predict(texts), strict=True))
    return file


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a text file that says which words are needed."""
    file = tmp_path_factory.mktemp("words") / "common.txt"
    file.write_text("\n".join(COMMON), encoding="utf-8")
    return file


def test_each_step_is_told_and_what_is_left_answers_alike(
    model: Path, rows: Path, common: Path, tmp_path: Path
) -> None:
    """Fewer words and int8: the folder is smaller, its answers nearly the same, its manifest says what was done."""
    done = compress(model, tmp_path / "small", data=rows, vocabulary=[common], most_loss=0.05)

    assert [(step.name, step.kept) for step in done.steps] == [
        ("given", True),
        ("vocabulary", True),
        ("embeddings", True),
        ("layers", True),
    ]
    sizes = [step.bytes for step in done.steps]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 3
    words = done.steps[1]
    assert words.told == "1,203 of 2,503 pieces stay"
    assert (words.tasks["sentiment-3"].loss, words.tasks["sentiment-3"].same) == (0.0, 1.0)
    assert done.steps[-1].tasks["sentiment-3"].same > 0.9
    bundle = open_bundle(tmp_path / "small", full=True)
    assert "1,203 of 2,503 pieces stay" in bundle.manifest.notes[-1]
    assert bundle.manifest.reports("rows.csv")[0].value("macro_f1") == done.steps[-1].tasks["sentiment-3"].macro_f1
    assert "rows.csv" in (bundle.folder / CARD).read_text(encoding="utf-8")
    assert json.loads((bundle.folder / "compress.json").read_text(encoding="utf-8")) == done.to_json()


def test_answers_to_texts_whose_words_stay_do_not_change_by_a_bit(
    model: Path, rows: Path, common: Path, tmp_path: Path
) -> None:
    """A cut vocabulary gives such texts the very probabilities of the whole one, in every task."""
    compress(model, tmp_path / "small", data=rows, vocabulary=[common], steps=["vocabulary"])

    texts = _texts(COMMON, 200, seed=3)
    for task in ("sentiment-3", "emotions-7"):
        before, after = (load(one).predict_proba(texts, task=task) for one in (model, tmp_path / "small"))
        assert np.array_equal(before, after)


def test_a_step_past_the_loss_allowed_is_refused(model: Path, rows: Path, tmp_path: Path) -> None:
    """A vocabulary of three words costs too much: it is refused by name, and the next step goes on without it."""
    few = tmp_path / "few.txt"
    few.write_text("слово1 слово2 слово3\n", encoding="utf-8")
    asked = [str(model), "-o", str(tmp_path / "small"), "--data", str(rows), "--vocabulary", str(few), "--json"]
    told = CliRunner().invoke(command, [*asked, "--step", "vocabulary", "--step", "embeddings", "--max-loss", "0.05"])

    assert told.exit_code == 0, told.output
    given, words, embeddings = json.loads(told.stdout)["steps"]
    assert (words["kept"], embeddings["kept"]) == (False, True)
    assert "sentiment-3 loses" in words["told"]
    assert words["tasks"]["sentiment-3"]["cell_loss"] > 0.05
    assert words["tasks"]["sentiment-3"]["cell"]
    assert embeddings["bytes"] < given["bytes"]
    assert len(json.loads((tmp_path / "small" / TOKENIZER).read_text(encoding="utf-8"))["model"]["vocab"]) == 2503


def test_nothing_to_do_is_told_and_wrong_requests_are_refused(model: Path, rows: Path, tmp_path: Path) -> None:
    """int8 has nothing left to become int8; unknown steps, no texts, few rows and a used folder are errors."""
    compress(model, tmp_path / "small", data=rows, most_loss=0.05)
    again = compress(tmp_path / "small", tmp_path / "smaller", data=rows)
    assert [(step.kept, step.bytes) for step in again.steps[1:]] == [(False, 0), (False, 0)]
    assert "nothing in fp32" in again.steps[1].told

    with pytest.raises(ConfigError, match="layers"):
        compress(model, tmp_path / "x", data=rows, steps=["layer"])
    with pytest.raises(ConfigError, match="no texts say"):
        compress(model, tmp_path / "x", data=rows, steps=["vocabulary"])
    short = tmp_path / "short.csv"
    short.write_text("text,label\nслово1,neutral\n", encoding="utf-8")
    with pytest.raises(DataError, match="at least 100"):
        compress(model, tmp_path / "x", data=short)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "notes.txt").touch()
    with pytest.raises(BundleError, match="no light copy"):
        compress(model, tmp_path / "used", data=rows)
    assert not (tmp_path / "x").exists()
    assert (model / MANIFEST).is_file()
