"""One training run by several workers of a Ray cluster, each with rows of its own in every step."""

from __future__ import annotations

import shutil
import warnings
from typing import TYPE_CHECKING, Any

from ottenok.bundle.folder import open_bundle
from ottenok.cluster.start import LOCAL, RayCrew, started
from ottenok.core.errors import ModelError, OttenokError
from ottenok.core.lazy import check_extra, need
from ottenok.core.progress import SILENT, Progress

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.bundle.folder import Bundle
    from ottenok.recipes.train import TrainRecipe
    from ottenok.training.inputs import Places

__all__ = ["train_together"]


def train_together(
    recipe: TrainRecipe,
    out: Path,
    *,
    places: Places,
    resume: bool = False,
    cluster: str = LOCAL,
    workers: int | None = None,
    progress: Progress = SILENT,
) -> Bundle:
    """Train a classifier by several workers, through Ray's `TorchTrainer` around `ottenok.studies.training.train`.

    Every worker takes `batch.batch_size` rows in a step, so the run is that of one worker whose batches are so many
    times as large, but for the rounding of sums and for dropout.

    Args:
        recipe: What to do.
        out: The classifier's folder, on a disk that all machines share.
        places: Where data is, likewise.
        resume: Go on with the run that is in `out`.
        cluster: `local`, or a cluster's address; see `ottenok.cluster.start.started`.
        workers: How many train together; None: one for each GPU, or for each machine without.
        progress: Whom to tell.

    Raises:
        OttenokError: The recipe or the data is wrong.
        ModelError: A worker ended with another error, or was lost.
        MissingExtraError: The extra `ray` or `train` is not installed.
    """
    check_extra("train")
    out = out.absolute()
    with started(cluster, workers=workers) as ray:
        crew = RayCrew.for_training(ray, workers)
        with need("ray"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Ray warns of what it changes in itself
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer

        progress.note(f"{crew.size} workers train together, with {crew.cpus} processors each")
        # What Ray keeps of a run; checkpoints are ottenok's own.
        notes = out.with_name(f".{out.name}.ray")
        facts = {"recipe": recipe, "out": out, "places": places, "resume": resume}
        trainer = TorchTrainer(
            _train,
            train_loop_config=facts,
            scaling_config=ScalingConfig(
                num_workers=crew.size,
                use_gpu=crew.gpus > 0,
                resources_per_worker={"CPU": crew.cpus, **({"GPU": crew.gpus} if crew.gpus else {})},
            ),
            run_config=RunConfig(name=out.name, storage_path=str(notes), failure_config=FailureConfig(max_failures=0)),
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trainer.fit()
        except Exception as error:
            raise _cause(error) from error
        finally:
            shutil.rmtree(notes, ignore_errors=True)
    return open_bundle(out)


def _train(facts: dict[str, Any]) -> None:
    """Train in one of the workers; Ray has set RANK and WORLD_SIZE and connected them."""
    from ottenok.studies.training import train

    train(facts["recipe"], facts["out"], resume=facts["resume"], places=facts["places"])


def _cause(error: BaseException) -> OttenokError:
    """Return what a worker raised."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, OttenokError):
            return inner
        failures = getattr(inner, "worker_failures", None)
        inner = next(iter(failures.values())) if failures else getattr(inner, "cause", None) or inner.__cause__
    told = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(f"the training failed: {told[-1][:300]}", hint="The same command with --resume goes on.")
