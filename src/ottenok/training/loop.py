"""The training loop: transformers' `Trainer` with our batches, losses, evaluation and checkpoints.

What is ours, and why: batches by length that resume exactly; a separate learning rate of the head; evaluation that
keeps one float32 score per row and label and nothing else; checkpoints that are whole or absent and hold no pickle.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer

from ottenok.core.errors import ModelError
from ottenok.training import checkpoints
from ottenok.training.optim import create_optimizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn
    from transformers import TrainerCallback, TrainingArguments

    from ottenok.models.build import Network
    from ottenok.models.losses import LossSetting
    from ottenok.recipes.train import OptimOptions
    from ottenok.training.batches import LengthBatches
    from ottenok.training.examples import ExampleSet

__all__ = ["ClassifierTrainer", "Meter", "Work"]


@dataclass(slots=True, kw_only=True)
class Meter:
    """What has happened in the current epoch so far, over all its resumptions.

    Attributes:
        loss: Sum of the loss over texts.
        texts: Texts seen.
        tokens: Tokens seen, padding not counted.
        seconds: Time spent in training, evaluation and checkpoints not counted.
    """

    loss: float = 0.0
    texts: int = 0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the loop works on.

    Attributes:
        network: The network.
        examples: The rows to learn from.
        batches: Which of them form which batch.
        loss: Scores, targets and setting to a scalar.
        setting: Class weights and smoothing.
        optim: The optimiser's options.
        validate: Scores a network on the validation rows and returns the measures by name; None: no validation.
        keep: Checkpoints to keep.
    """

    network: Network
    examples: ExampleSet
    batches: LengthBatches
    loss: Callable[[Tensor, Tensor, LossSetting], Tensor]
    setting: LossSetting
    optim: OptimOptions
    validate: Callable[[nn.Module], dict[str, float]] | None
    keep: int


class ClassifierTrainer(Trainer):
    """See the module.

    Args:
        work: What it works on.
        args: transformers' settings.
        callbacks: Observers of the loop.
    """

    def __init__(self, work: Work, args: TrainingArguments, callbacks: Sequence[TrainerCallback]) -> None:
        super().__init__(
            model=work.network.model,
            args=args,
            train_dataset=work.examples,
            eval_dataset=work.examples,  # never read: `evaluate` is ours, but transformers insists on one
            callbacks=list(callbacks),
        )
        self.work = work
        self.meter = Meter()
        # Our loss is a mean over a batch, so accumulated batches are to be averaged.
        self.model_accepts_loss_kwargs = False
        self.remove_callback(PrinterCallback)

    @property
    def folder(self) -> Path:
        """Where the checkpoints are."""
        return Path(str(self.args.output_dir))

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return our batches; they are already divided among processes."""
        return DataLoader(self.work.examples, batch_sampler=self.work.batches, collate_fn=_same)

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:  # noqa: ANN401, ARG002
        """Return our optimiser, made once."""
        if self.optimizer is None:
            self.optimizer = create_optimizer(self.work.network, self.work.optim)
        return self.optimizer

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Tensor],
        return_outputs: bool = False,  # noqa: FBT001, FBT002, ARG002 - transformers' protocol
        num_items_in_batch: Any = None,  # noqa: ANN401, ARG002
    ) -> Tensor:
        """Return the loss of one batch and count it."""
        answers = inputs.pop("labels")
        scores = model(**inputs).logits.to(torch.float32)
        loss = self.work.loss(scores, answers, self.work.setting)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss is {value} at step {self.state.global_step + 1}",
                hint="Lower optim.lr or optim.head_lr, or try --run.precision fp32.",
            )
        self.meter.loss += value * len(answers)
        self.meter.texts += len(answers)
        self.meter.tokens += int(inputs["attention_mask"].sum())
        return loss

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # noqa: ANN401 - transformers' protocol
        """Measure the epoch: our training meter, and the validation rows if there are any."""
        measures = {} if self.work.validate is None else self.work.validate(self.work.network.model)
        chosen = self.args.metric_for_best_model
        if chosen is not None:
            # A measure that is not defined for these answers (an AUC of one class) is no improvement.
            measures.setdefault(chosen.removeprefix("eval_"), -1.0 if self.args.greater_is_better else 1e9)
        meter = self._whole_meter()
        texts = max(meter.texts, 1)
        row = {f"eval_{name}": value for name, value in measures.items()} | {
            "epoch_loss": meter.loss / texts,
            "epoch_seconds": meter.seconds,
            "epoch_tokens": meter.tokens,
            "epoch_texts": meter.texts,
        }
        self.log(row)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, row)
        return row

    def _whole_meter(self) -> Meter:
        """Return the meter over all processes; their seconds run at the same time."""
        if self.args.world_size == 1:
            return self.meter
        counts = torch.tensor([self.meter.loss, self.meter.texts, self.meter.tokens], dtype=torch.float64)
        counts = counts.to(self.args.device)
        torch.distributed.all_reduce(counts)
        loss, texts, tokens = counts.tolist()
        return Meter(loss=loss, texts=int(texts), tokens=int(tokens), seconds=self.meter.seconds)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:  # noqa: ANN401, ARG002 - transformers' protocol
        step = self.state.global_step
        writes = bool(self.args.should_save)
        part = checkpoints.start(self.folder, step) if writes else self.folder / f".checkpoint-{step}.part"
        self.accelerator.wait_for_everyone()
        checkpoints.save_random(part, self.args.process_index)
        if writes:
            counters = {"meter": asdict(self.meter), "schedule": self._schedule().state_dict()}
            checkpoints.save_state(part, self.model, self.optimizer, counters)
            self.state.save_to_json(str(part / "trainer_state.json"))
        self.accelerator.wait_for_everyone()
        if writes:
            checkpoints.publish(part, self.folder, step)
            checkpoints.rotate(self.folder, keep=self.work.keep, best=self.state.best_global_step)

    def _schedule(self) -> Any:  # noqa: ANN401
        return self.lr_scheduler

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        counters = checkpoints.read_state(Path(checkpoint))["counters"]
        checkpoints.load_optimizer(Path(checkpoint), self.optimizer)
        self._schedule().load_state_dict(counters["schedule"])
        self.meter = Meter(**counters["meter"])

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if checkpoint is not None:
            checkpoints.load_random(Path(checkpoint), self.args.process_index)


def _same(batch: Any) -> Any:  # noqa: ANN401 - the examples come as a finished batch
    return batch
