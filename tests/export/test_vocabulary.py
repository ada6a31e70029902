"""A cut vocabulary divides texts whose pieces stay as before, whatever the tokenizer's kind."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from ottenok.core.errors import ModelError
from ottenok.export.vocabulary import cut_config, cut_graph, cut_tokenizer, kept_pieces

if TYPE_CHECKING:
    from collections.abc import Callable

onnx = pytest.importorskip("onnx")

_RANDOM = random.Random(0)
_WORDS = ["".join(_RANDOM.choices("абвгдежз服务很好", k=_RANDOM.randint(1, 7))) for _ in range(400)]
_TEXTS = [" ".join(_RANDOM.choices(_WORDS, k=12)) for _ in range(300)]
_SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]


def _unigram() -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=_SPECIAL, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer


def _wordpiece() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=500, special_tokens=_SPECIAL, show_progress=False)
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer


def _bpe() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=_SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(_TEXTS, trainer)
    return tokenizer


@pytest.fixture(scope="module", params=[_unigram, _wordpiece, _bpe], ids=["unigram", "wordpiece", "bpe"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    """Return a tokenizer of each kind, with special tokens at both ends and after the vocabulary."""
    make: Callable[[], Tokenizer] = request.param
    made = make()
    made.add_special_tokens(["<late>"])
    first, last = made.token_to_id("<s>"), made.token_to_id("</s>")
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", first), ("</s>", last)]
    )
    made.enable_padding(pad_id=made.token_to_id("<pad>"), pad_token="<pad>")
    made.no_padding()
    return made


@given(st.lists(st.sampled_from(_TEXTS), min_size=1, max_size=4), st.text(alphabet="абвгдежз服务很好 яx", max_size=30))
@settings(max_examples=40, deadline=None)
def test_texts_whose_pieces_stay_are_divided_as_before(tokenizer: Tokenizer, needed: list[str], other: str) -> None:
    """The same pieces by new numbers, rising with the old; other texts get pieces too, and special tokens stay."""
    tree = json.loads(tokenizer.to_str())
    kept = kept_pieces(tree, (number for text in needed for number in tokenizer.encode(text).ids))
    cut = Tokenizer.from_str(json.dumps(cut_tokenizer(tree, kept)))

    assert cut.get_vocab_size() == len(kept) < tokenizer.get_vocab_size()
    for text in (*needed, *_TEXTS[:20], other):
        before = tokenizer.encode(text)
        if set(before.ids) <= set(kept.tolist()):
            after = cut.encode(text)
            assert (after.tokens, kept[after.ids].tolist()) == (before.tokens, before.ids)
    assert cut.encode(_TEXTS[0]).ids[0] == cut.token_to_id("<s>")
    assert cut.encode("<late>").ids[1] == cut.token_to_id("<late>")
    unknown = cut.token_to_id("<unk>")
    assert unknown not in cut.encode(needed[0].replace(" ", "")).ids


def test_the_configuration_follows() -> None:
    """Sizes and ids of special tokens are new, also of an encoder inside; other numbers stay."""
    tree = {"vocab_size": 9, "pad_token_id": 8, "id2label": {"0": "a"}, "encoder": {"vocab_size": 9, "hidden_size": 9}}

    found: dict[str, Any] = cut_config(tree, np.array([0, 3, 8]))
    assert found == {
        "vocab_size": 3,
        "pad_token_id": 2,
        "id2label": {"0": "a"},
        "encoder": {"vocab_size": 3, "hidden_size": 9},
    }


def test_a_graph_that_can_t_be_cut_is_refused() -> None:
    """A graph without a table, or that compares ids that would change, says so and stays."""
    helper, types = onnx.helper, onnx.TensorProto
    ids = helper.make_tensor_value_info("input_ids", types.INT64, ["batch", "length"])
    out = helper.make_tensor_value_info("logits", types.FLOAT, None)
    table = onnx.numpy_helper.from_array(np.ones((9, 2), dtype=np.float32), "table")
    seven = onnx.numpy_helper.from_array(np.array(7), "seven")
    compared = [
        helper.make_node("Gather", ["table", "input_ids"], ["vectors"]),
        helper.make_node("Equal", ["input_ids", "seven"], ["padding"]),
        helper.make_node("Cast", ["padding"], ["numbers"], to=types.FLOAT),
        helper.make_node("Add", ["vectors", "numbers"], ["logits"]),
    ]
    model = helper.make_model(helper.make_graph(compared, "g", [ids], [out], [table, seven]))
    with pytest.raises(ModelError, match="piece 7 by its number"):
        cut_graph(model, np.array([0, 1, 7]), special=[0, 7])
    cut_graph(model, np.array([0, 1, 7]), special=[0, 1])
    assert list(model.graph.initializer[0].dims) == [3, 2]
    with pytest.raises(ModelError, match="no pieces"):
        cut_graph(helper.make_model(helper.make_graph(compared[1:3], "g", [ids], [out], [seven])), np.array([0, 1]))
