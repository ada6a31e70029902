# ruff: noqa: INP001, T201 - a script, no package
"""Measure a classifier on every mark of `marks-shades.toml`.

    python docs/systems/shades.py MODEL CORPUS [--rows N] [--out FILE.json]
    python docs/systems/shades.py --page     # the tables of docs/embedded.md anew, from docs/systems/results

MODEL is a folder, a hub name or `default`; CORPUS a folder that `ottenok data build shades` made. `--rows` takes at
most so many rows of each source, always the same ones. Labels are measured that an answer withholds, too (`always`).
No texts get into the result.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import tomllib
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

import ottenok
from ottenok.core.files import atomic_write_text
from ottenok.core.schemes import load_scheme
from ottenok.tasks.calibration import calibration
from ottenok.tasks.decision import indicator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    Rows = list[tuple[str, tuple[str, ...]]]

HERE = Path(__file__).parent
MARKS = HERE / "marks-shades.toml"
RESAMPLES = 1000


def table_rows(file: str, text: str) -> Rows:
    """Return texts and labels of a table of our own."""
    with (HERE / file).open(encoding="utf-8", newline="") as stream:
        return [(row[text], (row["label"],)) for row in csv.DictReader(stream)]


def corpus_rows(folder: Path, marks: Sequence[Mapping[str, Any]], most: int | None) -> dict[tuple[str, str, str], Rows]:
    """Return (task, source, split) of the marks to texts and labels; of large sources those of the lowest hashes."""
    corpus = ottenok.open_corpus(folder)
    wanted = {(mark["task"], mark["source"], mark["split"]) for mark in marks if "source" in mark}
    tasks = sorted({task for task, _, _ in wanted})
    names = {task: corpus.task(task).column for task in tasks}
    found: dict[tuple[str, str, str], list[tuple[bytes, str, tuple[str, ...]]]] = defaultdict(list)
    for batch in corpus.batches(columns=("id", "text", "source", "split", *names.values())):
        for row in batch.to_pylist():
            for task in tasks:
                key, labels = (task, row["source"], row["split"]), row[names[task]]
                if key in wanted and labels is not None:
                    found[key].append((hashlib.sha256(row["id"].encode()).digest(), row["text"], tuple(labels)))
    return {key: [(text, labels) for _, text, labels in sorted(rows)[:most]] for key, rows in found.items()}


def counts(mark: Mapping[str, Any], truth: Mask, answer: Mask, labels: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return true positives, answers and support of each row and counted label, float64 `[rows, labels, 3]`."""
    counted = [labels.index(label) for label in mark.get("labels", [mark["label"]] if "label" in mark else labels)]
    true, given = truth[:, counted], answer[:, counted]
    return np.stack([true & given, given, true], axis=2).astype(np.float64)


def value(mark: Mapping[str, Any], sums: npt.NDArray[np.float64]) -> float:
    """Return the mark's metric of summed counts `[labels, 3]`."""
    hits, given, true = sums.T
    if mark["metric"] == "recall":
        return float(hits[0] / true[0])
    return float(np.mean(2 * hits / np.maximum(given + true, 1)))


def measure(mark: Mapping[str, Any], rows: Rows, answers: Mapping[str, ottenok.Prediction]) -> dict[str, Any]:
    """Return a mark's rows, value, 95 % bootstrap interval and calibration error."""
    scheme = load_scheme(mark["task"])
    labels = scheme.labels
    given = [answers[text].tasks[mark["task"]] for text, _ in rows]
    truth = indicator([own for _, own in rows], scheme)
    probs = np.array([[one.probabilities[label] for label in labels] for one in given], dtype=np.float32)
    if "choose" in mark:
        among = [labels.index(label) for label in mark["choose"]]
        answer = np.zeros_like(truth)
        answer[np.arange(len(rows)), np.array(among)[probs[:, among].argmax(axis=1)]] = True
    else:
        answer = indicator([one.labels for one in given], scheme)
    parts = counts(mark, truth, answer, labels)
    rng = np.random.default_rng(0)
    draws = [value(mark, parts[rng.integers(len(rows), size=len(rows))].sum(axis=0)) for _ in range(RESAMPLES)]
    low, high = np.quantile(draws, [0.025, 0.975])
    one_label = scheme.kind != "multi-label"
    found = {"rows": len(rows), "value": value(mark, parts.sum(axis=0)), "low": float(low), "high": float(high)}
    if "label" not in mark and "choose" not in mark:
        found["calibration_error"] = float(calibration(probs, truth, one_label=one_label).overall.error)
    return found


def changed(text: str, language: str, name: str, change: Mapping[str, Any]) -> str:
    """Return a text as one of the changes makes it."""
    if name == "capitals":
        return text.upper()
    template: str = change.get("template") or change[language]
    return template.replace("{text}", text)


def flips(spec: Mapping[str, Any], model: ottenok.Classifier) -> dict[str, int]:
    """Return how many answers each change turns over."""
    with (HERE / spec["file"]).open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    before = model.predict([row["text"] for row in rows], task=spec["task"])
    found = {}
    for name, change in spec["changes"].items():
        after = model.predict([changed(row["text"], row["language"], name, change) for row in rows], task=spec["task"])
        found[name] = sum(one != other for one, other in zip(before, after, strict=True))
    return found


def measure_all(model_name: str, folder: Path, *, most: int | None = None) -> dict[str, Any]:
    """Measure every mark whose task the model has."""
    spec = tomllib.loads(MARKS.read_text(encoding="utf-8"))
    model = ottenok.load(model_name, always=True)
    marks = [mark for mark in spec["marks"] if mark["task"] in {task.name for task in model.tasks}]
    sources = corpus_rows(folder, marks, most)
    rows: list[Rows] = []
    for mark in marks:
        key = (mark["task"], mark.get("source", ""), mark.get("split", ""))
        rows.append(table_rows(mark["file"], mark["text"]) if "file" in mark else sources[key])
    texts = list(dict.fromkeys(text for one in rows for text, _ in one))
    answers = dict(zip(texts, model(texts), strict=True))
    found = [
        {"what": mark["what"], "mark": mark["mark"], "today": mark.get("today")} | measure(mark, own, answers)
        for mark, own in zip(marks, rows, strict=True)
    ]
    errors = [one["calibration_error"] for one in found if "calibration_error" in one]
    return {
        "model": model.manifest.name,
        "marks": found,
        "flips": flips(spec["flips"], model),
        "calibration": {"median": median(errors), "worst": max(errors)},
    }


def page(found: Mapping[str, Any]) -> str:
    """Return the tables of `docs/embedded.md`."""
    lines = ["| what | rows | before | now | 95 % | mark |", "|---|---|---|---|---|---|"]
    for one in found["marks"]:
        reached = "reached" if one["value"] >= one["mark"] else f"{one['mark'] - one['value']:.3f} short"
        before = "-" if one["today"] is None else f"{one['today']:.2f}"
        interval = f"{one['low']:.3f} to {one['high']:.3f}"
        lines.append(
            f"| {one['what']} | {one['rows']:,} | {before} | {one['value']:.3f} | {interval} | "
            f"{one['mark']:.2f}, {reached} |"
        )
    turned = ", ".join(f"{name} {count}" for name, count in found["flips"].items())
    error = found["calibration"]
    return "\n".join(
        [
            *lines,
            "",
            (
                f"Answers of 49 texts that another dress changes: {turned}. Calibration error over these tests: "
                f"{error['median']:.3f} in the median, {error['worst']:.3f} at worst."
            ),
        ]
    )


def tries(found: Mapping[str, Any]) -> str:
    """Return the table of what was tried."""
    lines = ["| what was tried | against | difference | 95 % | kept |", "|---|---|---|---|---|"]
    lines += [
        f"| {one['what']} | {one['against']} | {one['difference']:+.4f} | {one['low']:+.4f} to {one['high']:+.4f} | "
        f"{'yes' if one['kept'] else 'no'} |"
        for one in found["tries"]
    ]
    return "\n".join([*lines, "", f"Difference: {found['measure']}"])


def small_tries(found: Mapping[str, Any]) -> str:
    """Return the table of what was tried with a small classifier and several seeds."""
    base, *others = found["tries"]
    lines = [
        f"| what was tried | macro F1, {found['seeds']} seeds | difference | 95 % | sentiment | emotions | stars |",
        "|---|---|---|---|---|---|---|",
        f"| ({base['what']}) | {base['mean']:.3f} ({min(base['seeds']):.3f} to {max(base['seeds']):.3f}) | | | | | |",
    ]
    lines += [
        f"| {one['what']} | {one['mean']:.3f} ({min(one['seeds']):.3f} to {max(one['seeds']):.3f}) | "
        f"{one['difference']:+.4f} | {one['low']:+.4f} to {one['high']:+.4f} | "
        + " | ".join(f"{one['tasks'][task]:+.4f}" for task in ("sentiment-3", "emotions-7", "stars-5"))
        + " |"
        for one in others
    ]
    told = (
        f"On from {found['from']}, by labels alone, {found['steps']} steps of at most {found['tokens']:,} "
        f"tokens; {found['cells']} cells of {found['rows']:,} validation and test rows, in each the mean over seeds; "
        "intervals as above."
    )
    return "\n".join([*lines, "", told])


def ceilings(found: Mapping[str, Any]) -> str:
    """Return the table of what twelve layers, a linear model and people reach where a mark is not reached."""
    results = HERE / "results"
    now = {one["what"]: one for one in json.loads((results / "shades.json").read_text(encoding="utf-8"))["marks"]}
    others = json.loads((results / "ceilings.json").read_text(encoding="utf-8"))["rows"]
    teachers = {one["what"]: one for one in found["rows"]}
    lines = [
        "| what | mark | now | teacher | teacher, masked first | linear, own rows | linear, all | same text twice |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in others:
        what, twice = one["what"], one["people"]
        known = teachers.get(what, {})
        numbers = [now[what]["mark"], now[what]["value"], known.get("labels_alone"), known.get("masked_first")]
        cells = ["-" if number is None else f"{number:.3f}" for number in numbers] + [
            f"{one['own']:.3f} ({one['own_rows']:,})",
            f"{one['all']:.3f} ({one['all_rows']:,})",
            "-" if twice is None else f"{twice['value']:.3f} ({twice['texts']:,} texts; {twice['agree']:.0%} agree)",
        ]
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", found["what"]])


def write_page() -> None:
    """Put the tables into `docs/embedded.md`, between their marks."""
    place = HERE.parent / "embedded.md"
    text = place.read_text(encoding="utf-8")
    from by_language import page as temperatures

    parts = {
        "shades": page,
        "teachers": ceilings,
        "by-language": temperatures,
        "tries": tries,
        "tries-small": small_tries,
    }
    for name, made in parts.items():
        found = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
        begin, end = text.index("\n", text.index(f"<!-- {name}:")) + 1, text.index(f"<!-- /{name} -->")
        text = text[:begin] + made(found) + "\n" + text[end:]
    place.write_text(text, encoding="utf-8")


def main() -> None:
    """Measure, show a table, and write the result where one is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--page", action="store_true", help="Make the page's tables, and measure nothing.")
    parser.add_argument("--rows", type=int)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.page:
        write_page()
        return
    if given.model is None or given.corpus is None:
        parser.error("expected MODEL and CORPUS")
    found = measure_all(given.model, given.corpus, most=given.rows)
    for one in found["marks"]:
        sign = "reached" if one["value"] >= one["mark"] else f"{one['mark'] - one['value']:.3f} short"
        interval = f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        print(f"{interval}  mark {one['mark']:.2f}  {sign:12}  {one['rows']:>6} rows  {one['what']}")
    print("answers that change, of 49:", found["flips"])
    print("calibration error:", {name: round(error, 3) for name, error in found["calibration"].items()})
    if given.out:
        atomic_write_text(given.out, json.dumps(found, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
