"""Published labels on their way to a corpus's labels."""

from __future__ import annotations

import pytest

from ottenok.core.errors import SchemeError
from ottenok.core.schemes import LabelMap, load_scheme
from ottenok.data.card import Label, load_card
from ottenok.data.harmonise import Harmoniser, Mapped, clean_text, find_route
from ottenok.data.rows import Reason
from ottenok.text.normalise import TextOptions

SENTIMENT = Label(
    scheme="sentiment-3", map={"+": "positive", "-": "negative", "0": "neutral", "skip": "", "ok": "positive"}
)
EMOTION = Label(scheme="goemotions-28", map={"1": "joy", "2": "love", "3": "fear", "4": ""}, empty=None)


def harmonise(label: Label, scheme: str, *published: str) -> Mapped:
    """Map the labels of one row."""
    known = load_scheme(scheme)
    return Harmoniser(label=label, scheme=known, route=find_route(label, known))(published)


def test_a_label_goes_by_card_and_scheme() -> None:
    """Published label, card's scheme, corpus's scheme: each step by its table."""
    assert harmonise(SENTIMENT, "sentiment-3", "+") == Mapped(labels=("positive",))
    assert harmonise(load_card("dmsc-sample").label, "sentiment-3", "2") == Mapped(labels=("negative",))
    assert harmonise(EMOTION, "emotions-7", "3", "1", "2") == Mapped(labels=("fear", "joy"))


def test_an_unknown_label_is_named_and_never_guessed() -> None:
    """`positive` is a label of the scheme, but if the card does not name it, it is unknown."""
    assert harmonise(SENTIMENT, "sentiment-3", "positive").unknown == "positive"
    assert harmonise(SENTIMENT, "sentiment-3", "+", "?").unknown == "?"
    assert harmonise(EMOTION, "emotions-7", "29").unknown == "29"


def test_what_the_card_drops_is_dropped() -> None:
    """One label per row: the row goes. Several: the label goes, and the row with it only if nothing else was there."""
    assert harmonise(SENTIMENT, "sentiment-3", "skip").reason == Reason.LABEL
    assert harmonise(EMOTION, "goemotions-28", "4", "3").labels == ("fear",)
    assert harmonise(EMOTION, "goemotions-28", "4").reason == Reason.LABEL


def test_several_labels_in_a_one_label_scheme() -> None:
    """Labels that mean the same are one; different ones drop the row, or are `mixed` where the card says so."""
    assert harmonise(SENTIMENT, "sentiment-3", "+", "ok").labels == ("positive",)
    assert harmonise(SENTIMENT, "sentiment-3", "+", "-").reason == Reason.SEVERAL_LABELS
    mixed = SENTIMENT.model_copy(update={"several": "mixed", "mixed": "neutral"})
    assert harmonise(mixed, "sentiment-3", "+", "-").labels == ("neutral",)


def test_no_label_is_an_answer_only_among_several() -> None:
    """An empty set stays empty, or becomes what card or map say; where one label is needed, there is none."""
    assert harmonise(EMOTION, "goemotions-28") == Mapped()
    assert harmonise(load_card("cedr").label, "cedr-5") == Mapped()
    assert harmonise(load_card("cedr").label, "emotions-7") == Mapped(labels=("neutral",))
    assert harmonise(SENTIMENT, "sentiment-3").reason == Reason.NO_LABEL


def test_a_card_without_a_sound_map_is_refused_before_anything_is_read() -> None:
    """Emotions are not turned into stars; a map into labels that the scheme lacks is a fault of the card."""
    with pytest.raises(SchemeError, match="no sound map from the scheme goemotions-28 to stars-5"):
        find_route(EMOTION, load_scheme("stars-5"))
    wrong = Label(scheme="sentiment-3", map={"+": "positiv"})
    with pytest.raises(SchemeError, match="Did you mean 'positive'"):
        find_route(wrong, load_scheme("sentiment-3"))
    with pytest.raises(SchemeError, match="there is no label scheme 'sentiments'"):
        find_route(Label(scheme="sentiments", map={}), load_scheme("sentiment-3"))


def test_emoticons_leave_texts_whose_labels_they_are() -> None:
    """Distant supervision: the label must not be in the text; elsewhere the emoticon stays."""
    assert clean_text("вот и лето :)", TextOptions(), emoticons=True) == "вот и лето"
    assert clean_text("вот и лето :)", TextOptions(), emoticons=False) == "вот и лето :)"


@pytest.mark.parametrize("empty", [None, "neutral"])
def test_a_map_that_drops_labels_drops_a_row_that_loses_them_all(empty: str | None) -> None:
    """A label without a place in the target goes alone; where no other is left the row says nothing, not "none"."""
    known = load_scheme("emotions-7")
    route = LabelMap(
        source="goemotions-28",
        target="emotions-7",
        table={"joy": "joy", "love": None, "fear": None},
        drop="label",
        empty=empty,
        why="a test",
    )
    mapped = Harmoniser(label=EMOTION, scheme=known, route=route)

    assert mapped(("1", "2")) == Mapped(labels=("joy",))
    assert mapped(("1",)) == Mapped(labels=("joy",))
    assert mapped(("2", "3")) == Mapped(reason=Reason.LABEL)
    assert mapped(("3",)) == Mapped(reason=Reason.LABEL)
    assert mapped(()) == Mapped(labels=() if empty is None else (empty,))
