"""A few of the hostile requests of `tests/serve_fuzz.py`, which sends thousands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from serve_fuzz import raw_cases, schema_cases

if TYPE_CHECKING:
    import httpx

    from conftest import Running


def test_raw_bytes(strict: Running) -> None:
    """Broken requests are refused or answered; none is a fault, none hangs."""
    ends = raw_cases(strict.url, 150)
    assert sum(ends.values()) == 150
    assert not [end for end in ends if end == "hangs" or end.startswith("5")]


def test_description(server: Running, http: httpx.Client) -> None:
    """What the description allows is answered as it says, and what it forbids is refused."""
    pytest.importorskip("schemathesis")
    cases, wrong = schema_cases(server.url, 3, phases="fuzzing")
    assert not wrong, wrong
    assert cases > 30
    assert http.get("/health").status_code == 200
