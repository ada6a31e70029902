# ruff: noqa: INP001, T201 - a script, no package
"""What could be had where a mark of `marks-shades.toml` is not reached: a linear model, and people among themselves.

    python docs/systems/ceilings.py CORPUS --data-root FOLDER [--rows N]

CORPUS is a folder that `ottenok data build shades` made, FOLDER holds the published files. The marks are those that
`results/shades.json` says are not reached; the rows are those of `shades.py --rows 2000`.

- own: `ottenok.tasks.baselines.fit_tfidf` on the training rows of the test's own source.
- all: the same on N training rows of the test's language, drawn from all sources that have labels for the task.
- people: texts that the published files hold more than once, by their letters alone: how often two of their labels
  agree, and macro F1 (or recall) of one of them as an answer for the other.

Thresholds, or how much oftener rare labels are answered, are chosen on validation rows. No texts get into the result.
"""

from __future__ import annotations

import argparse
import json
import tomllib
from collections import defaultdict
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from shades import MARKS, corpus_rows, counts, value

from ottenok.core.files import atomic_write_text
from ottenok.core.schemes import load_scheme
from ottenok.data.card import load_card
from ottenok.data.corpus import open_corpus
from ottenok.data.fetch import locate
from ottenok.data.harmonise import Harmoniser, Reason, find_route
from ottenok.data.sources import Source, read_source
from ottenok.tables.records import Record
from ottenok.tasks.baselines import LabelledTexts, fit_tfidf
from ottenok.tasks.decision import indicator, probabilities
from ottenok.tasks.task import Task
from ottenok.tasks.thresholds import fit_thresholds
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    from shades import Rows

    Answers = Callable[[list[str]], tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]]

    from ottenok.core.schemes import LabelScheme

RESULTS = Path(__file__).parent / "results"
# Rows of a source that a linear model learns from, where it learns from all sources.
MOST = 3000


def fitted(train: Rows, held: Rows, scheme: LabelScheme) -> Answers:
    """Return what gives a linear model's probabilities and answers of texts, its decision fitted on the held rows."""
    several = scheme.kind == "multi-label"
    truth = indicator([labels for _, labels in train], scheme)
    linear = fit_tfidf(LabelledTexts(texts=[text for text, _ in train], truth=truth), scheme)
    task = Task.of(scheme, replace(linear.decision, empty="top" if several else "allow"))
    rare = np.zeros(len(scheme.labels)) if several else -np.log(np.maximum(truth.mean(axis=0), 1e-3))
    bias = 0.0 * rare
    if held:
        logits, target = linear.logits([text for text, _ in held]), indicator([labels for _, labels in held], scheme)
        if several:
            fit = fit_thresholds(probabilities(logits, linear.decision), target)
            task = replace(task, decision=replace(task.decision, thresholds=fit.thresholds))
        else:
            # Macro F1 is better where rare labels are answered more often than they are probable.
            tried = [share * rare for share in np.linspace(0.0, 1.0, 11)]
            bias = max(tried, key=lambda one: _macro_f1(target, task.chosen(task.probabilities(logits + one))))

    def answer(texts: list[str]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        probs = task.probabilities(linear.logits(texts) + bias)
        return probs, task.chosen(probs)

    return answer


def _macro_f1(truth: npt.NDArray[np.bool_], given: npt.NDArray[np.bool_]) -> float:
    hits, sizes = (truth & given).sum(axis=0), truth.sum(axis=0) + given.sum(axis=0)
    return float(np.mean(2 * hits / np.maximum(sizes, 1)))


def score(mark: Mapping[str, Any], rows: Rows, answer: Answers) -> float:
    """Return the mark's metric of a linear model."""
    scheme = load_scheme(mark["task"])
    probs, given = answer([text for text, _ in rows])
    if "choose" in mark:
        among = [scheme.labels.index(label) for label in mark["choose"]]
        given = np.zeros_like(given)
        given[np.arange(len(rows)), np.array(among)[probs[:, among].argmax(axis=1)]] = True
    truth = indicator([labels for _, labels in rows], scheme)
    return value(mark, counts(mark, truth, given, scheme.labels).sum(axis=0))


def people(mark: Mapping[str, Any], root: Path) -> dict[str, Any] | None:
    """Return how far labels of the same text agree; None where fewer than 30 texts were labelled twice."""
    card, scheme = load_card(mark["source"]), load_scheme(mark["task"])
    harmonise = Harmoniser(label=card.label, scheme=scheme, route=find_route(card.label, scheme))
    found: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for _, record in read_source(Source(card=card, files=locate(card, root=root, cache=root))):
        if isinstance(record, Record):
            mapped = harmonise(record.labels)
            if mapped.reason == Reason.KEPT and (key := dedupe_key(record.text)):
                found[key].append(mapped.labels)
    several = [labels for labels in found.values() if len(labels) > 1]
    if len(several) < 30:
        return None
    # Each text weighs alike, however often it stands there.
    agree, sums = [], 0.0
    for labels in several:
        pairs = list(permutations(labels[:20], 2))
        agree.append(np.mean([one == other for one, other in pairs]))
        truth, given = (indicator([pair[side] for pair in pairs], scheme) for side in (0, 1))
        sums = sums + counts(mark, truth, given, scheme.labels).mean(axis=0)
    return {"texts": len(several), "agree": float(np.mean(agree)), "value": value(mark, np.asarray(sums))}


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=30_000)
    given = parser.parse_args()
    reached = json.loads((RESULTS / "shades.json").read_text(encoding="utf-8"))["marks"]
    short = {one["what"] for one in reached if one["value"] < one["mark"]}
    marks = [
        mark
        for mark in tomllib.loads(MARKS.read_text(encoding="utf-8"))["marks"]
        if mark["what"] in short and "source" in mark
    ]
    tests = corpus_rows(given.corpus, marks, 2000)
    corpus = open_corpus(given.corpus)
    parts: dict[tuple[str, str, str, str], Rows] = defaultdict(list)
    names = {task: corpus.task(task).column for task in {mark["task"] for mark in marks}}
    for batch in corpus.batches(columns=("text", "source", "language", "split", *names.values())):
        for row in batch.to_pylist():
            for task, column in names.items():
                if row["split"] != "test" and row[column] is not None:
                    key = (task, row["split"], row["language"], row["source"])
                    parts[key].append((row["text"], tuple(row[column])))
    pooled: dict[tuple[str, str], Any] = {}
    lines = []
    for mark in marks:
        task, source = mark["task"], mark["source"]
        scheme = load_scheme(task)
        (language,) = {key[2] for key in parts if key[3] == source}
        rows = tests[task, source, mark["split"]]
        if (task, language) not in pooled:
            draw = np.random.default_rng(0)
            chosen = {"train": list[Any](), "validation": list[Any]()}
            for (name, split, spoken, _), own in sorted(parts.items()):
                if (name, spoken) == (task, language):
                    order = draw.permutation(len(own))[: MOST if split == "train" else MOST // 10]
                    chosen[split] += [own[place] for place in order.tolist()]
            train = [chosen["train"][place] for place in draw.permutation(len(chosen["train"]))[: given.rows].tolist()]
            pooled[task, language] = len(train), fitted(train, chosen["validation"], scheme)
        own_train, own_held = (parts.get((task, split, language, source), []) for split in ("train", "validation"))
        lines.append(
            {
                "what": mark["what"],
                "rows": len(rows),
                "own_rows": len(own_train),
                "own": score(mark, rows, fitted(own_train, own_held, scheme)) if len(own_train) >= 200 else None,
                "all_rows": pooled[task, language][0],
                "all": score(mark, rows, pooled[task, language][1]),
                "people": people(mark, given.data_root),
            }
        )
        print(json.dumps(lines[-1], ensure_ascii=False), flush=True)
    atomic_write_text(RESULTS / "ceilings.json", json.dumps({"rows": lines}, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
