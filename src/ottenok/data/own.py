"""The user's own data in a recipe, turned into cards; and the scheme of a corpus, which they may define."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.errors import DataError, SchemeError
from ottenok.core.progress import SILENT
from ottenok.core.schemes import LabelScheme, load_scheme, load_schemes
from ottenok.data.card import Card, load_card
from ottenok.data.sources import OWN, UserOptions, card_scheme, user_card

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ottenok.core.progress import Progress
    from ottenok.data.card import Split
    from ottenok.recipes.corpus import CorpusRecipe, OwnData, SourceSpec

__all__ = ["corpus_schemes", "source_card"]


def source_card(spec: SourceSpec, recipe: CorpusRecipe, *, cache: Path, progress: Progress = SILENT) -> Card:
    """Return the card of a source: ottenok's own, or one made by looking at the user's data.

    Raises:
        DataError: There is no such card, it is one of words or unlabelled texts, or the user's data can't be read.
        SchemeError: The user's labels have no place in the scheme.
    """
    if spec.own is None:
        card = load_card(spec.name)
        if card.kind != "labelled":
            raise DataError(
                f"{card.name} holds no labelled texts ({card.kind}), so no corpus can be made of it",
                hint="The sets of labelled texts are those that `ottenok data list` shows with labels.",
            )
        return card
    own = spec.own
    places: dict[Split | None, str | None] = {None: own.file or own.hub}
    if own.files:
        places = dict(own.files.items())
    scheme = own.scheme or (spec.tasks or recipe.task_names)[0]
    cards = [
        _look_at(own, scheme, str(place), split, cache=cache, progress=progress) for split, place in places.items()
    ]
    return _united(cards)


def _look_at(own: OwnData, scheme: str, place: str, split: Split | None, *, cache: Path, progress: Progress) -> Card:
    card = user_card(
        place,
        text=own.text,
        label=own.label,
        scheme=scheme if scheme in load_schemes() else None,
        label_map=own.label_map,
        options=UserOptions(
            name=own.name,
            languages=own.languages,
            licence=own.licence,
            split=split,
            part=own.part,
            label_list=own.label_list,
            reader=own.reader,
            config=own.config,
            cache=cache,
            progress=progress,
        ),
    )
    return card.model_copy(update={"label": card.label.model_copy(update={"scheme": scheme})})


def _united(cards: Sequence[Card]) -> Card:
    """One card of the cards of several files: their files, and all labels of theirs."""
    first = cards[0]
    table = {published: label for card in cards for published, label in card.label.map.items()}
    files = tuple(
        file.model_copy(update={"reader": file.reader or card.reader}) for card in cards for file in card.files
    )
    return first.model_copy(
        update={"files": files, "label": first.label.model_copy(update={"map": dict(sorted(table.items()))})}
    )


def corpus_schemes(recipe: CorpusRecipe, cards: Sequence[Card]) -> tuple[LabelScheme, ...]:
    """Return the label scheme of each task: built in, defined in the recipe, or all labels of the user's own data.

    Raises:
        SchemeError: One is none of these.
    """
    return tuple(_scheme(name, recipe, cards) for name in recipe.task_names)


def _scheme(name: str, recipe: CorpusRecipe, cards: Sequence[Card]) -> LabelScheme:
    if recipe.own_scheme is not None and recipe.own_scheme.name == name:
        return recipe.own_scheme.scheme()
    if name != OWN:
        return load_scheme(name)
    own = [card for card in cards if card.label.scheme == OWN]
    if not own:
        raise SchemeError(
            "the scheme is `own`, and no source has labels of its own",
            hint="Name a built-in scheme, or define one under [own_scheme].",
        )
    everything = {label: label for card in own for label in (*card.label.map.values(), card.label.empty) if label}
    label = own[0].label.model_copy(update={"map": everything})
    several = next((card for card in own if card.reader.labels or card.reader.label_list), own[0])
    return card_scheme(several.model_copy(update={"label": label}))
