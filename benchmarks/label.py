"""How many labels the label loop saves: simulated raters who answer with the published labels.

    python benchmarks/label.py --data-root ../shared/data [--cache FOLDER] [--seeds 5] [--plot docs/labelling.svg]
        [-o benchmarks/results/label.json] [--only starts,curves,doubts] [--more]

For each set and seed 4,000 texts are the pool and 2,500 others the test. A head learns on the embedded model's vectors,
as `ottenok label` has it, from 20 labels on; each round adds a quarter more, 10 at least. Needed are the labels at
which the mean curve of the seeds crosses 95 % of the macro F1 that the whole pool gives; its interval is a bootstrap
over seeds, 2,400 labels counting where it is not crossed. Other intervals are over seeds too (t, 95 %).

- `starts`: the first 100 labels drawn at random, spread out, or by what the model makes of the labels' names.
- `curves`: the ways to choose; `page` is what `ottenok label` does: one text in five is drawn at random.
- `doubts`: 5 % of 600 labels are changed to another; how many of the answers that are shown again are among them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import random
import re
import sys
import time
import zipfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import t as student
from sklearn.metrics import f1_score

import ottenok
from ottenok.core.schemes import load_scheme
from ottenok.labelling.choice import choose, evenly, spread
from ottenok.labelling.head import Head, answers, cross_fit
from ottenok.labelling.learner import DEFAULT_METHOD, doubted, guessed_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RESULT = Path(__file__).parent / "results" / "label.json"
POOL, TEST, LIMIT, SHARE = 4000, 2500, 2400, 0.95
GROWTH, RESAMPLES = 4, 2000
METHODS = ("random", "margin", "badge", "page")
EMOTIONS = load_scheme("goemotions-28").labels


def rusentiment(root: Path) -> Iterable[tuple[str, str]]:
    """Yield posts of VKontakte with five labels; the model knows three of them and has learned from no such post."""
    for name in ("random_posts", "preselected_posts", "test"):
        with (root / f"rusentiment/rusentiment_{name}.csv").open(encoding="utf-8-sig", newline="") as stream:
            yield from ((row["text"], row["label"]) for row in csv.DictReader(stream))


def shopping(root: Path) -> Iterable[tuple[str, str]]:
    """Yield reviews with the kind of goods, which the model knows nothing of."""
    with (
        zipfile.ZipFile(root / "online-shopping-10-cats/online_shopping_10_cats.zip") as archive,
        archive.open(next(name for name in archive.namelist() if name.endswith(".csv"))) as stream,
    ):
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        yield from ((row["review"], row["cat"]) for row in csv.DictReader(text))


def goemotions(root: Path) -> Iterable[tuple[str, str]]:
    """Yield translated comments with one of 28 emotions, of which the model knows seven coarser ones."""
    for name in ("validation", "test"):
        place = root / f"ru-goemotions/ru-go-emotions-simplified-{name}.csv"
        with place.open(encoding="utf-8-sig", newline="") as stream:
            for row in csv.DictReader(stream):
                found = [int(number) for number in re.findall(r"\d+", row["labels"])]
                if len(found) == 1:
                    yield row["ru_text"], EMOTIONS[found[0]]


SETS: dict[str, Callable[[Path], Iterable[tuple[str, str]]]] = {
    "rusentiment": rusentiment,
    "online-shopping": shopping,
    "ru-goemotions": goemotions,
}


class Data:
    """A set with the vectors of its texts and what the model makes of the labels' names."""

    def __init__(self, name: str, root: Path, cache: Path | None) -> None:
        rows = [(text.strip(), label) for text, label in dict.fromkeys(SETS[name](root)) if text.strip()]
        random.Random(0).shuffle(rows)
        rows = rows[: POOL + TEST]
        self.name = name
        self.counts = Counter(label for _, label in rows)
        self.labels = sorted(self.counts)
        self.codes = np.array([self.labels.index(label) for _, label in rows])
        self.truth = np.eye(len(self.labels), dtype=bool)[self.codes]
        texts = [text for text, _ in rows]
        classifier = ottenok.load()
        self.names = guessed_labels(self.labels, classifier)
        key = hashlib.sha256("\0".join([classifier.identity, *texts]).encode()).hexdigest()[:16]
        kept = None if cache is None else cache / f"label-{name}-{key}.npz"
        if kept is None or not kept.is_file():
            found = classifier(texts) if self.names else []
            guesses = [[one.tasks[task].probabilities[end] for task, end in self.names.values()] for one in found]
            arrays = {"vectors": classifier.embed(texts), "guesses": np.array(guesses)}
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                np.savez(kept, **arrays)
        else:
            arrays = dict(np.load(kept))
        self.vectors, self.guesses = arrays["vectors"], arrays["guesses"]

    def divided(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return places of the pool and of the test."""
        places = np.random.default_rng(seed).permutation(len(self.codes))
        return places[:POOL], places[POOL:]

    def score(self, learned: np.ndarray, asked: np.ndarray) -> float:
        """Return the macro F1 on texts of a head that learned from others."""
        head = Head(self.vectors[learned], self.truth[learned], several=False)
        given = answers(head(self.vectors[asked]), several=False).argmax(axis=1)
        return float(f1_score(self.codes[asked], given, average="macro", zero_division=0))


def started(data: Data, pool: np.ndarray, way: str, count: int, rng: np.random.Generator) -> list[int]:
    """Return the first places that are labelled."""
    if way == "names":
        return [int(pool[place]) for place in evenly(data.guesses[pool][:1024], count, rng)]
    if way == "spread":
        return [int(pool[place]) for place in spread(data.vectors[pool], count, rng)]
    return [int(place) for place in rng.permutation(pool)[:count]]


def starts(data: Data, seeds: int) -> dict[str, Any]:
    """Return macro F1 at some numbers of labels, and labels met, by how the first are chosen."""
    found: dict[str, Any] = {}
    for way in ("random", "spread", *(("names",) if data.names else ())):
        rows = []
        for seed in range(seeds):
            pool, test = data.divided(seed)
            chosen = started(data, pool, way, 100, np.random.default_rng(1000 + seed))
            rows.append([data.score(np.array(chosen[:count]), test) for count in (20, 50, 100)])
        found[way] = {
            f"f1_{count}": mean(column) for count, column in zip((20, 50, 100), zip(*rows, strict=False), strict=True)
        }
    return found


def curve(data: Data, method: str, seed: int) -> list[tuple[int, float]]:
    """Return labels and macro F1, round by round."""
    pool, test = data.divided(seed)
    rng = np.random.default_rng(1000 + seed)
    stream = [int(place) for place in np.random.default_rng(2000 + seed).permutation(pool)]
    chosen = started(data, pool, "names" if method == "page" and data.names else "random", 20, rng)
    points = []
    while True:
        known = set(chosen)
        learned = np.array(chosen)
        head = Head(data.vectors[learned], data.truth[learned], several=False)
        given = head(data.vectors[test]).argmax(axis=1)
        points.append((len(chosen), float(f1_score(data.codes[test], given, average="macro", zero_division=0))))
        if len(chosen) >= LIMIT:
            return points
        batch = min(max(10, len(chosen) // GROWTH), LIMIT - len(chosen))
        drawn = [place for place in stream if place not in known][: batch // 5 if method == "page" else 0]
        rest = np.array([place for place in pool if place not in known and place not in drawn])
        way = DEFAULT_METHOD if method == "page" else method
        picked = choose(way, data.vectors[rest], head(data.vectors[rest]), batch - len(drawn), rng)  # type: ignore[arg-type]
        chosen += drawn + [int(rest[place]) for place in picked]


def needed(labels: list[int], values: np.ndarray, target: float) -> float:
    """Return the labels at which the mean curve of some seeds crosses a target, LIMIT where it never does.

    Args:
        labels: Of each round.
        values: Macro F1 `[seeds, rounds]`.
        target: Macro F1.
    """
    middle = np.maximum.accumulate(values.mean(axis=0))
    place = int(np.searchsorted(middle, target))
    if place == len(middle):
        return float(LIMIT)
    if place == 0:
        return float(labels[0])
    return float(np.interp(target, middle[place - 1 : place + 1], labels[place - 1 : place + 1]))


def curves(data: Data, seeds: int, before: dict[str, Any]) -> dict[str, Any]:
    """Return the labels that each way needs, and its curves; those of seeds that are there already are taken over."""
    full, rounds = [], {}
    for seed in range(seeds):
        pool, test = data.divided(seed)
        full.append(data.score(pool, test))
    labels: list[int] = before.get("labels", [])
    for method in METHODS:
        found = before.get("methods", {}).get(method, {}).get("f1", [])[:seeds]
        for seed in range(len(found), seeds):
            began = time.monotonic()
            points = curve(data, method, seed)
            labels = [count for count, _ in points]
            found.append([round(value, 4) for _, value in points])
            print(data.name, method, seed, f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        rounds[method] = np.array(found)
    # Seeds are drawn anew, the same ones for every way: the interval of a share of what random choice needs.
    drawn = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    methods = {}
    for method, values in rounds.items():
        need, of_random = [], []
        for row in (np.arange(seeds), *drawn):
            target = SHARE * float(np.mean(np.array(full)[row]))
            own, other = (needed(labels, one[row], target) for one in (values, rounds["random"]))
            need.append(own)
            of_random.append(own / other)
        methods[method] = {"needed": bootstrapped(need), "of_random": bootstrapped(of_random), "f1": values.tolist()}
    return {"full": mean(full), "labels": labels, "methods": methods}


def bootstrapped(values: list[float]) -> dict[str, float]:
    """Return the first value, of the seeds as they are, and the 95 % interval of the others."""
    low, high = np.quantile(values[1:], [0.025, 0.975])
    return {"value": round(values[0], 3), "low": round(float(low), 3), "high": round(float(high), 3)}


def doubts(data: Data, seeds: int) -> dict[str, Any]:
    """Return how many of the answers that would be shown again are wrong, and how many wrong ones are shown."""
    precision, recall, shown = [], [], []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        places = data.divided(seed)[0][:600]
        truth = data.truth[places].copy()
        wrong = rng.permutation(600)[:30]
        for row in wrong:
            truth[row] = False
            truth[row, rng.choice(np.flatnonzero(~data.truth[places][row]))] = True
        found = cross_fit(data.vectors[places], truth, several=False)
        suspects = [int(row) for row in doubted(truth, found, several=False)]
        hits = len(set(suspects) & set(wrong.tolist()))
        precision.append(hits / max(1, len(suspects)))
        recall.append(hits / 30)
        shown.append(float(len(suspects)))
    return {"shown": mean(shown), "precision": mean(precision), "recall": mean(recall)}


def mean(values: Iterable[float]) -> dict[str, float]:
    """Return the mean and its 95 % interval."""
    numbers = np.array(list(values), dtype=float)
    half = student.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / np.sqrt(len(numbers))
    return {
        name: round(float(numbers.mean() + sign * half), 4) for name, sign in (("mean", 0), ("low", -1), ("high", 1))
    }


def plotted(results: dict[str, Any], place: Path) -> None:
    """Draw the curves."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams["svg.hashsalt"] = "ottenok"
    figure, axes = plt.subplots(
        1, len(results["sets"]), figsize=(3.4 * len(results["sets"]), 3.2), layout="constrained"
    )
    for axis, (name, found) in zip(np.atleast_1d(axes), results["sets"].items(), strict=True):
        for method, style in (("random", "#6b7580"), ("margin", "#1f5fa8"), ("page", "#1d7a4c")):
            values = np.array(found["curves"]["methods"][method]["f1"])
            half = student.ppf(0.975, len(values) - 1) * values.std(axis=0, ddof=1) / np.sqrt(len(values))
            middle, labels = values.mean(axis=0), found["curves"]["labels"]
            axis.plot(labels, middle, color=style, label=method)
            axis.fill_between(labels, middle - half, middle + half, color=style, alpha=0.15, linewidth=0)
        axis.axhline(SHARE * found["curves"]["full"]["mean"], color="#b3382c", linewidth=1, linestyle="--")
        axis.set(title=name, xlabel="labels", xscale="log")
    np.atleast_1d(axes)[0].set_ylabel("macro F1")
    np.atleast_1d(axes)[0].legend(frameon=False)
    figure.savefig(place, metadata={"Date": None})


def tables(results: dict[str, Any]) -> str:
    """Return the tables of docs/labelling.md."""

    def cell(one: dict[str, float], digits: int = 2) -> str:
        middle = one.get("value", one.get("mean", 0.0))
        shown = [
            f"{value:,.{digits}f}" if digits == 0 else f"{value:.{digits}f}".lstrip("0")
            for value in (middle, one["low"], one["high"])
        ]
        return f"{shown[0]} [{shown[1]}, {shown[2]}]"

    lines = [
        f"| set | seeds | labels | macro F1 of the whole pool | {' | '.join(METHODS)} |",
        f"|---|---:|---:|---:|{'---:|' * len(METHODS)}",
    ]
    shares = ["", "| set | " + " | ".join(METHODS[1:]) + " |", "|---|" + "---:|" * (len(METHODS) - 1)]
    early = ["", "| set | first labels | 20 | 50 | 100 |", "|---|---|---:|---:|---:|"]
    wrong = ["", "| set | shown again of 600 | of these wrong | of the wrong ones shown |", "|---|---:|---:|---:|"]
    for name, found in results["sets"].items():
        ways = found["curves"]["methods"]
        needs = " | ".join(cell(ways[method]["needed"], 0) for method in METHODS)
        lines.append(
            f"| {name} | {found['seeds']} | {len(found['labels'])} | {cell(found['curves']['full'], 3)} | {needs} |"
        )
        shares.append(f"| {name} | " + " | ".join(cell(ways[method]["of_random"]) for method in METHODS[1:]) + " |")
        for way, row in found["starts"].items():
            early.append(f"| {name} | {way} | " + " | ".join(cell(one, 3) for one in row.values()) + " |")
        again = found["doubts"]
        wrong.append(f"| {name} | {cell(again['shown'], 0)} | {cell(again['precision'])} | {cell(again['recall'])} |")
    return "\n".join([*lines, *shares, *early, *wrong])


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--only", default="starts,curves,doubts")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    parser.add_argument("--more", action="store_true", help="take over the curves of seeds that are there already")
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--tables", action="store_true", help="print the tables of the results that are there, and end")
    asked = parser.parse_args()
    results = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.is_file() else {"sets": {}}
    if asked.tables:
        print(tables(results))
    for name in () if asked.tables else asked.sets.split(","):
        data = Data(name, asked.data_root, asked.cache)
        facts = {"texts": len(data.codes), "labels": dict(data.counts.most_common()), "known_names": list(data.names)}
        found = results["sets"].setdefault(name, facts)
        found.update(facts)
        for part in asked.only.split(","):
            # Starts and doubts are quick, so more seeds.
            if part == "starts":
                found[part] = starts(data, 2 * asked.seeds)
            elif part == "doubts":
                found[part] = doubts(data, 2 * asked.seeds)
            elif part == "curves":
                found[part] = curves(data, asked.seeds, found.get(part, {}) if asked.more else {})
        found["seeds"] = asked.seeds
        results["facts"] = {
            "pool": POOL, "test": TEST, "limit": LIMIT, "share": SHARE,
            "ottenok": ottenok.__version__, "scikit-learn": version("scikit-learn"), "model": "default",
        }  # fmt: skip
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if asked.plot:
        plotted(results, asked.plot)


if __name__ == "__main__":
    main()
