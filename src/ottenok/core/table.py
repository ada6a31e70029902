"""The base of everything that is read from outside: frozen, and it refuses unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Table"]


class Table(BaseModel):
    """A frozen pydantic model that forbids unknown keys; cards, recipes and manifests are made of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)
