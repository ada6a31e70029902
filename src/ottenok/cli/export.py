"""`ottenok export`: a trained classifier as ONNX, in full and in int8."""

from __future__ import annotations

import random
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ottenok.cli.options import column_options, json_option, places_options
from ottenok.cli.screen import say, write_json

if TYPE_CHECKING:
    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

__all__ = ["export"]


@click.command()
@click.argument("model", type=click.Path(path_type=Path, file_okay=False))
@click.option("--int8", "data", metavar="DATA", help="Write int8 too, measured on DATA: a corpus, recipe or table.")
@click.option(
    "--light", type=click.Path(path_type=Path, file_okay=False), help="Copy what prediction needs to this folder."
)
@column_options
@click.option(
    "--rows", "most", type=click.IntRange(min=100), default=2000, show_default=True, help="Most rows to measure on."
)
@json_option
@places_options()
def export(
    model: Path, data: str | None, columns: Columns, most: int, *, light: Path | None, as_json: bool, places: Places
) -> None:
    """Write MODEL, the folder of a trained classifier, as ONNX.

    With --light, a classifier whose graphs are there is only copied: tokenizer, one graph, manifest and card.

    The graph is refused if its logits differ from torch's by more than 0.0001. The int8 graph, measured on the
    validation rows of a corpus or all rows of a table, is refused if it changes more than 2 % of the labels, loses more
    than 0.01 of macro F1, or lets a text's scores depend on its neighbours.
    """
    from ottenok.bundle.copies import copy_light
    from ottenok.bundle.folder import open_bundle
    from ottenok.bundle.manifest import ONNX, ONNX_INT8
    from ottenok.cli.bars import Bars
    from ottenok.core.lazy import need
    from ottenok.studies.rows import task_rows

    bars = Bars()
    lines: list[str] = []
    facts: dict[str, Any] = {}
    if light is None or data is not None or not any(map(open_bundle(model).has, (ONNX, ONNX_INT8))):
        with need("train"):
            from ottenok.export.onnx import export as run
        exported = run(model, progress=bars)
        lines.append(f"{exported.file}: torch's logits to {exported.difference:.1e}")
        facts["fp32"] = {"file": str(exported.file), "difference": float(exported.difference)}
    if data is not None:
        with need("train"):
            from ottenok.export.quantise import quantise
        tasks = open_bundle(model).manifest.task_list(canonical=True)
        rows = task_rows(data, tasks, split="validation", columns=columns, places=places, progress=bars)
        texts = {id_: text for one in rows.values() for id_, text in zip(one.ids, one.test.texts, strict=True)}
        # The same rows every time.
        picked = sorted(random.Random(0).sample(sorted(texts), min(most, len(texts))))  # noqa: S311 - a sample, no secret
        labels: dict[str, list[tuple[str, ...] | None]] = {}
        for task in tasks:
            if task.name in rows:
                found = zip(rows[task.name].ids, rows[task.name].test.truth.tolist(), strict=True)
                told = {
                    id_: tuple(label for label, there in zip(task.scheme.labels, row, strict=True) if there)
                    for id_, row in found
                }
                labels[task.name] = [told.get(id_) for id_ in picked]
        done = quantise(model, texts=[texts[id_] for id_ in picked], labels=labels, progress=bars)
        lines.append(f"{done.file}: {done.bytes / 1e6:.0f} MB, made by {done.method}")
        for name, parity in done.tasks.items():
            place = f"{name}: " if len(done.tasks) > 1 else ""
            lines.append(f"{place}{parity.same:.1%} of the labels of {done.texts:,} texts are those of fp32")
            if parity.macro_f1 is not None:
                lines.append(f"{place}macro F1 {parity.macro_f1:.3f}; in fp32 {parity.macro_f1_fp32:.3f}")
        facts["int8"] = {
            "file": str(done.file),
            "bytes": done.bytes,
            "method": done.method,
            "texts": done.texts,
            "tasks": {name: asdict(parity) for name, parity in done.tasks.items()},
        }
    if light is not None:
        copied = copy_light(open_bundle(model), light)
        size = sum(file.bytes for file in copied.manifest.files.values())
        lines.append(f"{light}: {size / 1e6:.0f} MB, what prediction needs")
        facts["light"] = {"folder": str(light), "bytes": size}
    if as_json:
        write_json(facts)
    else:
        say("\n".join(lines))
