"""TensorBoard, where it is installed and asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ottenok.core.lazy import require

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import TrainerCallback

__all__ = ["tensorboard"]


def tensorboard(folder: Path) -> TrainerCallback:
    """Return the observer that logs to `folder`.

    Raises:
        MissingExtraError: TensorBoard is not installed.
    """
    require("tensorboard", extra="train")
    from torch.utils.tensorboard import SummaryWriter

    integrations = require("transformers.integrations", extra="train")
    observer: TrainerCallback = integrations.TensorBoardCallback(SummaryWriter(log_dir=str(folder)))
    return observer
