"""Kinds of int8 side by side: speed, size, labels kept, and whether a text's neighbours change its scores.

    python benchmarks/quantise.py BUNDLE DATA [--text COLUMN --label COLUMN] [-o benchmarks/results/quantise.json]

    python benchmarks/quantise.py --table benchmarks/results/quantise.json

BUNDLE is a folder with `onnx/model.onnx` (`ottenok export` writes it). DATA is a corpus folder, a corpus recipe or a
table with texts and labels. Needs the extra `train`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.manifest import ONNX
from ottenok.core.files import atomic_write_text
from ottenok.export.int8 import quantise_rows, quantise_tables, replace_products
from ottenok.inference.api import classifier_of
from ottenok.studies.rows import Columns, task_rows
from ottenok.tasks.decision import chosen
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task
from ottenok.training.inputs import Places

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ottenok.bundle.folder import Bundle
    from ottenok.inference.classifier import Classifier

    Floats = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]

ALONE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to make a graph smaller."""

    name: str
    note: str
    make: Callable[[Path, Path], None]


def copy_graph(source: Path, target: Path) -> None:
    """Write the graph as it is."""
    target.write_bytes(source.read_bytes())


def by_rows(source: Path, target: Path) -> None:
    """Write ottenok's own int8."""
    model = onnx.load(str(source))
    quantise_rows(model)
    onnx.save(model, str(target))


def without_shapes(source: Path, target: Path) -> Path:
    """Write a graph without recorded shapes beside the target: onnxruntime's tools stumble over torch's."""
    model = onnx.load(str(source))
    model.graph.ClearField("value_info")
    plain = target.with_suffix(".plain.onnx")
    onnx.save(model, str(plain))
    return plain


def dynamic(source: Path, target: Path) -> None:
    """Write onnxruntime's dynamic int8: one scale for all activations of a batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(without_shapes(source, target)),
        str(target),
        op_types_to_quantize=["MatMul", "Gather"],
        weight_type=QuantType.QInt8,
        per_channel=True,
    )


def static(bundle: Bundle, texts: list[str]) -> Callable[[Path, Path], None]:
    """Return onnxruntime's static int8 (QDQ), calibrated on texts."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            prepared = classifier_of(bundle, bundle.file(ONNX)).prepare(texts)
            self._batches = iter(prepared.batches)

        def get_next(self) -> dict[str, Any] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"input_ids": batch.ids, "attention_mask": np.ones_like(batch.ids)}

    def make(source: Path, target: Path) -> None:
        quantize_static(
            str(without_shapes(source, target)),
            str(target),
            Reader(),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["MatMul", "Gather"],
        )

    return make


def blockwise(size: int, accuracy: int) -> Callable[[Path, Path], None]:
    """Return `MatMulNBits` with a scale for `size` weights; accuracy 4 computes in int8, 1 in fp32."""

    def make(source: Path, target: Path) -> None:
        model = onnx.load(str(source))
        replace_products(model, block=size, accuracy=accuracy)
        quantise_tables(model)
        onnx.save(model, str(target))

    return make


class Padded:
    """The usual way to batch, for comparison: neighbours by length, padded to the longest."""

    def __init__(self, classifier: Classifier, file: Path) -> None:
        self._classifier = classifier
        options = ort.SessionOptions()
        options.intra_op_num_threads = 2
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def predict_proba(self, texts: list[str]) -> Floats:
        """Return the probabilities of texts, in batches of 16."""
        prepared = self._classifier.prepare(texts)
        ids = prepared.windows.ids
        order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
        logits = np.empty((len(ids), len(self._classifier.scheme.labels)), dtype=np.float32)
        for start in range(0, len(order), 16):
            rows = order[start : start + 16]
            width = max(len(ids[row]) for row in rows)
            feed = np.ones((len(rows), width), dtype=np.int64)
            mask = np.zeros_like(feed)
            for number, row in enumerate(rows):
                feed[number, : len(ids[row])] = ids[row]
                mask[number, : len(ids[row])] = 1
            (logits[rows],) = self._session.run(None, {"input_ids": feed, "attention_mask": mask})
        found = self._classifier.finish(prepared, logits)
        return np.array([list(answer.probabilities.values()) for answer in found], dtype=np.float32)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--table", type=Path, metavar="RESULTS", help="write results as a table, measure nothing")
    parser.add_argument("--text", default="text")
    parser.add_argument("--label", default="label")
    parser.add_argument("--data-root", type=Path, default=os.environ.get("OTTENOK_DATA"))
    parser.add_argument("--rounds", type=int, default=7, help="of interleaved timing")
    parser.add_argument("--timed", type=int, default=600, help="texts of one timing")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--note", default="", help="kept in the results: which model this is")
    parser.add_argument("-o", "--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Make every candidate, measure it, and write the table."""
    given = arguments()
    if given.table:
        print(table(json.loads(given.table.read_text(encoding="utf-8"))))
        return
    bundle = open_bundle(given.bundle)
    task = bundle.manifest.task_list(canonical=True)[0]
    places = Places(cache=Path(tempfile.gettempdir()), root=given.data_root and Path(given.data_root))
    columns = Columns(text=given.text, label=given.label)
    rows = task_rows(given.data, [task], columns=columns, places=places)[task.name].test
    texts = list(rows.texts)
    candidates = [
        Candidate(name="fp32", note="", make=copy_graph),
        Candidate(name="rows", note="ottenok's int8: a scale for each token", make=by_rows),
        Candidate(name="blocks-32", note="MatMulNBits, int8 by blocks of 32", make=blockwise(32, 4)),
        Candidate(name="blocks-128", note="MatMulNBits, int8 by blocks of 128", make=blockwise(128, 4)),
        Candidate(name="weights-only", note="MatMulNBits, blocks of 32, computed in fp32", make=blockwise(32, 1)),
        Candidate(name="static", note="QDQ, calibrated on 300 of the texts", make=static(bundle, texts[::7][:300])),
        Candidate(name="dynamic", note="a scale for each batch", make=dynamic),
    ]
    with tempfile.TemporaryDirectory() as folder:
        results = measure(candidates, bundle, texts, rows.truth, Path(folder), given)
    facts = {
        "model": given.note or bundle.manifest.name,
        "data": Path(given.data).name,
        "texts": len(texts),
        "tokens_per_text": round(token_mean(bundle, texts), 1),
        "machine": {"processor": processor(), "threads": given.threads, "load_at_end": os.getloadavg()[0]},
        "onnxruntime": ort.__version__,
        "rounds": given.rounds,
        "candidates": results,
    }
    rendered = json.dumps(facts, ensure_ascii=False, indent=1)
    print(rendered)
    if given.out:
        atomic_write_text(given.out, rendered + "\n")


def measure(
    candidates: list[Candidate], bundle: Bundle, texts: list[str], truth: Mask, folder: Path, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return a row of figures for every candidate."""
    source = bundle.file(ONNX)
    files, classifiers = {}, {}
    for candidate in candidates:
        file = folder / f"{candidate.name}.onnx"
        candidate.make(source, file)
        files[candidate.name] = file
        classifiers[candidate.name] = classifier_of(bundle, file, threads=given.threads)
    step = max(1, len(texts) // given.timed)
    speeds = timed(classifiers, texts[::step], given.rounds)
    expected = classifiers["fp32"].predict_proba(texts)
    return [
        {
            "name": candidate.name,
            "note": candidate.note,
            "megabytes": round(files[candidate.name].stat().st_size / 1e6, 1),
            "texts_per_second": round(statistics.median(speeds[candidate.name]), 1),
            "times_fp32": round(relative(speeds, candidate.name), 2),
            **quality(classifiers[candidate.name], files[candidate.name], texts, truth, expected),
        }
        for candidate in candidates
    ]


def timed(classifiers: dict[str, Classifier], texts: list[str], rounds: int) -> dict[str, list[float]]:
    """Time all candidates in turn, several rounds, so that a busy machine is busy for all of them."""
    speeds: dict[str, list[float]] = {name: [] for name in classifiers}
    for number in range(rounds + 1):
        for name, classifier in classifiers.items():
            begun = time.perf_counter()
            classifier.predict_proba(texts)
            if number:
                speeds[name].append(len(texts) / (time.perf_counter() - begun))
    return speeds


def relative(speeds: dict[str, list[float]], name: str) -> float:
    """Return the median over rounds of the ratio to fp32 in the same round."""
    return statistics.median(mine / full for mine, full in zip(speeds[name], speeds["fp32"], strict=True))


def quality(classifier: Classifier, file: Path, texts: list[str], truth: Mask, expected: Floats) -> dict[str, Any]:
    """Return labels kept, macro F1, and what company does to a text's probabilities."""
    decision, scheme = classifier.manifest.decision, classifier.scheme
    found = classifier.predict_proba(texts)
    report = evaluate(Task.of(scheme, decision), truth, found, options=EvaluationOptions(resamples=0))
    same = (chosen(found, scheme, decision) == chosen(expected, scheme, decision)).all(axis=1)
    rows = list(range(0, len(texts), max(1, len(texts) // ALONE)))
    alone = np.concatenate([classifier.predict_proba([texts[row]]) for row in rows])
    padded = Padded(classifier, file).predict_proba(texts)
    return {
        "labels_kept": round(float(same.mean()), 4),
        "macro_f1": round(report.metrics["macro_f1"].value, 4),
        "largest_change": round(float(np.abs(found - expected).max()), 4),
        "company_unpadded": float(np.abs(found[rows] - alone).max()),
        "company_padded": float(np.abs(padded[rows] - alone).max()),
    }


def table(facts: dict[str, Any]) -> str:
    """Return results as a Markdown table."""
    machine = facts["machine"]
    where = f"{machine['processor']}, {machine['threads']} threads, load {machine['load_at_end']:.1f}"
    what = f"{facts['model']}; {facts['texts']:,} texts of {facts['tokens_per_text']} tokens"
    lines = [
        f"{what}; onnxruntime {facts['onnxruntime']}, {where}.",
        "",
        "| graph | MB | texts/s | times fp32 | labels kept | macro F1 | company, unpadded | company, padded |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in facts["candidates"]:
        name = f"{row['name']}: {row['note']}" if row["note"] else row["name"]
        lines.append(
            f"| {name} | {row['megabytes']:.0f} | {row['texts_per_second']:.0f} | {row['times_fp32']:.2f} "
            f"| {row['labels_kept']:.1%} | {row['macro_f1']:.3f} | {row['company_unpadded']:.0e} "
            f"| {row['company_padded']:.0e} |"
        )
    return "\n".join(lines)


def token_mean(bundle: Bundle, texts: list[str]) -> float:
    """Return the mean number of tokens of a text."""
    windows = classifier_of(bundle, bundle.file(ONNX)).prepare(texts).windows
    return sum(map(len, windows.ids)) / len(texts)


def processor() -> str:
    """Return the processor's name and what matters of it here."""
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor()
    name = next((line.split(":")[1].strip() for line in facts.splitlines() if line.startswith("model name")), "")
    flags = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if f" {flag}" in facts]
    return f"{name} ({', '.join(flags)})"


if __name__ == "__main__":
    main()
