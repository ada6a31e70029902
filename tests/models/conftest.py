"""Tiny random encoders, made in code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the maker of random encoders by family; each is made once."""
    pytest.importorskip("torch")
    from tiny_encoders import tiny_encoder

    folder = tmp_path_factory.mktemp("encoders")

    def make(family: str) -> Path:
        place = folder / family
        return place if place.is_dir() else tiny_encoder(place, family=family)

    return make
