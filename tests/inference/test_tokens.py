"""From texts to windows: very long texts, special tokens as text, other people's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ottenok.core.errors import BundleError
from ottenok.inference import tokens
from ottenok.inference.places import embedded_folder
from ottenok.inference.tokens import Tokeniser, read_tokenizer
from toys import character_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

WORDS = ["хорошо", "плохо", "отель", "это", "не", "good", "很", "好", "酒店", "太差了", "##о", "##ель", "!", "а", "о"]


def word_pieces(*, lowercase: bool = True) -> Tokenizer:
    """Return a tokenizer of few words, as BERT has it."""
    vocabulary = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


def embedded() -> Tokenizer:
    """Return the tokenizer of the embedded classifier, a Unigram model of Russian and Chinese."""
    return read_tokenizer(embedded_folder() / "tokenizer.json")


TOKENIZERS = {"bytes": character_tokenizer, "word pieces": word_pieces, "embedded": embedded}
PIECES = ["хорошо ", "плохо, ", "отель", " ", "\n", "这个酒店非常好，", "太差了。", "!", "ёлка ", "😀", "<s>", "ab"]
LONG = st.lists(st.sampled_from(PIECES), min_size=1, max_size=120).map("".join)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("options", [{}, {"max_windows": 2}, {"read_end": True}], ids=["all", "two", "end"])
def test_slices_give_what_the_whole_gives(kind: str, options: dict[str, object]) -> None:
    """A text that is tokenised slice by slice has the windows of one that is tokenised whole."""
    make = TOKENIZERS[kind]
    whole = Tokeniser(make(), max_length=20, overlap=5, **options)  # type: ignore[arg-type]
    sliced = Tokeniser(make(), max_length=20, overlap=5, **options)  # type: ignore[arg-type]

    @given(text=LONG)
    @settings(max_examples=60, deadline=None)
    def holds(text: str) -> None:
        expected = whole([text, "а"])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tokens, "_LONG", 40)
            patch.setattr(tokens, "_SLICE", 60)
            patch.setattr(tokens, "_CONTEXT", 40)
            found = sliced([text, "а"])
        assert [list(window) for window in found.ids] == [list(window) for window in expected.ids]
        for field in ("texts", "weights", "counts", "truncated", "unknown"):
            np.testing.assert_allclose(getattr(found, field), getattr(expected, field))

    holds()


def test_memory_does_not_follow_a_texts_length() -> None:
    """A text of eight million bytes is tokenised in memory for its tokens, not for what the library keeps of each."""
    import resource

    tokeniser = Tokeniser(embedded(), max_length=512, overlap=32)
    tokeniser(["разогрев"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    windows = tokeniser(["Номер тесный, но завтрак отличный. " * 130_000])

    assert int(windows.counts[0]) > 1000
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 250


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_special_tokens_in_a_text_are_text(kind: str, tmp_path: Path) -> None:
    """What is spelt like a special token is divided like other text, and none of the special ids stands inside."""
    TOKENIZERS[kind]().save(str(tmp_path / "tokenizer.json"))
    tokenizer = embedded() if kind == "embedded" else read_tokenizer(tmp_path / "tokenizer.json")
    special = set(range(4)) if kind != "bytes" else {0, 1}
    tokeniser = Tokeniser(tokenizer, max_length=64, overlap=8)

    for text in ("<s>", "a </s> b", "x<mask>", "<pad>", "[CLS] [SEP]", "конец</s>начало"):
        (ids,) = tokeniser([text]).ids
        inner = set(ids[1:-1]) - ({1} if kind == "word pieces" else set())
        assert not inner & special, text
        assert len(ids) > 3


def test_a_word_level_vocabulary_does_not_find_them_either(tmp_path: Path) -> None:
    """Not even a model whose words are whole stretches without a blank, such as <s>."""
    tokenizer = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "good": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    windows = Tokeniser(read_tokenizer(tmp_path / "tokenizer.json"), max_length=16, overlap=4)(["good <s> </s> good"])

    assert list(windows.ids[0]) == [1, 3, 0, 0, 3, 2]
    assert windows.unknown[0] == 0.5


def test_no_place_for_text_is_refused() -> None:
    """Special tokens that fill a window are an error, and not an endless loop."""
    with pytest.raises(BundleError, match="leaves nothing of 10"):
        Tokeniser(character_tokenizer(), max_length=10, overlap=8)
