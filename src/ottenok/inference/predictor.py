"""The predictor: texts in, predictions out, in three steps that every surface uses.

`prepare` normalises, tokenises and cuts batches; `run` computes logits; `finish` joins windows and decides. Scores
depend on the text alone: not on the batch, its order or the text's neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ottenok.core.errors import ModelError
from ottenok.core.progress import SILENT
from ottenok.inference.batches import cut_batches
from ottenok.inference.columns import as_texts, check_texts
from ottenok.inference.prediction import Prediction
from ottenok.inference.windows import join_windows, slices
from ottenok.tasks.decision import decide, ordered_score, output_count
from ottenok.text.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
    from ottenok.inference.backend import Backend
    from ottenok.inference.tokens import TokenBatch, Tokeniser, Windows

__all__ = ["BATCH_TOKENS", "STREAM_TEXTS", "Prediction", "Predictor", "Prepared"]

# On a CPU anything from 256 to 4096 tokens is as fast, to a few percent; small batches keep memory low.
BATCH_TOKENS = 512
# Texts that a stream holds at once: enough that most lengths fill their batches.
STREAM_TEXTS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Texts ready to be run.

    Attributes:
        windows: Every window of every text.
        batches: The same windows as batches.
    """

    windows: Windows
    batches: tuple[TokenBatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    scores: Mapping[str, float]
    labels: tuple[str, ...]
    score: float | None


class Predictor:
    """Classifies texts; safe to use from several threads.

    Args:
        manifest: What the bundle says: labels, decision, text options, windows.
        tokeniser: The bundle's tokenizer.
        backend: What computes logits.
        workers: Batches that are computed at once, each in a thread of its own.
        batch_tokens: Most tokens of a batch.

    Raises:
        ModelError: The backend has another number of outputs than the labels need.
    """

    def __init__(
        self,
        *,
        manifest: BundleManifest,
        tokeniser: Tokeniser,
        backend: Backend,
        workers: int = 1,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        self.manifest = manifest
        self.scheme: LabelScheme = manifest.scheme.scheme()
        self.backend = backend
        self._tokeniser = tokeniser
        self._workers = workers
        self._batch_tokens = batch_tokens
        self._outputs = output_count(manifest.decision.activation, len(self.scheme.labels))
        if backend.outputs not in {0, self._outputs}:
            raise ModelError(f"the model has {backend.outputs} outputs, and its labels need {self._outputs}")

    @property
    def identity(self) -> str:
        """What decides the logits besides the manifest: graphs of equal identity and manifest give equal answers."""
        return f"{self.backend.identity} {self._tokeniser.identity}"

    def __repr__(self) -> str:
        return f"Predictor({self.manifest.name!r}, labels={list(self.scheme.labels)}, backend={self.backend.name!r})"

    @overload
    def __call__(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap] # a str is a sequence too

    @overload
    def __call__(self, texts: Iterator[str]) -> Iterator[Prediction]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Iterable[str]) -> list[Prediction]: ...

    def __call__(self, texts: Any) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Classify one text, several, or a stream.

        Args:
            texts: A string; a list, tuple, numpy array, pandas, polars or Arrow column of strings; or an iterator.

        Returns:
            One prediction for a string, an iterator for an iterator (see `stream`), a list otherwise, in the order of
            the texts.

        Raises:
            InputError: A text is missing (None, NaN) or no string; the error names its row, from 1.
        """
        if isinstance(texts, str):
            return self._classify([texts])[0]
        if isinstance(texts, Iterator):
            return self.stream(texts)
        values = list(as_texts(texts))
        # All at once: row a million should not fail after an hour's work on the others.
        check_texts(values, first=1)
        return list(self.stream(values))

    def stream(self, texts: Iterable[str], *, texts_at_once: int = STREAM_TEXTS) -> Iterator[Prediction]:
        """Classify texts as they come, in their order, holding few of them.

        Args:
            texts: Any iterable of strings, also an endless one.
            texts_at_once: Texts that are read before the first answer: more fill batches better.

        Raises:
            InputError: A text is missing (None, NaN) or no string; the error names its row, from 1.
        """
        done = 0
        for block in slices(texts, texts_at_once):
            check_texts(block, first=done + 1)
            yield from self._classify(block)
            done += len(block)

    def _classify(self, texts: Sequence[str]) -> list[Prediction]:
        prepared = self.prepare(texts)
        return self.finish(prepared, self.run(prepared))

    def probabilities(self, texts: Iterable[str]) -> npt.NDArray[np.float32]:
        """Return the probabilities alone, to measure a model on many texts.

        Returns:
            float32 `[texts, labels]`; zeros for a text without anything to read.

        Raises:
            InputError: As `stream`.
        """
        found = [list(answer.scores.values()) for answer in self.stream(texts)]
        return np.array(found, dtype=np.float32).reshape(len(found), len(self.scheme.labels))

    def prepare(self, texts: Sequence[str]) -> Prepared:
        """Normalise, tokenise and cut batches; `texts` are strings."""
        windows = self._tokeniser([normalise(text, self.manifest.text) for text in texts])
        return Prepared(windows=windows, batches=tuple(cut_batches(windows, tokens=self._batch_tokens)))

    def run(self, prepared: Prepared, *, progress: Progress = SILENT) -> npt.NDArray[np.float32]:
        """Compute the logits of every window.

        Args:
            prepared: From `prepare`.
            progress: Hears of every text when its first window is done, and of unreadable ones at the end.

        Returns:
            float32 `[windows, outputs]`.

        Raises:
            ModelError: The model can't be run.
        """
        logits = np.empty((len(prepared.windows.ids), self._outputs), dtype=np.float32)
        first = np.diff(prepared.windows.texts, prepend=-1) > 0
        with closing(self._computed(prepared.batches)) as outputs:
            for batch, found in zip(prepared.batches, outputs, strict=True):
                logits[batch.rows] = found
                progress.advance(int(first[batch.rows].sum()))
        progress.advance(int((prepared.windows.counts == 0).sum()))
        return logits

    def _computed(self, batches: Sequence[TokenBatch]) -> Generator[npt.NDArray[np.float32], None, None]:
        """Yield the logits of each batch, in order.

        Threads share out whole batches rather than each product: they need not wait for each other at every step, so
        a busy machine slows them down by its share only.
        """
        workers = min(self._workers, len(batches))
        if workers < 2:
            yield from map(self.backend.run, batches)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="ottenok")
        try:
            yield from pool.map(self.backend.run, batches)
        finally:
            pool.shutdown(cancel_futures=True)

    def finish(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> list[Prediction]:
        """Join the windows of each text and decide.

        Args:
            prepared: What was run.
            logits: float32 `[windows, outputs]`, from `run`.
        """
        windows = prepared.windows
        probs = join_windows(logits, windows, self.manifest)
        answers = iter(self._answers(probs))
        counts, truncated, unknown = windows.counts.tolist(), windows.truncated.tolist(), windows.unknown.tolist()
        return [
            self._prediction(next(answers) if count else None, count, cut, strange)
            for count, cut, strange in zip(counts, truncated, unknown, strict=True)
        ]

    def _answers(self, probs: npt.NDArray[np.float32]) -> Iterator[_Answer]:
        decision = self.manifest.decision
        labels = decide(probs, self.scheme, decision)
        ordered = bool(self.scheme.values) and len(probs) > 0
        scores = ordered_score(probs, self.scheme.values).tolist() if ordered else [None] * len(labels)
        for row, chosen, score in zip(probs.tolist(), labels, scores, strict=True):
            yield _Answer(scores=dict(zip(self.scheme.labels, row, strict=True)), labels=chosen, score=score)

    def _prediction(self, answer: _Answer | None, windows: int, truncated: bool, unknown: float) -> Prediction:  # noqa: FBT001
        if answer is None:
            answer = _Answer(scores=dict.fromkeys(self.scheme.labels, 0.0), labels=(), score=None)
        return Prediction(
            label=max(answer.labels, key=answer.scores.__getitem__, default=None),
            labels=answer.labels,
            scores=answer.scores,
            score=answer.score,
            windows=windows,
            truncated=truncated,
            unknown=unknown,
        )
