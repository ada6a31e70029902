# ruff: noqa: INP001 - a script, no package
"""Bring what a study found into `docs/systems/results/`, for `docs/systems/pages.py`.

    python docs/systems/collect.py study FOLDER NAME              # results.json, and each arm against the one before
    python docs/systems/collect.py films CORPUS NAME              # stars: what the film alone tells
    python docs/systems/collect.py translations RUN CORPUS NAME   # emotions: test texts known in other words

CORPUS is a folder that `ottenok data build` made. No texts get into the result files.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.files import atomic_write_text
from ottenok.data.corpus import open_corpus
from ottenok.studies.compare import compare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

RESULTS = Path(__file__).parent / "results"
# Cosine of character n-grams from which two texts count as alike: some are translations of one text, some only share
# phrases.
ALIKE = 0.5


def write(name: str, tree: dict[str, Any]) -> None:
    """Write a result file."""
    RESULTS.mkdir(exist_ok=True)
    atomic_write_text(RESULTS / f"{name}.json", json.dumps(tree, ensure_ascii=False, indent=1) + "\n")


def study(folder: str, name: str) -> None:
    """Copy a study's results, with the gain of each finished arm over the finished arm before it."""
    tree = json.loads((Path(folder) / "results.json").read_text(encoding="utf-8"))
    if tree["comparison"] is not None:
        tree["steps"] = steps(Path(folder), tree)
    write(name, tree)


def steps(folder: Path, tree: dict[str, Any]) -> dict[str, Any]:
    """Compare neighbours, each with all its seeds, on the same test rows."""
    metric, split = tree["comparison"]["metrics"][0], tree["comparison"]["split"]
    places: dict[str, list[Path]] = {}
    for arm in tree["variants"]:
        if arm["state"] == "done":
            places.setdefault(arm["name"], []).append(folder / arm["folder"])
    gains, names = {}, list(places)
    for before, after in pairwise(names):
        both = [*places[before], *places[after]]
        found = compare(both, metrics=(metric,), baseline=places[before][0].name, split=split)
        one = next(system for system in found.systems if system.name != found.baseline).differences[metric]
        gains[after] = {"value": one.value, "low": one.low, "high": one.high, "p": one.p}
    return {"metric": metric, "gains": gains}


def films(corpus: str, name: str) -> None:
    """Measure the answer that knows the film and no word of the comment: the film's commonest star in training."""
    rows = open_corpus(corpus).table(columns=("part", "labels", "split")).to_pylist()
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        if row["split"] == "train":
            counts.setdefault(row["part"], Counter())[row["labels"][0]] += 1
    whole = sum(counts.values(), Counter()).most_common(1)[0][0]
    best = {film: found.most_common(1)[0][0] for film, found in counts.items()}
    test = [row for row in rows if row["split"] == "test"]
    right = sum(best.get(row["part"], whole) == row["labels"][0] for row in test) / len(test)
    same = sum(whole == row["labels"][0] for row in test) / len(test)
    two = sum(count for _, count in Counter(row["part"] for row in test).most_common(2)) / len(test)
    write(
        name,
        {
            "facts": [
                f"Two films have {two:.1%} of the {len(test):,} test comments.",
                f"Answering {whole} always is right for {same:.3f} of them.",
                f"Answering each film's commonest star, without reading the comment, is right for {right:.3f}.",
            ]
        },
    )


def translations(run: str, corpus: str, name: str) -> None:
    """Measure a run on those test texts alone that no training text of another source looks like."""
    from ottenok.bundle.folder import read_manifest
    from ottenok.tasks.predictions import load_predictions, predictions_file
    from ottenok.tasks.report import EvaluationOptions, evaluate
    from ottenok.tasks.task import Task

    found = load_predictions(predictions_file(run))
    rows = {row["id"]: row for row in open_corpus(corpus).table(columns=("id", "text", "source", "split")).to_pylist()}
    tests = [rows[one]["text"] for one in found.ids]
    own = set(found.sources)
    others = [row["text"] for row in rows.values() if row["split"] == "train" and row["source"] not in own]
    near = nearest(tests, others)
    manifest = read_manifest(Path(run))
    share = float((near >= ALIKE).mean())
    lines = [f"{share:.1%} of the {len(tests):,} test texts look like a training text of another source."]
    for title, chosen in (("All", near >= 0), ("The others", near < ALIKE), ("Those", near >= ALIKE)):
        part = found.take(np.flatnonzero(chosen))
        report = evaluate(
            Task.of(manifest.scheme.canonical_scheme(), manifest.decision),
            part.truth,
            part.probs,
            options=EvaluationOptions(),
        )
        one = report.metrics["weighted_f1"]
        lines.append(f"{title} ({len(part):,}): weighted F1 {one.value:.3f} [{one.low:.3f}, {one.high:.3f}].")
    write(name, {"facts": lines})


def nearest(texts: Sequence[str], others: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return each text's greatest cosine with any of the others, by their character n-grams."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, min_df=2, dtype=np.float32)
    vectors.fit([*texts, *others])
    one, other = vectors.transform(texts), vectors.transform(others).T.tocsr()
    blocks = [(one[start : start + 256] @ other).toarray().max(axis=1) for start in range(0, len(texts), 256)]
    return np.concatenate(blocks).astype(np.float32)


COMMANDS: dict[str, Callable[..., None]] = {"study": study, "films": films, "translations": translations}


def main(arguments: list[str]) -> int:
    """Run a command."""
    if not arguments or arguments[0] not in COMMANDS:
        sys.stderr.write(str(__doc__))
        return 2
    COMMANDS[arguments[0]](*arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
