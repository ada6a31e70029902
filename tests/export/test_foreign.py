"""Other people's classifiers: read as transformers reads them, or refused with the reason; never random."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ottenok.bundle.foreign import tokenizer_text
from ottenok.bundle.manifest import CONFIG, ONNX, TOKENIZER, TOKENIZER_CONFIG, WEIGHTS
from ottenok.core.errors import BundleError, ModelError
from ottenok.inference.api import load
from ottenok.inference.tokens import read_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.train
torch = pytest.importorskip("torch")

WORDS = [
    "мой",
    "мои",
    "еж",
    "ёж",
    "хорошо",
    "Хорошо",
    "МОЙ",
    "very",
    "good",
    "Good",
    "很",
    "好",
    "很好",
    "!",
    "cafe",
    "café",
]
TEXTS = ["Хорошо, МОЙ ёж", "мои еж very Good", "很好 good!", "café cafe", "хорошо"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert into a folder of the test."""
    monkeypatch.setenv("OTTENOK_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """Return the folder of a tiny BERT classifier with a tokenizer of word pieces, as transformers saves them."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path / "bert"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, ",", "м", "##о", "##и", "##й", "х", "##а"]
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        initializer_range=0.4,
        id2label={0: "negative", 1: "neutral", 2: "positive"},
        label2id={"negative": 0, "neutral": 1, "positive": 2},
    )
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    BertTokenizer({word: number for number, word in enumerate(vocabulary)}).save_pretrained(folder)
    return folder


def change(file: Path, **fields: Any) -> None:
    """Change keys of a JSON file; None takes one away."""
    tree = json.loads(file.read_text(encoding="utf-8"))
    tree.update(fields)
    file.write_text(json.dumps({key: value for key, value in tree.items() if value is not None}), encoding="utf-8")


def change_weights(folder: Path, rename: Callable[[str], str | None]) -> None:
    """Give the weights other names; None takes one away."""
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / WEIGHTS)
    save_file(
        {new: value for name, value in weights.items() if (new := rename(name))}, folder / WEIGHTS, {"format": "pt"}
    )


def expected(folder: Path, texts: list[str] = TEXTS) -> np.ndarray:
    """Return the probabilities of transformers' own pipeline."""
    from transformers import pipeline

    found = pipeline("text-classification", model=str(folder), top_k=None)(texts)
    names = ["negative", "neutral", "positive"]
    return np.array([[{one["label"]: one["score"] for one in row}[name] for name in names] for row in found])


@pytest.mark.parametrize("lower", [{}, {"do_lower_case": False}, {"do_lower_case": True}])
@pytest.mark.parametrize(
    "more", [{}, {"strip_accents": True}, {"strip_accents": False}, {"tokenize_chinese_chars": False}]
)
@pytest.mark.parametrize("kind", ["BertTokenizer", "BertTokenizerFast", "PreTrainedTokenizerFast"])
def test_settings_of_the_tokenizer_are_obeyed(
    bert: Path, lower: dict[str, Any], more: dict[str, Any], kind: str
) -> None:
    """Case, accents and Chinese characters follow `tokenizer_config.json` as in transformers, also without it."""
    from transformers import AutoTokenizer

    change(bert / TOKENIZER_CONFIG, tokenizer_class=kind, do_lower_case=None, strip_accents=None)
    change(bert / TOKENIZER_CONFIG, **{**lower, **more})
    theirs = AutoTokenizer.from_pretrained(bert)

    ours = read_tokenizer(bert / TOKENIZER, tokenizer_text(bert))

    assert [ours.encode(text).ids for text in TEXTS] == [theirs(text)["input_ids"] for text in TEXTS]


def test_a_converted_model_obeys_them_too(bert: Path) -> None:
    """Its probabilities are those of transformers' pipeline."""
    change(bert / TOKENIZER_CONFIG, tokenizer_class="BertTokenizer", do_lower_case=False, strip_accents=False)
    wanted = expected(bert)

    np.testing.assert_allclose(load(bert).predict_proba(TEXTS), wanted, atol=1e-5)


def _with_graph(folder: Path, place: str = ONNX) -> None:
    """Put a graph of the weights into the folder, and take the weights away."""
    load(folder)
    (converted,) = (folder.parent / "cache" / "converted").iterdir()
    (folder / place).parent.mkdir(exist_ok=True)
    shutil.copy(converted / ONNX, folder / place)
    (folder / WEIGHTS).unlink()


def test_added_tokens_that_disagree_are_refused(bert: Path) -> None:
    """A graph's folder whose two files give a token two numbers is not guessed at."""
    _with_graph(bert)
    change(bert / TOKENIZER_CONFIG, added_tokens_decoder={"77": {"content": "[NEW]"}})

    with pytest.raises(BundleError, match=r"'\[NEW\]' has the number 77, and none"):
        load(bert)


def test_graphs_at_the_top_are_read(bert: Path) -> None:
    """Optimum writes `model.onnx` beside the configuration."""
    wanted = expected(bert)
    _with_graph(bert, "model.onnx")

    np.testing.assert_allclose(load(bert).predict_proba(TEXTS), wanted, atol=1e-5)


@pytest.mark.parametrize("prefix", ["module.", "module._orig_mod."])
def test_names_of_torchs_wrappers_are_read(bert: Path, prefix: str) -> None:
    """Weights of a parallel or compiled model are the model's."""
    wanted = expected(bert)
    change_weights(bert, lambda name: prefix + name)

    np.testing.assert_allclose(load(bert).predict_proba(TEXTS), wanted, atol=1e-5)


def _without(part: str) -> Callable[[str], str | None]:
    return lambda name: None if part in name else name


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: change_weights(f, _without("classifier")), "2 weights .* are not in its files: classifier.bias"),
        (lambda f: change_weights(f, lambda n: n.replace("classifier", "head")), "classifier.bias.*have head.bias"),
        (lambda f: change_weights(f, _without("pooler")), "bert.pooler.dense.bias"),
        (lambda f: change_weights(f, lambda n: f"net.{n}"), "are not in its files.* the files have net"),
        (lambda f: change(f / CONFIG, num_hidden_layers=3), "encoder.layer.2"),
        (lambda f: change(f / CONFIG, num_hidden_layers=1), "have no place in it: bert.encoder.layer.1"),
        (lambda f: change(f / CONFIG, hidden_size=64), "describes .*64"),
        (lambda f: change(f / CONFIG, vocab_size=99), "word_embeddings.weight is .* describes 99 x 32"),
        (
            lambda f: change(f / CONFIG, id2label={"0": "a", "1": "b"}, label2id={"a": 0, "b": 1}),
            "classifier.* describes 2",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(bert: Path, spoil: Callable[[Path], None], message: str) -> None:
    """A head, pooler or layer that is not there, left over or of another size is an error, and nothing is random."""
    spoil(bert)

    with pytest.raises(ModelError, match=message):
        load(bert)


@pytest.mark.parametrize("names", [None, {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"}])
def test_label2id_names_labels_too(bert: Path, names: dict[str, str] | None) -> None:
    """Where `id2label` is absent or says nothing, the names come from `label2id`, and a note says so."""
    change(bert / CONFIG, id2label=names)

    classifier = load(bert)

    assert classifier.labels == ("negative", "neutral", "positive")
    assert any("label2id" in note for note in classifier.manifest.notes)


def test_multi_label_models_of_simpletransformers_are_read(bert: Path) -> None:
    """Its architecture has the same layers under another name, and sigmoids."""
    change(bert / CONFIG, architectures=["BertForMultiLabelSequenceClassification"], problem_type=None)

    answer = load(bert)("хорошо")

    assert sum(answer.probabilities.values()) != pytest.approx(1.0)


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({"id2label": None, "label2id": None, "num_labels": 10**9}, "num_labels"),
        ({"id2label": None, "label2id": None, "num_labels": True}, "num_labels"),
        ({"vocab_size": 10**12}, "vocab_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers"),
        ({"hidden_size": -1}, "hidden_size"),
        ({"intermediate_size": "many"}, "intermediate_size"),
        ({"vocab_size": 9_999_999, "hidden_size": 49_999}, None),
    ],
)
def test_sizes_that_no_model_has_are_refused(bert: Path, fields: dict[str, Any], key: str | None) -> None:
    """A configuration of terabytes is refused at once, before anything is made."""
    change(bert / CONFIG, **fields)

    with pytest.raises(BundleError) as caught:
        load(bert)

    assert caught.value.key == key
