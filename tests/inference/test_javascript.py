"""Under Node and in a browser the embedded classifier answers as in Python."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import ottenok
from ottenok.core.schemes import load_scheme
from ottenok.inference.engine import products_overflow
from ottenok.inference.places import embedded_folder
from ottenok.inference.tokens import Tokeniser
from ottenok.tasks.decision import Decision, decide, ordered_score, probabilities
from ottenok.text.normalise import TextOptions, normalise
from pages import run_node
from toys import character_tokenizer

if TYPE_CHECKING:
    from ottenok.inference.classifier import Classifier

TEXTS = [
    "Какая гадость эта ваша заливная рыба!",
    "Отличный фильм, всем советую 👍",
    "服务态度很差，再也不来了",
    "房间又小又脏。不过早餐还可以……",
    "Ну так себе — «пойдёт», мой ёжик ❤️",
    "ok",
]
LONG = [
    *TEXTS,
    "",
    " \u200b ",
    "ВСЁ ПРОСТО УЖАСНО, НИКОГДА БОЛЬШЕ!!!",
    "@vasya смотри https://t.co/abc&amp;x=1 &laquo;класс&raquo;",
    "Сначала всё было хорошо. " * 30 + "А потом стало плохо. " * 30,
    "这家酒店非常好。" * 80,
]
RULES = [
    TextOptions(),
    TextOptions(capitals="lower", yo="e"),
    TextOptions(entities="keep", width="ascii", marks="keep", urls="drop", users="drop"),
    TextOptions(width="keep", urls="keep", users="keep"),
]
# What texts of every kind are made of here: all that a rule of normalising looks for.
PIECES = [
    *"аяЁёйи́̆abZſ9 \t\n\x0b\x1c\x85\xa0\u3000\u2028\x00\x7f\u00ad\u200b\u200d\u200e\ufeff\ufe0f\u20e3#*1",
    *"👍❤🏴🇷\U000e0067\U000e007f\U0001f3fd＠ＡｂＺ０！～。，中文…—«»\u3164\u2800\ufffe",
    *"&;#@.-_/:?[]|%+",
    *("&amp;", "&AMP;amp;", "&lt;", "&laquo;", "&#1078;", "&#x416;", "&#0;", "&#150;", "&#55296;", "&nbsp;", "&foo;"),
    *(
        "http://",
        "https://t.co/Ab1…",
        "www.",
        "vk.com/x",
        "т.д./т.п.",
        "a.b@c.ru",
        "@имя",
        "[id12|Ва]",
        "ПРИВЕТ",
        "КАК ",
    ),
]
CUTS = [
    (n, {"size": size, "overlap": 8, "read": read})
    for n in (0, 1, 29, 30, 31, 52, 53, 200)
    for size, read in ((30, "all"), (30, "end"))
]


def _odd_texts() -> list[str]:
    chance = random.Random(7)
    return ["".join(chance.choices(PIECES, k=chance.randint(1, 14))) for _ in range(1500)]


def _decisions() -> list[tuple[list[float], dict[str, Any], str]]:
    """Return logits, facts of a task as a manifest has them, and the scheme's name."""
    chance = random.Random(3)
    kinds = [
        ("sentiment-3", Decision(activation="softmax", temperature=1.7, thresholds=(0.5, 0.6, 0.4))),
        ("stars-5", Decision(activation="corn", pick="median")),
        ("stars-5", Decision(activation="coral", empty="top")),
        ("emotions-7", Decision(activation="sigmoid", exclusive="neutral", empty="neutral")),
        ("emotions-7", Decision(activation="sigmoid", thresholds=(0.3,) * 7, empty="top")),
    ]
    found = []
    for name, decision in kinds * 8:
        scheme = load_scheme(name)
        outputs = len(scheme.labels) - (decision.activation in {"corn", "coral"})
        facts = {"kind": scheme.kind, "labels": scheme.labels, "values": scheme.values}
        logits = [float(np.float32(chance.gauss(0, 2))) for _ in range(outputs)]
        found.append((logits, {"scheme": facts, "decision": decision.to_json()}, name))
    return found


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Return the embedded classifier."""
    return ottenok.load()


@pytest.fixture(scope="module")
def node() -> Any:
    """Return what Node answers to all of the above, in one run."""
    folder = embedded_folder()
    return run_node(
        "classify.mjs",
        {
            "root": f"{folder.parent}/",
            "model": folder.name,
            # Where the processor's fast products of 8-bit numbers overflow, ottenok asks for the exact ones.
            "session": {"extra": {"session": {"x64quantprecision": "1"}}} if products_overflow() else {},
            "texts": TEXTS,
            "long": LONG,
            "odd": [(text, asdict(rules)) for text in _odd_texts() for rules in RULES],
            "cuts": CUTS,
            "decisions": [decision[:2] for decision in _decisions()],
        },
        package="@huggingface/transformers",
    )


def test_the_stock_pipeline_gives_the_same_probabilities(node: Any, classifier: Classifier) -> None:
    """`pipeline('text-classification', ...)` of transformers.js needs no options, and is as near as 1e-4."""
    expected = classifier.predict_proba(TEXTS)
    found = [
        [{row["label"]: row["score"] for row in rows}[label] for label in classifier.labels]
        for rows in node["pipeline"]
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_module_of_rules_answers_as_python(node: Any, classifier: Classifier) -> None:
    """Normalised texts, windows and thresholds of every task give Python's labels, and its numbers to 1e-4."""
    for text, found in zip(LONG, node["answers"], strict=True):
        prediction = classifier(text)
        assert (found["windows"], found["truncated"], found["reason"]) == (
            prediction.windows,
            prediction.truncated,
            prediction.reason,
        )
        for name, answer in prediction.tasks.items():
            theirs = found["tasks"][name]
            assert (theirs["label"], theirs["labels"]) == (answer.label, list(answer.labels)), text
            assert theirs["probabilities"] == pytest.approx(dict(answer.probabilities), abs=1e-4)
            assert theirs["polarity"] == pytest.approx(answer.polarity, abs=1e-4)


def test_texts_are_normalised_as_in_python(node: Any) -> None:
    """Texts of everything that the rules look for become the same text, whatever the options."""
    expected = [normalise(text, rules) for text in _odd_texts() for rules in RULES]
    assert node["normalised"] == expected


def test_windows_are_cut_as_in_python(node: Any) -> None:
    """Texts of lengths about the edges are cut at the same tokens."""
    for (count, rules), found in zip(CUTS, node["windows"], strict=True):
        tokeniser = Tokeniser(
            character_tokenizer(),
            max_length=rules["size"] + 2,
            overlap=rules["overlap"],
            read_end=rules["read"] == "end",
        )
        expected = tokeniser(["".join(chr(97 + n % 26) for n in range(count))]).ids
        numbers = tokeniser([chr(97 + n) for n in range(26)]).ids
        letters = {chr(97 + n): ids[1] for n, ids in enumerate(numbers)}
        assert [[letters[chr(97 + n % 26)] for n in window] for window in found] == [ids[1:-1] for ids in expected]


def test_decisions_are_those_of_python(node: Any) -> None:
    """Activations, temperatures, thresholds, exclusive labels and empty answers follow the stored rule."""
    for (logits, facts, name), found in zip(_decisions(), node["decisions"], strict=True):
        scheme, decision = load_scheme(name), Decision.from_json(facts["decision"])
        probs = probabilities([logits], decision)
        assert list(found["probabilities"].values()) == pytest.approx(probs[0].tolist(), abs=1e-6)
        assert tuple(found["labels"]) == decide(probs, scheme, decision)[0]
        if scheme.values:
            assert found["polarity"] == pytest.approx(float(ordered_score(probs, scheme.values)[0]), abs=1e-6)
