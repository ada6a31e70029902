"""The classifier that the tests of explanations share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import ottenok

if TYPE_CHECKING:
    from ottenok.inference.classifier import Classifier


@pytest.fixture(scope="session")
def embedded() -> Classifier:
    """Return the classifier that ottenok ships."""
    return ottenok.load(threads=1)
