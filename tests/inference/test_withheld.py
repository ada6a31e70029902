"""When no label is given: unknown languages, strange texts, promises of precision."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest

import ottenok
from ottenok.bundle.manifest import FamiliarityFacts
from ottenok.core.errors import SchemeError
from ottenok.tasks.selective import Selective
from toys import fake_classifier, tiny_manifest

if TYPE_CHECKING:
    from ottenok.inference.classifier import Classifier


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Return the embedded classifier."""
    return ottenok.load(threads=1)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("This is the worst hotel I have ever seen", "en"),
        ("Дуже дякую, мені все сподобалось", "uk"),
        ("今日はとても楽しかったです", "other"),
    ],
)
def test_unknown_languages_get_no_label(classifier: Classifier, text: str, language: str) -> None:
    """A text in a language that the model does not know says so, in every task, and keeps its probabilities."""
    answer = classifier(text)

    assert (answer.label, answer.reason, answer.language) == (None, "language", language)
    assert all(one.label is None and one.reason == "language" for one in answer.tasks.values())
    assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert answer.to_json()["reason"] == "language"


@pytest.mark.parametrize("text", ["ок", "норм", "👍", "iPhone 15 Pro Max супер!", "好评", "666", "ok", "Wi-Fi, нет"])
def test_short_and_mixed_texts_keep_their_label(classifier: Classifier, text: str) -> None:
    """Nothing is withheld from short answers, emoji and texts with foreign names."""
    answer = classifier(text)

    assert answer.label is not None
    assert answer.reason is None


def test_always_gives_a_label(classifier: Classifier) -> None:
    """Who asks for it gets a label of any text; the language is still told, and a copy does the same."""
    always = ottenok.load(threads=1, always=True)
    for one in (always, pickle.loads(pickle.dumps(always))):
        answer = one("This is the worst hotel I have ever seen")
        assert (answer.label, answer.reason, answer.language) == ("negative", None, "en")


def test_a_model_of_unknown_languages_knows_all() -> None:
    """Where a manifest names no languages, or English or others too, no text is of a wrong language."""
    for languages in ((), ("ru", "en"), ("other",)):
        answer = fake_classifier(languages=languages)("This is the worst hotel that I have seen")
        assert answer.reason is None
        assert answer.language == "en"


def _promising(*limits: float | None) -> Classifier:
    manifest = tiny_manifest("sentiment-3")
    facts = manifest.tasks[0].model_copy(update={"selective": Selective(precision=0.9, risk=0.1, limits=limits)})
    classifier = fake_classifier()
    return type(classifier)(
        manifest=manifest.model_copy(update={"tasks": (facts,)}),
        tokeniser=classifier._tokeniser,
        backend=classifier.backend,
    )


def test_answers_below_their_limit_are_withheld() -> None:
    """A label is given from its limit on; one without a limit never; the rest is unsure."""
    texts = [f"текст {number}" for number in range(60)]
    plain = fake_classifier(max_length=32)(texts)
    found = _promising(0.6, None, 0.0)(texts)

    for before, after in zip(plain, found, strict=True):
        given = {"negative": before.confidence >= 0.6, "neutral": False, "positive": True}[str(before.label)]
        assert after.label == (before.label if given else None)
        assert after.reason == (None if given else "unsure")
        assert (after.polarity is None) == (not given)
        assert after.probabilities == before.probabilities
    assert {answer.reason for answer in found} == {None, "unsure"}


def test_limits_belong_to_labels() -> None:
    """A promise with another number of limits than labels is refused."""
    with pytest.raises(SchemeError, match="2 limits"):
        _promising(0.5, 0.5)


def test_strange_texts_are_withheld_from_the_limit_on() -> None:
    """The score is a share between 0 and 1, and only what reaches the limit has no label."""
    facts = FamiliarityFacts(
        data="a test",
        rows=10,
        limit=0.9,
        pieces={"ru": (2.0, 0.5), "zh": (3.0, 0.5)},
        weights=(1.0, 1.0, 0.0, 0.0, 0.0),
        bias=0.0,
        scores=(0.0, 0.3),
        levels=(0.5, 0.99),
    )
    usual, strange = fake_classifier(languages=("ru",), familiarity=facts)(
        ["обычный русский текст о погоде", "цщфжъ йцшгщзъ вжлщ фйцъ щшгж"]
    )

    assert usual.reason is None
    assert usual.unfamiliar == pytest.approx(0.5)
    assert strange.reason == "unfamiliar"
    assert strange.unfamiliar is not None
    assert np.isclose(strange.unfamiliar, 1.0, atol=0.1)
