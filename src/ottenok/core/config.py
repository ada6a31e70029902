"""TOML files and command-line overrides, checked against frozen pydantic models.

One way for recipes and cards: read TOML, lay `--section.key value` overrides over it, validate. Unknown keys are
refused with the nearest known one. This is the one module of `core` that imports a third-party package, and only
when something is parsed.
"""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from ottenok.core.errors import ConfigError
from ottenok.core.suggest import suggest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from pydantic import BaseModel

    _Model = TypeVar("_Model", bound=BaseModel)

__all__ = ["assignments", "merge", "override", "parse", "read_toml", "suggest"]


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: The file is absent, is not UTF-8 or is not TOML; the parser's line and column are kept.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError("there is no such file", hint="Check the path.", file=str(path)) from error
    except (ValueError, RecursionError) as error:
        # A number of thousands of digits is a plain ValueError, and deep nesting a RecursionError.
        raise ConfigError(f"this is not valid TOML: {str(error)[:300]}", file=str(path)) from error


def assignments(arguments: Sequence[str], *, top: Collection[str] = ()) -> list[str]:
    """Turn what follows a command, `--section.key value` or `--section.key=value`, into `section.key=value`.

    Args:
        arguments: As they were typed.
        top: Keys that are in no section, so that they have no dot.

    Raises:
        ConfigError: An argument is no `--section.key`, or its value is missing.
    """
    found = []
    waiting = iter(arguments)
    for argument in waiting:
        key = argument.partition("=")[0]
        if not argument.startswith("--") or ("." not in key and key[2:] not in top):
            raise ConfigError(
                f"there is no option {argument!r}", hint="Keys of the recipe are given as --section.key value."
            )
        name = argument.removeprefix("--")
        value = "" if "=" in name else next(waiting, None)
        if value is None:
            raise ConfigError("the value is missing", hint="Give it as --section.key value.", key=name)
        found.append(name if "=" in name else f"{name}={value}")
    return found


def override(assignments: Iterable[str]) -> dict[str, Any]:
    """Turn `section.key=value` assignments into a nested mapping.

    A value is read as TOML (`5e-5`, `true`, `[1, 2]`); what isn't TOML is taken as a plain string.

    Raises:
        ConfigError: An assignment has no `=`, or gives both a key and something below it.
    """
    tree: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigError(f"expected section.key=value, found {assignment!r}")
        *parents, leaf = key.strip().split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise ConfigError(f"{parent!r} is given both as a value and as a section", key=key.strip())
        try:
            node[leaf] = tomllib.loads(f"value = {text.strip()}")["value"]
        except (ValueError, RecursionError):
            node[leaf] = text.strip()
    return tree


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `over` on `base`: tables are merged key by key, everything else is replaced. Neither is changed."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def parse(model: type[_Model], tree: Mapping[str, Any], *, file: str | None = None) -> _Model:
    """Validate a mapping as `model`, which must forbid unknown keys.

    Raises:
        ConfigError: Naming the first wrong key, what was found there and, for an unknown key, the nearest known one.
    """
    from pydantic import ValidationError

    from ottenok.core.table import Table

    if issubclass(model, Table):
        tree = model.upgraded(tree)
    try:
        # Strict JSON semantics: "5" is no number and 1 is no text, but lists may become tuples.
        return model.model_validate_json(json.dumps(tree, ensure_ascii=False, default=str), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            fields: Any = model
            for part in first["loc"][:-1]:
                info = getattr(fields, "model_fields", {}).get(part)
                if info is not None:
                    # The table in `tuple[Table, ...]` or `Table | None`.
                    inner = [one for one in get_args(info.annotation) if hasattr(one, "model_fields")]
                    fields = inner[0] if inner else info.annotation
            known = list(getattr(fields, "model_fields", {}))
            hint = suggest(str(first["loc"][-1]), known)
            raise ConfigError("unknown key", hint=hint, file=file, key=key) from error
        found = json.dumps(first["input"], ensure_ascii=False, default=str)
        found = "" if first["type"] == "missing" else f", found {found[:200]}"
        raise ConfigError(f"{first['msg']}{found}", file=file, key=key or None) from error
