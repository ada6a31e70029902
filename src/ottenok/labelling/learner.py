"""What learns while people label: vectors in blocks, a head after every few answers, and what is to be asked next."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import OttenokError, SchemeError
from ottenok.core.schemes import find_map, load_schemes
from ottenok.core.spellings import spelled
from ottenok.labelling.choice import Method, choose, evenly, spread
from ottenok.labelling.head import Head, answers, cross_fit, macro_f1
from ottenok.labelling.session import Plan, Suspect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ottenok.inference.classifier import Classifier
    from ottenok.labelling.session import Lessons, Session
    from ottenok.tasks.metrics import Interval

__all__ = ["DEFAULT_METHOD", "Learner", "doubted", "guessed_labels"]

_LOG = logging.getLogger("ottenok.serve")
# By the simulation in docs/labelling.md.
DEFAULT_METHOD: Method = "margin"
_BLOCK = 64
# Windows that are read of a long text.
_WINDOWS = 8
# Texts whose vectors are wanted before any is chosen.
_FIRST = 256
# Texts that are chosen at once; the page asks for a new choice earlier, with every few answers.
_CHOSEN = 100
_LEAST = 10
_LEAST_MEASURED = 20
# A head's own probability from which it may contradict a person, and how many it may suspect.
_SURE = 0.8
_SUSPECTED = 50


def guessed_labels(labels: Sequence[str], classifier: Classifier) -> dict[str, tuple[str, str]]:
    """Return which task and label of a classifier each asked label is by its name; those without one are left out.

    Names are known in English, Russian and Chinese, and by the maps between schemes (`admiration` is a kind of `joy`).
    The task that knows most of them is taken; of several such the one that knows most of them itself, else the finest.
    """
    best: dict[str, tuple[str, str]] = {}
    most = (1, 0, 0)
    for task in classifier.tasks:
        found = {label: (task.name, end) for label, end in spelled(labels, task.scheme).items()}
        own = len(found)
        for scheme in load_schemes().values():
            try:
                route = find_map(scheme.name, task.scheme.name).table
            except SchemeError:
                continue
            for label, name in spelled([label for label in labels if label not in found], scheme).items():
                end = route.get(name)
                if end is not None:
                    found[label] = (task.name, end)
        rank = (len(found), own, len(task.scheme.labels))
        if rank > most:
            best, most = found, rank
    return best


class Learner(threading.Thread):
    """The thread that learns.

    Args:
        classifier: Whose embeddings are learned from.
        session: Where answers come in; it gets the plans.
        method: How texts are chosen once there is a head.
        by_names: Whether the first texts are chosen by what the classifier makes of the labels' names.
        seed: Of every draw.

    Attributes:
        embedded: Texts that have a vector.
        fault: Why it learns no more; None: it does.
        busy: Whether a head is being fitted.
    """

    def __init__(
        self,
        classifier: Classifier,
        session: Session,
        *,
        method: Method = DEFAULT_METHOD,
        by_names: bool = True,
        seed: int = 0,
    ) -> None:
        super().__init__(name="ottenok-learner", daemon=True)
        self.embedded = 0
        self.fault: str | None = None
        self.busy = False
        # A book among the texts must not hold up all others.
        self._classifier = classifier.limited(max_windows=_WINDOWS)
        self._session = session
        self._method = method
        self._rng = np.random.default_rng(seed)
        self._names = guessed_labels(session.journal.labels, classifier) if by_names else {}
        self._vectors = np.zeros((0, 0), dtype=np.float32)
        self._done = np.zeros(0, dtype=bool)
        self._guesses: dict[int, npt.NDArray[np.float64]] = {}
        self._learned_from = -1
        self._news = threading.Event()
        self._ended = False

    def hear(self) -> None:
        """Look whether there is anything new to learn."""
        self._news.set()

    def stop(self) -> None:
        """End after what is being done, and wait for it."""
        self._ended = True
        self._news.set()
        if self.is_alive():
            self.join(10)

    def run(self) -> None:
        """Learn until the end; a fault is kept, and the page goes on with texts in random order."""
        try:
            while not self._ended:
                lessons = self._session.lessons()
                if self._due(lessons):
                    self.busy = True
                    self._learn(lessons)
                    self.busy = False
                    continue
                count = len(self._session.texts)
                # What may be asked first, in random order, then the rest.
                order = [*self._session.open_places(), *range(count)]
                waiting = [place for place in order if place >= len(self._done) or not self._done[place]]
                if waiting:
                    self._embed(waiting[:_BLOCK])
                else:
                    self._news.wait(5.0)
                    self._news.clear()
        except OttenokError as error:
            self.fault = str(error)
        except Exception as error:  # noqa: BLE001 - a thread has nobody else to tell
            self.fault = f"a fault of ottenok: {type(error).__name__}"
            _LOG.exception("the learner has a fault")
        finally:
            self.busy = False

    # ---- vectors ----

    def _embed(self, places: Sequence[int]) -> None:
        """Compute the vectors of texts that have none, in blocks; answers that come meanwhile do not wait."""
        count = len(self._session.texts)
        if len(self._done) < count:
            self._done = np.concatenate([self._done, np.zeros(count - len(self._done), dtype=bool)])
        missing = [place for place in places if not self._done[place]]
        for start in range(0, len(missing), _BLOCK):
            if self._ended:
                return
            block = missing[start : start + _BLOCK]
            found = self._classifier.embed([self._session.texts[place] for place in block])
            if self._vectors.shape != (count, found.shape[1]):
                grown = np.zeros((count, found.shape[1]), dtype=np.float32)
                grown[: len(self._vectors)] = self._vectors if self._vectors.size else 0
                self._vectors = grown
            self._vectors[block] = found
            self._done[block] = True
            self.embedded = int(self._done.sum())

    # ---- heads ----

    def _due(self, lessons: Lessons) -> bool:
        """Whether a new plan is wanted: after every few answers, more of them the more there are."""
        if self.embedded < min(_FIRST, self._session.askable):
            return False
        new = lessons.answers - self._learned_from
        used_up = not set(self._session.open_places()).intersection(self._session.plan.order)
        return self._learned_from < 0 or new >= max(5, len(lessons.places) // 20) or (new > 0 and used_up)

    def _learn(self, lessons: Lessons) -> None:
        self._embed([int(place) for place in lessons.places])
        self._learned_from = lessons.answers
        open_ = np.array([place for place in self._session.open_places() if self._done[place]], dtype=np.int64)
        several = self._session.journal.several
        several_labels = lessons.truth.any(axis=0) & ~lessons.truth.all(axis=0)
        if len(lessons.places) < _LEAST or not several_labels.any():
            self._session.plan = self._first(open_, lessons)
            return
        vectors, truth = self._vectors[lessons.places], lessons.truth
        head = Head(vectors, truth, several=several)
        order = choose(
            self._method, self._vectors[open_], head(self._vectors[open_]), _CHOSEN, self._rng, several=several
        )
        how = {"random": "random", "spread": "diverse"}.get(self._method, "uncertain")
        suspects = self._session.plan.suspects
        measured = self._session.journal.measured
        if len(truth) >= _LEAST_MEASURED and not (measured and measured[-1]["labels"] == len(truth)):
            found = cross_fit(vectors, truth, several=several)
            given = answers(found, several=several)
            whole = macro_f1(truth, given, several=several)
            drawn = lessons.random
            enough = drawn.sum() >= _LEAST
            fair = macro_f1(truth[drawn], given[drawn], several=several) if enough else None
            self._session.journal.measure(
                {
                    "labels": len(truth),
                    "all": _told(whole),
                    "random": None if fair is None else {**_told(fair), "texts": int(drawn.sum())},
                }
            )
            labels = self._session.journal.labels
            suspects = tuple(
                Suspect(
                    place=int(lessons.places[row]),
                    labels=tuple(label for label, yes in zip(labels, given[row], strict=True) if yes),
                )
                for row in doubted(truth, found, several=several)[:_SUSPECTED]
            )
        self._session.plan = Plan(order=tuple(int(open_[place]) for place in order), how=how, suspects=suspects)

    def _first(self, open_: npt.NDArray[np.int64], lessons: Lessons) -> Plan:
        """Choose before there is a head: by the labels' names where the classifier knows some, else at random.

        Texts that are merely unlike each other are no better start than random ones (docs/labelling.md).
        """
        if self._names and len(open_):
            some = open_[: 4 * _FIRST]
            unknown = [int(place) for place in some if int(place) not in self._guesses]
            for start in range(0, len(unknown), _BLOCK):
                block = unknown[start : start + _BLOCK]
                found = self._classifier([self._session.texts[place] for place in block])
                for place, answer in zip(block, found, strict=True):
                    probs = [answer.tasks[task].probabilities[label] for task, label in self._names.values()]
                    self._guesses[place] = np.array(probs)
            guesses = np.stack([self._guesses[int(place)] for place in some])
            order = some[evenly(guesses, _CHOSEN, self._rng)]
            return Plan(order=tuple(map(int, order)), how="names")
        if self._method != "spread":
            return Plan()
        known = self._vectors[lessons.places]
        order = open_[spread(self._vectors[open_], _CHOSEN, self._rng, known=known)]
        return Plan(order=tuple(map(int, order)), how="diverse")


def doubted(truth: npt.NDArray[np.bool_], found: npt.NDArray[np.float64], *, several: bool) -> npt.NDArray[np.int64]:
    """Return the rows whose labels are contradicted by a head that has not learned from them, the worst first.

    Args:
        truth: The labels, bool `[texts, labels]`.
        found: Their probabilities by `cross_fit`.
        several: Whether a text may have several labels: then each label is a yes or no that may be contradicted.
    """
    # How probable what was said is, and what is said against it.
    own = np.where(truth, found, 1 - found).min(axis=1) if several else (found * truth).sum(axis=1)
    other = 1 - own if several else found.max(axis=1)
    doubtful = (answers(found, several=several) != truth).any(axis=1) & (other >= _SURE)
    ranked = np.argsort(own - other, kind="stable")
    worst: npt.NDArray[np.int64] = ranked[doubtful[ranked]]
    return worst


def _told(interval: Interval) -> Mapping[str, Any]:
    ends = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {name: None if end is None else round(end, 4) for name, end in ends.items()}
