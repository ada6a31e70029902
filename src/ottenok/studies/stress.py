"""What a classifier loses under noise: the same rows with typos, as speech recognition writes them, without emoji."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from ottenok.core.errors import ConfigError
from ottenok.core.suggest import suggest
from ottenok.tasks.decision import chosen
from ottenok.tasks.metrics import Kind
from ottenok.tasks.paired import PairedOptions, Rows, System
from ottenok.tasks.tables import Grid
from ottenok.text.emojis import EmojiMode, check_emoji
from ottenok.text.noise import NoiseSpec, add_noise
from ottenok.text.normalise import TextOptions, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from ottenok.core.schemes import LabelScheme
    from ottenok.tasks.decision import Decision

    Change = Callable[[str], str]
    Probabilities = npt.NDArray[np.float32]

__all__ = ["CleanRows", "StressSpec", "UnderNoise", "stress_table", "under_noise"]

_FIGURE = "macro_f1"
_WAYS: tuple[EmojiMode, ...] = tuple(mode for mode in get_args(EmojiMode) if mode != "keep")


@dataclass(frozen=True, slots=True, kw_only=True)
class StressSpec:
    """What is done to the texts, one after the other, each to the texts as they are.

    Attributes:
        noise: Kinds of noise and their rates.
        emoji: Ways to treat emoji and emoticons.
    """

    noise: tuple[NoiseSpec, ...] = ()
    emoji: tuple[EmojiMode, ...] = ()

    @classmethod
    def parse(cls, noise: Sequence[str], emoji: Sequence[str] = ()) -> StressSpec:
        """Read `kind:rate` and ways to treat emoji as they are typed.

        Raises:
            ConfigError: There is no such noise or no such way, or a rate is none.
            MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
        """
        found: list[EmojiMode] = []
        for given in emoji:
            mode = next((way for way in _WAYS if way == given), None)
            if mode is None:
                raise ConfigError(f"emoji can't be treated as {given!r}", hint=suggest(given, _WAYS), key="emoji")
            check_emoji(mode)
            found.append(mode)
        return cls(noise=tuple(dict.fromkeys(map(NoiseSpec.parse, noise))), emoji=tuple(dict.fromkeys(found)))

    def changes(self, seed: int) -> dict[str, Change]:
        """Return name to what is done to a text."""
        noise = {str(one): partial(add_noise, kind=one.kind, rate=one.rate, seed=seed) for one in self.noise}
        return {**noise, **{f"emoji {mode}": partial(_treated, mode=mode) for mode in self.emoji}}


def _treated(text: str, *, mode: EmojiMode) -> str:
    untouched = TextOptions(entities="keep", width="keep", marks="keep", urls="keep", users="keep", emoji=mode)
    return normalise(text, untouched)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderNoise:
    """A classifier on noisy texts beside the same on clean ones.

    Attributes:
        name: The noise and its rate, or the way emoji are treated; `clean` for the texts as they are.
        changed: Share of texts that it changes.
        macro_f1: On the changed texts and those that stayed.
        difference: From clean; negative where noise costs something.
        low: Lower end of the difference's paired 95 % bootstrap interval; None without one.
        high: Upper end.
    """

    name: str
    changed: float
    macro_f1: float
    difference: float = 0.0
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as a mapping that JSON can hold."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanRows:
    """A classifier on the texts as they are.

    Attributes:
        texts: The texts.
        truth: bool `[texts, labels]`.
        probs: float32 `[texts, labels]`: the classifier's.
        scheme: The labels.
        decision: How probabilities become answers.
        read: Returns the classifier's probabilities for other texts.
    """

    texts: Sequence[str]
    truth: npt.NDArray[np.bool_]
    probs: Probabilities
    scheme: LabelScheme
    decision: Decision
    read: Callable[[list[str]], Probabilities]

    def system(self, probs: Probabilities) -> System:
        """Return what the classifier answers with these probabilities."""
        return System(answers=(chosen(probs, self.scheme, self.decision),), probs=(probs,))


def under_noise(clean: CleanRows, changes: dict[str, Change], options: PairedOptions) -> tuple[UnderNoise, ...]:
    """Measure a classifier on changed texts; only those that a change has touched are read again.

    Args:
        clean: The texts as they are, and the classifier on them.
        changes: Name to what is done to a text.
        options: Resamples of the intervals.

    Returns:
        The clean texts first, then one for each change; empty without changes.
    """
    if not changes:
        return ()
    rows = Rows(clean.truth, Kind.of(clean.scheme), (_FIGURE,), options)
    before = rows.estimates(clean.system(clean.probs))[_FIGURE].value
    found = [UnderNoise(name="clean", changed=0.0, macro_f1=before)]
    for name, change in changes.items():
        noisy = [change(text) for text in clean.texts]
        places = [place for place, text in enumerate(clean.texts) if noisy[place] != text]
        probs = clean.probs.copy()
        if places:
            probs[places] = clean.read([noisy[place] for place in places])
        lost = rows.differences(clean.system(probs), clean.system(clean.probs))[_FIGURE]
        found.append(
            UnderNoise(
                name=name,
                changed=len(places) / len(noisy),
                macro_f1=before + lost.value,
                difference=lost.value,
                low=lost.low,
                high=lost.high,
            )
        )
    return tuple(found)


def stress_table(results: Sequence[UnderNoise], *, digits: int = 3) -> Grid:
    """Return a row per noise: share of texts changed, macro F1, difference from clean with its interval."""
    return Grid(
        header=("", "texts changed", "macro F1", "difference from clean"),
        rows=tuple(
            (
                result.name,
                f"{result.changed:.0%}" if place else "-",
                f"{result.macro_f1:.{digits}f}",
                _difference(result, digits) if place else "-",
            )
            for place, result in enumerate(results)
        ),
    )


def _difference(result: UnderNoise, digits: int) -> str:
    value = f"{result.difference:+.{digits}f}"
    if result.low is None or result.high is None:
        return value
    return f"{value} [{result.low:+.{digits}f}, {result.high:+.{digits}f}]"
