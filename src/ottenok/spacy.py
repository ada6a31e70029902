"""The classifier as a component of spaCy.

>>> nlp = spacy.blank("ru")                                         # doctest: +SKIP
>>> nlp.add_pipe("ottenok")                                         # doctest: +SKIP
>>> nlp("Какая гадость эта ваша заливная рыба!")._.polarity         # doctest: +SKIP
-0.93...
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.lazy import need
from ottenok.inference.api import load
from ottenok.inference.tokens import slices

with need("spacy"):
    from spacy.language import Language
    from spacy.tokens import Doc

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ottenok.inference.classifier import Classifier

__all__ = ["Component", "make_component"]


class Component:
    """Puts a classifier's answers into documents.

    `doc._.ottenok` is the whole answer as a mapping (see `Prediction.to_json`), `doc._.polarity` its polarity, and
    `doc.cats` the probabilities of the first task. spaCy's tokens are not asked: the classifier has its own.

    Args:
        classifier: What answers.

    Attributes:
        classifier: As given.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def __call__(self, doc: Doc) -> Doc:
        """Classify a document."""
        return next(self.pipe([doc]))

    def pipe(self, stream: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
        """Classify documents as they come, so many at once."""
        for docs in slices(stream, batch_size):
            for doc, answer in zip(docs, self.classifier([doc.text for doc in docs]), strict=True):
                doc._.ottenok = answer.to_json()
                doc.cats |= answer.probabilities
                yield doc


@Language.factory("ottenok", assigns=["doc._.ottenok", "doc._.polarity", "doc.cats"])
def make_component(
    nlp: Language,  # noqa: ARG001 - spaCy gives it
    name: str,  # noqa: ARG001
    model: str | None = None,
    threads: int | None = None,
    tasks: str | list[str] | None = None,
) -> Component:
    """Make the component that `nlp.add_pipe("ottenok", config={"model": …})` adds.

    The pipeline's configuration holds the model's name or path, and so do saved pipelines.

    Args:
        nlp: The pipeline.
        name: The component's.
        model: What `ottenok.load` takes; None: the model that ottenok ships.
        threads: See `ottenok.load`.
        tasks: See `ottenok.load`.
    """
    if not Doc.has_extension("ottenok"):
        Doc.set_extension("ottenok", default=None)
    if not Doc.has_extension("polarity"):
        Doc.set_extension("polarity", getter=_polarity)
    return Component(load(model, threads=threads, tasks=tasks))


def _polarity(doc: Doc) -> float | None:
    found: float | None = (doc._.ottenok or {}).get("polarity")
    return found
