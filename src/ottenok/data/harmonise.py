"""Published labels to the corpus's labels, published texts to normalised ones. Nothing is guessed.

A label goes two steps: the card's map leads to the card's scheme, a map between schemes (or the recipe's own) leads to
the corpus's scheme. A published label that the card does not name is a reject with its row number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.config import suggest
from ottenok.core.errors import SchemeError
from ottenok.core.schemes import LabelMap, find_map, load_maps, load_schemes
from ottenok.data.rows import Reason
from ottenok.text.normalise import normalise, strip_emoticons

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.card import Label
    from ottenok.recipes.corpus import SourceSpec
    from ottenok.text.normalise import TextOptions

__all__ = ["Harmoniser", "Mapped", "TaskLabels", "clean_text", "find_route", "task_harmonisers"]

_REMEMBERED = 10_000  # different sets of published labels; a broken file may have one per row


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapped:
    """What a row's published labels become.

    Attributes:
        labels: Labels of the corpus's scheme, in its order; empty is an answer only in multi-label schemes.
        reason: Why the row is dropped, or `Reason.KEPT`.
        unknown: The published label that the card does not name: the record is rejected.
    """

    labels: tuple[str, ...] = ()
    reason: Reason = Reason.KEPT
    unknown: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLabels:
    """One task of a corpus that is being built.

    Attributes:
        scheme: Its label scheme.
        values: The sets of labels that its rows have, by code; it grows while rows are read.
        classes: For each source that has labels for the task, the labels that it can give, in the scheme's order.
    """

    scheme: LabelScheme
    values: Sequence[tuple[str, ...]]
    classes: Mapping[str, tuple[str, ...]]

    @property
    def name(self) -> str:
        """The task's name."""
        return self.scheme.name


class Harmoniser:
    """Maps the published labels of one source."""

    __slots__ = ("_label", "_memory", "_one_at_source", "_route", "_scheme")

    def __init__(self, *, label: Label, scheme: LabelScheme, route: LabelMap) -> None:
        self._label = label
        self._scheme = scheme
        self._route = route
        known = load_schemes().get(label.scheme, scheme)
        self._one_at_source = known.kind != "multi-label"
        self._memory: dict[tuple[str, ...], Mapped] = {}

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of the corpus's scheme that the source can give, in the scheme's order."""
        ours = {label for label in (*self._label.map.values(), self._label.empty) if label}
        if self._label.several == "mixed" and self._label.mixed:
            ours.add(self._label.mixed)
        ends = {self._route.table[label] for label in ours}
        if self._label.empty is None and not self._one_at_source:
            ends.add(self._route.empty)
        return tuple(label for label in self._scheme.labels if label in ends)

    def __call__(self, published: tuple[str, ...]) -> Mapped:
        """Map the labels of one row."""
        found = self._memory.get(published)
        if found is None:
            found = self._map(published)
            if len(self._memory) < _REMEMBERED:
                self._memory[published] = found
        return found

    def _map(self, published: tuple[str, ...]) -> Mapped:
        unknown = next((label for label in published if label not in self._label.map), None)
        if unknown is not None:
            return Mapped(unknown=unknown)
        targets = {self._label.map[label] for label in published}
        if "" in targets and (self._one_at_source or targets == {""}):
            return Mapped(reason=Reason.LABEL)
        targets.discard("")
        if not targets and self._label.empty is not None:
            targets = {self._label.empty}
        if self._one_at_source and len(targets) > 1:
            if self._label.several == "drop" or self._label.mixed is None:
                return Mapped(reason=Reason.SEVERAL_LABELS)
            targets = {self._label.mixed}
        # From the card's scheme along the route to the corpus's.
        ends = {self._route.table[label] for label in targets}
        if None in ends and (self._route.drop == "row" or ends == {None}):
            return Mapped(reason=Reason.LABEL)
        ends.discard(None)
        if not ends and self._route.empty is not None:
            ends = {self._route.empty}
        if self._scheme.kind != "multi-label" and len(ends) != 1:
            return Mapped(reason=Reason.SEVERAL_LABELS if ends else Reason.NO_LABEL)
        return Mapped(labels=tuple(label for label in self._scheme.labels if label in ends))


def task_harmonisers(spec: SourceSpec, label: Label, schemes: Sequence[LabelScheme]) -> list[Harmoniser | None]:
    """Return what maps a source's labels to each task's; None for a task that the source has no labels for.

    Args:
        spec: What the recipe says of the source.
        label: The card's label map.
        schemes: The schemes of the corpus's tasks.

    Raises:
        SchemeError: A task that the recipe names for the source, or every task, is out of its labels' reach.
    """
    sound = {label.scheme, *(one.target for one in load_maps() if one.source == label.scheme)}
    wanted = [scheme for scheme in schemes if scheme.name in (spec.tasks or sound)]
    return [
        Harmoniser(label=label, scheme=scheme, route=find_route(label, scheme, spec.map))
        if scheme in (wanted or schemes[:1])
        else None
        for scheme in schemes
    ]


def find_route(label: Label, scheme: LabelScheme, own: Mapping[str, str] | None = None) -> LabelMap:
    """Return the way from a card's scheme to the corpus's.

    Args:
        label: The card's label map; what it leads to must be in its scheme.
        scheme: The corpus's scheme, one of the tables or the recipe's own.
        own: The recipe's own map from the card's scheme, `""` to drop; None: the table of maps.

    Raises:
        SchemeError: There is no sound map, or a label is not in its scheme.
    """
    known = load_schemes().get(label.scheme, scheme)
    if label.scheme == scheme.name:
        known = scheme
    elif label.scheme not in load_schemes():
        raise SchemeError(f"there is no label scheme {label.scheme!r}", hint=suggest(label.scheme, load_schemes()))
    _check(label.map.values(), known)
    if own is not None:
        _check(own, known)
        _check(own.values(), scheme)
        missing = [name for name in known.labels if name not in own]
        if missing:
            raise SchemeError(
                f"the recipe's map from {known.name} says nothing about: {', '.join(missing)}",
                hint='Map each label, to "" where it is to be dropped.',
            )
        return LabelMap(
            source=known.name,
            target=scheme.name,
            table={name: target or None for name, target in own.items()},
            drop="label" if scheme.kind == "multi-label" else "row",
            empty=None,
            why="the recipe's own map",
        )
    if label.scheme == scheme.name:
        table = {name: name for name in scheme.labels}
        return LabelMap(source=scheme.name, target=scheme.name, table=table, drop="row", empty=None, why="the same")
    return find_map(label.scheme, scheme.name)


def _check(labels: Iterable[str], scheme: LabelScheme) -> None:
    for label in labels:
        if label:
            scheme.index(label)


def clean_text(text: str, options: TextOptions, *, emoticons: bool) -> str:
    """Normalise a text; with `emoticons` (labels of distant supervision) take its emoticons out first."""
    return normalise(strip_emoticons(text) if emoticons else text, options)
