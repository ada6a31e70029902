"""The base of everything that is read from outside: frozen, and it refuses unknown keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Table"]


class Table(BaseModel):
    """A frozen pydantic model that forbids unknown keys; cards, recipes and manifests are made of these."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def upgraded(cls, tree: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what an earlier version wrote in today's keys; `ottenok.core.config.parse` asks for it first."""
        return tree
