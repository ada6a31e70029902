"""Which texts are asked next: those that teach a linear head most, and not the same thing twice.

`METHODS` names the ways; `benchmarks/label.py` measures them on public sets, and docs/labelling.md has its table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Probabilities = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]

__all__ = ["METHODS", "Method", "choose", "evenly", "spread", "uncertainty"]

Method = Literal["random", "spread", "margin", "badge", "mixed"]
METHODS: tuple[Method, ...] = get_args(Method)
# Of the most uncertain texts so many times as are wanted are looked at for their variety (`mixed`).
_WIDER = 8


def uncertainty(probabilities: Probabilities, *, several: bool = False) -> npt.NDArray[np.float64]:
    """Return how uncertain each answer is, 0..1.

    Args:
        probabilities: `[texts, labels]`.
        several: Whether a text may have several labels, each with a probability of its own. Then the mean over labels
            of the distance from a sure yes or no counts, else one less the margin between the first and the second.
    """
    if several:
        found: npt.NDArray[np.float64] = 2 * np.minimum(probabilities, 1 - probabilities).mean(axis=1)
        return found
    if probabilities.shape[1] < 2:
        return np.zeros(len(probabilities))
    ordered = np.partition(probabilities, -2, axis=1)
    margins: npt.NDArray[np.float64] = 1 - (ordered[:, -1] - ordered[:, -2])
    return margins


def spread(
    vectors: Vectors,
    count: int,
    rng: np.random.Generator,
    *,
    known: Vectors | None = None,
    factors: Probabilities | None = None,
) -> Places:
    """Return places of texts that lie far from each other: the seeding of k-means++ (Arthur and Vassilvitskii 2007).

    Each next text is drawn with a probability in proportion to its squared distance from the nearest one so far.

    Args:
        vectors: float32 `[texts, width]`.
        count: How many, fewer where there are fewer.
        rng: Of the draws.
        known: Vectors that are there already, from which the distance counts too.
        factors: `[texts, labels]`: a text's point is the outer product of this and its vector, which is never formed.
    """
    count = min(count, len(vectors))
    if not count:
        return np.empty(0, dtype=np.int64)
    points = vectors.astype(np.float64)
    if factors is None:
        lengths = np.linalg.norm(points, axis=1, keepdims=True)
        points = points / np.where(lengths, lengths, 1)
    sides = np.ones((len(points), 1)) if factors is None else factors
    norms = (points**2).sum(axis=1) * (sides**2).sum(axis=1)
    nearest = np.full(len(points), np.inf)
    if known is not None and len(known) and factors is None:
        others = known / np.maximum(np.linalg.norm(known, axis=1, keepdims=True), 1e-12)
        for start in range(0, len(points), 4096):
            nearest[start : start + 4096] = (2 - 2 * points[start : start + 4096] @ others.T).min(axis=1)
    found: list[int] = []
    taken = np.zeros(len(points), dtype=bool)
    for _ in range(count):
        weights = norms if np.isinf(nearest[0]) else np.maximum(nearest, 0)
        weights = np.where(taken, 0, weights)
        total = weights.sum()
        # Where all that is left lies on points that are there already, any will do.
        chances = weights / total if total > 0 else (~taken) / (~taken).sum()
        place = int(rng.choice(len(points), p=chances))
        found.append(place)
        taken[place] = True
        products = (points @ points[place]) * (sides @ sides[place])
        nearest = np.minimum(nearest, norms + norms[place] - 2 * products)
    return np.array(found, dtype=np.int64)


def choose(
    method: Method,
    vectors: Vectors,
    probabilities: Probabilities,
    count: int,
    rng: np.random.Generator,
    *,
    several: bool = False,
) -> Places:
    """Return places of the texts to be asked next, the first first.

    Args:
        method: `random`; `spread`: far from each other; `margin`: the most uncertain; `mixed`: of the most uncertain
            those far from each other; `badge`: drawn by the gradients that the head would have if its answer were
            right (Ash et al. 2020, "Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds").
        vectors: float32 `[texts, width]` of the texts that are not labelled.
        probabilities: `[texts, labels]` of the head.
        count: How many, fewer where there are fewer texts.
        rng: Of the draws.
        several: Whether a text may have several labels.
    """
    count = min(count, len(vectors))
    if method == "random":
        return rng.permutation(len(vectors))[:count]
    if method == "spread":
        return spread(vectors, count, rng)
    if method == "badge":
        if several:
            gradients = probabilities - (probabilities >= 0.5)
        else:
            gradients = probabilities.copy()
            gradients[np.arange(len(gradients)), probabilities.argmax(axis=1)] -= 1
        return spread(vectors, count, rng, factors=gradients)
    ordered = np.argsort(-uncertainty(probabilities, several=several), kind="stable")
    if method == "margin":
        return ordered[:count]
    first = ordered[: _WIDER * count]
    return first[spread(vectors[first], count, rng)]


def evenly(probabilities: Probabilities, count: int, rng: np.random.Generator) -> Places:
    """Return places of texts of which each label in turn is the most probable: how a rare label is met early.

    Args:
        probabilities: `[texts, labels]`: what is guessed before anything is labelled.
        count: How many.
        rng: Draws among the likeliest tenth of each label's texts, so that not all are of one kind.
    """
    queues: list[Sequence[int]] = []
    for label in range(probabilities.shape[1]):
        likeliest = np.argsort(-probabilities[:, label], kind="stable")[: max(count, len(probabilities) // 10)]
        queues.append([int(place) for place in rng.permutation(likeliest)])
    found: dict[int, None] = {}
    for turn in range(max(map(len, queues), default=0)):
        for queue in queues:
            if turn < len(queue) and len(found) < count:
                found.setdefault(queue[turn])
    return np.array(list(found), dtype=np.int64)
