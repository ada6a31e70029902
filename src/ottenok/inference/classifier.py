"""The classifier: texts in, predictions out, in three steps that every surface uses.

`prepare` normalises, tokenises and cuts batches; `run` computes logits; `finish` joins windows and decides. Scores
depend on the text alone: not on the batch, its order or the text's neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np

from ottenok.core.errors import BundleError, ConfigError, InputError, ModelError
from ottenok.core.language import read_language
from ottenok.core.progress import SILENT
from ottenok.core.suggest import suggest
from ottenok.inference.familiarity import doubts, knows, measures, unfamiliarity
from ottenok.inference.prediction import Prediction, TaskAnswer
from ottenok.inference.tokens import TokenBatch, cut_batches, slices
from ottenok.tasks.calibration import logits_of
from ottenok.tasks.task import columns, find_task
from ottenok.text.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ottenok.bundle.manifest import BundleManifest
    from ottenok.core.language import Reading
    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
    from ottenok.explain.explanation import Explanation
    from ottenok.inference.engine import Backend
    from ottenok.inference.tokens import Tokeniser, Windows
    from ottenok.tasks.task import Task

__all__ = ["BATCH_TOKENS", "STREAM_TEXTS", "Classifier", "OnMissing", "Prepared", "listed"]

# On a CPU anything from 256 to 4096 tokens is as fast, to a few percent; small batches keep memory low.
BATCH_TOKENS = 512
# Texts that a stream holds at once: enough that most lengths fill their batches.
STREAM_TEXTS = 4096

OnMissing = Literal["reason", "raise"]
FrameT = TypeVar("FrameT")

# How columns of other libraries become Python objects: Arrow, pandas and polars, numpy.
_CONVERSIONS = ("to_pylist", "to_list", "tolist")
_MISSING = "missing text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Texts ready to be run.

    Attributes:
        windows: Every window of every text.
        batches: The same windows as batches.
    """

    windows: Windows
    batches: tuple[TokenBatch, ...]


class Classifier:
    """Classifies texts; safe to use from several threads.

    It pickles and deep-copies by the place that it was loaded from: the copy is loaded there anew, and an error if
    the model there is another by then.

    Args:
        manifest: What the bundle says: tasks, text options, windows.
        tokeniser: The bundle's tokenizer.
        backend: What computes logits.
        workers: Batches that are computed at once, each in a thread of its own.
        batch_tokens: Most tokens of a batch.
        loaded: The arguments of `ottenok.load` that give the same classifier; None: it can't be pickled.
        folder: The bundle that it was loaded from; None: it can't be saved.
        always: Whether labels are given also where the bundle says that they should be withheld.

    Raises:
        ModelError: The backend has another number of outputs than the tasks need.

    Attributes:
        manifest: As given.
        backend: As given.
        tasks: What is asked of each text. The first task is the primary one, whose labels `labels`, `classes_` and
            `id2label` are and whose answer a `Prediction` shows first.
    """

    def __init__(
        self,
        *,
        manifest: BundleManifest,
        tokeniser: Tokeniser,
        backend: Backend,
        workers: int = 1,
        batch_tokens: int = BATCH_TOKENS,
        loaded: Mapping[str, Any] | None = None,
        folder: Path | None = None,
        always: bool = False,
    ) -> None:
        self.manifest = manifest
        self.tasks: tuple[Task, ...] = manifest.task_list()
        self.backend = backend
        self._tokeniser = tokeniser
        self._workers = workers
        self._batch_tokens = batch_tokens
        self._loaded = loaded
        self._folder = folder
        self._always = always
        self._columns = columns(self.tasks)
        self._outputs = sum(task.outputs for task in self.tasks)
        if backend.outputs != self._outputs:
            raise ModelError(f"the model has {backend.outputs} outputs, and its labels need {self._outputs}")

    @property
    def scheme(self) -> LabelScheme:
        """The labels of the primary task, their kind and their order."""
        return self.tasks[0].scheme

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the primary task, in the order of the probabilities."""
        return self.scheme.labels

    @property
    def classes_(self) -> npt.NDArray[np.str_]:
        """The labels as scikit-learn has them: an array, in the order of the columns of `predict_proba`."""
        return np.array(self.labels)

    @property
    def id2label(self) -> dict[int, str]:
        """The labels as transformers has them: number to label."""
        return dict(enumerate(self.labels))

    @cached_property
    def identity(self) -> str:
        """What decides the logits besides the manifest: graphs of equal identity and manifest give equal answers."""
        return f"{self.backend.identity} {self._tokeniser.identity}"

    @classmethod
    def from_pretrained(cls, model: str | Path, *, revision: str | None = None, **options: Any) -> Classifier:  # noqa: ANN401 - those of load
        """Load a classifier from a folder or the hub: `ottenok.load` by the name that transformers has for it.

        Args:
            model: A folder, or a name on the hub (`owner/name`).
            revision: Branch, tag or commit of a model on the hub; None: its main branch.
            options: Those of `ottenok.load`, such as `precision`.
        """
        from ottenok.inference.api import load

        return load(model if revision is None else f"{model}@{revision}", **options)

    def save_pretrained(self, folder: str | Path, *, light: bool = False) -> Path:
        """Copy the bundle that this classifier was loaded from, so that `from_pretrained(folder)` loads it.

        Args:
            folder: A new or an empty folder; an older light copy is replaced.
            light: Without torch's weights: what prediction needs, and what browsers fetch.

        Returns:
            The folder.

        Raises:
            BundleError: There is something else in the folder, the bundle was altered, or this classifier was not
                loaded from a folder.
        """
        from ottenok.inference.hub import save

        return save(self._source(), Path(folder), light=light).folder

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        commit_message: str | None = None,
        light: bool = False,
    ) -> str:
        """Upload the bundle that this classifier was loaded from to the hub (extra `data`).

        Args:
            repo_id: `owner/name`; made if it is not there.
            private: Whether a new repository is private; None: as the account has it.
            token: The account's; None: that of `hf auth login` or the variable HF_TOKEN.
            revision: A branch, made if it is not there; None: the main one.
            commit_message: What the commit says.
            light: As in `save_pretrained`. transformers.js opens a light copy by the repository's name alone.

        Returns:
            The commit's address.

        Raises:
            BundleError: The upload fails, or as `save_pretrained`.
            MissingExtraError: huggingface_hub is not installed.
        """
        from ottenok.inference.hub import push

        return push(
            self._source(),
            repo_id,
            private=private,
            token=token,
            revision=revision,
            commit_message=commit_message,
            light=light,
        )

    def _source(self) -> Path:
        if self._folder is None:
            raise BundleError("this classifier was not loaded from a folder, so there is nothing to save")
        return self._folder

    def __repr__(self) -> str:
        tasks = ", ".join(f"{task.name}: {'/'.join(task.scheme.labels)}" for task in self.tasks)
        return f"<Classifier {self.manifest.name!r} ({tasks}) on {self.backend.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._loaded is None:
            raise TypeError("this classifier was not loaded from a folder, so it can't be pickled or copied")
        return _load_again, (dict(self._loaded), self.identity)

    def __sklearn_clone__(self) -> Classifier:
        """Return the classifier itself: it never changes, so an estimator's clones may share it."""
        return self

    def limited(self, *, max_length: int | None = None, max_windows: int | None = None) -> Classifier:
        """Return the same classifier reading less of long texts; it shares the graph, and can't be pickled.

        Args:
            max_length: Most tokens of a window, special ones included; None, or more than the model reads: as it is.
            max_windows: Most windows that are read of a text; None: as it is.

        Raises:
            BundleError: The tokenizer's special tokens leave no place for others.
        """
        return Classifier(
            manifest=self.manifest,
            tokeniser=self._tokeniser.limited(max_length=max_length, max_windows=max_windows),
            backend=self.backend,
            workers=self._workers,
            batch_tokens=self._batch_tokens,
        )

    @overload
    def __call__(self, texts: str, *, on_missing: OnMissing = ...) -> Prediction: ...  # type: ignore[overload-overlap] # a str is a sequence too

    @overload
    def __call__(self, texts: Iterator[str], *, on_missing: OnMissing = ...) -> Iterator[Prediction]: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(self, texts: Iterable[str | None], *, on_missing: OnMissing = ...) -> list[Prediction]: ...

    def __call__(
        self, texts: Any, *, on_missing: OnMissing = "reason"
    ) -> Prediction | list[Prediction] | Iterator[Prediction]:
        """Classify one text, several, or a stream.

        Args:
            texts: A string; a list, tuple, numpy array, pandas, polars or Arrow column of strings; or an iterator.
            on_missing: What becomes of a missing text (None, NaN): `reason` gives a prediction without a label whose
                `reason` says so, `raise` an error.

        Returns:
            One prediction for a string, an iterator for an iterator (see `stream`), a list otherwise, in the order of
            the texts.

        Raises:
            InputError: A value is no string; the error names its row, from 1.
        """
        if isinstance(texts, Iterator):
            return self.stream(texts, on_missing=on_missing)
        values = _values(texts)
        # All at once: row a million should not fail after an hour's work on the others.
        _check_texts([values] if isinstance(values, str) else values, first=1, on_missing=on_missing)
        if isinstance(values, str):
            return next(self.stream([values]))
        return list(self.stream(values))

    def stream(
        self, texts: Iterable[str | None], *, texts_at_once: int = STREAM_TEXTS, on_missing: OnMissing = "reason"
    ) -> Iterator[Prediction]:
        """Classify texts as they come, in their order, holding few of them.

        Args:
            texts: Any iterable of strings, also an endless one.
            texts_at_once: Texts that are read before the first answer: more fill batches better.
            on_missing: As for a list.

        Raises:
            InputError: A value is no string; the error names its row, from 1.
        """
        for block, prepared in self._blocks(texts, texts_at_once, on_missing):
            answers = self.finish(prepared, self.run(prepared))
            for text, answer in zip(block, answers, strict=True):
                yield answer if isinstance(text, str) else replace(answer, reason=_MISSING)

    def _blocks(
        self, texts: Iterable[str | None], texts_at_once: int, on_missing: OnMissing
    ) -> Iterator[tuple[list[str | None], Prepared]]:
        """Yield so many texts at once, checked, and what is to be run of them."""
        done = 0
        for block in slices(texts, texts_at_once):
            _check_texts(block, first=done + 1, on_missing=on_missing)
            yield block, self.prepare([text if isinstance(text, str) else "" for text in block])
            done += len(block)

    def predict(
        self, texts: Iterable[str | None], *, task: str | None = None, on_missing: OnMissing = "reason"
    ) -> list[str | None]:
        """Return the label of each text, as scikit-learn's classifiers do; None where there is none.

        Args:
            texts: As `__call__`; a string is a list of one.
            task: Which task's; None: the primary one's.
            on_missing: As `__call__`.

        Raises:
            InputError: As `__call__`.
            SchemeError: There is no such task.
        """
        name = find_task(self.tasks, task).name
        return [answer.tasks[name].label for answer in self.stream(listed(texts, on_missing), on_missing=on_missing)]

    def predict_proba(
        self, texts: Iterable[str | None], *, task: str | None = None, on_missing: OnMissing = "reason"
    ) -> npt.NDArray[np.float32]:
        """Return the probabilities of each text, as scikit-learn's classifiers do.

        Args:
            texts: As `__call__`; a string is a list of one. An iterator is read as it comes.
            task: Which task's; None: the primary one's.
            on_missing: As `__call__`.

        Returns:
            float32 `[texts, labels]`; zeros for a text without anything to read.

        Raises:
            InputError: As `__call__`.
            SchemeError: There is no such task.
        """
        chosen = find_task(self.tasks, task)
        answers = self.stream(listed(texts, on_missing), on_missing=on_missing)
        found = [list(answer.tasks[chosen.name].probabilities.values()) for answer in answers]
        return np.array(found, dtype=np.float32).reshape(len(found), len(chosen.scheme.labels))

    def logits(
        self, texts: Iterable[str | None], *, task: str | None = None, on_missing: OnMissing = "reason"
    ) -> npt.NDArray[np.float32]:
        """Return the logits of each text: the mean over its windows, by their tokens.

        Args:
            texts: As `predict_proba`.
            task: Which task's; None: the primary one's.
            on_missing: As `__call__`.

        Returns:
            float32 `[texts, outputs]`; zeros for a text without anything to read.

        Raises:
            InputError: As `__call__`.
            SchemeError: There is no such task.
        """
        found = [np.empty((0, self._outputs), dtype=np.float32)]
        for _, prepared in self._blocks(listed(texts, on_missing), STREAM_TEXTS, on_missing):
            found.append(_joined(self.run(prepared), prepared.windows))
        return np.concatenate(found)[:, self._columns[find_task(self.tasks, task).name]]

    def embed(self, texts: Iterable[str | None], *, on_missing: OnMissing = "reason") -> npt.NDArray[np.float32]:
        """Return the vector of each text that the model's last linear layer reads, its pooled embedding.

        Texts of like mood have like vectors, so that a linear classifier learns one's own labels from few of them
        (`ottenok.sklearn.TextClassifier`). Of a long text it is the mean over its windows, by their tokens.

        Args:
            texts: As `predict_proba`.
            on_missing: As `__call__`.

        Returns:
            float32 `[texts, width]`, as the model gives them, not brought to one length; zeros for a text without
            anything to read.

        Raises:
            InputError: As `__call__`.
            ModelError: No linear layer makes the model's logits, or it can't be run.
        """
        # A token is asked first: it tells the width.
        width = self.backend.embed(TokenBatch(ids=np.zeros((1, 1), np.int64), rows=np.zeros(1, np.int64))).shape[1]
        found = [np.empty((0, width), dtype=np.float32)]
        for _, prepared in self._blocks(listed(texts, on_missing), STREAM_TEXTS, on_missing):
            vectors = np.empty((len(prepared.windows.ids), width), dtype=np.float32)
            with closing(self._computed(self.backend.embed, prepared.batches)) as outputs:
                for batch, rows in zip(prepared.batches, outputs, strict=True):
                    vectors[batch.rows] = rows
            found.append(_joined(vectors, prepared.windows))
        return np.concatenate(found)

    def explain(self, text: str, *, task: str | None = None, label: str | None = None) -> Explanation:
        """Say what each word of a text does for a label: see `ottenok.explain.shares.word_shares`.

        Args:
            text: At most 20,000 characters.
            task: Which task's answer; None: the primary one's.
            label: Which label's probability; None: the answer's, of several or none the most probable one.

        Raises:
            InputError: This is no text, or it is too long.
            ModelError: The model can't be run.
            SchemeError: There is no such task or label.
        """
        from ottenok.explain.explanation import Explanation
        from ottenok.explain.shares import check_length, word_shares

        if not isinstance(text, str):
            raise InputError(f"expected a text, found {type(text).__name__}", hint="One text is explained at a time.")
        check_length(text)
        chosen = find_task(self.tasks, task)
        # A few words of a text in capitals are read as the whole is, though alone they would be no shouting.
        options = replace(self.manifest.text, capitals="keep")
        lowered = normalise(text, options) != normalise(text, self.manifest.text)

        of_probs = self.manifest.window.combine != "mean-logits"
        means_odds = of_probs and chosen.decision.activation in {"softmax", "sigmoid"}
        bare = np.array([self._tokeniser.bare], dtype=np.int64)
        empty = self.backend.run(TokenBatch(ids=bare, rows=np.zeros(1, np.int64)))[:, self._columns[chosen.name]]

        def joined_odds(outputs: npt.NDArray[np.float32], windows: Windows) -> npt.NDArray[np.float64]:
            own = outputs[:, self._columns[chosen.name]]
            if means_odds:
                probs = _joined(chosen.probabilities(own), windows)
                found = logits_of(probs, chosen.decision.activation) * chosen.decision.temperature
            else:
                found = _joined(own, windows).astype(np.float64)
            return chosen.log_odds(np.where(windows.counts[:, None] > 0, found, empty))

        def odds(texts: Sequence[str]) -> npt.NDArray[np.float64]:
            once = {one: place for place, one in enumerate(dict.fromkeys(texts))}  # a comma may be there often
            plain = [normalise(one, options) for one in once]
            windows = self._tokeniser([normalise(one.lower(), options) for one in plain] if lowered else plain)
            batches = tuple(cut_batches(windows, tokens=self._batch_tokens))
            found = joined_odds(self.run(Prepared(windows=windows, batches=batches)), windows)
            return found[[once[one] for one in texts]]

        prepared = self.prepare([text])
        outputs = self.run(prepared)
        base, whole = chosen.log_odds(empty)[0], joined_odds(outputs, prepared.windows)[0]
        label = label or self.finish(prepared, outputs)[0].tasks[chosen.name].label
        place = int(whole.argmax()) if label is None else chosen.scheme.index(label)
        words = word_shares(
            text,
            odds,
            place,
            base=base,
            whole=whole,
            windows=self._tokeniser.count_windows(normalise(text, self.manifest.text)),
            read=self._tokeniser.parts_read,
        )
        return Explanation(
            text=text,
            task=chosen.name,
            label=chosen.scheme.labels[place],
            base=float(base[place]),
            logit=float(whole[place]),
            words=words,
        )

    def classify_frame(
        self, frame: FrameT, *, text: str, columns: Sequence[str] | None = None, prefix: str = "predicted_"
    ) -> FrameT:
        """Classify a column of a data frame, and return the frame with the answers as further columns.

            >>> frame = classifier.classify_frame(frame, text="review")      # doctest: +SKIP

        Args:
            frame: Of pandas, Polars (also lazy), Arrow, or another library that narwhals reads.
            text: The column with the texts.
            columns: Names of the answers that are wanted, such as `label` and `polarity`; None: all, named and
                rounded as in files.
            prefix: Of the answers' names.

        Returns:
            A frame of the same kind, with its index and its other columns; answers are missing where a text is, or
            has nothing to read.

        Raises:
            ConfigError: There is no answer of a name in `columns`.
            InputError: This is no data frame, it has no such column or has one of an answer's name, or a value is no
                text.
            MissingExtraError: The extra `frames` is not installed.
        """
        from ottenok.inference.frames import classify_frame

        found: FrameT = classify_frame(self, frame, text=text, columns=columns, prefix=prefix)
        return found

    def prepare(self, texts: Sequence[str], *, pairs: bool = False) -> Prepared:
        """Normalise, tokenise and cut batches.

        Args:
            texts: Strings.
            pairs: Whether a window that would be a batch of its own is computed twice. Libraries multiply a single row
                in another order than several, and its logits differ in the seventh digit from those in company; with
                pairs they are the same bits in any. It costs bulk work a hundredth, and few texts up to twice the time.
        """
        windows = self.read(texts)
        return Prepared(windows=windows, batches=tuple(cut_batches(windows, tokens=self._batch_tokens, pairs=pairs)))

    def read(self, texts: Sequence[str]) -> Windows:
        """Normalise and tokenise: what `prepare` does for who makes batches of their own."""
        plain = [normalise(text, self.manifest.text) for text in texts]
        return replace(self._tokeniser(plain), readings=[read_language(text) for text in plain])

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
        with closing(self._computed(self.backend.run, prepared.batches)) as outputs:
            for batch, found in zip(prepared.batches, outputs, strict=True):
                logits[batch.rows] = found
                progress.advance(int(first[np.unique(batch.rows)].sum()))
        progress.advance(int((prepared.windows.counts == 0).sum()))
        return logits

    def _computed(
        self, run: Callable[[TokenBatch], npt.NDArray[np.float32]], batches: Sequence[TokenBatch]
    ) -> Generator[npt.NDArray[np.float32], None, None]:
        """Yield what is computed of each batch, in order.

        Threads share out whole batches rather than each product: they need not wait for each other at every step, so
        a busy machine slows them down by its share only.
        """
        workers = min(self._workers, len(batches))
        if workers < 2:
            yield from map(run, batches)
            return
        pool = ThreadPoolExecutor(workers, thread_name_prefix="ottenok")
        try:
            yield from pool.map(run, batches)
        finally:
            pool.shutdown(cancel_futures=True)

    def finish(self, prepared: Prepared, logits: npt.NDArray[np.float32]) -> list[Prediction]:
        """Join the windows of each text and decide.

        The rule is in the bundle's manifest: a text's logits (`mean-logits`) or probabilities (`mean-probabilities`)
        are the mean over its windows, each weighing as much as it has tokens, special ones not counted.

        Args:
            prepared: What was run.
            logits: float32 `[windows, outputs]`, from `run`.

        Raises:
            ModelError: The logits are not finite.
        """
        windows = prepared.windows
        if self.manifest.window.combine == "mean-logits" and len(logits):
            means = _means(logits, windows)
            probs = [task.probabilities(means[:, self._columns[task.name]]) for task in self.tasks]
        else:
            of_windows = [task.probabilities(logits[:, self._columns[task.name]]) for task in self.tasks]
            probs = [_means(own, windows).astype(np.float32) if len(own) else own for own in of_windows]
        answers = {task.name: self._answers(task, own) for task, own in zip(self.tasks, probs, strict=True)}
        nothing = {
            task.name: TaskAnswer(labels=(), probabilities=dict.fromkeys(task.scheme.labels, 0.0), polarity=None)
            for task in self.tasks
        }
        texts = [{name: next(one) for name, one in answers.items()} if count else nothing for count in windows.counts]
        strangeness: list[float | None] = [None] * len(texts)
        if self.manifest.familiarity is not None and windows.readings:
            doubt = doubts([next(iter(tasks.values())).probabilities for tasks in texts])
            found = measures(windows, self.manifest.languages, self.manifest.familiarity, doubt)
            strangeness = unfamiliarity(found, self.manifest.familiarity).tolist()
        predictions = []
        for place, (tasks, count, truncated, unknown) in enumerate(
            zip(texts, windows.counts.tolist(), windows.truncated.tolist(), windows.unknown.tolist(), strict=True)
        ):
            reading = windows.readings[place] if windows.readings else None
            unfamiliar = strangeness[place] if count else None
            withheld = self._withheld(reading, unfamiliar) if count else None
            if withheld is not None:
                tasks = {  # noqa: PLW2901 - the same answers, without what is withheld
                    name: replace(answer, labels=(), polarity=None, reason=withheld) for name, answer in tasks.items()
                }
            first = tasks[self.tasks[0].name]
            empty = "no label reaches its threshold" if count else "nothing to read"
            predictions.append(
                Prediction(
                    tasks=tasks,
                    windows=count,
                    truncated=truncated,
                    unknown=unknown,
                    language=None if reading is None else reading.language,
                    unfamiliar=unfamiliar,
                    reason=None if first.labels else first.reason or empty,
                )
            )
        return predictions

    def _withheld(self, reading: Reading | None, unfamiliar: float | None) -> str | None:
        """Return why a text gets no label, or None."""
        if self._always:
            return None
        languages, familiarity = self.manifest.languages, self.manifest.familiarity
        if reading is not None and reading.sure and knows(languages) and reading.language not in (*languages, None):
            return "language"
        strange = familiarity is not None and unfamiliar is not None and unfamiliar >= familiarity.limit
        return "unfamiliar" if strange else None

    def _answers(self, task: Task, probs: npt.NDArray[np.float32]) -> Iterator[TaskAnswer]:
        """Yield a task's answer for every row of probabilities."""
        labels = task.decide(probs)
        polarities: Sequence[float | None] = task.polarity(probs) or [None] * len(labels)
        for row, chosen, polarity in zip(probs.tolist(), labels, polarities, strict=True):
            shares = dict(zip(task.scheme.labels, row, strict=True))
            given = chosen
            if task.selective is not None and not self._always:
                given = tuple(one for one in chosen if task.selective.keeps(task.scheme.index(one), shares[one]))
            withheld = bool(chosen) and not given
            yield TaskAnswer(
                labels=given,
                probabilities=shares,
                polarity=None if withheld else polarity,
                reason="unsure" if withheld else None,
            )


def _means(numbers: npt.NDArray[np.float32], windows: Windows) -> npt.NDArray[np.float64]:
    """Return the mean over each text's windows by their weights, float64 `[texts with windows, columns]`."""
    starts = np.flatnonzero(np.diff(windows.texts, prepend=-1))
    weighed = np.add.reduceat(numbers * windows.weights[:, None], starts, axis=0)
    means: npt.NDArray[np.float64] = weighed / np.add.reduceat(windows.weights, starts)[:, None]
    return means


def _joined(numbers: npt.NDArray[np.float32], windows: Windows) -> npt.NDArray[np.float32]:
    """Return the means of all texts, float32 `[texts, columns]`; zeros for those without windows."""
    found = np.zeros((len(windows.counts), numbers.shape[1]), dtype=np.float32)
    if len(numbers):
        found[windows.counts > 0] = _means(numbers, windows)
    return found


def _load_again(loaded: dict[str, Any], identity: str) -> Classifier:
    """Load a classifier that was pickled.

    Raises:
        ModelError: What is there now is another model.
    """
    from ottenok.inference.api import load

    classifier = load(**loaded)
    if classifier.identity != identity:
        raise ModelError(
            "the model is not the one that was pickled",
            hint="Its folder was changed since: load it by name instead.",
            file=str(loaded["model"]),
        )
    return classifier


def _values(texts: Any) -> str | list[Any]:  # noqa: ANN401 - columns of any library
    """Return a text, or a column's values as Python objects.

    Raises:
        InputError: This can't be a column of texts.
    """
    if getattr(texts, "ndim", None) == 0 and hasattr(texts, "item"):
        texts = texts.item()
    elif hasattr(texts, "as_py"):
        texts = texts.as_py()
    if isinstance(texts, str):
        return texts
    if isinstance(texts, bytes | dict) or not hasattr(texts, "__iter__"):
        raise InputError(
            f"expected a text or a column of texts, found {type(texts).__name__}",
            hint="Give a string, a list of strings, or one column of a data frame.",
        )
    if hasattr(texts, "columns"):
        raise InputError("expected one column, found a whole data frame", hint='Choose the column: frame["text"].')
    for name in _CONVERSIONS:
        if hasattr(texts, name):
            return list(getattr(texts, name)())
    return list(texts)


def listed(texts: Any, on_missing: OnMissing) -> Iterable[Any]:  # noqa: ANN401 - columns of any library
    """Return checked values; an iterator as it is, to be checked on the way.

    Raises:
        InputError: As `_values` and `_check_texts`.
    """
    if isinstance(texts, Iterator):
        return texts
    values = _values(texts)
    listed = [values] if isinstance(values, str) else values
    _check_texts(listed, first=1, on_missing=on_missing)
    return listed


def _check_texts(texts: Sequence[Any], *, first: int, on_missing: OnMissing) -> None:
    """Refuse what is no text.

    Args:
        texts: The values.
        first: Number of the first one, for the error.
        on_missing: Whether a missing value is an error too.

    Raises:
        ConfigError: `on_missing` is neither `reason` nor `raise`.
        InputError: Naming the row.
    """
    if on_missing not in {"reason", "raise"}:
        raise ConfigError(f"found {on_missing!r}", hint=suggest(str(on_missing), ["reason", "raise"]), key="on_missing")
    for row, text in enumerate(texts, start=first):
        if isinstance(text, str):
            continue
        # NaN and NaT are what differs from itself; pandas' NA says neither yes nor no to that.
        missing = text is None or type(text).__name__ in {"NAType", "NaTType"} or text is np.ma.masked
        if missing or (isinstance(text, float | np.floating) and text != text):  # noqa: PLR0124
            if on_missing == "reason":
                continue
            raise InputError(
                "expected a text, found no text (the value is missing)",
                hint='Drop such rows, or give them a text: column.fillna("").',
                row=row,
            )
        found = f"{type(text).__name__} {text!r}"[:100]
        raise InputError(f"expected a text, found {found}", hint="Convert the values to strings.", row=row)
