"""From a corpus to batches: texts as token ids, labels of every task, noise, soft targets, and which rows come when.

Token ids are kept flat, 4 bytes a token and 8 a text, so millions of texts fit in memory. Which rows form which batch,
and what noise is put into them, follows from seed, epoch and row alone: a run that is taken up again continues with the
very batch that it missed.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ottenok.core.errors import DataError
from ottenok.core.progress import SILENT, Progress, stage
from ottenok.models.losses import TaskTargets
from ottenok.tasks.decision import codes, indicator
from ottenok.text.noise import add_noise
from ottenok.text.normalise import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy.typing as npt

    from ottenok.data.corpus import Corpus, CorpusTask, Split
    from ottenok.recipes.train import NoiseOptions, TeacherOptions, TrainRecipe
    from ottenok.tasks.task import Task
    from ottenok.text.normalise import TextOptions

__all__ = [
    "Batch",
    "BatchMaker",
    "Coded",
    "Examples",
    "LengthBatches",
    "Reading",
    "RowNoise",
    "SoftTargets",
    "TaskLabels",
    "TokenMemory",
    "TokenTable",
    "answers",
    "encode_texts",
    "length_order",
    "pad",
    "read_examples",
    "read_soft_targets",
    "token_table",
]

_CHUNK = 4096
# Least probability that is taken for one, so that its logit is finite.
_LEAST = 1e-7


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTable:
    """Token ids of many texts.

    Attributes:
        ids: int32, all texts after each other, special tokens included.
        starts: int64 `[texts + 1]`: text i is `ids[starts[i]:starts[i + 1]]`.
        full: Texts that reach the length limit, so that most of them were cut.
    """

    ids: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    full: int

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.starts)

    def rows(self, indices: Sequence[int]) -> list[npt.NDArray[np.int32]]:
        """Return the ids of the given texts."""
        return [self.ids[self.starts[i] : self.starts[i + 1]] for i in indices]

    def take(self, rows: npt.NDArray[np.int64]) -> TokenTable:
        """Return some of the texts; `full` still counts all."""
        parts = self.rows(rows.tolist())
        lengths = np.array([len(part) for part in parts], dtype=np.int64)
        return TokenTable(ids=np.concatenate(parts), starts=np.concatenate([[0], np.cumsum(lengths)]), full=self.full)


def token_table(chunks: Iterable[list[list[int]]], max_length: int) -> TokenTable:
    """Keep the token ids of chunks of texts, a few thousand texts each, of at most `max_length` tokens a text."""
    parts: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    for rows in chunks:
        lengths += [len(row) for row in rows]
        parts.append(np.fromiter((token for row in rows for token in row), dtype=np.int32))
    return TokenTable(
        ids=np.concatenate(parts) if parts else np.empty(0, np.int32),
        starts=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64),
        full=sum(length >= max_length for length in lengths),
    )


def encode_texts(tokenizer: Any, texts: list[str], max_length: int, *, keep_end: bool = False) -> list[list[int]]:  # noqa: ANN401
    """Return the token ids of each text, special ones included, at most `max_length` of them.

    Args:
        tokenizer: A transformers fast tokenizer.
        texts: Normalised texts.
        max_length: Most tokens, special ones included.
        keep_end: Whether a longer text loses its beginning, not its end.
    """
    # A text of which nothing is left as tokens still needs one, or its mean would be 0 / 0.
    filler = tokenizer.unk_token_id if tokenizer.unk_token_id is not None else tokenizer.pad_token_id
    tokenizer.truncation_side = "left" if keep_end else "right"
    rows = tokenizer(
        texts, truncation=True, max_length=max_length, return_attention_mask=False, return_token_type_ids=False
    )["input_ids"]
    return [row or [filler] for row in rows]


def pad(rows: Sequence[npt.NDArray[np.int32]], padding: int) -> dict[str, torch.Tensor]:
    """Return `input_ids` and `attention_mask`, int64 `[rows, longest]`, padded on the right with `padding`."""
    lengths = np.array([len(row) for row in rows])
    real = np.arange(lengths.max()) < lengths[:, None]
    ids = np.full(real.shape, padding, dtype=np.int64)
    ids[real] = np.concatenate(rows)
    return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(real.astype(np.int64))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A column with few different values.

    Attributes:
        names: The values, sorted.
        codes: int32 `[rows]`, places among the names.
    """

    names: tuple[str, ...]
    codes: npt.NDArray[np.int32]

    @classmethod
    def of(cls, values: Iterable[str]) -> Coded:
        """Return the column of these values."""
        seen: dict[str, int] = {}
        found = np.fromiter((seen.setdefault(value, len(seen)) for value in values), dtype=np.int32)
        names = sorted(seen)
        places = np.array([names.index(name) for name in seen], dtype=np.int32)
        return cls(names=tuple(names), codes=places[found] if len(found) else found)

    def values(self, rows: npt.NDArray[Any] | slice = slice(None)) -> list[str]:
        """Return the values of some rows (all, if none are named)."""
        return [self.names[code] for code in self.codes[rows]]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLabels:
    """What the rows are labelled with for one task.

    Attributes:
        truth: bool `[rows, labels]`; all False in rows without a label.
        known: bool `[rows]`: which rows have a label; None: all.
        present: bool `[sources, labels]`: which labels a source could have given; None: all could all.
        weights: float32 `[rows]`: how much each row counts in the loss, 0 for one without a label; None: equally.
    """

    truth: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_] | None = None
    present: npt.NDArray[np.bool_] | None = None
    weights: npt.NDArray[np.float32] | None = None

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """Numbers of the rows that have a label."""
        return np.arange(len(self.truth)) if self.known is None else np.flatnonzero(self.known)


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """One split.

    Attributes:
        tokens: The texts.
        labels: Of each task, in the network's order.
        sources: Each row's source.
        languages: Each row's language; "" where it is unknown.
        texts: The texts themselves, where noise is to be put into them; else None.
    """

    tokens: TokenTable
    labels: tuple[TaskLabels, ...]
    sources: Coded
    languages: Coded
    texts: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, rows: npt.NDArray[np.int64]) -> Examples:
        """Return some of the rows, without their texts."""
        return Examples(
            tokens=self.tokens.take(rows),
            labels=tuple(
                TaskLabels(
                    truth=one.truth[rows],
                    known=None if one.known is None else one.known[rows],
                    present=one.present,
                )
                for one in self.labels
            ),
            sources=Coded(names=self.sources.names, codes=self.sources.codes[rows]),
            languages=Coded(names=self.languages.names, codes=self.languages.codes[rows]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How texts become tokens.

    Attributes:
        tokenizer: Of the encoder.
        max_length: Most tokens of a text, special ones included.
        keep_end: Whether a longer text loses its beginning, not its end.
        text: How texts are normalised that the corpus has otherwise; None: they are read as they are.
        keep_texts: Whether the texts are kept.
    """

    tokenizer: Any
    max_length: int
    keep_end: bool = False
    text: TextOptions | None = None
    keep_texts: bool = False

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Return the token ids of texts, after they are normalised."""
        normal = texts if self.text is None else [normalise(text, self.text) for text in texts]
        return encode_texts(self.tokenizer, normal, self.max_length, keep_end=self.keep_end)


def read_examples(
    corpus: Corpus, split: Split, *, tasks: Sequence[CorpusTask], reading: Reading, progress: Progress = SILENT
) -> Examples:
    """Read and tokenise one split of a corpus, chunk by chunk.

    Raises:
        SchemeError: A row's labels are not the scheme's.
        MissingExtraError: Emoji are to be named, and the package `emoji` is not installed.
    """
    import pyarrow.compute as pc

    labels: list[list[Sequence[str] | None]] = [[] for _ in tasks]
    facts: dict[str, list[str]] = {"source": [], "language": []}
    kept: list[str] = []

    def token_ids() -> Iterator[list[list[int]]]:
        columns = ("text", *(task.column for task in tasks), *facts, "split")
        for batch in corpus.batches(_CHUNK, columns=columns):
            part = batch.filter(pc.equal(batch.column("split"), split))
            if not part.num_rows:
                continue
            for task, found in zip(tasks, labels, strict=True):
                found.extend(part.column(task.column).to_pylist())
            for name, values in facts.items():
                values.extend(value or "" for value in part.column(name).to_pylist())
            texts = part.column("text").to_pylist()
            if reading.keep_texts:
                kept.extend(texts)
            yield reading.encode(texts)
            progress.advance(part.num_rows)

    with stage(progress, f"reading {split}", total=None, unit="texts"):
        tokens = token_table(token_ids(), reading.max_length)
    sources = Coded.of(facts["source"])
    return Examples(
        tokens=tokens,
        labels=tuple(_task_labels(task, found, sources) for task, found in zip(tasks, labels, strict=True)),
        sources=sources,
        languages=Coded.of(facts["language"]),
        texts=tuple(kept) if reading.keep_texts else None,
    )


def _task_labels(task: CorpusTask, found: list[Sequence[str] | None], sources: Coded) -> TaskLabels:
    known = np.fromiter((one is not None for one in found), dtype=np.bool_, count=len(found))
    truth = np.zeros((len(found), len(task.scheme.labels)), dtype=np.bool_)
    truth[known] = indicator((one for one in found if one is not None), task.scheme)
    present = np.ones((len(sources.names), truth.shape[1]), dtype=np.bool_)
    for row, source in enumerate(sources.names):
        given = task.classes.get(source)
        # Of a source with one label nothing could be learned but that label, so it is read as one that knows all.
        if given is not None and len(given) > 1:
            present[row] = [label in given for label in task.scheme.labels]
    return TaskLabels(truth=truth, known=None if known.all() else known, present=None if present.all() else present)


class TokenMemory:
    """Keeps each split's examples as they were read last, and gives them again to a recipe that reads the same.

    One memory is for one corpus. Of each split only the last reading is kept, so it holds what one run holds.
    """

    # What surely does not change a text's tokens. Whatever is not named here counts, also sections that are new.
    _NO_MATTER = frozenset(
        {
            "name",
            "description",
            "licence",
            "seed",
            "loss",
            "balance",
            "optim",
            "schedule",
            "batch",
            "run",
            "decision",
            "search",
            "teacher",
        }
    )
    _MODEL_MATTERS = frozenset({"encoder", "init_from", "revision"})

    def __init__(self) -> None:
        self._kept: dict[Split, tuple[str, Examples]] = {}

    def examples(self, recipe: TrainRecipe, split: Split, read: Callable[[], Examples]) -> Examples:
        """Return what `read` gives, or gave to a recipe with the same encoder and the same text options."""
        tree = recipe.model_dump(mode="json")
        matters = {name: value for name, value in tree.items() if name not in self._NO_MATTER}
        matters["model"] = {name: value for name, value in tree["model"].items() if name in self._MODEL_MATTERS}
        matters["tasks"] = [task["name"] for task in tree["tasks"]]
        key = json.dumps(matters, sort_keys=True)
        known = self._kept.get(split)
        if known is None or known[0] != key:
            known = (key, read())
            self._kept[split] = known
        return known[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftTargets:
    """What a teacher said of a split's rows for one task.

    Attributes:
        probs: float32 `[rows, labels]`, softened by the temperature; anything where it said nothing.
        taught: float32 `[rows]`: 1 where it said something, else 0.
    """

    probs: npt.NDArray[np.float32]
    taught: npt.NDArray[np.float32]


def read_soft_targets(
    options: TeacherOptions, ids: Sequence[str], tasks: Sequence[Task]
) -> tuple[SoftTargets | None, ...]:
    """Read what a teacher said of the rows with these ids; see `TeacherOptions`.

    Returns:
        For each task, or None for a task that the file has no columns of.

    Raises:
        DataError: There is no such file, it is no Parquet file with a column `id`, it has a task's columns in part, a
            value is none, or none of the rows is in it.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(options.file)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"the teacher's file can't be read: {error}", file=options.file, key="teacher.file") from error
    if "id" not in table.column_names:
        raise DataError("the column 'id' is missing", file=options.file, key="teacher.file")
    places = pc.index_in(pa.array(ids, pa.string()), table.column("id").cast(pa.string())).to_numpy(
        zero_copy_only=False
    )
    there = ~np.isnan(places.astype(np.float64))
    if not there.any():
        raise DataError("none of the corpus's rows is in the teacher's file", file=options.file, key="teacher.file")
    rows = places[there].astype(np.int64)
    found: list[SoftTargets | None] = []
    for task in tasks:
        for mark in ("z", "p"):
            columns = [f"{mark}:{task.name}:{label}" for label in task.scheme.labels]
            missing = [name for name in columns if name not in table.column_names]
            if len(missing) < len(columns):
                break
        else:
            found.append(None)
            continue
        if missing:
            raise DataError("a column is missing", file=options.file, key=missing[0])
        if task.problem == "regression":
            raise DataError("a regression can't learn from a teacher", hint="Leave the task out.", key="teacher.file")
        values = np.stack([table.column(name).to_numpy()[rows] for name in columns], axis=1).astype(np.float64)
        # Rows of which the teacher said nothing for this task are null in its file.
        said = np.asarray(np.isfinite(values).all(axis=1), dtype=np.bool_)
        values = np.where(said[:, None], values, 0.5)
        if mark == "p" and ((values < 0.0) | (values > 1.0 + 1e-4)).any():
            raise DataError("expected probabilities from 0 to 1", file=options.file, key=columns[0])
        if task.problem == "multi-label":
            bounded = np.clip(values, _LEAST, 1.0 - _LEAST)
            logits = values if mark == "z" else np.log(bounded) - np.log1p(-bounded)
            soft = 1.0 / (1.0 + np.exp(-logits / options.temperature))
        else:
            logits = values if mark == "z" else np.log(np.clip(values, _LEAST, 1.0))
            powers = np.exp((logits - logits.max(axis=1, keepdims=True)) / options.temperature)
            soft = powers / powers.sum(axis=1, keepdims=True)
        probs = np.zeros((len(ids), len(columns)), dtype=np.float32)
        taught = np.zeros(len(ids), dtype=np.float32)
        probs[there], taught[there] = soft, said
        found.append(SoftTargets(probs=probs, taught=taught))
    if all(one is None for one in found):
        raise DataError(
            f"it has no columns of {', '.join(task.name for task in tasks)}",
            hint=f"Expected columns such as p:{tasks[0].name}:{tasks[0].scheme.labels[0]}.",
            file=options.file,
            key="teacher.file",
        )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowNoise:
    """Reads rows with the noise of an epoch; see `NoiseOptions`.

    Attributes:
        texts: The texts of all rows.
        options: How much noise.
        seed: Of the run.
        encode: Texts to token ids.
    """

    texts: Sequence[str]
    options: NoiseOptions
    seed: int
    encode: Callable[[list[str]], list[list[int]]]

    def __call__(self, rows: Sequence[int], epoch: int) -> dict[int, list[int]]:
        """Return place among `rows` to token ids, for the rows that have noise in this epoch (from 0)."""
        noisy: dict[int, str] = {}
        for place, row in enumerate(rows):
            chance = random.Random(f"{self.seed} {epoch} {row}")  # noqa: S311 - no secret
            text = self.texts[row]
            if chance.random() < self.options.share:
                kind = chance.choice(self.options.kinds)
                text = add_noise(text, kind, rate=self.options.rate, seed=chance.getrandbits(32))
            for kind, rate in self.options.light.items():
                text = add_noise(text, kind, rate=rate, seed=chance.getrandbits(32))
            if text is not self.texts[row]:
                noisy[place] = text
        return dict(zip(noisy, self.encode(list(noisy.values())), strict=True)) if noisy else {}


def answers(truth: npt.NDArray[np.bool_], task: Task) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    """Return what the loss compares a task's logits with.

    Returns:
        int64 `[rows]` codes (multi-class, ordinal), float32 `[rows, labels]` (multi-label), float32 `[rows]` values
        (regression).
    """
    if task.problem == "multi-label":
        return truth.astype(np.float32)
    if task.problem == "regression":
        return np.asarray(task.scheme.values, dtype=np.float32)[codes(truth)]
    return codes(truth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Some rows, padded.

    Attributes:
        inputs: What the model is called with.
        targets: Of each task.
        texts: Rows.
        tokens: Tokens, padding not counted.
    """

    inputs: dict[str, torch.Tensor]
    targets: tuple[TaskTargets, ...]
    texts: int
    tokens: int

    def to(self, device: torch.device) -> Batch:
        """Return the same on another device, without waiting for the copy."""
        return Batch(
            inputs={name: value.to(device, non_blocking=True) for name, value in self.inputs.items()},
            targets=tuple(one.to(device) for one in self.targets),
            texts=self.texts,
            tokens=self.tokens,
        )


class BatchMaker:
    """Makes padded batches of a split's rows.

    Args:
        examples: The rows.
        tasks: The network's, in its order.
        padding: The padding token's id.
        noise: Reads some rows with noise; None: all are read as they are.
        soft: A teacher's word for each task, or nothing.
        pin: Whether batches lie in pinned memory, from which a GPU copies while it computes.
    """

    def __init__(
        self,
        examples: Examples,
        tasks: Sequence[Task],
        *,
        padding: int,
        noise: RowNoise | None = None,
        soft: Sequence[SoftTargets | None] = (),
        pin: bool = False,
    ) -> None:
        self.examples = examples
        self.padding = padding
        self.noise = noise
        self.pin = pin
        self._answers = [answers(one.truth, task) for one, task in zip(examples.labels, tasks, strict=True)]
        self._weights = [
            one.weights if one.weights is not None or one.known is None else one.known.astype(np.float32)
            for one in examples.labels
        ]
        self._soft = list(soft) or [None] * len(tasks)

    def __call__(self, rows: list[int], epoch: int = 0) -> Batch:
        """Return the batch of these rows in an epoch (from 0)."""
        ids = self.examples.tokens.rows(rows)
        if self.noise is not None:
            for place, noisy in self.noise(rows, epoch).items():
                ids[place] = np.array(noisy, dtype=np.int32)
        batch = Batch(
            inputs=pad(ids, self.padding),
            targets=self.targets(rows),
            texts=len(rows),
            tokens=sum(map(len, ids)),
        )
        if not self.pin:
            return batch
        return Batch(
            inputs={name: value.pin_memory() for name, value in batch.inputs.items()},
            targets=batch.targets,
            texts=batch.texts,
            tokens=batch.tokens,
        )

    def targets(self, rows: list[int] | slice) -> tuple[TaskTargets, ...]:
        """Return what the given rows should be answered."""
        found = []
        for labels, own, weights, soft in zip(
            self.examples.labels, self._answers, self._weights, self._soft, strict=True
        ):
            present = None
            if labels.present is not None:
                given: npt.NDArray[np.bool_] = labels.present[np.asarray(self.examples.sources.codes[rows])]
                present = torch.from_numpy(given | labels.truth[rows])
            found.append(
                TaskTargets(
                    answers=torch.from_numpy(own[rows]),
                    known=None if weights is None else torch.from_numpy(weights[rows]),
                    present=present,
                    teacher=None if soft is None else torch.from_numpy(soft.probs[rows]),
                    taught=None if soft is None else torch.from_numpy(soft.taught[rows]),
                )
            )
        return tuple(found)


def length_order(lengths: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    """Cut all rows into batches of `size`, longest texts first, so that padding is least."""
    order = np.argsort(-lengths, kind="stable")
    return [order[start : start + size] for start in range(0, len(order), size)]


class LengthBatches:
    """Batches of rows of about equal length, in random order.

    The epoch's rows are shuffled, cut into pools of `pool` batches, sorted by length within each pool and cut into
    batches, which are then shuffled over the whole epoch. The number of batches is the same in every epoch, which
    exact resuming rests on. With several processes each takes its share of every batch.

    Args:
        lengths: Tokens of each row.
        rows: From an epoch (from 0) to its rows, repeats allowed, as many in every epoch: the balance plan.
        size: Rows in a batch, on each process.
        pool: Batches that are sorted together.
        seed: The order depends on it and on the epoch, on nothing else.
        rank: This process.
        world: All processes.
    """

    def __init__(
        self,
        lengths: npt.NDArray[np.int64],
        rows: Callable[[int], npt.NDArray[np.int64]],
        *,
        size: int,
        pool: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.lengths = lengths
        self.rows = rows
        self.size = size * world
        self.pool = pool
        self.seed = seed
        self.rank = rank
        self.world = world
        self.count = len(rows(0))

    def __len__(self) -> int:
        return math.ceil(self.count / self.size)

    def epoch(self, epoch: int) -> list[list[int]]:
        """Return the batches of an epoch, counted from 0: the rows of this process in each.

        Raises:
            DataError: The epoch has another number of rows than the first.
        """
        random_ = np.random.default_rng([self.seed, epoch])
        rows = self.rows(epoch)
        if len(rows) != self.count:
            raise DataError(f"epoch {epoch + 1} has {len(rows)} rows, the first had {self.count}")
        rows = random_.permutation(rows)
        span = self.size * self.pool
        batches = []
        for start in range(0, len(rows), span):
            pool = rows[start : start + span]
            if self.pool > 1:
                pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += [pool[first : first + self.size] for first in range(0, len(pool), self.size)]
        # Every process must have a row of every batch, or they would wait for each other for ever.
        return [
            np.resize(batches[place], max(len(batches[place]), self.world))[self.rank :: self.world].tolist()
            for place in random_.permutation(len(batches))
        ]
