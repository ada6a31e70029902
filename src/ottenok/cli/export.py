"""`ottenok export`: a trained classifier as ONNX, in full and in int8."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ottenok.cli.places import cache_option, data_root_option

if TYPE_CHECKING:
    from ottenok.cli.bars import Bars
    from ottenok.core.schemes import LabelScheme
    from ottenok.studies.rows import Columns
    from ottenok.tasks.baselines import LabelledTexts
    from ottenok.training.inputs import Places

__all__ = ["export"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sample:
    texts: list[str]
    labels: list[tuple[str, ...]]


@click.command()
@click.argument("model", type=click.Path(path_type=Path, file_okay=False))
@click.option("--int8", "data", metavar="DATA", help="Write int8 too, measured on DATA: a corpus, recipe or table.")
@click.option(
    "--light", type=click.Path(path_type=Path, file_okay=False), help="Copy what prediction needs to a folder."
)
@click.option("--text", default="text", show_default=True, help="Column of the texts, for a table.")
@click.option("--label", default="label", show_default=True, help="Column of the labels, for a table.")
@click.option("--rows", type=click.IntRange(min=100), default=2000, show_default=True, help="Most rows to measure on.")
@data_root_option()
@cache_option()
def export(
    model: Path,
    data: str | None,
    text: str,
    label: str,
    rows: int,
    *,
    light: Path | None,
    data_root: Path | None,
    cache: Path,
) -> None:
    """Write MODEL, the folder of a trained classifier, as ONNX.

    With --light, a classifier whose graphs are there is only copied: tokenizer, one graph, manifest and card.

    The graph is refused if its logits differ from torch's by more than 0.0001. The int8 graph, measured on the
    validation rows of a corpus or all rows of a table, is refused if it changes more than 2 % of the labels, loses more
    than 0.01 of macro F1, or lets a text's scores depend on its neighbours.
    """
    from ottenok.bundle.folder import copy_light, open_bundle
    from ottenok.bundle.manifest import ONNX, ONNX_INT8
    from ottenok.cli.bars import Bars
    from ottenok.core.lazy import load_object
    from ottenok.studies.rows import Columns
    from ottenok.training.inputs import Places

    bars = Bars()
    if light is None or data is not None or not any(map(open_bundle(model).has, (ONNX, ONNX_INT8))):
        exported = load_object("ottenok.export.onnx:export", extra="train")(model, progress=bars)
        click.echo(f"{exported.file}: torch's logits to {exported.difference:.1e}")
    if data is not None:
        _quantise(model, data, Columns(text=text, label=label), rows, Places(cache=cache, root=data_root), bars)
    if light is not None:
        copied = copy_light(open_bundle(model), light)
        size = sum(facts.bytes for facts in copied.manifest.files.values())
        click.echo(f"{light}: {size / 1e6:.0f} MB, what prediction needs")


def _quantise(model: Path, data: str, columns: Columns, rows: int, places: Places, bars: Bars) -> None:
    from ottenok.bundle.folder import open_bundle
    from ottenok.core.lazy import load_object
    from ottenok.studies.rows import read_rows

    scheme = open_bundle(model).manifest.scheme.canonical_scheme()
    found = read_rows(data, scheme, split="validation", columns=columns, places=places, progress=bars)
    sample = _sampled(found.test, scheme, rows)
    quantise = load_object("ottenok.export.quantise:quantise", extra="train")
    done = quantise(model, texts=sample.texts, labels=sample.labels, progress=bars)
    click.echo(f"{done.file}: {done.bytes / 1e6:.0f} MB, made by {done.method}")
    click.echo(f"{done.same:.1%} of the labels of {done.texts:,} texts are those of fp32")
    click.echo(f"macro F1 {done.macro_f1:.3f}; in fp32 {done.macro_f1_fp32:.3f}")


def _sampled(rows: LabelledTexts, scheme: LabelScheme, most: int) -> _Sample:
    """Return at most so many rows, the same ones every time."""
    count = len(rows.texts)
    picked = sorted(random.Random(0).sample(range(count), min(most, count)))  # noqa: S311 - a sample, no secret
    truth = rows.truth.tolist()
    names = [tuple(label for label, there in zip(scheme.labels, row, strict=True) if there) for row in truth]
    return _Sample(texts=[rows.texts[i] for i in picked], labels=[names[i] for i in picked])
