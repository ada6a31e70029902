"""What a promise of precision is worth on tests: fitted on the validation rows of one source, or of all.

    python benchmarks/promise.py CORPUS [-o benchmarks/results/promise.json]
    python benchmarks/promise.py --page    # the tables of docs/explain.md, from the result

CORPUS is a built corpus with validation and test rows of the sources below. For each fit validation rows (at most so
many of a source as MOST says) become a file, `ottenok tune default FILE --precision P -o FOLDER`
finds the limits, and the limits of FOLDER are held against test rows: of the same source (at most 1,000), and of every
other source that has rows for the task (at most 200 each). No row of a test was seen by the fit or the classifier.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

import ottenok
from ottenok.bundle.folder import open_bundle
from ottenok.studies.rows import Columns
from ottenok.studies.tuning import tune
from ottenok.tasks.decision import indicator

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.tasks.selective import Selective
    from ottenok.tasks.task import Task

    Mask = npt.NDArray[np.bool_]
    Rows = dict[str, tuple[npt.NDArray[np.float32], Mask]]

RESULT = Path(__file__).parent / "results" / "promise.json"
FITS = {
    "sentiment-3": ("", "app-reviews-ru", "sentirueval-2016-banks", "msctd"),
    "emotions-7": ("", "cedr", "smp2020-usual"),
}
PRECISIONS = {"sentiment-3": (0.9, 0.95), "emotions-7": (0.8, 0.9)}
OWN, OTHERS = 1000, 200
# Most rows of a source that are fitted on, alone and beside all others.
MOST = {"sentiment-3": (600, 100), "emotions-7": (2000, 400)}
# Fewest given answers of a test from which its precision is told.
FEWEST = 30


def measured(corpus: Path, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return what each fit promised and what became of it."""
    classifier = ottenok.load(always=True)
    table = pq.read_table(corpus / "corpus.parquet").to_pandas()
    table["order"] = [hashlib.sha256(one.encode()).digest() for one in table.id]
    table = table[table.split != "train"].sort_values("order")
    found = []
    for task in (one for one in classifier.tasks if one.name in names):
        fits, column = FITS[task.name], f"labels:{task.name}"
        rows = table[table[column].notna()]
        tests: Rows = {}
        for source, own in rows[rows.split == "test"].groupby("source"):
            own = own[: OWN if source in fits else OTHERS]  # noqa: PLW2901
            if len(own) >= 100:
                probs = classifier.predict_proba(own.text.tolist(), task=task.name)
                tests[str(source)] = probs, indicator([tuple(one) for one in own[column]], task.scheme)
                print(task.name, source, len(own), flush=True)
        for source in fits:
            held = rows[(rows.split == "validation") & ((rows.source == source) if source else True)]
            held = held.groupby("source").head(MOST[task.name][0 if source else 1])
            for precision in PRECISIONS[task.name]:
                selective = fitted(task, held, precision)
                found.append(
                    {
                        "task": task.name,
                        "fitted": source,
                        "rows": len(held),
                        "precision": precision,
                        "limits": [None if one is None else round(one, 4) for one in selective.limits],
                        "tests": {name: told(task, selective, *own) for name, own in tests.items()},
                    }
                )
    return found


def fitted(task: Task, held: Any, precision: float) -> Selective:  # noqa: ANN401 - a frame of pandas
    """Return the promise that `ottenok tune` finds on these rows."""
    with tempfile.TemporaryDirectory() as place:
        file, folder = Path(place) / "rows.jsonl", Path(place) / "tuned"
        lines = [
            json.dumps({"text": text, "label": list(labels)}, ensure_ascii=False)
            for text, labels in zip(held.text, held[f"labels:{task.name}"], strict=True)
        ]
        file.write_text("\n".join(lines), encoding="utf-8")
        columns = Columns(text="text", label="label")
        tune("default", file, folder, columns=columns, tasks=[task.name], precision=precision)
        selective = open_bundle(folder).manifest.facts(task.name).task().selective
    assert selective is not None
    return selective


def told(task: Task, selective: Selective, probs: npt.NDArray[np.float32], truth: Mask) -> dict[str, Any]:
    """Return the share of right answers, and how many answers are still given."""
    answer = task.chosen(probs)
    limits = np.array([2.0 if one is None else one for one in selective.limits], dtype=np.float32)
    given = answer & (probs >= limits)
    right = given & truth

    def shares(labels: slice) -> dict[str, Any]:
        counts = [int(one[:, labels].sum()) for one in (answer, given, right)]
        return {"answers": counts[0], "given": counts[1], "right": counts[2]}

    each = {label: shares(slice(place, place + 1)) for place, label in enumerate(task.scheme.labels)}
    return {**shares(slice(None)), "labels": each}


def tables(result: list[dict[str, Any]]) -> str:
    """Return the tables of docs/explain.md."""
    lines = [
        "| task | fitted on | rows | promised | the same: right | given | others: kept on | right, median | worst |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
    ]
    for one in result:
        tests, source = one["tests"], one["fitted"]
        own = [tests[source]] if source else list(tests.values())
        given, answers, right = (sum(test[key] for test in own) for key in ("given", "answers", "right"))
        told_ones = {
            name: test["right"] / test["given"]
            for name, test in tests.items()
            if name != source and test["given"] >= FEWEST
        }
        kept = sum(share >= one["precision"] for share in told_ones.values())
        shares = "- | -"
        if told_ones:
            worst = min(told_ones, key=lambda name: told_ones[name])
            shares = f"{np.median(list(told_ones.values())):.1%} | {worst} {told_ones[worst]:.1%}"
        lines.append(
            f"| {one['task']} | {source or 'all sources'} | {one['rows']:,} | {one['precision']:.0%} | "
            f"{f'{right / given:.1%}' if given else '-'} | {given / max(answers, 1):.0%} | "
            f"{kept} of {len(told_ones)} | {shares} |"
        )
    lines += [
        "",
        "Label by label, on the test of the same source (all tests together where all sources were fitted on):",
        "",
        "| task | fitted on | promised | label: right (given of its answers) |",
        "|---|---|---:|---|",
    ]
    for one in result:
        sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
        for name, test in one["tests"].items():
            for label, counts in test["labels"].items() if one["fitted"] in {"", name} else ():
                for key, count in counts.items():
                    sums[label][key] += count
        cells = [
            f"{label} {counts['right'] / counts['given']:.1%} ({counts['given'] / counts['answers']:.0%})"
            if counts["given"]
            else f"{label} never"
            for label, counts in sums.items()
        ]
        lines.append(
            f"| {one['task']} | {one['fitted'] or 'all sources'} | {one['precision']:.0%} | {'; '.join(cells)} |"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--task", choices=list(FITS), help="Measure this task anew, and keep the other.")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if not given.page:
        if given.corpus is None:
            parser.error("expected CORPUS")
        kept = json.loads(given.out.read_text(encoding="utf-8")) if given.task else []
        result = [one for one in kept if one["task"] != given.task]
        result += measured(given.corpus, (given.task,) if given.task else tuple(FITS))
        given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(json.loads(given.out.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
