# ruff: noqa: INP001, T201 - a script, no package
"""Would a temperature, a bias or thresholds by language help, or by length? Fitted on validation rows of other sources.

    python docs/systems/by_language.py MODEL CORPUS [--rows N]   # measure, write results/by-language.json
    python docs/systems/by_language.py --page                    # the table, from the result
    python docs/systems/by_language.py --before OLDER.json       # what is shipped against an older result

For each test source the decision is fitted on the validation rows of all sources but its own family (the first word of
its name), as a user's texts are of no source that the model knows. Each source weighs alike, with at most N rows. The
last way fits on the test itself: no temperature can do better. Differences have 95 % bootstrap intervals over tests.
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
    from collections.abc import Callable

    import numpy.typing as npt

    from ottenok.tasks.task import Task

    Floats = npt.NDArray[np.float64]
    Mask = npt.NDArray[np.bool_]

RESULT = Path(__file__).parent / "results" / "by-language.json"
QUIET = EvaluationOptions(resamples=0)
WAYS = (
    "as shipped",
    "one for all",
    "by language",
    "by language, with a bias",
    "by length",
    "a scale and a bias per label",
    "by the text's vector",
    "by the text's vector, with a bias",
)
CEILING = "one for each test, fitted on it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The rows of a source in a split that have a label for a task."""

    source: str
    language: str
    logits: Floats
    truth: Mask
    lengths: Floats
    vectors: Floats

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
        texts = [text for _, text, _, _ in kept]
        probs = model.predict_proba(texts, task=task.name)
        read_ones = probs.any(axis=1)
        parts[split].append(
            Part(
                source=source,
                language=kept[0][2],
                logits=logits_of(probs[read_ones], task.decision.activation) * task.decision.temperature,
                truth=indicator([labels for _, _, _, labels in kept], task.scheme)[read_ones],
                lengths=np.log(np.array([len(text) for text in texts], dtype=np.float64))[read_ones],
                vectors=model.embed(texts)[read_ones].astype(np.float64),
            )
        )
        print(split, source, len(kept), flush=True)
    return parts


def biased(logits: Floats, truth: Mask) -> Callable[[Part], Floats]:
    """Return what puts a temperature and biases on logits: those with the least log loss, a little held to none."""
    found = _least(
        lambda given: log_softmax(logits / np.exp(given[0]) + given[1:])[truth].mean(), 1 + truth.shape[1], held=1
    )
    return lambda own: own.logits / np.exp(found[0]) + found[1:]


def by_length(logits: Floats, truth: Mask, lengths: Floats) -> Callable[[Part], Floats]:
    """Return what divides logits by a temperature that is a power of the text's characters."""
    found = _least(lambda given: log_softmax(logits / np.exp(given[0] + given[1] * lengths)[:, None])[truth].mean(), 2)
    return lambda own: own.logits / np.exp(found[0] + found[1] * own.lengths)[:, None]


def scaled(logits: Floats, truth: Mask) -> Callable[[Part], Floats]:
    """Return vector scaling (Guo et al. 2017): a factor and a bias for each label."""
    size = truth.shape[1]
    found = _least(lambda given: log_softmax(logits * np.exp(given[:size]) + given[size:])[truth].mean(), 2 * size)
    return lambda own: own.logits * np.exp(found[:size]) + found[size:]


def by_vector(parts: list[Part], *, bias: bool) -> Callable[[Part], Floats]:
    """Return what divides a text's logits by a temperature of its own (Joy et al. 2023, arXiv:2207.06211).

    Its logarithm is linear in the first ten principal components of the vectors, and in the distances between the
    logits and their spread; sources weigh alike, and what is linear is held to none.
    """
    vectors, truth = np.concatenate([one.vectors for one in parts]), np.concatenate([one.truth for one in parts])
    weights = np.concatenate([np.full(len(one.truth), 1 / len(one.truth)) for one in parts])
    weights = weights / weights.sum()
    middle = vectors.mean(axis=0)
    axes = np.linalg.svd(vectors[:: max(1, len(vectors) // 5000)] - middle, full_matrices=False)[2][:10]

    def raw(part: Part) -> Floats:
        ordered = np.sort(part.logits, axis=1)
        return np.column_stack([(part.vectors - middle) @ axes.T, np.diff(ordered), ordered.std(axis=1)])

    known = np.concatenate([raw(one) for one in parts])
    mean, spread, logits = known.mean(axis=0), known.std(axis=0), np.concatenate([one.logits for one in parts])
    known = (known - mean) / spread
    size, labels = known.shape[1], truth.shape[1]

    def tempered(given: Floats, own: Floats, features: Floats) -> Floats:
        return own / np.exp(given[0] + features @ given[1 : 1 + size])[:, None] + given[1 + size :]

    def loss(given: Floats) -> tuple[float, Floats]:
        shifted = log_softmax(tempered(given, logits, known))
        slope = (np.exp(shifted) - truth) * weights[:, None]
        heat = -(slope * (tempered(given, logits, known) - given[1 + size :])).sum(axis=1)
        held = np.concatenate([[0.0], np.full(size, 0.2), np.full(labels, 0.02)]) * given
        gradient = np.concatenate([[heat.sum()], heat @ known, slope.sum(axis=0) * bias]) + held
        return float(-(shifted * truth).sum(axis=1) @ weights + 0.5 * held @ given), gradient

    found = minimize(loss, np.zeros(1 + size + labels), jac=True).x
    return lambda own: tempered(found, own.logits, (raw(own) - mean) / spread)


def _least(gain: Callable[[Floats], float], size: int, *, held: int = 0) -> Floats:
    """Return the numbers with the largest gain, a little held to nothing from `held` on."""
    found: Floats = minimize(lambda given: float(-gain(given) + 1e-3 * (given[held:] ** 2).sum()), np.zeros(size)).x
    return found


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
        for way in (*(WAYS[:3] if several else WAYS), CEILING):
            others = [one for one in whole if one.family != test.family and len(one.truth) >= 20]
            if way.startswith("by language"):
                others = [one for one in others if one.language == test.language]
            if way == CEILING:
                others = [test]
            logits = np.concatenate([one.logits for one in others])
            truth = np.concatenate([one.truth for one in others])
            shifted, decision = test.logits, task.decision
            if way in WAYS[3:]:
                if way == "by length":
                    change = by_length(logits, truth, np.concatenate([one.lengths for one in others]))
                elif way.startswith("by the text's vector"):
                    change = by_vector(others, bias=way.endswith("bias"))
                else:
                    change = (scaled if way == WAYS[5] else biased)(logits, truth)
                shifted, decision = change(test), replace(decision, temperature=1.0)
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
        "| task, tests | decision fitted | macro F1, mean | calibration error, mean | difference | median | worst |",
        "|---|---|---|---|---|---|---|",
    ]
    for task, rows in found["tasks"].items():
        head = f"{task}, {len(rows)}"
        random = np.random.default_rng(0)
        draws = random.integers(len(rows), size=(4000, len(rows)))
        for way in (way for way in (*WAYS, CEILING) if way in rows[0]):
            f1, errors = ([row[way][name] for row in rows] for name in ("macro_f1", "calibration_error"))
            before = [row[WAYS[0]]["calibration_error"] for row in rows]
            change = np.array(errors) - np.array(before)
            low, high = np.quantile(change[draws].mean(axis=1), [0.025, 0.975])
            against = "" if way == WAYS[0] else f"{change.mean():+.4f} ({low:+.4f} to {high:+.4f})"
            lines.append(
                f"| {head} | {way} | {np.mean(f1):.3f} | {np.mean(errors):.3f} | {against} | "
                f"{np.median(errors):.3f} | {max(errors):.3f} |"
            )
            head = ""
    return "\n".join(lines)


def against(found: dict[str, Any], before: dict[str, Any]) -> str:
    """Return how much what is shipped differs from an older result, over the tests of both, with 95 % intervals."""
    lines = []
    for task, rows in found["tasks"].items():
        old = {row["source"]: row[WAYS[0]] for row in before["tasks"][task]}
        both = [row for row in rows if row["source"] in old]
        draws = np.random.default_rng(0).integers(len(both), size=(4000, len(both)))
        for name in ("macro_f1", "calibration_error"):
            change = np.array([row[WAYS[0]][name] - old[row["source"]][name] for row in both])
            low, high = np.quantile(change[draws].mean(axis=1), [0.025, 0.975])
            lines.append(f"{task}, {len(both)} tests, {name}: {change.mean():+.4f} ({low:+.4f} to {high:+.4f})")
    return "\n".join(lines)


def main() -> None:
    """Measure, or show the table of what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--page", action="store_true")
    parser.add_argument("--before", type=Path)
    given = parser.parse_args()
    if given.before:
        print(against(*(json.loads(file.read_text(encoding="utf-8")) for file in (RESULT, given.before))))
        return
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
