"""The classifier that ottenok ships."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import ottenok
from ottenok.bundle.folder import open_bundle
from ottenok.inference.places import embedded_folder
from ottenok.studies.cards import card_tables

if TYPE_CHECKING:
    from ottenok.inference.classifier import Classifier

_OFFLINE = """
import socket, sys

def refuse(*arguments, **options):
    raise OSError("no network here")

socket.socket.connect = refuse
sys.modules["torch"] = None
sys.modules["transformers"] = None
from ottenok.cli.main import run
sys.exit(run(["classify", "Отвратительное обслуживание, деньги на ветер", "--json"]))
"""


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Return the embedded classifier."""
    return ottenok.load()


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Какая гадость эта ваша заливная рыба!", "negative"),
        ("Отвратительное обслуживание, деньги на ветер", "negative"),
        ("Прекрасный фильм, смотрели всей семьёй и остались в восторге!", "positive"),
        ("Спасибо большое, всё пришло быстро и в целости, очень довольна", "positive"),
        ("Магазин работает с девяти до девяти, вход со двора.", "neutral"),
        ("房间又小又脏，再也不会来了", "negative"),
        ("物流很快，东西质量很好，非常满意", "positive"),
        ("剧情精彩，演员演技一流，强烈推荐", "positive"),
    ],
)
def test_plain_sentences_get_their_label(classifier: Classifier, text: str, label: str) -> None:
    """Sentences that nobody would argue about get the label that anybody would give, and a score of its sign."""
    answer = classifier(text)

    assert answer.label == label
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert answer.polarity is not None
    assert {
        "negative": answer.polarity < -0.3,
        "positive": answer.polarity > 0.3,
        "neutral": abs(answer.polarity) < 0.5,
    }[label]


def test_it_needs_neither_torch_nor_a_network() -> None:
    """`ottenok classify` answers where torch can't be imported and no connection can be made."""
    done = subprocess.run([sys.executable, "-c", _OFFLINE], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert "negative" in json.dumps(json.loads(done.stdout.splitlines()[0]))


def test_it_is_small_and_whole() -> None:
    """The folder passes every check, holds the int8 graph and no torch weights, and stays under 60 MB."""
    bundle = open_bundle(embedded_folder(), full=True)

    assert set(bundle.manifest.files) == {
        "config.json",
        "onnx/model_quantized.onnx",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(facts.bytes for facts in bundle.manifest.files.values()) < 60e6


def test_its_card_begins_with_what_its_data_allow() -> None:
    """The card begins by saying that its use is not commercial, and because of which sets."""
    bundle = open_bundle(embedded_folder())
    card = (bundle.folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)[2].strip()

    assert card.splitlines()[0].startswith("**Non-commercial use only")
    assert bundle.manifest.data is not None
    trained = [source for source in bundle.manifest.data.sources if source.rows.get("train")]
    assert [source.name for source in trained if source.licence.commercial is False] == ["msctd", "rusentiment"]


def test_its_card_has_every_table_of_its_manifest() -> None:
    """The card's tables are those that the manifest's reports give, so no figure was typed by hand."""
    bundle = open_bundle(embedded_folder())
    card = (bundle.folder / "README.md").read_text(encoding="utf-8")
    tables = card_tables(bundle.manifest)

    assert "test" in bundle.manifest.metrics
    assert tables
    assert [heading for heading, grid in tables.items() if grid.markdown() not in card] == []
