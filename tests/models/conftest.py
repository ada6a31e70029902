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
    from ottenok.models.tiny import tiny_encoder

    folder = tmp_path_factory.mktemp("encoders")

    def make(family: str) -> Path:
        place = folder / family
        return place if place.is_dir() else tiny_encoder(place, family=family)

    return make


@pytest.fixture(scope="session")
def published_tokenizer(encoder_folder: Path) -> Path:
    """Return the folder of rubert-tiny2's tokenizer, beside the real encoder, or skip."""
    folder = encoder_folder.parent / "tokenizers" / "rubert-tiny2"
    if not folder.is_dir():
        pytest.skip("needs the published tokenizers beside the encoder")
    return folder
