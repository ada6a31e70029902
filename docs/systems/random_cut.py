# ruff: noqa: INP001 - a script, no package
"""Measure SentiRuEval-2016 both ways: on a random cut of the training pairs, and on the organisers' answers.

    python docs/systems/random_cut.py --data-root FOLDER [--encoder ENCODER] [--work FOLDER]

Random cut: each row (a tweet and a company) by itself, 80/10/10, as in the notebook of rubert-tiny-sentiment-balanced;
`balanced_f1` is macro F1 as on a test with equal classes. The linear baseline of ottenok, five cuts; with --encoder one
model on the first cut of both sets, by recipes/marks/sentiment-social.toml. Writes results/random-cut.json.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.files import atomic_write_text
from ottenok.core.schemes import LabelScheme, load_scheme
from ottenok.data.build import build
from ottenok.export.onnx import export
from ottenok.inference.api import load
from ottenok.recipes.corpus import CleanOptions, CorpusRecipe, OwnData, SourceSpec
from ottenok.recipes.train import load_recipe
from ottenok.studies.rows import task_rows
from ottenok.tasks.baselines import LabelledTexts, fit_tfidf
from ottenok.tasks.decision import Decision, indicator, probabilities
from ottenok.tasks.report import EvaluationOptions, evaluate
from ottenok.tasks.task import Task
from ottenok.training.inputs import Places
from ottenok.training.run import train

if TYPE_CHECKING:
    import numpy.typing as npt

    from ottenok.tasks.report import Report

RESULT = Path(__file__).parent / "results" / "random-cut.json"
RECIPE = Path(__file__).parents[2] / "recipes" / "marks" / "sentiment-social.toml"
SETS = ("banks", "telecom")
MAP = {"-1": "negative", "0": "neutral", "1": "positive"}
CUTS = 5
FIGURES = ("macro_f1", "balanced_f1")
_OPTIONS = EvaluationOptions(resamples=0)


@dataclass(frozen=True, slots=True)
class Pair:
    """A tweet, and what it thinks of one company."""

    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Cut:
    """The pairs of one set, cut at random."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


def pairs(root: Path, name: str) -> list[Pair]:
    """Read the published training pairs of a set."""
    with (root / "sentirueval-2016" / f"preprocessed_{name}_train.csv").open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return [Pair(row["text"], MAP[row["label"]]) for row in rows if row["label"] in MAP]


def cut(rows: list[Pair], seed: int) -> Cut:
    """Cut rows 80/10/10, whatever texts they share."""
    order = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    one, two = round(0.8 * len(rows)), round(0.9 * len(rows))
    return Cut(order[:one], order[one:two], order[two:])


def known(rows: Cut) -> float:
    """Return the share of test rows that are in train, text and label."""
    train_rows = set(rows.train)
    return mean(row in train_rows for row in rows.test)


def labelled(rows: list[Pair], scheme: LabelScheme) -> LabelledTexts:
    """Return rows as an evaluation takes them."""
    return LabelledTexts(texts=[row.text for row in rows], truth=indicator([[row.label] for row in rows], scheme))


def figures(report: Report) -> dict[str, float]:
    """Return the figures of a report that are compared."""
    return {name: report.value(name) for name in FIGURES}


def linear(learned: LabelledTexts, test: LabelledTexts, scheme: LabelScheme) -> dict[str, float]:
    """Fit the linear baseline and measure it."""
    fitted = fit_tfidf(learned, scheme)
    probs = probabilities(fitted.logits(test.texts), fitted.decision)
    return measured(probs, test, scheme, fitted.decision)


def measured(probs: npt.NDArray[Any], test: LabelledTexts, scheme: LabelScheme, decision: Decision) -> dict[str, float]:
    """Measure probabilities."""
    return figures(evaluate(Task.of(scheme, decision), test.truth, probs, options=_OPTIONS))


def both_ways(root: Path, name: str, scheme: LabelScheme, official: LabelledTexts) -> dict[str, Any]:
    """Measure the linear baseline on random cuts of a set's pairs and, learned from all pairs, on the answers."""
    rows = pairs(root, name)
    cuts = [cut(rows, seed) for seed in range(CUTS)]
    found = [linear(labelled(one.train, scheme), labelled(one.test, scheme), scheme) for one in cuts]
    return {
        "pairs": len(rows),
        "known": mean(known(one) for one in cuts),
        "random_cut": found,
        "official": linear(labelled(rows, scheme), official, scheme),
    }


def encoder(cuts: dict[str, Cut], scheme: LabelScheme, work: Path, name: str) -> dict[str, dict[str, float]]:
    """Train one model on the first cut of both sets and measure it on the tests of those cuts."""
    sources = [source(work, one, found) for one, found in cuts.items()]
    # The published cut was not cleaned of near repeats.
    recipe = CorpusRecipe(name="random-cut", scheme=scheme.name, sources=tuple(sources), clean=CleanOptions(near=False))
    corpus = build(recipe, root=None, cache=work, out=work / "corpus")
    over = {"model": {"encoder": name}, "schedule": {"epochs": 2}, "run": {"test": False}}
    fitted = train(load_recipe(RECIPE, over, variant="balanced"), corpus=corpus, out=work / "model", resume=True)
    assert fitted is not None, "there is no trial here that could be given up"
    export(fitted.bundle.folder)
    classifier = load(fitted.bundle.folder, precision="fp32")
    found = {}
    for one, rows in cuts.items():
        test = labelled(rows.test, scheme)
        probs = classifier.predict_proba(test.texts)
        found[one] = measured(probs, test, scheme, classifier.manifest.decision)
    return found


def source(work: Path, name: str, rows: Cut) -> SourceSpec:
    """Write a cut's files and describe them."""
    files = {}
    for split, part in (("train", rows.train), ("validation", rows.validation)):
        file = work / f"{name}-{split}.csv"
        with file.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(("text", "label"))
            writer.writerows((row.text, row.label) for row in part)
        files[split] = str(file)
    return SourceSpec(own=OwnData(name=name, files=files, languages=("ru",)))


def facts(tree: dict[str, Any]) -> list[str]:
    """Say what was found, for a page."""
    lines = []
    for name, one in tree["sets"].items():
        scores = [found["balanced_f1"] for found in one["random_cut"]]
        line = (
            f"{name}: the linear model on word and character n-grams has macro F1 {mean(scores):.3f} "
            f"({min(scores):.3f} to {max(scores):.3f} in {CUTS} cuts) on a random cut with equal classes, and "
            f"{one['official']['macro_f1']:.3f} on the organisers' answers ({one['official']['balanced_f1']:.3f} with "
            f"equal classes). {one['known']:.0%} of the cut's test rows are in its train, text and label."
        )
        lines.append(line)
    for name, found in tree.get("encoder", {}).get("sets", {}).items():
        lines.append(
            f"{name}: {tree['encoder']['name']}, learned from the same cut, has {found['balanced_f1']:.3f} with equal "
            f"classes, {found['macro_f1']:.3f} as the rows are."
        )
    return lines


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--encoder")
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    scheme = load_scheme("sentiment-3")
    task = Task.of(scheme, Decision(activation="softmax"))
    rows = task_rows("sentiment-social", [task], places=Places(root=given.data_root))[task.name].test
    tree: dict[str, Any] = {"sets": {}}
    for name in SETS:
        chosen = np.flatnonzero(np.asarray(rows.sources) == f"sentirueval-2016-{name}")
        official = LabelledTexts(texts=[rows.texts[i] for i in chosen], truth=rows.truth[chosen])
        tree["sets"][name] = both_ways(given.data_root, name, scheme, official)
    if given.encoder:
        cuts = {name: cut(pairs(given.data_root, name), 0) for name in SETS}
        with tempfile.TemporaryDirectory() as folder:
            found = encoder(cuts, scheme, given.work or Path(folder), given.encoder)
        tree["encoder"] = {"name": Path(given.encoder).name, "sets": found}
    tree["facts"] = facts(tree)
    sys.stdout.write("\n".join(tree["facts"]) + "\n")
    atomic_write_text(RESULT, json.dumps(tree, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
