"""Explanations, through `Classifier.explain` and `ottenok explain`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from ottenok.cli.classify import classify
from ottenok.cli.explain import explain
from ottenok.core.errors import InputError, SchemeError
from ottenok.explain.page import explanation_page
from ottenok.explain.shares import word_shares
from ottenok.tasks.decision import Decision, log_odds, probabilities
from toys import fake_classifier

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from ottenok.inference.classifier import Classifier

_HOSTILE = '<script>alert(1)</script> \u202eплохо\u2066 "><img src=x onerror=alert(1)> 好\x00\ud800'


def test_the_word_that_says_it_has_the_largest_share(embedded: Classifier) -> None:
    """Of a plain sentence in either language the word that carries the mood explains the label."""
    for text, word in [
        ("Какая гадость эта ваша заливная рыба!", "гадость"),
        ("НОМЕР УЖАСНЫЙ, НЕ СОВЕТУЮ НИКОМУ", "УЖАСНЫЙ"),
        ("这家酒店的早餐很难吃", "难吃"),
    ]:
        found = embedded.explain(text, label="negative")
        assert word in found.top(1)[0].text


@pytest.mark.parametrize("task", ["sentiment-3", "emotions-7", "stars-5"])
def test_base_and_shares_are_the_logit_of_the_probability(embedded: Classifier, task: str) -> None:
    """For each task and label the shares add up, and the logit is that of the probability that is answered."""
    text = "Доставили быстро, но ткань дешёвая 😡"
    answer = embedded(text).tasks[task]
    for label, probability in answer.probabilities.items():
        found = embedded.explain(text, task=task, label=label)
        assert found.base + sum(word.share for word in found.words) == pytest.approx(found.logit, abs=1e-6)
        assert 1.0 / (1.0 + np.exp(-found.logit)) == pytest.approx(probability, abs=1e-5)
    assert embedded.explain(text, task=task).label == answer.label


def test_without_words_there_is_nothing_to_explain(embedded: Classifier) -> None:
    """The logit is the base, and no word has a share."""
    found = embedded.explain(" \u200b\n")

    assert found.words == ()
    assert found.logit == found.base


@pytest.mark.parametrize(("read", "most"), [("all", None), ("end", None), ("all", 2)])
@pytest.mark.parametrize("combine", ["mean-logits", "mean-probabilities"])
def test_long_texts_are_explained_part_by_part(read: str, most: int | None, combine: str) -> None:
    """However windows are read and joined the shares add up, and only what is read has shares."""
    classifier = fake_classifier("emotions-7", max_length=24, read=read, max_windows=most, combine=combine)  # type: ignore[arg-type]
    text = "раз два три четыре пять шесть семь восемь девять десять одиннадцать"
    found = classifier.explain(text)

    assert found.base + sum(word.share for word in found.words) == pytest.approx(found.logit, abs=1e-6)
    assert all(text[word.start : word.end] == word.text for word in found.words)
    assert len(found.words) == 11 if most is None and read == "all" else 0 < len(found.words) < 11


def test_a_logit_of_words_and_pairs_has_its_shapley_values() -> None:
    """Where words act alone and in pairs each gets its own part and half of every pair's."""
    alone = {"а": 1.0, "б": -2.0, "в": 0.5}

    def logits(texts: Sequence[str]) -> npt.NDArray[np.float64]:
        sets = [set(text.split()) for text in texts]
        return np.array([[0.0, 0.25 + sum(alone[w] for w in s) + 3.0 * ({"а", "б"} <= s)] for s in sets])

    base, whole = logits(["", "а б в"])
    words = word_shares("а б в", logits, 1, base=base, whole=whole)

    assert [word.share for word in words] == pytest.approx([2.5, -0.5, 0.5])


def test_log_odds_belong_to_the_probabilities() -> None:
    """`log_odds` is `ln(p / (1 - p))`, also where p is 1 to every digit."""
    logits = np.array([[2.0, 0.3, -1.0], [60.0, 0.0, 0.0]])
    for activation in ("softmax", "sigmoid", "corn", "coral"):
        decision = Decision(activation=activation, temperature=1.5)  # type: ignore[arg-type]
        probs = probabilities(logits[:1], decision).astype(np.float64)
        assert log_odds(logits[:1], decision) == pytest.approx(np.log(probs / (1 - probs)), abs=1e-4)
    assert log_odds(logits, Decision(activation="softmax"))[1, 0] == pytest.approx(60.0 - np.log(2.0))


def test_what_can_not_be_explained_is_refused(embedded: Classifier) -> None:
    """No text, too long a text, an unknown label and an unknown task each have a clear error."""
    with pytest.raises(InputError, match="expected a text, found list"):
        embedded.explain(["a"])  # type: ignore[arg-type]
    with pytest.raises(InputError, match="20,001 characters"):
        embedded.explain("а" * 20_001)
    with pytest.raises(SchemeError, match="label"):
        embedded.explain("а", label="nothing")
    with pytest.raises(SchemeError, match="no task"):
        embedded.explain("а", task="nothing")


def test_a_page_holds_no_markup_of_the_text(embedded: Classifier) -> None:
    """Tags, quotes, controls and marks that turn the writing direction are shown as characters."""
    page = explanation_page([embedded.explain(_HOSTILE)], title="<b>")

    assert "<script" not in page
    assert "<img" not in page
    assert "<b>" not in page
    assert "\u202e" not in page
    assert "⟨U+202E⟩" in page
    page.encode()


def test_the_command_shows_shares(tmp_path: Path) -> None:
    """A terminal gets the text and its words, a program JSON, a browser a page; nothing turns the writing direction."""
    shown = CliRunner().invoke(explain, [_HOSTILE.replace("\x00\ud800", ""), "-o", str(tmp_path / "a.html")])
    told = CliRunner().invoke(explain, ["--json", "--task", "emotions-7", "--label", "joy"], input="Ура, победа!")

    assert shown.exit_code == 0, shown.output
    assert "плохо" in shown.stdout
    assert "\u202e" not in shown.stdout
    assert (tmp_path / "a.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    tree = json.loads(told.stdout)
    assert tree["label"] == "joy"
    assert [word["text"] for word in tree["words"]] == ["Ура", ",", "победа", "!"]
    assert "there is no word to explain" in CliRunner().invoke(explain, [" "]).output


def test_files_get_the_words_that_speak_for_the_label(tmp_path: Path) -> None:
    """The column holds the strongest words; where no label is given there are none."""
    path, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    path.write_text("text\nКакая гадость эта ваша рыба!\nThis is a really bad hotel\n👍\n", encoding="utf-8")
    arguments = [str(path), "--text", "text", "-o", str(out), "--explain", "--task", "sentiment-3"]

    assert CliRunner().invoke(classify, arguments, catch_exceptions=False).exit_code == 0
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows[0]["predicted_words"][0] == "гадость"
    assert rows[1]["predicted_words"] == []
    assert rows[1]["predicted_reason"] == "language"
    assert rows[2]["predicted_words"] == ["👍"]
