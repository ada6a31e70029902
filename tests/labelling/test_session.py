"""Which text whom is given, what holds, and what is learned."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from labelling.conftest import GOOD, texts, write_table
from ottenok.core.errors import ConfigError, InputError
from ottenok.labelling.choice import METHODS, choose, evenly, spread
from ottenok.labelling.formats import rows_of
from ottenok.labelling.head import Head, answers, cross_fit, macro_f1
from ottenok.labelling.journal import opened
from ottenok.labelling.learner import Learner, doubted, guessed_labels
from ottenok.labelling.pool import check_examples, read_pool
from ottenok.labelling.session import Plan, Session, Suspect

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.inference.classifier import Classifier
    from ottenok.labelling.session import Shown


def _truth(text: str) -> str:
    return "good" if text.startswith(GOOD) else "bad"


def _answer(session: Session, rater: str, label: str | None = None) -> Shown:
    shown = session.show(rater)
    session.answer(rater, session.key(shown.place), [label or _truth(session.texts[shown.place])])
    return shown


Begin = "Callable[..., AbstractContextManager[Session]]"


def test_a_text_stays_until_it_is_answered(session: Begin) -> None:
    """Asked again, the same text is shown; answered or skipped it does not come again, and taken back it does."""
    with session(texts(6)) as one:
        first = one.show("A")
        assert one.show("A") == first
        _answer(one, "A")
        second = one.show("A")
        one.skip("A", one.key(second.place))
        assert one.show("A").place not in {first.place, second.place}
        assert one.undo("A")
        assert one.show("A").place == second.place
        assert one.undo("A")
        assert one.show("A").place == first.place
        assert not one.undo("A")
        seen = {_answer(one, "A").place for _ in range(6)}
        assert seen == set(range(6))
        assert one.show("A") is None


def test_every_fifth_text_is_drawn_at_random(session: Begin) -> None:
    """Whatever the plan says, every fifth text follows the random order, and a fair part is known by that."""
    with session(texts(60)) as one:
        wanted = tuple(range(59, -1, -1))
        one.plan = Plan(order=wanted, how="uncertain")
        hows = Counter(_answer(one, "A").how for _ in range(30))
        assert hows == {"uncertain": 24, "random": 6}
        lessons = one.lessons()
        assert len(lessons.places) == 30
        assert 6 <= lessons.random.sum() < 30


def test_a_share_goes_to_both_raters(session: Begin) -> None:
    """All texts of the share come to both, others to one; alpha is over the former, and disagreements are settled."""
    with session(texts(40), overlap=0.5) as one:
        firsts = {_answer(one, "A").place for _ in range(20)}
        shown = [_answer(one, "B", "good") for _ in range(22)]
        both = {one_.place for one_ in shown if one_.how == "shared"}
        assert both <= firsts
        assert len(both) >= 5
        assert not {one_.place for one_ in shown if one_.how != "shared"} & firsts
        alpha, count = one.agreement()
        assert count == len(both)
        assert alpha.value < 0.5
        wrong = one.disagreements()
        assert wrong
        assert all(one.label_of(place) is None for place in wrong)
        one.settle("A", one.key(wrong[0]), ["bad"])
        assert one.label_of(wrong[0]) == ("bad",)
        assert wrong[0] not in one.disagreements()
        assert wrong[0] in one.labelled()
        assert one.undo("A")
        assert wrong[0] in one.disagreements()


def test_without_overlap_raters_share_nothing(session: Begin) -> None:
    """With a share of 0 no text comes twice; with 1 every text does."""
    with session(texts(10), overlap=0) as one:
        assert {_answer(one, "A").place for _ in range(5)}.isdisjoint({_answer(one, "B").place for _ in range(5)})
        assert one.show("B") is None


def test_a_contradicted_answer_comes_again_once(session: Begin) -> None:
    """One's own answer that the head contradicts is shown once more with what was said, and then left in peace."""
    with session(texts(60)) as one:
        first = _answer(one, "A", "bad")
        one.plan = Plan(suspects=(Suspect(place=first.place, labels=("good",)),))
        shown = [_answer(one, "A", "bad") for _ in range(30)]
        again = [one_ for one_ in shown if one_.how == "again"]
        assert [(one_.place, one_.earlier, one_.doubt) for one_ in again] == [(first.place, ("bad",), ("good",))]


def test_examples_and_given_labels_are_learned_from(tmp_path: Path) -> None:
    """Labels of the file and of another one are learned from and not asked; the file's own are written, and hold."""
    file = write_table(tmp_path / "some.csv", texts(4), mark=["good", "", "", ""])
    pool = read_pool(file, text="review", label="mark")
    with opened(tmp_path / "j.jsonl") as journal:
        journal.begin(["good", "bad"], several=False)
        given = check_examples(pool, journal.labels)
        one = Session(pool, journal, given=given, examples=[("ещё", ("bad",)), (texts(1)[0], ("bad",))])
        assert {_answer(one, "A").place for _ in range(3)} == {1, 2, 3}
        assert one.show("A") is None
        assert len(one.lessons().places) == 5
        assert one.lessons().random.sum() == 3
        assert one.label_of(0) == ("good",)
        assert next((row.text, row.how) for row in rows_of(one)) == (texts(1)[0], "given")
        assert len(one.labelled()) == 4


def test_answers_that_can_not_be(session: Begin) -> None:
    """An unknown text or label, none or two where one is asked for: an error, and nothing is written."""
    with session(texts(3)) as one:
        key = one.key(one.show("A").place)
        for labels in (["other"], [], ["good", "bad"]):
            with pytest.raises(InputError):
                one.answer("A", key, labels)
        with pytest.raises(InputError):
            one.answer("A", "0" * 18, ["good"])
        assert one.journal.standing() == []


def test_a_large_file_is_sampled(tmp_path: Path) -> None:
    """Of many rows a sample is taken, the same every time, without doubles; broken rows are counted."""
    file = write_table(tmp_path / "many.csv", [*texts(3000), "", "ужасно, номер 1"])
    pool = read_pool(file, text="review", most=200)
    assert pool == read_pool(file, text="review", most=200)
    assert pool.total == 3001
    assert pool.left_out == {"empty text": 1}
    assert len(set(pool.texts)) == len(pool.texts) <= 200
    numbers = np.array(pool.rows)
    assert 1200 < numbers.mean() < 1800
    assert list(numbers) == sorted(numbers)


def test_labels_that_are_there_are_taken_by_their_names(tmp_path: Path) -> None:
    """A column's labels are learned from in whatever usual spelling, several in a cell too; strangers are refused."""
    rows = texts(6)
    file = write_table(tmp_path / "some.csv", rows, mark=["Негатив", "", "позитив", "", "Негатив;позитив", "мусор"])
    pool = read_pool(file, text="review", label="mark")
    assert check_examples(pool, ["positive", "negative"]) == {
        0: ("negative",),
        2: ("positive",),
        4: ("negative", "positive"),
    }
    with pytest.raises(ConfigError, match="none of them"):
        check_examples(pool, ["anger", "fear"])


def test_names_of_labels_are_known(classifier: Classifier) -> None:
    """Labels are found in the model's tasks by spelling, in three languages, and by the maps between schemes."""
    assert guessed_labels(["гнев", "радость", "прочее"], classifier) == {
        "гнев": ("emotions-7", "anger"), "радость": ("emotions-7", "joy"),
    }  # fmt: skip
    assert guessed_labels(["好评", "差评"], classifier)["差评"] == ("sentiment-3", "negative")
    assert guessed_labels(["admiration", "grief"], classifier)["grief"] == ("emotions-7", "sadness")
    assert guessed_labels(["доставка", "цена"], classifier) == {}


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_every_way_to_choose_gives_each_text_once(method: str, several: bool) -> None:
    """As many texts as wanted come, none twice, also of texts that are all the same."""
    rng = np.random.default_rng(0)
    for vectors in (
        rng.normal(size=(50, 8)).astype(np.float32),
        np.ones((50, 8), np.float32),
        np.zeros((3, 8), np.float32),
    ):
        probabilities = rng.dirichlet(np.ones(4), size=len(vectors))
        for count in (0, 7, 50):
            found = choose(method, vectors, probabilities, count, rng, several=several)
            assert len(set(found.tolist())) == min(count, len(vectors))
    assert len(set(evenly(rng.dirichlet(np.ones(3), size=40), 12, rng).tolist())) == 12


def test_spread_texts_are_far_from_each_other() -> None:
    """Of three heaps of texts each is met before one is met twice, and heaps that are known are met last."""
    rng = np.random.default_rng(1)
    heaps = np.eye(3, 16)[np.arange(90) % 3].astype(np.float32)
    assert {int(place) % 3 for place in spread(heaps, 3, rng)} == {0, 1, 2}
    assert {int(place) % 3 for place in spread(heaps, 2, rng, known=heaps[:1])} == {1, 2}


def test_a_head_and_what_it_reaches() -> None:
    """A head learns several labels or one, labels that nobody gave stay at 0, and errors are doubted."""
    rng = np.random.default_rng(2)
    truth = np.zeros((120, 3), dtype=bool)
    truth[np.arange(120), np.arange(120) % 2] = True
    vectors = (truth[:, :2] * 4 + rng.normal(size=(120, 2))).astype(np.float32)
    for several in (False, True):
        assert Head(vectors, truth, several=several)(vectors)[:, 2].max() == 0
        wrong = truth.copy()
        wrong[7] = wrong[7][[1, 0, 2]]
        found = cross_fit(vectors, wrong, several=several)
        assert 7 in doubted(wrong, found, several=several)[:3]
        reached = macro_f1(truth, answers(found, several=several), several=several)
        assert 0.9 < reached.low <= reached.value <= reached.high <= 1


def test_it_learns_from_answers(session: Begin, classifier: Classifier) -> None:
    """In the background texts get vectors, then a head and a plan; what it reaches is written, and told apart."""
    with session(texts(120)) as one:
        learner = Learner(classifier, one, by_names=False)
        one.changed = learner.hear
        for _ in range(30):
            _answer(one, "A")
        learner.start()
        for _ in range(6000):
            if one.journal.measured or learner.fault:
                break
            learner.join(0.01)
        learner.stop()
        assert learner.fault is None
        assert one.plan.how == "uncertain"
        point = one.journal.measured[-1]
        assert point["labels"] == 30
        assert point["all"]["value"] > 0.9
        assert point["random"]["texts"] == 30
        assert not learner.is_alive()
