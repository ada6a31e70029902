"""What a model costs: parameters, bytes on disk, minutes of training, texts per second."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING

from ottenok.bundle.manifest import ONNX, ONNX_INT8, WEIGHTS
from ottenok.core.errors import OttenokError
from ottenok.inference.api import load

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.studies.compare_runs import Group, Run

__all__ = ["Cost", "cost", "sample_texts", "texts_per_second"]

_MEGABYTE = 1e6
_ROUNDS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a model costs; None where it is unknown, and means over the runs of one recipe.

    Attributes:
        parameters: Of the model.
        trained: How many of them were trained.
        epochs: Of training.
        minutes: Of training steps.
        weights_mb: Of `model.safetensors` (fp32), in millions of bytes, also where the file is no longer there.
        fp32_mb: Of the fp32 graph.
        int8_mb: Of the int8 graph.
        texts_per_second: Of the classifier, on `sample_texts`.
        graph: Which graph that was measured with: `int8` or `fp32`.
        device: That it was trained on.
    """

    parameters: int | None = None
    trained: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    weights_mb: float | None = None
    fp32_mb: float | None = None
    int8_mb: float | None = None
    texts_per_second: float | None = None
    graph: str | None = None
    device: str | None = None


def cost(group: Group, *, speed: bool) -> Cost:
    """Return what a group's model costs, from its manifests; its speed is measured if that is asked for."""
    first = group.runs[0]
    taken = [run.manifest.training for run in group.runs if run.manifest.training is not None]
    graph, rate = _speed(first.folder) if speed else (None, None)
    return Cost(
        parameters=taken[0].parameters if taken else None,
        trained=taken[0].trained if taken else None,
        epochs=mean(facts.epochs for facts in taken) if taken else None,
        minutes=mean(facts.seconds for facts in taken) / 60.0 if taken else None,
        weights_mb=_megabytes(first, WEIGHTS),
        fp32_mb=_megabytes(first, ONNX),
        int8_mb=_megabytes(first, ONNX_INT8),
        texts_per_second=rate,
        graph=graph,
        device=taken[0].device if taken else None,
    )


def _megabytes(run: Run, name: str) -> float | None:
    facts = run.manifest.files.get(name)
    return None if facts is None else facts.bytes / _MEGABYTE


def _speed(folder: Path) -> tuple[str | None, float | None]:
    """Return the graph that is used and its speed; nothing for a model without graphs."""
    graph = "int8" if (folder / ONNX_INT8).is_file() else "fp32"
    try:
        return graph, texts_per_second(folder)
    except OttenokError:
        return None, None


def texts_per_second(model: str | Path, *, texts: int = 512) -> float:
    """Measure a classifier on `sample_texts`: the median of three rounds, after one that is not counted.

    Raises:
        OttenokError: The model can't be loaded; see `ottenok.load`.
    """
    classifier = load(model)
    sample = sample_texts(texts)
    classifier(sample[:64])
    rates = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        classifier(sample)
        rates.append(len(sample) / (time.perf_counter() - begun))
    return median(rates)


_SENTENCES = (
    "Доставили быстро, всё работает, спасибо продавцу!",
    "Ужасное обслуживание, больше сюда ни ногой.",
    "Обычный фильм на один вечер, ничего особенного.",
    "Телефон греется, но за такие деньги лучше не найти.",
    "Сегодня весь день шёл дождь, и мы остались дома.",
    "Актёры играют отлично, а вот сценарий слабый.",
    "这家酒店的服务非常好，下次还会来。",
    "质量太差了，用了两天就坏了。",
    "电影一般，看过就忘。",
    "今天下午三点开会，请大家准时参加。",
)


def sample_texts(count: int) -> list[str]:
    """Return made-up texts of one to eight sentences, Russian and Chinese: the same ones on every machine."""
    chance = random.Random(0)  # noqa: S311 - a sample, no secret
    return [" ".join(chance.choices(_SENTENCES, k=chance.choice((1, 1, 1, 2, 2, 3, 5, 8)))) for _ in range(count)]
