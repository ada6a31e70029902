"""Which of ottenok's schemes a foreign model's labels are, whatever their order and spelling."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import SchemeFacts
from ottenok.core.schemes import SchemeKind, load_schemes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["recognise"]

_SEPARATORS = str.maketrans({" ": None, "-": None, "_": None})


def _key(name: str) -> str:
    return name.strip().casefold().translate(_SEPARATORS)


@cache
def _more_names() -> Mapping[str, Any]:
    return tomllib.loads(resources.files("ottenok.bundle").joinpath("names.toml").read_text(encoding="utf-8"))


@cache
def _spellings(name: str) -> Mapping[str, str]:
    """Return every spelling of a scheme's labels to the label; a spelling of two labels counts for neither."""
    scheme = load_schemes()[name]
    found: dict[str, set[str]] = {}
    for index, label in enumerate(scheme.labels):
        titles = [names[index] for names in scheme.titles.values()]
        for spelling in (label, *titles, *_more_names().get(name, {}).get(label, ())):
            found.setdefault(_key(spelling), set()).add(label)
    return {spelling: labels.pop() for spelling, labels in found.items() if len(labels) == 1}


def recognise(labels: Sequence[str], *, several: bool) -> SchemeFacts:
    """Return the facts of a model's labels, in the model's order.

    A known scheme gives its values and titles, put in the model's order. Only the two poles of a sentiment scheme make
    a scheme of their own with the values -1 and 1. Unknown labels make a custom scheme without order.

    Args:
        labels: The model's, all different.
        several: Whether the model gives several labels at once.
    """
    kind: SchemeKind = "multi-label" if several else "multi-class"
    for scheme in load_schemes().values():
        spellings = _spellings(scheme.name)
        canonical = tuple(spellings.get(_key(label), "") for label in labels)
        if "" in canonical or len(set(canonical)) < len(canonical):
            continue
        if len(canonical) == len(scheme.labels):
            order = [scheme.labels.index(label) for label in canonical]
            single: SchemeKind = "multi-class" if scheme.kind == "multi-label" else scheme.kind
            return SchemeFacts(
                name=scheme.name,
                kind="multi-label" if several else single,
                labels=tuple(labels),
                canonical=() if canonical == tuple(labels) else canonical,
                values=tuple(scheme.values[i] for i in order) if scheme.values else (),
                titles={language: tuple(names[i] for i in order) for language, names in scheme.titles.items()},
                source=scheme.source,
            )
        if set(canonical) == {"negative", "positive"}:
            values = tuple(-1.0 if label == "negative" else 1.0 for label in canonical)
            return _custom(labels, "multi-label" if several else "ordinal", canonical, values)
    return _custom(labels, kind, (), ())


def _custom(
    labels: Sequence[str],
    kind: SchemeKind,
    canonical: tuple[str, ...],
    values: tuple[float, ...],
) -> SchemeFacts:
    return SchemeFacts(
        name="custom",
        kind=kind,
        labels=tuple(labels),
        canonical=() if canonical == tuple(labels) else canonical,
        values=values,
        source="The model's own config.json.",
    )
