"""A tiny bundle, and a cache of the tests' own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what is converted and tried out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTTENOK_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        yield


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny bundle for three sentiments."""
    return write_bundle(tmp_path_factory.mktemp("tiny"), tiny_manifest("sentiment-3"))
