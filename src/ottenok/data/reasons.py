"""Why a row is not in the corpus. Every row that was read is either kept or counted under one of these."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Reason"]


class Reason(IntEnum):
    """The reasons, in the order of the stages; the number is what the arrays hold, `title` what people read."""

    KEPT = 0
    PART = 1
    LABEL = 2
    NO_LABEL = 3
    SEVERAL_LABELS = 4
    SHORT = 5
    FEW_RATERS = 6
    RATERS_DISAGREE = 7
    RATING = 8
    CONFLICT = 9
    DUPLICATE = 10
    IN_VALIDATION = 11
    IN_TEST = 12
    NEAR_DUPLICATE = 13
    NEAR_VALIDATION = 14
    NEAR_TEST = 15
    LIMIT = 16
    JOINED = 17

    @property
    def title(self) -> str:
        """The reason in words, short and constant: it is a key of the manifest."""
        return _TITLES[self]


_TITLES = {
    Reason.KEPT: "kept",
    Reason.PART: "part not chosen",
    Reason.LABEL: "label left out by the map",
    Reason.NO_LABEL: "no label",
    Reason.SEVERAL_LABELS: "several labels",
    Reason.SHORT: "too short",
    Reason.FEW_RATERS: "too few raters",
    Reason.RATERS_DISAGREE: "raters disagree",
    Reason.RATING: "another rating of a kept text",
    Reason.CONFLICT: "conflicting labels",
    Reason.DUPLICATE: "duplicate",
    Reason.IN_VALIDATION: "same text in validation",
    Reason.IN_TEST: "same text in test",
    Reason.NEAR_DUPLICATE: "near duplicate",
    Reason.NEAR_VALIDATION: "near duplicate in validation",
    Reason.NEAR_TEST: "near duplicate in test",
    Reason.LIMIT: "over the limit",
    Reason.JOINED: "joined with the same text of another task",
}
