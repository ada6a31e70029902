# ruff: noqa: INP001, T201 - a script, no package
"""Would a temperature, a bias or thresholds by language help? Fitted on validation rows of other sources alone.

    python docs/systems/by_language.py MODEL CORPUS [--rows N]   # measure, write results/by-language.json
    python docs/systems/by_language.py --page                    # the table, from the result

For each test source the decision is fitted on the validation rows of all sources but its own family (the first word of
its name), as a user's texts are of no source that the model knows. Each source weighs alike, with at most N rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import minimize

import ottenok
from ottenok.core.files import atomic_write_text
from ottenok.tasks.calibration import calibration, logits_of
from ottenok.tasks.decision import indicator, log_softmax, probabilities
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.thresholds import ThresholdOptions
from ottenok.tasks.tuning import TuningOptions, fit_decision

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

RESULT = Path(__file__).parent / "results" / "by-language.json"
QUIET = EvaluationOptions(resamples=0)
WAYS = ("as shipped", "one for all", "by language", "by language, with a bias")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The rows of a source in a split that have a label for a task."""

    source: str
    language: str
    logits: Floats
    truth: Mask

    @property
    def family(self) -> str:
        """Sources of one family share texts or makers."""
        return self.source.partition("-")[0]


def read(model: ottenok.Classifier, folder: Path, task: Task, most: int) -> dict[str, list[Part]]:
    """Return split (validation, test) to its sources, each with the rows of the lowest hashes."""
    corpus = ottenok.open_corpus(folder)
    column = corpus.task(task.name).column
    found: dict[tuple[str, str], list[tuple[bytes, str, str, tuple[str, ...]]]] = defaultdict(list)
    for batch in corpus.batches(columns=("id", "text", "source", "language", "split", column)):
        for row in batch.to_pylist():
            if row["split"] != "train" and row[column] is not None:
                order = hashlib.sha256(row["id"].encode()).digest()
                found[row["split"], row["source"]].append((order, row["text"], row["language"], tuple(row[column])))
    parts: dict[str, list[Part]] = {"validation": [], "test": []}
    for (split, source), rows in sorted(found.items()):
        kept = sorted(rows)[:most]
        probs = model.predict_proba([text for _, text, _, _ in kept], task=task.name)
        read_ones = probs.any(axis=1)
        parts[split].append(
            Part(
                source=source,
                language=kept[0][2],
                logits=logits_of(probs[read_ones], task.decision.activation) * task.decision.temperature,
                truth=indicator([labels for _, _, _, labels in kept], task.scheme)[read_ones],
            )
        )
        print(split, source, len(kept), flush=True)
    return parts


def biased(logits: Floats, truth: Mask) -> tuple[float, Floats]:
    """Return the temperature and the biases with the least log loss, a little held to none."""

    def loss(given: Floats) -> float:
        logs = log_softmax(logits / np.exp(given[0]) + given[1:])
        return float(-logs[truth].mean() + 1e-3 * (given[1:] ** 2).sum())

    found = minimize(loss, np.zeros(1 + truth.shape[1])).x
    return float(np.exp(found[0])), found[1:]


def measure(task: Task, parts: dict[str, list[Part]]) -> list[dict[str, Any]]:
    """Return, for each test source with all labels and at least 150 rows, macro F1 and calibration error each way."""
    several = task.scheme.kind == "multi-label"
    whole = [one for one in parts["validation"] if several or one.truth.any(axis=0).all()]
    options = TuningOptions(thresholds=ThresholdOptions() if several else None)
    rows = []
    for test in parts["test"]:
        if len(test.truth) < 150 or not (several or test.truth.any(axis=0).all()):
            continue
        told: dict[str, Any] = {"source": test.source, "language": test.language, "rows": len(test.truth)}
        for way in WAYS[: 3 if several else 4]:
            others = [one for one in whole if one.family != test.family and len(one.truth) >= 20]
            if way.startswith("by"):
                others = [one for one in others if one.language == test.language]
            logits = np.concatenate([one.logits for one in others])
            truth = np.concatenate([one.truth for one in others])
            shifted, decision = test.logits, task.decision
            if way.endswith("bias"):
                temperature, bias = biased(logits, truth)
                shifted, decision = test.logits / temperature + bias, replace(decision, temperature=1.0)
            elif way != WAYS[0]:
                decision = fit_decision(task, logits, truth, options=options).decision
            probs = probabilities(shifted, decision)
            report = evaluate(replace(task, decision=decision), test.truth, probs, options=QUIET)
            error = calibration(probs, test.truth, one_label=not several).overall.error
            told[way] = {"macro_f1": report.value("macro_f1"), "calibration_error": error}
        rows.append(told)
    return rows


def page(found: dict[str, Any]) -> str:
    """Return a table of each task."""
    lines = [
        "| task, tests | decision fitted | macro F1, mean | calibration error, mean | median | worst |",
        "|---|---|---|---|---|---|",
    ]
    for task, rows in found["tasks"].items():
        head = f"{task}, {len(rows)}"
        for way in (way for way in WAYS if way in rows[0]):
            f1, errors = ([row[way][name] for row in rows] for name in ("macro_f1", "calibration_error"))
            numbers = (np.mean(f1), np.mean(errors), np.median(errors), max(errors))
            lines.append(f"| {head} | {way} | " + " | ".join(f"{number:.3f}" for number in numbers) + " |")
            head = ""
    return "\n".join(lines)


def main() -> None:
    """Measure, or show the table of what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if not given.page:
        if given.model is None or given.corpus is None:
            parser.error("expected MODEL and CORPUS")
        model, tasks = ottenok.load(given.model), {}
        for name in ("sentiment-3", "emotions-7"):
            task = model.manifest.facts(name).task(canonical=True)
            tasks[name] = measure(task, read(model, given.corpus, task, given.rows))
        told = {
            "model": model.manifest.name,
            "created": model.manifest.created,
            "most_rows": given.rows,
            "tasks": tasks,
        }
        atomic_write_text(RESULT, json.dumps(told, ensure_ascii=False, indent=1) + "\n")
    print(page(json.loads(RESULT.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
