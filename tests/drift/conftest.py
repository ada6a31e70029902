"""The classifier that these tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ottenok

if TYPE_CHECKING:
    from ottenok.inference.classifier import Classifier


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    """Return the embedded classifier."""
    return ottenok.load(threads=1)
