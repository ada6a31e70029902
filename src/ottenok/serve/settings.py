"""What a server may be told: addresses, limits, keys."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from ottenok.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Settings", "read_keys"]

_LEAST_KEY = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the server behaves; each is an option of `ottenok serve`.

    Attributes:
        host: Address that is listened on.
        port: Port; 0: any that is free.
        threads: Batches that are computed at once; None: as many as there are processors to use, in all processes.
        processes: Server processes, each with its own models.
        metrics_port: Another port where metrics are given without a key; None: on the service's port alone.
        keys: API keys, any of which opens the server; empty: it is open to all.
        cors_origins: Origins of other sites whose pages may ask (`https://example.org`, or `*`).
        allow_hosts: Names by which the server may be called; empty: on a loopback address the loopback's names, so that
            no page of another site reaches it by a name that it points there, and any name on other addresses.
        max_body: Most bytes of a request's body; a stream of NDJSON is limited by its lines.
        max_text: Most characters of one text.
        max_texts: Most texts of one request.
        max_connections: Most connections at once.
        queue_tokens: Tokens that may wait, of requests of ordinary size.
        bulk_tokens: Tokens that may wait, of requests with long texts or many; each such request goes in pieces, so
            that short ones pass between.
        timeout: Seconds from a request's arrival in which it is answered, or refused with 504.
        header_timeout: Seconds in which a client has to send a request's headers.
        body_timeout: Seconds in which a client has to send a body, or to take a part of an answer; for a stream, the
            next part of it.
        keep_alive: Seconds that an idle connection is kept.
        drain: Seconds between the signal to stop and the end of accepting, in which readiness is off already and
            connections are asked to close.
        otlp_endpoint: Address of a collector of OpenTelemetry traces (`http://localhost:4318`); None: none are sent.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    threads: int | None = None
    processes: int = 1
    metrics_port: int | None = None
    keys: tuple[str, ...] = field(default=(), repr=False)
    cors_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    max_body: int = 16 << 20
    max_text: int = 2_000_000
    max_texts: int = 1024
    max_connections: int = 4096
    queue_tokens: int = 32_768
    bulk_tokens: int = 1_048_576
    timeout: float = 30.0
    header_timeout: float = 10.0
    body_timeout: float = 30.0
    keep_alive: int = 75
    drain: float = 0.5
    otlp_endpoint: str | None = None

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ConfigError: One is too small.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if number and (value < 0 or (value == 0 and entry.name not in {"port", "drain", "metrics_port"})):
                raise ConfigError(f"found {value}, expected more than 0", key=entry.name)


def read_keys(file: Path | None, listed: str) -> tuple[str, ...]:
    """Return API keys.

    Args:
        file: A file with a key a line; empty lines and those that begin with `#` do not count. None: there is none.
        listed: Keys divided by commas or white space.

    Raises:
        ConfigError: The file can't be read or has no key, or a key is shorter than 8 characters or not plain ASCII.
    """
    found = listed.replace(",", " ").split()
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError("the file of API keys can't be read as UTF-8 text", file=str(file)) from error
        keys = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if not keys:
            raise ConfigError("the file of API keys has none", hint="Write one key a line.", file=str(file))
        found += keys
    for number, key in enumerate(found, start=1):
        # The key itself is never shown.
        if len(key) < _LEAST_KEY or not key.isascii() or not key.isprintable() or " " in key:
            raise ConfigError(
                f"the API key number {number} is not {_LEAST_KEY} or more printable ASCII characters without spaces",
                hint='Make one: python -c "import secrets; print(secrets.token_urlsafe(32))"',
                file=None if file is None else str(file),
            )
    return tuple(dict.fromkeys(found))
