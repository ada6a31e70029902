"""How unlike a text is to all that the model was judged on: a score from what reading the text tells anyway.

Five measures: whether its language is one that the model knows, pairs of letters that words do not have, tokens per
character (random letters are read piece by piece), unknown tokens, and the primary task's doubt. They are weighed by a
logistic regression of validation texts against texts that are made of them (letters drawn at random or shuffled,
scripts and spellings changed), and the result is the share of validation texts that are less strange, which is what
conformal prediction calls one minus the p-value: of texts like those of the validation, a share of 0.002 is above .998.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

from ottenok.bundle.manifest import FamiliarityFacts
from ottenok.core.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.inference.classifier import Classifier
    from ottenok.inference.tokens import Windows

    Floats = npt.NDArray[np.float64]

__all__ = ["doubts", "fit_familiarity", "knows", "made_strange", "measures", "unfamiliarity"]

# Characters from which on a text is long enough for its measures to be steady.
_STEADY = 30
# Fewest texts of a fit.
_FEWEST = 200
# Newton's steps of the regression, far more than it needs.
_STEPS = 30
# Shares at which the scores of usual texts are kept: more of the strangest.
_LEVELS = (*(round(0.05 * step, 2) for step in range(18)), 0.88, 0.91, 0.94, 0.96, 0.97, 0.98, 0.985, 0.99, 0.993)
_LEVELS = (*_LEVELS, 0.995, 0.997, 0.998, 0.999, 0.9995, 1.0)
_LATIN = str.maketrans(dict(zip("абвгдезийклмнопрстуфхцыэ", "abvgdezijklmnoprstufxcye", strict=True)))
_UKRAINIAN = str.maketrans({"и": "і", "ы": "и", "е": "є", "э": "е", "ё": "йо"})


def knows(languages: Collection[str]) -> bool:
    """Say whether it can be told that a text is in none of these languages.

    English and "other" in corpora are any Latin script and anything else; a model that learned them may know more.
    """
    return bool(languages) and not {"en", "other"} & set(languages)


def measures(windows: Windows, languages: Collection[str], facts: FamiliarityFacts | None, doubt: Floats) -> Floats:
    """Return the measures of texts, float64 `[texts, 5]`; the larger, the stranger.

    Args:
        windows: Of the texts, with their languages.
        languages: Those that the model knows.
        facts: Usual tokens per character, by script; None: to be found out, from tokens per character as they are.
        doubt: Of each text, minus the logarithm of the primary task's largest probability.
    """
    readings = windows.readings
    size = np.maximum([reading.characters for reading in readings], 1).astype(np.float64)
    tokens = np.bincount(windows.texts, weights=windows.weights, minlength=len(size)) / size
    chinese = np.array([reading.language == "zh" for reading in readings], dtype=np.bool_)
    if facts is not None:
        usual = np.where(chinese[:, None], facts.pieces["zh"], facts.pieces["ru"])
        tokens = (tokens - usual[:, 0]) / usual[:, 1]
    steady = np.minimum(size, _STEADY) / _STEADY
    foreign = np.zeros(len(size))
    if knows(languages):
        known = {*languages, None}  # a text without letters is foreign to nobody
        strange = [reading.language not in (known if reading.sure else languages) for reading in readings]
        foreign = np.array(strange) * np.where([reading.sure for reading in readings], 1.0, 0.5)
    odd = np.array([reading.odd for reading in readings], dtype=np.float64)
    return np.column_stack(
        [
            foreign,
            np.minimum(odd, 0.5) * steady,
            np.clip(tokens * steady, -2.0, 6.0) if facts is not None else tokens,
            np.sqrt(windows.unknown),
            np.clip(doubt, 0.0, 1.5),
        ]
    )


def unfamiliarity(found: Floats, facts: FamiliarityFacts) -> Floats:
    """Return 0..1 for each row of measures: the share of validation texts that are less strange."""
    raw = found @ np.array(facts.weights) + facts.bias
    shares: Floats = np.interp(raw, facts.scores, facts.levels, right=1.0)
    return shares


def made_strange(texts: Sequence[str], *, seed: int = 0) -> list[str]:
    """Return texts of the same lengths that say nothing, made of these: a kind after the other.

    Letters drawn at random (Cyrillic, Latin, Han), words with shuffled letters, signs without letters, and Russian in
    Latin letters or in a spelling that is nearly Ukrainian.
    """
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    han = sorted({letter for text in texts for letter in text if "\u4e00" <= letter <= "\u9fff"}) or ["中"]

    def words(alphabet: str, size: int) -> str:
        text = ""
        while len(text) < size:
            text += "".join(draw.choices(alphabet, k=draw.randint(2, 9))) + " "
        return text.strip()

    made = []
    for number, text in enumerate(texts):
        size = max(8, min(len(text), 300))
        kind = number % 8
        if kind == 0:
            made.append(words("абвгдежзийклмнопрстуфхцчшщъыьэюя", size))
        elif kind == 1:
            made.append(words("abcdefghijklmnopqrstuvwxyz", size))
        elif kind == 2:
            made.append("".join(draw.choices(han, k=size)))
        elif kind == 3:
            made.append("".join(chr(draw.randint(0x4E00, 0x9FA5)) for _ in range(size)))
        elif kind == 4:
            made.append(" ".join("".join(draw.sample(word, len(word))) for word in text.split()))
        elif kind == 5:
            made.append("".join(draw.choices("!@#$%^&*()_+-=[]{};:'\",.<>/?|\\~`0123456789 ", k=size)))
        else:
            made.append(text.lower().translate(_LATIN if kind == 6 else _UKRAINIAN))
    return made


def fit_familiarity(
    classifier: Classifier, texts: Sequence[str], *, limit: float, data: str = "validation"
) -> FamiliarityFacts:
    """Fit the weights of the measures, and the scores of usual texts.

    Args:
        classifier: Whose tokens and doubts are measured.
        texts: Usual ones, which it was not trained on.
        limit: The share from which on labels are withheld; above 1: never.
        data: What the texts are, for people.

    Raises:
        DataError: There are too few texts that can be read.
    """
    languages = classifier.manifest.languages
    read = []
    for some in (list(texts), made_strange(texts)):
        prepared = classifier.prepare(some)
        answers = classifier.finish(prepared, classifier.run(prepared))
        kept = prepared.windows.counts > 0
        read.append((prepared.windows, doubts([answer.probabilities for answer in answers]), kept))
    (windows, doubt, kept), _ = read
    if int(kept.sum()) < _FEWEST:
        raise DataError(f"found {int(kept.sum())} texts, expected at least {_FEWEST}", hint="Take more rows.")
    tokens = measures(windows, languages, None, doubt)[:, 2]
    chinese = np.array([reading.language == "zh" for reading in windows.readings])
    pieces = {}
    for script, rows in (("zh", chinese & kept), ("ru", ~chinese & kept)):
        own = tokens[rows if rows.any() else kept]
        pieces[script] = (round(float(own.mean()), 5), round(max(float(own.std()), 1e-3), 5))
    facts = FamiliarityFacts(
        data=data,
        rows=int(kept.sum()),
        limit=limit,
        pieces=pieces,
        weights=(0.0,) * 5,
        bias=0.0,
        scores=(0.0, 0.0),
        levels=(0.0, 0.0),
    )
    kinds = [measures(windows, languages, facts, doubt)[kept] for windows, doubt, kept in read]
    # Both kinds weigh the same; a ridge keeps weights finite where a measure tells them apart alone.
    rows = np.concatenate([np.column_stack([kind, np.ones(len(kind))]) for kind in kinds])
    counts = [len(kind) for kind in kinds]
    target, weight = np.repeat([0.0, 1.0], counts), np.repeat([0.5 / count for count in counts], counts)
    ridge = np.diag([1e-3] * 5 + [1e-9])
    found = np.zeros(6)
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30.0, 30.0)))
        slope = rows.T @ (weight * (chance - target)) + ridge @ found
        curve = (rows * (weight * np.maximum(chance * (1.0 - chance), 1e-6))[:, None]).T @ rows + ridge
        found -= np.linalg.solve(curve, slope)
    found[:5] = np.maximum(found[:5], 0.0)  # no measure makes a text more usual
    scores = np.quantile(kinds[0] @ found[:5] + found[5], _LEVELS, method="higher")
    return facts.model_copy(
        update={
            "weights": tuple(round(value, 4) for value in found[:5].tolist()),
            "bias": round(float(found[5]), 4),
            "scores": tuple(round(value, 4) for value in scores.tolist()),
            "levels": _LEVELS,
        }
    )


def doubts(probabilities: Sequence[Mapping[str, float]]) -> Floats:
    """Return minus the logarithm of the largest probability of each answer."""
    largest = [max(shares.values()) for shares in probabilities]
    doubt: Floats = -np.log(np.maximum(largest, 1e-9))
    return doubt
