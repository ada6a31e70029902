"""The component of spaCy, in a blank pipeline."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pytest

import ottenok
from ottenok.core.errors import BundleError

spacy = pytest.importorskip("spacy")
from ottenok.spacy import Component  # noqa: E402 - after the check for spaCy

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["Какая гадость эта ваша заливная рыба!", "", "Отличный фильм!"]


def test_documents_get_the_classifiers_answers(tiny_bundle: Path) -> None:
    """One document or a stream has answer, polarity and probabilities as the classifier gives them."""
    nlp = spacy.blank("ru")
    nlp.add_pipe("ottenok", config={"model": str(tiny_bundle)})
    expected = ottenok.load(tiny_bundle)(TEXTS)

    for docs in (list(nlp.pipe(TEXTS, batch_size=2)), [nlp(text) for text in TEXTS]):
        assert [doc._.ottenok for doc in docs] == [answer.to_json() for answer in expected]
        assert [doc._.polarity for doc in docs] == [answer.polarity for answer in expected]
        assert [doc.cats for doc in docs] == [answer.probabilities for answer in expected]


def test_pipelines_and_documents_are_saved(tiny_bundle: Path, tmp_path: Path) -> None:
    """A saved pipeline finds its model again, and saved documents keep their answers."""
    nlp = spacy.blank("ru")
    nlp.add_pipe("ottenok", config={"model": str(tiny_bundle), "tasks": ["sentiment-3"]})
    doc = nlp(TEXTS[0])
    nlp.to_disk(tmp_path / "nlp")

    again = spacy.load(tmp_path / "nlp")(TEXTS[0])

    assert again._.ottenok == doc._.ottenok
    assert spacy.tokens.Doc(nlp.vocab).from_bytes(doc.to_bytes())._.polarity == doc._.polarity


def test_a_model_that_is_not_there_is_our_error() -> None:
    """The error of a wrong model is the one of `ottenok.load`."""
    with pytest.raises(BundleError):
        spacy.blank("ru").add_pipe("ottenok", config={"model": "/no/such/model"})


def test_the_component_is_found_without_an_import() -> None:
    """An installed ottenok tells spaCy of its component."""
    found = [entry for entry in entry_points(group="spacy_factories") if entry.name == "ottenok"]
    if not found:
        pytest.skip("ottenok is not installed here, only on the path")
    assert found[0].value == "ottenok.spacy:make_component"
    assert isinstance(spacy.blank("zh").add_pipe("ottenok"), Component)
