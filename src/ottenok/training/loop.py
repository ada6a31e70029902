"""The training loop: epochs of optimiser steps, each made of one batch or more.

    for loss in loop.epoch(): ...      # one optimiser step has been taken each time

What has to hold: a run that is killed at any moment and taken up again takes the very same steps; nothing waits for the
GPU in a step (the loss is looked at every `CHECK_STEPS`, batches are made by a thread beside and copied while it
computes); with several processes each takes its share of every batch.
"""

from __future__ import annotations

import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_model
from torch.nn.parallel import DistributedDataParallel

from ottenok.core.errors import ModelError
from ottenok.models.encoder import depths
from ottenok.models.losses import total_loss
from ottenok.training import checkpoints
from ottenok.training.hardware import rank, world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from torch import nn

    from ottenok.models.losses import TaskLoss
    from ottenok.models.network import Network
    from ottenok.recipes.train import OptimOptions, ScheduleOptions
    from ottenok.training.dataset import Batch, BatchMaker, LengthBatches
    from ottenok.training.hardware import Precision

__all__ = ["CHECK_STEPS", "Loop", "Meter", "State", "Work", "autocast", "create_optimizer", "rate"]

# Optimiser steps on a GPU between two looks at the loss, each of which waits for the GPU.
CHECK_STEPS = 50
# Batches that are made ahead of a GPU.
_AHEAD = 4
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


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


@dataclass(slots=True, kw_only=True)
class State:
    """How far a run is.

    Attributes:
        step: Optimiser steps taken.
        meter: Of the current epoch.
        rows: The epochs so far, as `history.jsonl` has them.
        best_step: Optimiser steps at the end of the best of them; None: there is no validation.
    """

    step: int = 0
    meter: Meter = field(default_factory=Meter)
    rows: list[dict[str, float]] = field(default_factory=list)
    best_step: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the loop works on.

    Attributes:
        network: The network.
        batches: Which rows form which batch.
        make: Makes the batch of some rows.
        losses: Of the network's tasks.
        optim: The optimiser's options.
        schedule: The learning rate over time.
        steps: Optimiser steps of the whole run.
        accumulate: Batches in an optimiser step.
        device: Where it computes.
        precision: In what numbers.
        extra_loss: A scalar that is added to a batch's loss, from the batch and the model's output; None: nothing is.
    """

    network: Network
    batches: LengthBatches
    make: BatchMaker
    losses: Sequence[TaskLoss]
    optim: OptimOptions
    schedule: ScheduleOptions
    steps: int
    accumulate: int
    device: torch.device
    precision: Precision
    extra_loss: Callable[[Batch, Any], torch.Tensor] | None = None

    @property
    def steps_per_epoch(self) -> int:
        """Optimiser steps in an epoch."""
        return math.ceil(len(self.batches) / self.accumulate)


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return the context in which a model computes in this precision."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=_DTYPES[precision])


def create_optimizer(network: Network, options: OptimOptions) -> torch.optim.Optimizer:
    """Return the optimiser over what is not frozen; each group's peak learning rate is its `peak`.

    Vectors (biases, norms) are not decayed. The fused form does the same arithmetic in one pass over memory.
    """
    below = {} if options.layer_decay == 1.0 else depths(network.model.base_model)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.model.named_parameters():
        if parameter.requires_grad:
            peak = options.learning_rate * options.layer_decay ** below.get(id(parameter), 0)
            if options.head_learning_rate is not None and not network.is_encoder(name):
                peak = options.head_learning_rate
            groups.setdefault((peak, parameter.ndim > 1), []).append(parameter)
    settings = [
        {"params": parameters, "lr": peak, "peak": peak, "weight_decay": options.weight_decay if decays else 0.0}
        for (peak, decays), parameters in groups.items()
    ]
    kind: Any = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[options.name]
    betas = (options.adam_beta1, options.adam_beta2)
    optimizer: torch.optim.Optimizer = kind(settings, betas=betas, eps=options.adam_epsilon, fused=True)
    return optimizer


def rate(options: ScheduleOptions, step: int, steps: int) -> float:
    """Return what the peak learning rates are multiplied by at an optimiser step (from 0) of so many, 0..1."""
    warmup = math.ceil(steps * options.warmup_ratio)
    if step < warmup:
        return step / warmup
    done = (step - warmup) / max(1, steps - warmup)
    if options.lr_scheduler_type == "linear":
        return max(0.0, 1.0 - done)
    if options.lr_scheduler_type == "cosine":
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * done)))
    return 1.0


class Loop:
    """Takes optimiser steps; begins at a checkpoint where one is given.

    Attributes:
        work: What it works on.
        state: How far it is.

    Args:
        work: What it works on.
        folder: Of the checkpoints.
        checkpoint: Where to begin; None: at the start.

    Raises:
        ModelError: The checkpoint's weights do not fit the network.
    """

    def __init__(self, work: Work, folder: Path, checkpoint: Path | None = None) -> None:
        self.work = work
        self.state = State()
        self._folder = folder
        model = work.network.model.to(work.device)
        self._optimizer = create_optimizer(work.network, work.optim)
        self._scaler = torch.amp.GradScaler(work.device.type, enabled=work.precision == "fp16")
        if checkpoint is not None:
            try:
                load_model(model, str(checkpoint / checkpoints.WEIGHTS))
            except RuntimeError as error:
                raise ModelError(f"its weights do not fit this network: {error}", file=str(checkpoint)) from error
            checkpoints.load_optimizer(checkpoint, self._optimizer)
            counters = checkpoints.read_counters(checkpoint)
            self._scaler.load_state_dict(counters["scaler"])
            self.state = State(
                step=counters["step"],
                meter=Meter(**counters["meter"]),
                rows=counters["rows"],
                best_step=counters["best_step"],
            )
            checkpoints.load_random(checkpoint, rank())
        self._loss = torch.tensor(self.state.meter.loss, dtype=torch.float64, device=work.device)
        self._model = model
        if world() > 1:
            if not torch.distributed.is_initialized():
                torch.distributed.init_process_group("nccl" if work.device.type == "cuda" else "gloo")
            places = [work.device.index] if work.device.type == "cuda" else None
            self._model = DistributedDataParallel(model, device_ids=places, find_unused_parameters=True)

    @property
    def learning_rate(self) -> float:
        """The encoder's learning rate at the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def epoch(self) -> Iterator[int]:
        """Take the steps that are left of the current epoch; yield the number of each when it is taken.

        The meter begins anew with the epoch, and is right whenever a step's number has been yielded, but for its loss:
        see `check`.

        Raises:
            ModelError: The loss is no longer a number.
        """
        work, state = self.work, self.state
        epoch, done = divmod(state.step, work.steps_per_epoch)
        if done == 0:
            state.meter = Meter()
            self._loss.zero_()
        self._model.train()
        rows = work.batches.epoch(epoch)[done * work.accumulate :]
        batches = self._made(rows, epoch)
        clock = time.monotonic()
        for first in range(0, len(rows), work.accumulate):
            self._step(batches, min(work.accumulate, len(rows) - first))
            state.step += 1
            if work.device.type == "cpu" or state.step % CHECK_STEPS == 0:
                self.check()
            state.meter.seconds += time.monotonic() - clock
            yield state.step
            clock = time.monotonic()
            if state.step >= work.steps:
                return

    def _made(self, rows: list[list[int]], epoch: int) -> Iterator[Batch]:
        """Make batches one by one, ahead of a GPU."""
        make, device = self.work.make, self.work.device
        if device.type == "cpu":
            yield from (make(one, epoch) for one in rows)
            return
        with ThreadPoolExecutor(1) as beside:
            waiting = deque(beside.submit(make, one, epoch) for one in rows[:_AHEAD])
            for place in range(len(rows)):
                batch = waiting.popleft().result()
                if place + _AHEAD < len(rows):
                    waiting.append(beside.submit(make, rows[place + _AHEAD], epoch))
                yield batch.to(device)

    def _step(self, batches: Iterator[Batch], count: int) -> None:
        """Take one optimiser step over so many batches."""
        work, meter = self.work, self.state.meter
        scale = rate(work.schedule, self.state.step, work.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * scale
        for place in range(count):
            batch = next(batches)
            # Gradients are summed over processes once, with the last batch.
            last = place == count - 1 or not isinstance(self._model, DistributedDataParallel)
            with nullcontext() if last else self._model.no_sync():
                with autocast(work.device, work.precision):
                    more = {} if work.extra_loss is None else {"output_hidden_states": True}
                    output = self._model(**batch.inputs, **more)
                loss = total_loss(work.losses, output.logits.to(torch.float32), batch.targets)
                if work.extra_loss is not None:
                    loss = loss + work.extra_loss(batch, output)
                self._scaler.scale(loss / count).backward()  # type: ignore[no-untyped-call]
            self._loss += loss.detach().to(torch.float64) * batch.texts
            meter.texts += batch.texts
            meter.tokens += batch.tokens
        if work.optim.max_grad_norm > 0.0:
            self._scaler.unscale_(self._optimizer)
            torch.nn.utils.clip_grad_norm_(work.network.model.parameters(), work.optim.max_grad_norm)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._optimizer.zero_grad(set_to_none=True)

    def check(self) -> None:
        """Bring the meter's loss up to date; waits for the GPU.

        Raises:
            ModelError: The loss is no longer a number.
        """
        value = float(self._loss)
        if not math.isfinite(value):
            since = 1 if self.work.device.type == "cpu" else CHECK_STEPS
            step = self.state.step
            raise ModelError(
                f"the loss is {value} at step {step}" if since == 1 else f"the loss became {value} by step {step}",
                hint="Lower optim.learning_rate or optim.head_learning_rate, or try --run.precision fp32.",
            )
        self.state.meter.loss = value

    def whole_meter(self) -> Meter:
        """Return the meter over all processes; their seconds run at the same time."""
        self.check()
        meter = self.state.meter
        if world() == 1:
            return meter
        counts = torch.tensor([meter.loss, meter.texts, meter.tokens], dtype=torch.float64, device=self.work.device)
        torch.distributed.all_reduce(counts)
        loss, texts, tokens = counts.tolist()
        return Meter(loss=loss, texts=int(texts), tokens=int(tokens), seconds=meter.seconds)

    def save(self, *, keep: int) -> None:
        """Write a checkpoint; older ones go, but for the newest `keep` and the best epoch's."""
        self.check()
        state, first = self.state, rank() == 0
        part = checkpoints.start(self._folder, state.step) if first else self._folder / f".checkpoint-{state.step}.part"
        self._wait()
        checkpoints.save_random(part, rank())
        if first:
            counters = {**asdict(state), "scaler": self._scaler.state_dict()}
            checkpoints.save_state(part, self.work.network.model, self._optimizer, counters)
        self._wait()
        if first:
            checkpoints.publish(part, self._folder, state.step)
            checkpoints.rotate(self._folder, keep=keep, best=state.best_step)

    def _wait(self) -> None:
        if world() > 1:
            torch.distributed.barrier()

    def close(self) -> None:
        """Leave the weights of the best epoch (without validation: the last ones) in the network, for evaluation."""
        self._wait()
        step = self.state.step if self.state.best_step is None else self.state.best_step
        model = self.work.network.model
        load_model(model, str(checkpoints.checkpoint_path(self._folder, step) / checkpoints.WEIGHTS))
        model.eval()
