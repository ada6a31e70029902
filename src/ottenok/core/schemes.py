"""Label schemes and the maps between them, read from the tables `schemes.toml` and `maps.toml` beside this file.

A scheme is an ordered list of labels with one meaning everywhere: in corpora, models, files and answers. Card files
map each data set's published labels to a scheme; a `LabelMap` then leads from one scheme to a coarser one where that
is sound.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.config import suggest
from ottenok.core.errors import SchemeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "LEARNED_ROWS",
    "LabelMap",
    "LabelScheme",
    "SchemeKind",
    "find_map",
    "load_maps",
    "load_scheme",
    "load_schemes",
]

# Fewest training rows from which a model learns what a label is in a language.
LEARNED_ROWS = 200

SchemeKind = Literal["multi-class", "multi-label", "ordinal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScheme:
    """An ordered list of labels.

    Attributes:
        name: For example `sentiment-3`.
        kind: `multi-class` (exactly one label), `ordinal` (exactly one, and the order means more), or
            `multi-label` (any number, none included).
        labels: In the order of a model's outputs.
        values: Position of each label on the scale -1..1, for schemes with an order; empty otherwise.
        titles: Language code (`en`, `ru`, `zh`) to the labels' names in that language, in the order of `labels`.
        source: Where the scheme comes from.
    """

    name: str
    kind: SchemeKind
    labels: tuple[str, ...]
    values: tuple[float, ...] = ()
    titles: Mapping[str, tuple[str, ...]]
    source: str

    def index(self, label: str) -> int:
        """Return the position of `label`.

        Raises:
            SchemeError: The scheme has no such label.
        """
        try:
            return self.labels.index(label)
        except ValueError:
            raise SchemeError(
                f"the scheme {self.name} has no label {label!r}", hint=suggest(label, self.labels)
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """A map from one scheme to another: each source label becomes one label, or None, which drops the label.

    Attributes:
        source: Name of the scheme that it starts from.
        target: Name of the scheme that it leads to.
        table: Every label of `source`, to a label of `target` or to None.
        drop: What a None does: `label` removes only the label (multi-label), `row` drops the whole row.
        empty: The label that a row without labels gets, or None where an empty answer stays empty.
        why: Who uses this map, or why it is sound.
    """

    source: str
    target: str
    table: Mapping[str, str | None]
    drop: Literal["label", "row"]
    empty: str | None
    why: str

    def apply(self, labels: Iterable[str]) -> tuple[str, ...] | None:
        """Map a row's labels, without repeats and in the target scheme's order; None means: drop the row.

        A row whose labels lead to several labels of a scheme that allows one says nothing there, and is dropped.

        Raises:
            SchemeError: A label does not belong to the source scheme.
        """
        mapped: set[str] = set()
        for label in labels:
            if label not in self.table:
                raise SchemeError(f"the scheme {self.source} has no label {label!r}", hint=suggest(label, self.table))
            end = self.table[label]
            if end is not None:
                mapped.add(end)
            elif self.drop == "row":
                return None
        if not mapped and self.empty is not None:
            mapped.add(self.empty)
        target = load_scheme(self.target)
        if target.kind != "multi-label" and len(mapped) != 1:
            return None
        return tuple(label for label in target.labels if label in mapped)


def _read_table(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("ottenok.core").joinpath(name).read_text(encoding="utf-8"))


@cache
def load_schemes() -> Mapping[str, LabelScheme]:
    """Return every scheme by name."""
    return {
        name: LabelScheme(
            name=name,
            kind=entry["kind"],
            labels=tuple(entry["labels"]),
            values=tuple(entry.get("values", ())),
            titles={language: tuple(names) for language, names in entry["titles"].items()},
            source=entry["source"],
        )
        for name, entry in _read_table("schemes.toml").items()
    }


def load_scheme(name: str) -> LabelScheme:
    """Return the scheme called `name`.

    Raises:
        SchemeError: There is none.
    """
    schemes = load_schemes()
    if name not in schemes:
        raise SchemeError(f"there is no label scheme {name!r}", hint=suggest(name, schemes))
    return schemes[name]


@cache
def load_maps() -> tuple[LabelMap, ...]:
    """Return every map between schemes. `""` in the table stands for None (TOML has no null)."""
    return tuple(
        LabelMap(
            source=entry["from"],
            target=entry["to"],
            table={label: target or None for label, target in entry["table"].items()},
            drop=entry.get("drop", "row"),
            empty=entry.get("empty") or None,
            why=entry["why"],
        )
        for entry in _read_table("maps.toml")["map"]
    )


def find_map(source: str, target: str) -> LabelMap:
    """Return the map from scheme `source` to scheme `target`; the identity where they are equal.

    Raises:
        SchemeError: There is no sound map.
    """
    for label_map in load_maps():
        if (label_map.source, label_map.target) == (source, target):
            return label_map
    if source == target:
        labels = load_scheme(source).labels
        return LabelMap(
            source=source,
            target=target,
            table={x: x for x in labels},
            drop="row",
            empty=None,
            why="the same scheme",
        )
    targets = [label_map.target for label_map in load_maps() if label_map.source == source]
    raise SchemeError(
        f"there is no sound map from the scheme {source} to {target}",
        hint=f"From {source} there are maps to: {', '.join(sorted(targets)) or 'none'}.",
    )
