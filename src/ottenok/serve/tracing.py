"""OpenTelemetry traces: a span for each request, and in it one for each stage of its answer."""

from __future__ import annotations

import time
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ottenok.core.lazy import need
from ottenok.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ottenok.serve.batching import Job

__all__ = ["Tracing", "tracing"]


class Tracing:
    """Makes spans.

    Args:
        provider: An OpenTelemetry tracer provider.
    """

    def __init__(self, provider: Any) -> None:  # noqa: ANN401 - an optional package's
        from opentelemetry import propagate, trace

        self._tracer = provider.get_tracer("ottenok.serve", __version__)
        self._extract = propagate.extract
        self._trace = trace

    @contextmanager
    def request(self, method: str, headers: Mapping[bytes, bytes]) -> Iterator[Any]:
        """Give the span of a request; it belongs to the caller's trace if the headers name one (`traceparent`)."""
        carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers.items()}
        kind = self._trace.SpanKind.SERVER
        with self._tracer.start_as_current_span(method, context=self._extract(carrier), kind=kind) as span:
            span.set_attribute("http.request.method", method)
            yield span

    def end(self, span: Any, path: str, status: int, facts: Mapping[str, Any], job: Job | None) -> None:  # noqa: ANN401
        """Say of a request's span what is known at its end, and add its stages; texts are not among that."""
        method = span.attributes["http.request.method"] if span.is_recording() else ""
        span.update_name(f"{method} {path}")
        span.set_attributes({"http.route": path, "http.response.status_code": status})
        span.set_attributes({f"ottenok.{key}": value for key, value in facts.items()})
        if status >= 500:
            span.set_status(self._trace.StatusCode.ERROR)
        if job is None:
            return
        # The stages were measured on the monotonic clock; spans are on that of the day.
        offset = time.time() - time.monotonic()
        for name, begin, seconds in (
            ("tokenise", job.queued - job.tokenising, job.tokenising),
            ("queue", job.queued, job.waiting),
            ("compute", job.begun, job.computing),
        ):
            if begin > 0:
                stage = self._tracer.start_span(name, start_time=round((begin + offset) * 1e9))
                stage.end(round((begin + seconds + offset) * 1e9))


def tracing(endpoint: str | None) -> Tracing | None:
    """Return what makes spans, or None where nobody wants any.

    Args:
        endpoint: Address of a collector that speaks OTLP over HTTP (`http://localhost:4318`). None: spans go to the
            provider that the program has set, as `opentelemetry-instrument` does; without one there are none.

    Raises:
        MissingExtraError: An endpoint is given, and the extra `otel` is not installed.
    """
    if endpoint is not None:
        with need("otel"):
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        resource = Resource.create({"service.name": "ottenok", "service.version": __version__})
        provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + "/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
        return Tracing(provider)
    if find_spec("opentelemetry") is None:
        return None
    from opentelemetry import trace

    found = trace.get_tracer_provider()
    return None if isinstance(found, trace.ProxyTracerProvider | trace.NoOpTracerProvider) else Tracing(found)
