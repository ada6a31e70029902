"""What the page does, without the page: which text a rater gets, what holds, and where raters disagree.

Why a text is shown (`how`): `random` (from one row of all texts in random order, whose labels tell honestly how good
the head is), `names` and `diverse` (before there is a head), `uncertain` (chosen by the head), `shared` (another rater
has had it), `again` (the head contradicts the rater's own answer). Labels that were there have `given` or `import`.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import InputError
from ottenok.labelling.agreement import alpha, differ, masi

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ottenok.labelling.journal import Answer, Journal
    from ottenok.labelling.pool import Pool
    from ottenok.tasks.metrics import Interval

__all__ = ["Lessons", "Options", "Plan", "Session", "Shown", "Suspect"]

# Every so many texts one is drawn at random, one of another rater's comes, and one's own answer may come again.
_RANDOM_EVERY = 5
_SHARED_EVERY = 2
_AGAIN_EVERY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How texts are given out.

    Attributes:
        overlap: Share of the texts that every rater gets, 0..1.
        seed: Of the random order.
    """

    overlap: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """An answer that the head contradicts.

    Attributes:
        place: The text.
        labels: What the head says instead.
    """

    place: int
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the learner wants to know.

    Attributes:
        order: Places of texts, the most useful first.
        how: Why these: `names`, `diverse` or `uncertain`.
        suspects: Answers to be looked at again, the most suspected first.
    """

    order: tuple[int, ...] = ()
    how: str = "random"
    suspects: tuple[Suspect, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Lessons:
    """What there is to learn from.

    Attributes:
        places: Of the labelled texts.
        truth: bool `[places, labels]`.
        random: Whether a place is of the random part, bool `[places]`.
        answers: Lines of the journal so far: whether anything is new.
    """

    places: np.ndarray[Any, np.dtype[np.int64]]
    truth: np.ndarray[Any, np.dtype[np.bool_]]
    random: np.ndarray[Any, np.dtype[np.bool_]]
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A text before a rater.

    Attributes:
        place: In the session's texts.
        how: Why this one.
        earlier: The rater's own labels, where it is shown again; None elsewhere.
        doubt: What the head says instead of them.
    """

    place: int
    how: str
    earlier: tuple[str, ...] | None = None
    doubt: tuple[str, ...] = ()


@dataclass(slots=True)
class _State:
    """What the journal's answers come to."""

    answers: dict[int, dict[str, Answer]] = field(default_factory=dict)
    skipped: dict[str, set[int]] = field(default_factory=dict)
    settled: dict[int, Answer] = field(default_factory=dict)
    again: set[tuple[str, int]] = field(default_factory=set)
    turns: Counter[str] = field(default_factory=Counter)


class Session:
    """Gives out texts and takes answers; safe to use from several threads.

    Args:
        pool: The texts.
        journal: Where answers go; it was begun.
        given: Place to labels that the file has already, of the journal's labels.
        examples: Further texts with labels, which are learned from and never asked.
        options: How texts are given out.

    Attributes:
        texts: Those of the pool, then those that only the journal or the examples have.
        askable: How many of them may be asked; they come first.
        changed: Called, without the lock, after anything was said.
        plan: What the learner wants to know; it sets it.
    """

    def __init__(
        self,
        pool: Pool,
        journal: Journal,
        *,
        given: Mapping[int, tuple[str, ...]] | None = None,
        examples: Sequence[tuple[str, tuple[str, ...]]] = (),
        options: Options = Options(),
    ) -> None:
        self.pool = pool
        self.journal = journal
        self.options = options
        self.askable = len(pool.texts)
        self.texts = list(pool.texts)
        self.changed: Callable[[], None] = lambda: None
        self.plan = Plan()
        self._lock = threading.RLock()
        self._given = dict(given or {})
        self._places = {text: place for place, text in enumerate(self.texts)}
        for text, labels in examples:
            # What the file asks itself is no example: its own labels count.
            if text not in self._places:
                self._given[self._place(text)] = labels
        self._keys = {self.key(place): place for place in range(len(self.texts))}
        rng = np.random.default_rng(options.seed)
        self._stream = [int(place) for place in rng.permutation(self.askable) if int(place) not in self._given]
        self._shown: dict[str, Shown] = {}
        self._state = _State()
        self._replay()

    # ---- texts ----

    def key(self, place: int) -> str:
        """Return the name of a text on the page."""
        return blake2b(self.texts[place].encode("utf-8", "surrogatepass"), digest_size=9).hexdigest()

    def _place(self, text: str) -> int:
        """Return the place of a text, which is added where it is new."""
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]

    def find(self, key: str) -> int:
        """Return the place of the text of this name.

        Raises:
            InputError: There is none.
        """
        if key not in self._keys:
            raise InputError("there is no such text here", hint="Load the page again.", key="key")
        return self._keys[key]

    def _replay(self) -> None:
        state = _State()
        for answer in self.journal.standing():
            place = self._place(answer.text)
            if answer.kind == "skip":
                state.skipped.setdefault(answer.rater, set()).add(place)
            elif answer.kind == "settle":
                state.settled[place] = answer
            else:
                own = state.answers.setdefault(place, {})
                own.pop(answer.rater, None)
                own[answer.rater] = answer
                state.skipped.get(answer.rater, set()).discard(place)
            if answer.how == "again":
                state.again.add((answer.rater, place))
            if answer.how != "import" and answer.kind != "settle":
                state.turns[answer.rater] += 1
        self._state = state
        for place in range(len(self._keys), len(self.texts)):
            self._keys[self.key(place)] = place

    # ---- what holds ----

    def label_of(self, place: int) -> tuple[str, ...] | None:
        """Return the labels that a text has by now; None: none, or the raters disagree."""
        if place in self._state.settled:
            return self._state.settled[place].labels
        said = {answer.labels for answer in self._state.answers.get(place, {}).values()}
        if said:
            return said.pop() if len(said) == 1 else None
        return self._given.get(place)

    def answers_of(self, place: int) -> dict[str, Answer]:
        """Return what each rater said of a text, in order."""
        with self._lock:
            return dict(self._state.answers.get(place, {}))

    def settled_by(self, place: int) -> Answer | None:
        """Return the answer that settled a text."""
        return self._state.settled.get(place)

    def labelled(self) -> list[int]:
        """Return the places of the texts of this file, or of answers, that have labels: those that are written."""
        with self._lock:
            found = set(self._state.answers) | set(self._state.settled)
            found |= {place for place in self._given if place < self.askable}
            return sorted(place for place in found if self.label_of(place) is not None)

    def disagreements(self) -> list[int]:
        """Return the places of texts of which raters said different things, and that nobody has settled."""
        with self._lock:
            return sorted(place for place in self._state.answers if self.label_of(place) is None)

    def agreement(self) -> tuple[Interval | None, int]:
        """Return Krippendorff's alpha over the texts that several raters answered, and how many these are."""
        with self._lock:
            units = [
                [answer.labels for answer in said.values()] for said in self._state.answers.values() if len(said) > 1
            ]
        return alpha(units, masi if self.journal.several else differ), len(units)

    def raters(self) -> list[str]:
        """Return who has said something, in order of appearance."""
        return list(dict.fromkeys(answer.rater for answer in self.journal.standing()))

    def lessons(self) -> Lessons:
        """Return what there is to learn from, and which of it is of the random part.

        The random part is the longest beginning of the random order that is done with. A text of it whose label was
        asked for another reason counts too: the beginning is a fair sample, however its labels came about.
        """
        with self._lock:
            labels = self.journal.labels
            known = set(self._state.answers) | set(self._state.settled) | set(self._given)
            found = {place: held for place in sorted(known) if (held := self.label_of(place)) is not None}
            skipped = set().union(*self._state.skipped.values()) if self._state.skipped else set()
            done: set[int] = set()
            for place in self._stream:
                if place not in self._state.answers and place not in skipped:
                    break
                done.add(place)
            places = np.array(list(found), dtype=np.int64)
            truth = np.array([[label in held for label in labels] for held in found.values()], dtype=bool)
            return Lessons(
                places=places,
                truth=truth.reshape(len(places), len(labels)),
                random=np.isin(places, list(done)),
                answers=sum(self._state.turns.values()) + len(self._state.settled),
            )

    def open_places(self) -> list[int]:
        """Return the places that nobody has said anything of."""
        with self._lock:
            skipped = set().union(*self._state.skipped.values()) if self._state.skipped else set()
            return [place for place in self._stream if place not in self._state.answers and place not in skipped]

    def counts(self) -> dict[str, Any]:
        """Return how many answers there are, by rater and by label."""
        with self._lock:
            labels: Counter[str] = Counter()
            for place in self.labelled():
                labels.update(self.label_of(place) or ())
            return {
                "labelled": len(self.labelled()),
                "answers": dict(Counter(rater for said in self._state.answers.values() for rater in said)),
                "skipped": {rater: len(places) for rater, places in self._state.skipped.items()},
                "labels": {label: labels[label] for label in self.journal.labels},
            }

    # ---- one rater ----

    def show(self, rater: str) -> Shown | None:
        """Return the text before a rater: the same until it is answered; None where nothing is left."""
        with self._lock:
            if rater not in self._shown:
                shown = self._next(rater)
                if shown is None:
                    return None
                self._shown[rater] = shown
            return self._shown[rater]

    def _next(self, rater: str) -> Shown | None:
        state, turn = self._state, self._state.turns[rater]
        away = {shown.place for other, shown in self._shown.items() if other != rater}
        skipped = state.skipped.get(rater, set())
        common = [
            place
            for place, said in state.answers.items()
            if rater not in said
            and place < self.askable
            and place not in skipped
            and place not in state.settled
            and int(self.key(place)[:8], 16) < self.options.overlap * 2**32
            and any(answer.how != "import" for answer in said.values())
        ]

        def free(place: int) -> bool:
            return place not in state.answers and place not in skipped and place not in away

        if common and turn % _SHARED_EVERY == 0:
            return Shown(place=common[0], how="shared")
        if turn % _AGAIN_EVERY == _AGAIN_EVERY - 1:
            for suspect in self.plan.suspects:
                own = state.answers.get(suspect.place, {}).get(rater)
                if own is not None and own.labels != suspect.labels and (rater, suspect.place) not in state.again:
                    return Shown(place=suspect.place, how="again", earlier=own.labels, doubt=suspect.labels)
        if turn % _RANDOM_EVERY:
            for place in self.plan.order:
                if free(place) and place not in self._given:
                    return Shown(place=place, how=self.plan.how)
        for place in self._stream:
            if free(place):
                return Shown(place=place, how="random")
        return Shown(place=common[0], how="shared") if common else None

    def _said(self, rater: str, place: int) -> None:
        shown = self._shown.get(rater)
        if shown is not None and shown.place == place:
            del self._shown[rater]
        self._replay()

    def answer(self, rater: str, key: str, labels: Sequence[str]) -> None:
        """Take a rater's answer; it is on the disk when this returns.

        Raises:
            InputError: There is no such text or label, or there are too few or too many labels.
        """
        with self._lock:
            place = self.find(key)
            self._check(labels)
            shown = self._shown.get(rater)
            how = shown.how if shown is not None and shown.place == place else "again"
            self.journal.add("answer", self.texts[place], labels, rater=rater, how=how)
            self._said(rater, place)
        self.changed()

    def _check(self, labels: Sequence[str]) -> None:
        unknown = [label for label in labels if label not in self.journal.labels]
        if unknown:
            raise InputError("there is no such label here", hint="Load the page again.", key="labels")
        if not self.journal.several and len(labels) != 1:
            raise InputError(f"expected one label, found {len(labels)}", key="labels")

    def skip(self, rater: str, key: str) -> None:
        """Leave a text out: this rater does not get it again.

        Raises:
            InputError: There is no such text.
        """
        with self._lock:
            place = self.find(key)
            shown = self._shown.get(rater)
            how = shown.how if shown is not None and shown.place == place else "random"
            self.journal.add("skip", self.texts[place], (), rater=rater, how=how)
            self._said(rater, place)
        self.changed()

    def undo(self, rater: str) -> bool:
        """Take back the last thing that a rater said, and show its text again; False where there is nothing."""
        with self._lock:
            answer = self.journal.undo(rater)
            if answer is None:
                return False
            self._replay()
            if answer.kind != "settle":
                place = self._place(answer.text)
                own = self._state.answers.get(place, {}).get(rater)
                earlier = own.labels if own is not None else None
                self._shown[rater] = Shown(place=place, how=answer.how, earlier=earlier)
        self.changed()
        return True

    def settle(self, rater: str, key: str, labels: Sequence[str]) -> None:
        """Say what holds of a text that raters disagree on.

        Raises:
            InputError: As `answer`.
        """
        with self._lock:
            place = self.find(key)
            self._check(labels)
            self.journal.add("settle", self.texts[place], labels, rater=rater, how="settled")
            self._replay()
        self.changed()
