"""What a classifier loses under noise: the same rows with typos, as speech recognition writes them, without emoji."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter, ValidationError

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.suggest import suggest
from ottenok.tasks.metrics import Kind
from ottenok.tasks.paired import PairedOptions, Rows, System
from ottenok.tasks.tables import Grid
from ottenok.text.emojis import EmojiMode, check_emoji
from ottenok.text.noise import NoiseSpec, add_noise
from ottenok.text.normalise import TextOptions, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from ottenok.tasks.task import Task

    Change = Callable[[str], str]
    Probabilities = npt.NDArray[np.float32]

__all__ = ["UnderNoise", "changes", "noise_table", "under_noise"]

_METRIC = "macro_f1"
_WAYS: tuple[EmojiMode, ...] = tuple(mode for mode in get_args(EmojiMode) if mode != "keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderNoise:
    """A classifier on noisy texts beside the same on clean ones.

    Attributes:
        name: The noise and its rate, or the way emoji are treated; `clean` for the texts as they are.
        changed: Share of texts that it changes, 0..1.
        texts: All texts.
        flips: Texts whose answer it changes, right or wrong.
        macro_f1: On the changed texts and those that stayed.
        difference: From clean; negative where noise costs something.
        low: Lower end of the difference's paired 95 % bootstrap interval; None without one.
        high: Upper end.
    """

    name: str
    changed: float
    texts: int = 0
    flips: int = 0
    macro_f1: float
    difference: float = 0.0
    low: float | None = None
    high: float | None = None

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> UnderNoise:
        """Read what `dataclasses.asdict` made of one.

        Raises:
            DataError: It is none.
        """
        try:
            return TypeAdapter(cls).validate_python(dict(tree))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise DataError(f"this is no measure under noise: {first['msg']}", key=str(first["loc"])) from error


def changes(noise: Sequence[str], emoji: Sequence[str] = (), *, seed: int = 0) -> dict[str, Change]:
    """Return name to what is done to a text, one after the other, each to the texts as they are.

    Args:
        noise: As `kind:rate`, for instance `typos:0.1`.
        emoji: Ways to treat emoji and emoticons, for instance `remove`.
        seed: Of the noise.

    Raises:
        ConfigError: There is no such noise or no such way, or a rate is none.
        MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
    """
    specs = dict.fromkeys(map(NoiseSpec.parse, noise))
    found: dict[str, Change] = {str(one): partial(add_noise, kind=one.kind, rate=one.rate, seed=seed) for one in specs}
    for given in emoji:
        mode = next((way for way in _WAYS if way == given), None)
        if mode is None:
            raise ConfigError(f"emoji can't be treated as {given!r}", hint=suggest(given, _WAYS), key="emoji")
        check_emoji(mode)
        untouched = TextOptions(entities="keep", width="keep", marks="keep", urls="keep", users="keep", emoji=mode)
        found[f"emoji {mode}"] = partial(normalise, options=untouched)
    return found


def under_noise(
    task: Task,
    texts: Sequence[str],
    truth: npt.NDArray[np.bool_],
    probs: Probabilities,
    *,
    read: Callable[[list[str]], Probabilities],
    changes: Mapping[str, Change],
    options: PairedOptions,
) -> tuple[UnderNoise, ...]:
    """Measure a classifier on changed texts; only those that a change has touched are read again.

    Args:
        task: What is asked, and how probabilities become answers.
        texts: The texts as they are.
        truth: bool `[texts, labels]`.
        probs: float32 `[texts, labels]`: the classifier's.
        read: Returns the classifier's probabilities for other texts.
        changes: Name to what is done to a text.
        options: Resamples of the intervals.

    Returns:
        The clean texts first, then one for each change; empty without changes.
    """
    if not changes:
        return ()
    rows = Rows(truth, Kind.of(task.scheme), (_METRIC,), options)
    clean = System(answers=(task.chosen(probs),), probs=(probs,))
    before = rows.estimates(clean)[_METRIC].value
    found = [UnderNoise(name="clean", changed=0.0, texts=len(texts), macro_f1=before)]
    for name, change in changes.items():
        noisy = [change(text) for text in texts]
        places = [place for place, text in enumerate(texts) if noisy[place] != text]
        other = probs.copy()
        if places:
            other[places] = read([noisy[place] for place in places])
        answers = task.chosen(other)
        lost = rows.differences(System(answers=(answers,), probs=(other,)), clean)[_METRIC]
        found.append(
            UnderNoise(
                name=name,
                changed=len(places) / len(noisy),
                texts=len(texts),
                flips=int((answers != clean.answers[0]).any(axis=1).sum()),
                macro_f1=before + lost.value,
                difference=lost.value,
                low=lost.low,
                high=lost.high,
            )
        )
    return tuple(found)


def noise_table(results: Sequence[UnderNoise], *, digits: int = 3) -> Grid:
    """Return a row per noise: share of texts changed, answers that change, macro F1, difference with its interval."""
    rows = []
    for place, one in enumerate(results):
        lost = f"{one.difference:+.{digits}f}"
        if one.low is not None and one.high is not None:
            lost += f" [{one.low:+.{digits}f}, {one.high:+.{digits}f}]"
        macro = f"{one.macro_f1:.{digits}f}"
        share = f" ({one.flips / one.texts:.1%})" if one.texts else ""
        flips = f"{one.flips:,} of {one.texts:,}{share}"
        rows.append((one.name, f"{one.changed:.0%}", flips, macro, lost) if place else (one.name, "-", "-", macro, "-"))
    header = ("", "texts changed", "answers that change", "macro F1", "difference from clean")
    return Grid(header=header, rows=tuple(rows))
