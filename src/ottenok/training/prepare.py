"""What a run is made of: the network, the rows to learn from, the rows to validate on, the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ottenok.core.errors import ConfigError, DataError
from ottenok.core.progress import SILENT, Progress
from ottenok.models.build import Network, build
from ottenok.models.encoder import lost_letters
from ottenok.models.losses import LossSetting, find_loss, resolve_loss
from ottenok.training.examples import Examples, Reading, read_examples, targets
from ottenok.training.facts import text_options
from ottenok.training.hardware import on_cpu
from ottenok.training.processes import rank, world
from ottenok.training.scoring import Validation, plain_decision
from ottenok.training.weights import class_weights

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from torch import Tensor

    from ottenok.core.schemes import LabelScheme
    from ottenok.data.corpus import Corpus, Split
    from ottenok.recipes.train import TrainRecipe
    from ottenok.training.memory import TokenMemory

__all__ = ["Parts", "Sources", "letter_notes", "prepare", "validation_sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What rows are read with.

    Attributes:
        recipe: The recipe.
        corpus: The corpus.
        scheme: Its labels.
        network: The network, drawn from the recipe's seed.
        progress: Whom to tell.
        memory: Tokens of earlier runs on the same corpus.
    """

    recipe: TrainRecipe
    corpus: Corpus
    scheme: LabelScheme
    network: Network
    progress: Progress
    memory: TokenMemory | None = None

    def read(self, split: Split) -> Examples:
        """Read and tokenise a split, unless its tokens are known; tell of texts that are cut."""
        if self.memory is None:
            return self._read(split)
        return self.memory.examples(self.recipe, split, lambda: self._read(split))

    def reading(self, split: Split) -> Reading:
        """Return how a split is read: texts are made as prediction will make them, and kept where noise is put in."""
        wanted = text_options(self.corpus, self.recipe.text)
        return Reading(
            tokenizer=self.network.tokenizer,
            max_length=self.recipe.text.max_length,
            keep_end=self.recipe.text.keep == "end",
            text=None if wanted == text_options(self.corpus) else wanted,
            keep=split == "train" and self.recipe.noise is not None,
        )

    def _read(self, split: Split) -> Examples:
        limit = self.recipe.text.max_length
        examples = read_examples(
            self.corpus,
            split,
            scheme=self.scheme,
            reading=self.reading(split),
            progress=self.progress,
        )
        if examples.tokens.full:
            self.progress.note(
                f"{examples.tokens.full} of {len(examples)} {split} texts reach max_length = {limit} tokens; "
                f"of longer ones the {self.recipe.text.keep} is read, the rest is not"
            )
        return examples


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a run is made of.

    Attributes:
        sources: Recipe, corpus, scheme, network.
        learning: The rows to learn from.
        validation: The rows to validate on; None if the corpus has none.
        loss: Scores, targets and setting to a scalar.
        setting: Class weights and smoothing.
    """

    sources: Sources
    learning: Examples
    validation: Validation | None
    loss: Callable[[Tensor, Tensor, LossSetting], Tensor]
    setting: LossSetting

    @property
    def recipe(self) -> TrainRecipe:
        """The recipe."""
        return self.sources.recipe

    @property
    def scheme(self) -> LabelScheme:
        """The labels."""
        return self.sources.scheme

    @property
    def network(self) -> Network:
        """The network."""
        return self.sources.network

    @property
    def progress(self) -> Progress:
        """Whom to tell."""
        return self.sources.progress


def prepare(recipe: TrainRecipe, corpus: Corpus, progress: Progress, *, memory: TokenMemory | None = None) -> Parts:
    """Build the network and read the corpus. Seed everything before.

    Args:
        recipe: What to do.
        corpus: What to learn from.
        progress: Whom to tell.
        memory: Tokens of earlier runs on the same corpus.

    Raises:
        ConfigError: The recipe does not fit the corpus.
        DataError: The corpus has no rows to learn from.
        ModelError: The encoder can't be loaded.
    """
    scheme = corpus.label_scheme
    network = build(recipe.model, scheme)
    loss = find_loss(resolve_loss(recipe.loss, network.problem))
    _check_length(recipe, network)
    observer = progress if rank() == 0 else SILENT
    for note in letter_notes(network.tokenizer):
        observer.note(note)
    sources = Sources(recipe=recipe, corpus=corpus, scheme=scheme, network=network, progress=observer, memory=memory)
    learning = sources.read("train")
    if not len(learning):
        raise DataError("the corpus has no rows to learn from", file=str(corpus.folder))
    setting = _setting(recipe, learning, network)
    return Parts(
        sources=sources,
        learning=learning,
        validation=_validation(sources, loss, setting),
        loss=loss,
        setting=setting,
    )


def letter_notes(tokenizer: Any) -> tuple[str, ...]:  # noqa: ANN401 - one class per family
    """Return what a user should know of letters that the tokenizer loses."""
    lost = lost_letters(tokenizer)
    if not lost:
        return ()
    return (f"The encoder's tokenizer strips accents, so it can't tell {' and '.join(lost)} from other letters.",)


def validation_sample(recipe: TrainRecipe, rows: int) -> npt.NDArray[np.int64] | None:
    """Return which of so many validation rows the run is measured on, in their order; None: all of them."""
    most = recipe.data.validation_rows
    if most is None or most >= rows:
        return None
    chosen: npt.NDArray[np.int64] = np.sort(np.random.default_rng(recipe.seed).choice(rows, most, replace=False))
    return chosen


def _check_length(recipe: TrainRecipe, network: Network) -> None:
    if network.limit is not None and recipe.text.max_length > network.limit:
        raise ConfigError(
            f"found {recipe.text.max_length}, but the encoder reads at most {network.limit} tokens",
            key="text.max_length",
        )


def _setting(recipe: TrainRecipe, learning: Examples, network: Network) -> LossSetting:
    weights = class_weights(recipe.loss.class_weights, learning.truth, network.problem)
    tensor = None if weights is None else torch.from_numpy(weights)
    if tensor is not None and not on_cpu(recipe.run):
        tensor = tensor.cuda()
    return LossSetting.of(recipe.loss, tensor)


def _validation(
    sources: Sources, loss: Callable[[Tensor, Tensor, LossSetting], Tensor], setting: LossSetting
) -> Validation | None:
    examples = sources.read("validation")
    if not len(examples):
        return None
    recipe, problem = sources.recipe, sources.network.problem
    sample = validation_sample(recipe, len(examples))
    if sample is not None:
        examples = examples.take(sample)
    return Validation(
        examples=examples,
        answers=targets(examples.truth, problem, sources.scheme.values),
        scheme=sources.scheme,
        decision=plain_decision(problem, sources.scheme, recipe.decision),
        loss=loss,
        setting=setting,
        padding=sources.network.tokenizer.pad_token_id,
        size=recipe.batch.evaluation,
        progress=sources.progress,
        rank=rank(),
        world=world(),
    )
