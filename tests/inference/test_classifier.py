"""The classifier through its public door."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, islice
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import InputError, ModelError, SchemeError
from ottenok.inference.api import load
from ottenok.inference.tokens import Tokeniser
from ottenok.tasks.decision import Decision
from toys import FakeBackend, character_tokenizer, fake_classifier

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.inference.classifier import Classifier
    from ottenok.inference.tokens import TokenBatch

TEXTS = st.lists(st.text(max_size=120), min_size=1, max_size=12)
FAKE = fake_classifier()
ENDS = fake_classifier(read="end")


@dataclass
class FixedBackend:
    """Gives the same logits for every row, and remembers the batches."""

    logits: list[float]
    name: str = "fixed"
    identity: str = "fixed"
    batches: list[TokenBatch] = field(default_factory=list)

    @property
    def outputs(self) -> int:
        return len(self.logits)

    def run(self, batch: TokenBatch) -> npt.NDArray[np.float32]:
        self.batches.append(batch)
        return np.tile(np.array(self.logits, dtype=np.float32), (len(batch.ids), 1))


@settings(deadline=None)
@given(texts=TEXTS)
def test_scores_do_not_depend_on_company(texts: list[str]) -> None:
    """A text's prediction is the same alone, among others, and in another order."""
    together = FAKE(texts)

    assert together == [FAKE(text) for text in texts]
    assert together[::-1] == FAKE(texts[::-1])


@given(texts=TEXTS)
@settings(max_examples=30, deadline=None)
def test_scores_of_a_graph_do_not_depend_on_company(tiny_bundle: Path, texts: list[str]) -> None:
    """On onnxruntime too, to 1e-4."""
    classifier = _loaded(tiny_bundle)

    alone = np.concatenate([classifier.predict_proba([text]) for text in texts])

    np.testing.assert_allclose(classifier.predict_proba(texts), alone, atol=1e-4)


_LOADED: dict[Path, Classifier] = {}


def _loaded(folder: Path) -> Classifier:
    if folder not in _LOADED:
        _LOADED[folder] = load(folder, threads=1)
    return _LOADED[folder]


@settings(deadline=None)
@given(texts=TEXTS)
def test_no_row_is_padded_and_budgets_hold(texts: list[str]) -> None:
    """Each batch is a full rectangle of at most the budget, and every window is in one batch."""
    backend = FixedBackend([0.0, 0.0, 0.0])
    classifier = fake_classifier("sentiment-3", backend=backend)

    classifier(texts)

    assert all(batch.ids.size <= 256 or len(batch.ids) == 1 for batch in backend.batches)
    windows = len(classifier.prepare(texts).windows.ids)
    assert sum(len(batch.ids) for batch in backend.batches) == windows


def test_a_long_text_is_read_whole_in_overlapping_windows() -> None:
    """Windows have the model's length, share the overlap, and together hold every token."""
    backend = FixedBackend([0.0, 0.0, 0.0])
    classifier = fake_classifier("sentiment-3", backend=backend, max_length=32)

    prediction = classifier("абвгд" * 20)

    ids = classifier.prepare(["абвгд" * 20]).windows.ids
    assert prediction.windows == len(ids) > 1
    assert all(len(window) <= 32 for window in ids)
    inner = [window[1:-1] for window in ids]
    joined = inner[0] + [token for window in inner[1:] for token in window[8:]]
    assert joined == character_tokenizer().encode("абвгд" * 20).ids[1:-1]
    assert not prediction.truncated


@pytest.mark.parametrize("combine", ["mean-logits", "mean-probabilities"])
def test_windows_are_joined_by_the_stated_rule(combine: str) -> None:
    """The mean over windows, weighed by their tokens, of logits or of probabilities."""
    classifier = fake_classifier("sentiment-3", backend=FakeBackend(3), combine=combine, max_length=32)
    prepared = classifier.prepare(["съешь ещё этих мягких французских булок"])
    logits = classifier.run(prepared).astype(np.float64)
    weights = np.array([len(window) - 2 for window in prepared.windows.ids])

    (prediction,) = classifier.finish(prepared, logits.astype(np.float32))

    def softmax(x: Any) -> Any:
        return np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)

    if combine == "mean-logits":
        expected = softmax(np.average(logits, axis=0, weights=weights))
    else:
        expected = np.average(softmax(logits), axis=0, weights=weights)
    np.testing.assert_allclose(list(prediction.probabilities.values()), expected, atol=1e-6)


def test_a_limit_of_windows_is_told() -> None:
    """With max_windows the rest stays unread, and the prediction says so."""
    limited = fake_classifier(max_windows=2)

    long, short = limited(["а" * 500, "а"])

    assert (long.windows, long.truncated) == (2, True)
    assert (short.windows, short.truncated) == (1, False)


@settings(deadline=None)
@given(st.text(alphabet="абв", min_size=1, max_size=100))
def test_ends_are_read_where_ends_were_learned(text: str) -> None:
    """Such a classifier answers as if a long text were its last tokens, and says that the rest is unread."""
    answer = ENDS(text)

    # A letter is two tokens, and the two special ones take their places.
    assert answer.probabilities == FAKE(text[-31:]).probabilities
    assert (answer.windows, answer.truncated) == (1, len(text) > 31)


@pytest.mark.parametrize("text", ["", " ", "\n\t \u3000", "\0", "\u200b\ufeff"])
def test_nothing_to_read_gets_no_answer(text: str) -> None:
    """A text without anything to read has no label and no score, rather than a guess."""
    prediction = FAKE(text)

    assert prediction.label is None
    assert prediction.labels == ()
    assert set(prediction.probabilities.values()) == {0.0}
    assert prediction.polarity is None
    assert prediction.windows == 0
    assert prediction.confidence == 0.0


@pytest.mark.parametrize("text", ["😀😀😀", "до\0после", "\ud83d один", "ไทย", "\u202eнаоборот", "a" * 5000])
def test_strange_texts_get_an_answer(text: str) -> None:
    """Emoji alone, NUL, lone surrogates, other scripts, reversed and endless words are classified like any text."""
    prediction = FAKE(text)

    assert prediction.label in {"negative", "neutral", "positive"}
    assert sum(prediction.probabilities.values()) == pytest.approx(1.0, abs=1e-6)


def test_a_megabyte_in_one_line_is_read_whole() -> None:
    """A text of 1 MB becomes thousands of windows, none of them left out."""
    prediction = fake_classifier("sentiment-3", backend=FixedBackend([1.0, 0.0, 0.0]), max_length=512)(
        "слово " * 90_000
    )

    assert prediction.windows > 1000
    assert prediction.label == "negative"


def test_multi_label_scores_are_sigmoids() -> None:
    """Labels of a multi-label model do not compete: logits 2, 1.5, -3 are .88, .82 and .05."""
    prediction = fake_classifier("emotions-7", backend=FixedBackend([2.0, 1.5, -3.0, -9.0, -9.0, -9.0, -9.0]))("текст")

    assert list(prediction.probabilities.values())[:3] == pytest.approx([0.881, 0.818, 0.047], abs=1e-3)
    assert prediction.labels == ("anger", "disgust")
    assert prediction.label == "anger"
    assert prediction.polarity is None


def test_labels_keep_the_order_of_the_outputs() -> None:
    """The first output belongs to the first label."""
    prediction = fake_classifier("sentiment-3", backend=FixedBackend([5.0, 0.0, -5.0]))("текст")

    assert list(prediction.probabilities) == ["negative", "neutral", "positive"]
    assert prediction.label == "negative"
    assert prediction.polarity == pytest.approx(-0.9932, abs=1e-3)
    assert prediction.confidence == prediction.probabilities["negative"]


def test_an_answer_may_be_empty() -> None:
    """Where no label reaches its threshold and the decision allows it, there is none, but scores are there."""
    decision = Decision(activation="softmax", thresholds=(0.9, 0.9, 0.9))
    prediction = fake_classifier("sentiment-3", backend=FixedBackend([1.0, 0.0, 0.0]), decision=decision)("текст")

    assert prediction.label is None
    assert prediction.windows == 1
    assert prediction.probabilities["negative"] == pytest.approx(0.576, abs=1e-3)


def test_several_tasks_are_answered_in_one_pass() -> None:
    """Each task has its own labels, its own rule and its own columns of one array of logits."""
    backend = FixedBackend([5.0, 0.0, -5.0, 2.0, 1.5, -3.0, -9.0, -9.0, -9.0, -9.0])
    classifier = fake_classifier("sentiment-3", "emotions-7", backend=backend)

    prediction = classifier("текст")

    assert len(backend.batches) == 1
    assert [task.name for task in classifier.tasks] == ["sentiment-3", "emotions-7"]
    assert classifier.labels == ("negative", "neutral", "positive")
    assert (prediction.label, prediction.labels) == ("negative", ("negative",))
    assert prediction.polarity == pytest.approx(-0.9932, abs=1e-3)
    emotions = prediction.tasks["emotions-7"]
    assert (emotions.label, emotions.labels, emotions.polarity) == ("anger", ("anger", "disgust"), None)
    assert emotions.confidence == pytest.approx(0.881, abs=1e-3)
    assert list(emotions.probabilities.values())[:3] == pytest.approx([0.881, 0.818, 0.047], abs=1e-3)
    assert prediction.tasks["sentiment-3"].probabilities == prediction.probabilities
    assert prediction.to_json()["tasks"]["emotions-7"]["labels"] == ["anger", "disgust"]
    assert classifier.predict(["текст", None], task="emotions-7") == ["anger", None]
    assert classifier.predict_proba("текст", task="emotions-7").shape == (1, 7)
    with pytest.raises(SchemeError, match="no task 'stars-5'"):
        classifier.predict_proba("текст", task="stars-5")


@given(texts=TEXTS)
@settings(deadline=None)
@pytest.mark.parametrize("combine", ["mean-logits", "mean-probabilities"])
def test_a_task_beside_others_answers_as_alone(texts: list[str], combine: str) -> None:
    """What stands beside a task changes nothing in its answers, nor do windows."""
    both = fake_classifier("sentiment-3", "emotions-7", backend=FakeBackend(10), combine=combine)
    alone = fake_classifier("sentiment-3", backend=FakeBackend(3), combine=combine)

    for found, expected in zip(both(texts), alone(texts), strict=True):
        assert found.tasks["sentiment-3"] == expected.tasks["sentiment-3"]
        assert (found.windows, found.reason) == (expected.windows, expected.reason)
        assert bool(found.tasks["emotions-7"].labels) <= bool(found.windows)


def test_several_workers_give_what_one_gives(tiny_bundle: Path) -> None:
    """Batches computed at once change nothing, and a failing one fails the call."""
    texts = [f"текст {number} " * (number % 9 + 1) for number in range(200)]

    assert load(tiny_bundle, threads=4)(texts) == load(tiny_bundle, threads=1)(texts)

    class Broken(FakeBackend):
        def run(self, batch: TokenBatch) -> Any:
            raise ModelError("no memory")

    with pytest.raises(ModelError, match="no memory"):
        fake_classifier("sentiment-3", backend=Broken(3), workers=3)(texts)


def test_a_backend_with_other_outputs_is_refused() -> None:
    """A graph whose number of outputs is not that of the labels never answers."""
    with pytest.raises(ModelError, match="5 outputs, and its labels need 3"):
        fake_classifier("sentiment-3", backend=FixedBackend([0.0] * 5))


def test_what_comes_in_says_what_comes_out() -> None:
    """A string gives one prediction, a list a list, an iterator an iterator."""
    one = FAKE("привет")

    assert FAKE(["привет", "привет"]) == [one, one]
    assert FAKE(("привет",)) == [one]
    stream = FAKE(iter(["привет"]))
    assert iter(stream) is stream
    assert list(stream) == [one]
    assert FAKE([]) == []


def test_columns_of_data_frames_are_taken() -> None:
    """Columns of pandas and Arrow and numpy arrays are lists of texts."""
    pyarrow = pytest.importorskip("pyarrow")
    texts = ["раз", "два", "раз"]
    expected = FAKE(texts)

    assert FAKE(pd.Series(texts, index=[5, 6, 7])) == expected
    assert FAKE(pyarrow.array(texts)) == expected
    assert FAKE(pyarrow.chunked_array([texts[:1], texts[1:]])) == expected
    assert FAKE(np.array(texts)) == expected


@pytest.mark.parametrize("value", [None, float("nan"), np.nan, np.float32("nan"), pd.NA, pd.NaT])
def test_a_missing_text_gets_no_label_and_a_reason(value: Any) -> None:
    """A row without a text is answered as one without a label, or refused by its number if that is asked for."""
    texts = ["хорошо", value, "плохо"]

    first, missing, last = FAKE(texts)

    assert [first, last] == FAKE(["хорошо", "плохо"])
    assert (missing.label, missing.labels, missing.windows) == (None, (), 0)
    assert missing.reason == "missing text"
    assert FAKE.predict(texts) == [first.label, None, last.label]
    assert not FAKE.predict_proba(texts)[1].any()
    assert [answer.reason for answer in FAKE(iter(texts))] == [None, "missing text", None]
    for call in (FAKE, FAKE.predict, FAKE.predict_proba, lambda *a, **o: list(FAKE.stream(*a, **o))):
        with pytest.raises(InputError, match="missing") as caught:
            call(texts, on_missing="raise")  # type: ignore[operator]
        assert caught.value.row == 2


def test_columns_with_missing_texts_are_answered() -> None:
    """Pandas' strings and objects, masked arrays and Arrow columns mark what is missing in ways of their own."""
    pyarrow = pytest.importorskip("pyarrow")
    columns = [
        pd.Series(["a", None], dtype="string"),
        pd.Series(["a", float("nan")]),
        pd.Series(["a", None], dtype="category"),
        np.ma.masked_array(["a", "b"], mask=[False, True]),
        pyarrow.array(["a", None]),
    ]

    for column in columns:
        assert [answer.reason for answer in FAKE(column)] == [None, "missing text"]


@pytest.mark.parametrize(("value", "message"), [(7, "int 7"), (1.5, "float 1.5"), (b"bytes", "bytes"), (["a"], "list")])
def test_what_is_no_text_is_refused_by_row(value: object, message: str) -> None:
    """A number is an error that names its row, from 1."""
    with pytest.raises(InputError, match=message) as caught:
        FAKE(["хорошо", "плохо", value])  # type: ignore[list-item]

    assert caught.value.row == 3
    assert caught.value.hint


def test_one_text_may_come_in_a_box() -> None:
    """An array without dimensions and an Arrow scalar are one text."""
    pyarrow = pytest.importorskip("pyarrow")
    expected = FAKE("текст")

    assert FAKE(np.array("текст")) == FAKE(np.str_("текст")) == FAKE(pyarrow.scalar("текст")) == expected  # type: ignore[comparison-overlap]
    assert FAKE.predict("текст") == FAKE.predict(np.array("текст")) == [expected.label]
    assert FAKE.predict_proba("текст").shape == (1, 3)


def test_it_speaks_as_scikit_learn_and_transformers_do() -> None:
    """`predict` and `predict_proba` agree with the call, and the columns are `classes_` and `id2label`."""
    texts = [f"текст {number}" for number in range(9)]
    answers = FAKE(texts)

    assert FAKE.predict(texts) == [answer.label for answer in answers]
    probs = FAKE.predict_proba(texts)
    assert probs.dtype == np.float32
    np.testing.assert_array_equal(FAKE.classes_[probs.argmax(axis=1)], FAKE.predict(texts))
    assert FAKE.id2label == {0: "negative", 1: "neutral", 2: "positive"}
    assert tuple(FAKE.classes_) == FAKE.labels


def test_a_list_is_checked_before_the_work() -> None:
    """A number at the end of a long list is refused before anything is computed."""
    backend = FixedBackend([0.0, 0.0, 0.0])

    with pytest.raises(InputError) as caught:
        fake_classifier("sentiment-3", backend=backend)(["а"] * 10_000 + [7])  # type: ignore[list-item]

    assert caught.value.row == 10_001
    assert not backend.batches


@pytest.mark.parametrize("value", [5, None, b"bytes", {"text": "a"}])
def test_what_is_no_column_is_refused(value: object) -> None:
    """A number, bytes or a mapping is no column of texts."""
    with pytest.raises(InputError, match="expected a text or a column"):
        FAKE(value)  # type: ignore[call-overload]


def test_a_whole_data_frame_is_refused() -> None:
    """A frame has several columns; one must be chosen."""
    frame = pd.DataFrame({"text": ["a"]})

    with pytest.raises(InputError, match="whole data frame"):
        FAKE(frame)


def test_a_stream_reads_no_more_than_it_must() -> None:
    """An endless iterator is answered block by block, in order."""
    taken: list[int] = []

    def texts() -> Any:
        for number in count():
            taken.append(number)
            yield f"текст {number}"

    answers = list(islice(FAKE.stream(texts(), texts_at_once=10), 25))

    assert answers == FAKE([f"текст {number}" for number in range(25)])
    assert len(taken) == 30


def test_rows_of_a_stream_are_numbered_through() -> None:
    """The row in an error counts from the start of the stream, not of the block."""
    texts = ["а"] * 25 + [7]

    with pytest.raises(InputError) as caught:
        list(FAKE.stream(texts, texts_at_once=10))  # type: ignore[arg-type]

    assert caught.value.row == 26


def test_unknown_tokens_are_told(encoder_folder: Path) -> None:
    """A text in a script that the vocabulary lacks says that it was not understood."""
    from ottenok.inference.tokens import read_tokenizer

    file = encoder_folder.parent / "tokenizers" / "rubert-tiny2" / "tokenizer.json"
    tokeniser = Tokeniser(read_tokenizer(file), max_length=64, overlap=8)

    windows = tokeniser(["Какая гадость", "ꦲꦏ꧀ꦱꦫ"])

    assert windows.unknown[0] == 0.0
    assert windows.unknown[1] == 1.0


@pytest.mark.parametrize("folder", ["e5-small-ru-zh", "tokenizers/rubert-tiny2"])
def test_short_i_and_yo_survive(encoder_folder: Path, folder: str) -> None:
    """The tokens of й and ё are not those of и and е, however the letters were typed."""
    from ottenok.inference.tokens import read_tokenizer
    from ottenok.text.normalise import normalise

    file = encoder_folder.parent / folder / "tokenizer.json"
    tokeniser = Tokeniser(read_tokenizer(file), max_length=64, overlap=8)

    whole, parts, stripped = tokeniser([normalise("мой ёж"), normalise("мои\u0306 е\u0308ж"), "мои еж"]).ids

    assert whole == parts
    assert whole != stripped


def test_chinese_is_read_by_character(encoder_folder: Path) -> None:
    """Chinese has no spaces, and each character or piece is a token: nothing becomes one unknown word."""
    from ottenok.inference.tokens import read_tokenizer

    file = encoder_folder / "tokenizer.json"
    windows = Tokeniser(read_tokenizer(file), max_length=64, overlap=8)(["这个酒店非常好,下次还会来"])

    assert len(windows.ids[0]) > 7
    assert windows.unknown[0] == 0.0
