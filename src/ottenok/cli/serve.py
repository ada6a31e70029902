"""`ottenok serve`: classifiers behind HTTP."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ottenok.cli.options import cache_option, read_option
from ottenok.cli.screen import harmless, tell

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["serve"]


def _number(name: str, default: Any, text: str) -> Callable[[Any], Any]:  # noqa: ANN401 - of either kind
    kind = click.FloatRange(min=0) if isinstance(default, float) else click.IntRange(min=1)
    return click.option(name, type=kind, default=default, show_default=True, help=text)


@click.command()
@click.argument("models", metavar="[[NAME=]MODEL]...", nargs=-1)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port to listen on; 0: any free one."
)
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Another port that gives /metrics without a key.")
@click.option("--api-key-file", type=click.Path(path_type=Path, dir_okay=False), help="File with an API key a line.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Batches that a process computes at once.  [default: all processors, divided among the processes]",
)
@_number("--processes", 1, "Server processes, each with its own models.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "int8", "fp32"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the models; auto is int8 where a classifier has it.",
)
@click.option(
    "--max-windows", type=click.IntRange(min=1), help="Most windows that are read of a long text.  [default: all]"
)
@read_option
@_number("--max-body", 16 << 20, "Most bytes of a request's body, or of a line of NDJSON.")
@_number("--max-text", 2_000_000, "Most characters of a text.")
@_number("--max-texts", 1024, "Most texts of a request.")
@_number("--max-connections", 4096, "Most connections at once.")
@_number("--queue-tokens", 32_768, "Tokens of ordinary requests that may wait; more is answered with 429.")
@_number("--bulk-tokens", 1_048_576, "Tokens that may wait of requests with long texts or many.")
@_number("--timeout", 30.0, "Seconds in which a request is answered, or refused with 504.")
@_number("--header-timeout", 10.0, "Seconds in which a client has to send its headers.")
@_number("--body-timeout", 30.0, "Seconds in which it has to send its body, or to take a part of an answer.")
@_number("--keep-alive", 75, "Seconds that an idle connection is kept.")
@_number("--drain", 0.5, "Seconds between the signal to stop and the end of accepting.")
@click.option("--cors-origin", "cors_origins", multiple=True, metavar="ORIGIN", help="Site whose pages may ask.")
@click.option(
    "--allow-host",
    "allow_hosts",
    multiple=True,
    metavar="NAME",
    help="Name by which clients may call the server.  [default: on 127.0.0.1 the loopback's names, else any]",
)
@click.option(
    "--otlp-endpoint",
    metavar="URL",
    envvar="OTEL_EXPORTER_OTLP_ENDPOINT",
    show_envvar=True,
    help="Collector of OpenTelemetry traces, such as http://localhost:4318 (extra otel).",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Least level of the log, which is JSON lines on standard error; info has a line for each request.",
)
@cache_option
def serve(
    models: tuple[str, ...],
    *,
    api_key_file: Path | None,
    precision: Literal["auto", "int8", "fp32"],
    max_windows: int | None,
    read: Literal["all", "end"] | None,
    log_level: str,
    cache: Path,
    **given: Any,  # noqa: ANN401 - the settings, as click has them
) -> None:
    """Answer over HTTP with MODELs: folders or hub names; the one that ottenok ships where none is named.

    \b
      ottenok serve
      ottenok serve default runs/tiny --port 9000
      curl localhost:8080/v1/analyze -d '{"inputs": "Какая гадость эта ваша заливная рыба!"}'

    The first model answers where a request names none. The server speaks the formats of text-embeddings-inference,
    Hugging Face's Inference API, infinity, vLLM and OpenAI's moderations: docs/serving.md. API keys: --api-key-file,
    or the variable OTTENOK_API_KEYS, divided by commas.
    """  # noqa: D301 - click reads \b as: keep these lines
    import os

    from ottenok.core.lazy import need

    with need("server"):
        from ottenok.serve.run import serve as run
    from ottenok.serve.settings import Settings, read_keys

    known = {entry.name for entry in fields(Settings)}
    keys = read_keys(api_key_file, os.environ.get("OTTENOK_API_KEYS", ""))
    settings = Settings(keys=keys, **{key: value for key, value in given.items() if key in known})

    def ready(host: str, port: int) -> None:
        address = f"[{host}]" if ":" in host else host
        names = ", ".join(harmless(model) for model in models) or "default"
        tell(f"Serving {names} on http://{address}:{port} (Ctrl-C stops it; /docs says how to ask)")
        if not keys and not host.startswith("127.") and host != "::1":
            tell("Anybody who reaches this address can ask: it has no API key (--api-key-file).")

    options = {"precision": precision, "max_windows": max_windows, "read": read, "cache": cache}
    run(models, options, settings, level=log_level, ready=ready)
