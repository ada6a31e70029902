"""What Prometheus hears: the names of text-embeddings-inference, and ottenok's own by model."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ottenok.serve.batching import Job

__all__ = ["Metrics", "share_between_processes"]

# Buckets as text-embeddings-inference has them: 35 steps of 1.5 from 15 microseconds on, and powers of two.
_SECONDS = tuple(1.5e-5 * 1.5**step for step in range(35))
_POWERS = tuple(float(1 << step) for step in range(18))
_SHARES = tuple(step / 20 for step in range(1, 21))
# prometheus_client puts `_total` behind a counter's name, and text-embeddings-inference does not.
_TOTAL = re.compile(rb"\b(te_[a-z_]+?)_total\b")
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# The stages of a request, and how text-embeddings-inference calls and explains them.
_STAGES = {
    "total": ("", "from arrival to answer"),
    "tokenization": ("_tokenization", "tokenising"),
    "queue": ("_queue", "waiting"),
    "inference": ("_inference", "computing"),
}


def share_between_processes() -> Callable[[], None]:
    """Have the processes that begin from here count together; to be called before the first `Metrics`.

    Returns:
        What removes the counts again, from the process that called this.
    """
    folder = tempfile.mkdtemp(prefix="ottenok-metrics-")
    os.environ[_FOLDER] = folder
    return lambda: shutil.rmtree(folder, ignore_errors=True)


class Metrics:
    """The counters of one server process.

    Args:
        models: Names.
        queued: Tells how many requests wait.
        held: Tells how many tokens they have.
    """

    def __init__(self, models: Sequence[str], *, queued: Callable[[], int], held: Callable[[], int]) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        self._registry = registry

        def histogram(name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(name, text, labels, buckets=buckets, registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(name, text, registry=registry)

        def counters(name: str, text: str, *labels: str) -> Callable[..., Counter]:
            # Found once for each set of labels: prometheus_client takes longer to find one than to count.
            return cache(Counter(name, text, labels, registry=registry).labels)

        self._requests = counters("te_request_count", "Requests that want an answer of a model.", "method")
        self._success = counters("te_request_success", "Requests that were answered.", "method")
        self._failure = counters("te_request_failure", "Requests that were refused or failed.", "err")
        self._texts = counter("te_predict_count", "Texts that came to be classified.")
        self._classified = counter("te_predict_success", "Texts that were classified.")
        self._length = histogram("te_request_input_length", "Tokens of a text.", _POWERS)
        self._batch_size = histogram("te_batch_next_size", "Windows of a batch.", _POWERS)
        self._batch_tokens = histogram("te_batch_next_tokens", "Tokens of a batch.", _POWERS)
        queue = Gauge(
            "te_queue_size", "Requests that wait or are computed.", registry=registry, multiprocess_mode="livesum"
        )
        tokens = Gauge(
            "ottenok_queue_tokens", "Tokens of such requests.", registry=registry, multiprocess_mode="livesum"
        )
        queue.set_function(queued)
        tokens.set_function(held)
        self._http = counters("ottenok_http_requests", "Requests by path and status.", "path", "status")
        stages = histogram(
            "ottenok_stage_seconds", "Seconds of a request, by model and stage.", _SECONDS, ("model", "stage")
        )
        self._stages = {name: [stages.labels(name, stage) for stage in _STAGES] for name in models}
        self._labels = counters("ottenok_labels", "Answers by model, task and label.", "model", "task", "label")
        confidence = histogram(
            "ottenok_confidence", "Probability of the answer, of the primary task.", _SHARES, ("model",)
        )
        self._confidence = {name: confidence.labels(name) for name in models}
        self._truncated = counters("ottenok_truncated_texts", "Texts of which a part was not read.", "model")
        self._windowed = counters("ottenok_windowed_texts", "Texts that were read in several windows.", "model")
        self._empty = counters("ottenok_empty_texts", "Texts without anything to read.", "model")

    def came(self, texts: int) -> None:
        """Count a request with so many texts."""
        self._requests("single" if texts == 1 else "batch").inc()
        self._texts.inc(texts)

    def answered(self, job: Job, seconds: float) -> None:
        """Count an answer, which took so many seconds from its arrival on."""
        texts, name = len(job.texts), job.model.name
        self._success("single" if texts == 1 else "batch").inc()
        self._classified.inc(texts)
        values = (seconds, job.tokenising, job.waiting, job.computing)
        for stage, value in zip(self._stages[name], values, strict=True):
            stage.observe(value)
        self._length.observe(job.tokens / texts)
        truncated = windowed = empty = 0
        for prediction in job.predictions:
            truncated += prediction.truncated
            windowed += prediction.windows > 1
            empty += not prediction.windows
            if prediction.windows:
                self._confidence[name].observe(prediction.confidence)
                for task, answer in prediction.tasks.items():
                    for label in answer.labels:
                        self._labels(name, task, label).inc()
        for counter, count in ((self._truncated, truncated), (self._windowed, windowed), (self._empty, empty)):
            if count:
                counter(name).inc(count)

    def failed(self, reason: str) -> None:
        """Count a request that was refused or failed, under text-embeddings-inference's name for the reason."""
        self._failure(reason).inc()

    def computed(self, rows: int, tokens: int) -> None:
        """Count a batch."""
        self._batch_size.observe(rows)
        self._batch_tokens.observe(tokens)

    def ended(self, path: str, status: int) -> None:
        """Count the end of any request."""
        self._http(path, status).inc()

    def text(self) -> bytes:
        """Return everything in Prometheus' text format; of all processes where there are several."""
        return _TOTAL.sub(rb"\1", generate_latest(self))

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics: those that are counted, and stages also under text-embeddings-inference's names."""
        registry = self._registry
        if _FOLDER in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for metric in registry.collect():
            yield metric
            if metric.name != "ottenok_stage_seconds":
                continue
            sums: dict[str, dict[tuple[str, str], float]] = defaultdict(lambda: defaultdict(float))
            for sample in metric.samples:
                end = sample.name.removeprefix(metric.name)
                sums[sample.labels["stage"]][end, sample.labels.get("le", "")] += sample.value
            for kind, whose in (("request", "a request"), ("predict", "a text's request")):
                for stage, (name, text) in _STAGES.items():
                    found = Metric(f"te_{kind}{name}_duration", f"Seconds of {whose}: {text}.", "histogram")
                    for (end, most), value in sums[stage].items():
                        found.add_sample(found.name + end, {"le": most} if most else {}, value)
                    yield found
