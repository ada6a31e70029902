"""How often `drift` gives a false alarm, what it finds, and how near `shares` comes to true shares.

    ottenok data build shades --data-root ../shared/data -o /tmp/shades
    python benchmarks/drift.py /tmp/shades [--cache /tmp/drift] [--part level --part planted --part tests
        --part shares] [-o benchmarks/results/drift.json]
    python benchmarks/drift.py /tmp/shades --manifest       # counts of answers into the embedded model's manifest
    python benchmarks/drift.py --page                       # the tables of docs/drift.md

Texts are test rows (at most 2,000 of a source, or --most); labelled rows that correct are the corpus's validation rows,
or half of a test. Each text is read once, and sets are drawn from what was measured. With --cache what was read is kept
there, set by set, so that a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import pickle
import random
import re
import time
from collections import Counter, defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

import ottenok
from ottenok.core.files import atomic_write_text
from ottenok.drift.compare import FLOORS, compare
from ottenok.drift.profile import LabelCounts, Profile, capitals
from ottenok.drift.statistics import divisions, p_values, vector_gap
from ottenok.tasks.decision import indicator
from ottenok.tasks.shift import AnswerCounts, Correction, count_answers
from ottenok.text.noise import add_noise

if TYPE_CHECKING:
    from collections.abc import Iterable

RESULT = Path(__file__).parent / "results" / "drift.json"
PAGE = Path(__file__).parent.parent / "docs" / "drift.md"
MANIFEST = Path(ottenok.__file__).parent / "weights" / "default" / "ottenok.json"
MOST = 2000
TASKS = ("sentiment-3", "emotions-7", "stars-5")
PERMUTATIONS = 499
# Sets of at least 1,600 test texts with sentiment, Russian and Chinese, reviews and posts.
SETS = (
    "romip-2012",
    "sentirueval-2016-banks",
    "app-reviews-ru",
    "smp2020-usual",
    "dmsc-sample",
    "online-shopping-10-cats",
)
SIZES = (200, 500, 1000)
# Another source and another language of each set.
OTHERS = {
    "romip-2012": ("app-reviews-ru", "dmsc-sample"),
    "sentirueval-2016-banks": ("sentirueval-2016-telecom", "smp2020-usual"),
    "app-reviews-ru": ("romip-2012", "smp2020-usual"),
    "smp2020-usual": ("nlpcc2014-emotion", "sentirueval-2016-banks"),
    "dmsc-sample": ("online-shopping-10-cats", "romip-2012"),
    "online-shopping-10-cats": ("dmsc-sample", "app-reviews-ru"),
}  # fmt: skip


def read(corpus: Path, split: str, cache: Path | None, *, tasks: Iterable[str], most: int = MOST) -> dict[str, Any]:
    """Return what the embedded classifier says of a split's rows, with embeddings of the sets that `drift` is asked of.

    Args:
        corpus: Its folder.
        split: Validation or test.
        cache: Where what was read is kept.
        tasks: Sets with labels of these are read too.
        most: Test rows of a set; of validation rows there are all.
    """
    wanted = ["source", "split", "text", "language", *(f"labels:{task}" for task in TASKS)]
    table = pq.read_table(corpus / "corpus.parquet", columns=wanted).to_pydict()
    rows: dict[str, list[int]] = defaultdict(list)
    for place, (source, part) in enumerate(zip(table["source"], table["split"], strict=True)):
        if part == split:
            rows[source].append(place)
    drifting = {*SETS, *(one for others in OTHERS.values() for one in others)} if split == "test" else set()
    parts = []
    labels = [table[f"labels:{task}"] for task in tasks]
    wanted_sets = {source for source, places in rows.items() if any(one[place] for one in labels for place in places)}
    for source in sorted(drifting | wanted_sets, key=lambda name: (name not in drifting, name)):
        kept = cache / f"{split}-{source}.pkl" if cache else None
        if kept is not None and kept.is_file():
            parts.append(pickle.loads(kept.read_bytes()))
            continue
        places = list(rows[source])
        random.Random(0).shuffle(places)
        picked = sorted(places if split == "validation" else places[:most])
        found = measured([table["text"][place] for place in picked], vectors=source in drifting)
        found |= {
            "source": [source] * len(picked),
            "language": [table["language"][place] for place in picked],
            "labels": {task: [table[f"labels:{task}"][place] for place in picked] for task in TASKS},
        }
        parts.append(found)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(pickle.dumps(found))
    whole: dict[str, Any] = {
        name: [one for part in parts for one in part[name]] for name in ("text", "facts", "source", "language")
    }
    whole["probs"] = {task: np.concatenate([part["probs"][task] for part in parts]) for task in TASKS}
    whole["labels"] = {task: [one for part in parts for one in part["labels"][task]] for task in TASKS}
    if drifting:
        # Sets with embeddings come first.
        whole["vectors"] = np.concatenate([part["vectors"] for part in parts if "vectors" in part])
    return whole


def measured(texts: list[str], *, vectors: bool) -> dict[str, Any]:
    """Return what the embedded classifier says of texts."""
    classifier = ottenok.load()
    answers = list(classifier.stream(texts))
    found: dict[str, Any] = {
        "text": texts,
        "probs": {
            task: np.array([list(one.tasks[task].probabilities.values()) for one in answers], np.float32)
            for task in TASKS
        },
        "facts": [(one.language, one.unfamiliar, one.unknown, one.reason, one.windows) for one in answers],
    }
    if vectors:
        found["vectors"] = classifier.embed(texts).astype(np.float16)
    return found


class Rows:
    """Rows that were read, from which profiles of any sample are made."""

    def __init__(self, found: dict[str, Any]) -> None:
        self.found = found
        self.language = np.array([one[0] or "unknown" for one in found["facts"]])
        self.unfamiliar = np.array([one[1] or 0.0 for one in found["facts"]])
        self.unknown = np.array([one[2] for one in found["facts"]])
        self.read = np.array([one[4] > 0 for one in found["facts"]])
        self.outcome = np.array([one[3] or "answered" for one in found["facts"]])
        self.capitals = np.array([capitals(text) for text in found["text"]])
        self.length = np.array([len(text.strip()) for text in found["text"]], dtype=np.float64)
        tasks = {task.name: task for task in ottenok.load().tasks}
        self.given = {name: indicator(task.decide(found["probs"][name]), task.scheme) for name, task in tasks.items()}

    def profile(self, places: np.ndarray) -> Profile:
        """Return the profile of a sample of the rows."""
        labels = {}
        usable = ~np.isin(self.outcome[places], ("language", "unfamiliar")) & self.read[places]
        kept = places[usable]
        for name, given in self.given.items():
            labels[name] = LabelCounts(
                labels=tuple(map(str, range(given.shape[1]))), several=name == "emotions-7", texts=len(kept),
                counts=given[kept].sum(axis=0).astype(np.int64), probs=self.found["probs"][name][kept],
            )  # fmt: skip
        return Profile(
            name="sample",
            rows=len(places),
            texts=len(places),
            languages=self.language[places].tolist(),
            characters=self.length[places],
            capitals=self.capitals[places],
            unknown=self.unknown[places],
            unfamiliar=self.unfamiliar[places],
            outcomes=self.outcome[places].tolist(),
            usable=usable,
            confidence={
                name: probs[kept].max(axis=1).astype(np.float64) for name, probs in self.found["probs"].items()
            },
            labels=labels,
            embeddings=(np.arange(len(places)), self.found["vectors"][places].astype(np.float32)),
        )


def both(old: Rows, first: np.ndarray, new: Rows, second: np.ndarray, seed: int) -> tuple[Any, ...]:
    """Compare a sample of some rows with a sample of others."""
    return compare(
        old.profile(first), new.profile(second), answers={}, alpha=0.05, floors=FLOORS, permutations=PERMUTATIONS,
        seed=seed,
    )  # fmt: skip


def level(rows: Rows, sources: dict[str, np.ndarray], draws: int = 200) -> dict[str, Any]:
    """Return how often halves of a set that were divided at random differ, by test and in all."""
    generator = np.random.default_rng(1)
    single: dict[str, int] = Counter()
    together = alarms = 0
    for draw in range(draws):
        here = generator.permutation(sources[SETS[draw % len(SETS)]])[:1000]
        changes = both(rows, here[:500], rows, here[500:], draw)
        for change in changes:
            single[change.name] += change.p <= 0.05
        together += any(change.p_adjusted <= 0.05 for change in changes)
        alarms += any(change.alarm for change in changes)
    return {
        "draws": draws,
        "texts": 500,
        "single": {name: count / draws for name, count in single.items()},
        "any": together / draws,
        "alarm": alarms / draws,
    }


def planted(rows: Rows, sources: dict[str, np.ndarray], repeats: int = 10) -> list[dict[str, Any]]:
    """Return how often planted shifts give an alarm, by size of the sets."""
    generator = np.random.default_rng(2)
    truth = np.array([(one or [""])[0] for one in rows.found["labels"]["sentiment-3"]])
    changed = {kind: changed_rows(rows, sources, kind) for kind in ("half of each text", "typos", "capitals")}
    found: dict[tuple[str, int], list[tuple[bool, list[str]]]] = defaultdict(list)
    for name in SETS:
        for size in SIZES:
            for repeat in range(repeats):
                here = generator.permutation(sources[name])
                old, rest = here[:size], here[size : 2 * size]
                pool = here[size:]
                cases: dict[str, tuple[Rows, np.ndarray]] = {}
                for points in (5, 10, 20):
                    cases[f"labels: {points} points from the commonest to the others"] = (
                        rows, moved(truth, pool, size, points / 100, generator)
                    )  # fmt: skip
                other, foreign = OTHERS[name]
                for share in (0.1, 0.5, 1.0):
                    cases[f"another source: {share:.0%}"] = rows, mixed(rest, sources[other], share, generator)
                for share in (0.02, 0.05, 0.1):
                    cases[f"another language: {share:.0%}"] = rows, mixed(rest, sources[foreign], share, generator)
                for kind, (other_rows, places) in changed.items():
                    kept = np.array([places[one] for one in pool if one in places])
                    if len(kept) >= size:
                        cases[kind] = other_rows, kept[:size]
                for case, (new, places) in cases.items():
                    changes = both(rows, old, new, places, repeat)
                    fired = [change.name for change in changes if change.alarm]
                    found[case, size].append((bool(fired), fired))
    result = []
    for (case, size), outcomes in found.items():
        fired = Counter(name for _, names in outcomes for name in names)
        result.append(
            {
                "case": case,
                "texts": size,
                "draws": len(outcomes),
                "alarm": sum(one for one, _ in outcomes) / len(outcomes),
                "by": {name: count / len(outcomes) for name, count in fired.most_common(4)},
            }
        )
    return result


def moved(truth: np.ndarray, pool: np.ndarray, size: int, points: float, generator: np.random.Generator) -> np.ndarray:
    """Return texts of which the commonest true label is so much rarer than in the pool, as many as there are."""
    labels, counts = np.unique(truth[pool], return_counts=True)
    shares = counts / counts.sum()
    top = shares.argmax()
    rest = 1 - shares[top]
    shares = np.where(np.arange(len(shares)) == top, shares[top] - points, shares * (1 + points / max(rest, 1e-9)))
    shares = np.clip(shares, 0, None) / np.clip(shares, 0, None).sum()
    wanted = generator.multinomial(min(size, int((counts / np.maximum(shares, 1e-9)).min())), shares)
    picked = [
        generator.choice(pool[truth[pool] == one], min(count, there), replace=False)
        for one, count, there in zip(labels, wanted, counts, strict=True)
    ]
    return np.concatenate(picked)


def mixed(places: np.ndarray, other: np.ndarray, share: float, generator: np.random.Generator) -> np.ndarray:
    """Return texts of which a share is replaced by others."""
    count = round(share * len(places))
    return np.concatenate([places[: len(places) - count], generator.choice(other, count, replace=False)])


def changed_rows(rows: Rows, sources: dict[str, np.ndarray], kind: str) -> tuple[Rows, dict[int, int]]:
    """Return texts of two sets changed and read anew, and the place of each by that of the text as it was."""
    places = [int(place) for name in ("romip-2012", "smp2020-usual") for place in sources[name][-800:]]
    texts = [rows.found["text"][place][:1000] for place in places]
    if kind == "capitals":
        changed = [text.upper() for text in texts]
    elif kind == "typos":
        changed = [add_noise(text, "typos", rate=0.1, seed=place) for place, text in enumerate(texts)]
    else:
        changed = [text[: max(1, len(text) // 2)] for text in texts]
    found = measured(changed, vectors=True)
    return Rows(found), {place: number for number, place in enumerate(places)}


def vector_tests(rows: Rows, sources: dict[str, np.ndarray], draws: int = 200) -> list[dict[str, Any]]:
    """Compare tests of embeddings: false alarms, what they find, and their time."""
    generator = np.random.default_rng(4)
    vectors = rows.found["vectors"]
    truth = np.array([(one or [""])[0] for one in rows.found["labels"]["sentiment-3"]])

    def lined(old: np.ndarray, new: np.ndarray) -> float:
        return separated(old, new, generator)

    def discriminant(old: np.ndarray, new: np.ndarray) -> float:
        gap = vector_gap(np.concatenate([old, new]), np.arange(len(old) + len(new)))
        blocks = divisions(len(old), len(new), draws=199, generator=generator)
        return float(p_values(np.concatenate([gap(block) for block in blocks]))[0])

    def gaussian(old: np.ndarray, new: np.ndarray) -> float:
        return mmd(old, new, generator)

    ways = {
        "Fisher discriminant of all texts": discriminant,
        "MMD, Gaussian, random features": gaussian,
        "classifier (linear discriminant), half held out": lined,
    }
    result = []
    for name, test in ways.items():
        hits: dict[str, list[bool]] = defaultdict(list)
        start = time.process_time()
        calls = 0
        for draw in range(draws):
            chosen = SETS[draw % len(SETS)]
            here = generator.permutation(sources[chosen])
            old, rest, pool = here[:300], here[300:600], here[300:]
            cases = {"nothing": rest}
            if draw < draws // 2:
                cases["labels, 10 points"] = moved(truth, pool, 300, 0.1, generator)
                cases["another source, 10 %"] = mixed(rest, sources[OTHERS[chosen][0]], 0.1, generator)
                cases["another source, 30 %"] = mixed(rest, sources[OTHERS[chosen][0]], 0.3, generator)
            for case, places in cases.items():
                p = test(vectors[old].astype(np.float32), vectors[places].astype(np.float32))
                hits[case].append(p <= 0.05)
                calls += 1
        seconds = (time.process_time() - start) / calls
        result.append(
            {"test": name, "seconds": seconds, "texts": 300, "draws": draws}
            | {"found": {case: float(np.mean(one)) for case, one in hits.items()}}
        )
    return result


def mmd(old: np.ndarray, new: np.ndarray, generator: np.random.Generator, draws: int = 199) -> float:
    """Return the p-value of the maximum mean discrepancy, by random features (Gretton 2012, Rahimi and Recht 2007)."""
    both = np.concatenate([old, new])
    probe = both[generator.permutation(len(both))[:500]]
    width = np.sqrt(np.median(((probe[:250] - probe[250:]) ** 2).sum(axis=1)))
    angles = both @ (generator.standard_normal((both.shape[1], 256)) / width).astype(np.float32)
    features = np.concatenate([np.cos(angles), np.sin(angles)], axis=1)
    features -= features.mean(axis=0)
    blocks = divisions(len(old), len(new), draws=draws, generator=generator)
    found = np.concatenate([np.square(block.astype(np.float32) @ features).sum(axis=1) for block in blocks])
    return float(p_values(np.round(found, 3))[0])


def separated(old: np.ndarray, new: np.ndarray, generator: np.random.Generator, draws: int = 199) -> float:
    """Return the p-value of a classifier two-sample test: a linear discriminant of one half, asked of the other."""
    old, new = old[generator.permutation(len(old))], new[generator.permutation(len(new))]
    known, asked = (old[::2], new[::2]), (old[1::2], new[1::2])
    middles = [one.mean(axis=0) for one in known]
    spread = np.concatenate([one - middle for one, middle in zip(known, middles, strict=True)]).astype(np.float64)
    scatter = spread.T @ spread / len(spread)
    ridge = (0.05 + len(scatter) / len(spread)) * np.trace(scatter) / len(scatter)
    line = np.linalg.solve(scatter + np.eye(len(scatter)) * ridge, middles[1] - middles[0])
    ranks = np.concatenate([asked[0] @ line, asked[1] @ line]).argsort().argsort()
    found = ranks[len(asked[0]) :].sum()
    chance = [ranks[generator.permutation(len(ranks))[len(asked[0]) :]].sum() for _ in range(draws)]
    return float(1 + sum(one >= found for one in chance)) / (1 + draws)


def without(counts: AnswerCounts, source: str) -> AnswerCounts:
    """Return counts without those of a source."""
    groups = tuple(group for group in counts.groups if group.source != source)
    return AnswerCounts(data=counts.data, edges=counts.edges, groups=groups)


def labelled(found: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the rows that have a label for a task, as arrays."""
    task = next(one for one in ottenok.load().manifest.task_list(canonical=True) if one.name == name)
    places = [place for place, one in enumerate(found["labels"][name]) if one is not None]
    probs = found["probs"][name][places]
    truth = indicator([tuple(found["labels"][name][place]) for place in places], task.scheme)
    good = probs.any(axis=1)
    return {
        "task": task,
        "probs": probs[good],
        "truth": truth[good],
        "source": np.array([found["source"][place] for place in places])[good],
        "language": np.array([found["language"][place] for place in places])[good],
    }


def counted(validation: dict[str, Any]) -> dict[str, AnswerCounts]:
    """Return how the validation rows are answered, by task."""
    result = {}
    for name in TASKS:
        rows = labelled(validation, name)
        result[name] = count_answers(
            rows["task"], rows["probs"], rows["truth"], sources=rows["source"].tolist(),
            languages=rows["language"].tolist(), data="shades, validation",
        )  # fmt: skip
    return result


def shares(
    validation: dict[str, Any], test: dict[str, Any], tasks: Iterable[str], repeats: int = 4
) -> list[dict[str, Any]]:
    """Return the errors of shares of planted and of natural samples, and how often intervals hold the truth."""
    result = []
    facts = counted(validation)
    for name in tasks:
        rows, counts = labelled(test, name), facts[name]
        several = name == "emotions-7"
        generator = np.random.default_rng(5)
        errors: dict[tuple[str, str], list[float]] = defaultdict(list)
        held: dict[tuple[str, str], list[float]] = defaultdict(list)
        wide: dict[tuple[str, str], list[float]] = defaultdict(list)
        beside: dict[tuple[str, str], list[float]] = defaultdict(list)
        for source in sorted(set(rows["source"].tolist())):
            here = rows["source"] == source
            probs, truth, language = rows["probs"][here], rows["truth"][here], rows["language"][here][0]
            kinds = truth.argmax(axis=1)
            have = [kind for kind in range(truth.shape[1]) if (kinds == kind).sum() >= 40]
            if len(probs) < 250 or len(have) < 2:
                continue
            order = generator.permutation(len(probs))
            known, rest = order[: len(order) // 2], order[len(order) // 2 :]
            others = without(counts, source)
            ways: dict[str, Correction] = {"answers, range over other sets": Correction(others, elsewhere=True)}
            ways["EM, other sets as if they were the same"] = Correction(others, draws=200)
            for size in (100, 300, 1000):
                if size > len(known):
                    continue
                own = count_answers(
                    rows["task"], probs[known[:size]], truth[known[:size]], languages=[language] * size, data="own"
                )
                ways[f"EM, {size} labelled"] = Correction(own, draws=200)
                ways[f"BBSE, {size} labelled"] = Correction(own, draws=200, method="bbse")
            for case in ("as they are", "planted"):
                for _ in range(repeats):
                    if case == "planted":
                        wanted = generator.multinomial(500, generator.dirichlet(np.ones(len(have))))
                        parts = [rest[kinds[rest] == kind] for kind in have]
                        chosen = [generator.choice(part, n) for part, n in zip(parts, wanted, strict=True) if len(part)]
                        places = np.concatenate(chosen)
                    else:
                        places = generator.choice(rest, min(500, len(rest)), replace=False)
                    true = truth[places].mean(axis=0)
                    decided = indicator(rows["task"].decide(probs[places]), rows["task"].scheme)
                    raw = decided.mean(axis=0)
                    errors[case, "answers"].append(_error(raw, true, several=several))
                    reach = 1.96 * np.sqrt(raw * (1 - raw) / len(places))
                    held[case, "answers"].append(float(np.mean(np.abs(raw - true) <= reach + 1e-9)))
                    wide[case, "answers"].append(float(np.mean(2 * reach)))
                    for way, correction in ways.items():
                        cells = correction.counts.cells(rows["task"], probs[places])
                        texts = correction.counts.tally(cells, [language] * len(places))
                        point, drawn = correction.label_shares(texts, raw)
                        good = ~np.isnan(drawn[0])
                        rim = 0.0 if way.startswith("answers") else 0.025
                        low, high = np.quantile(drawn, [rim, 1 - rim], axis=0)
                        value = raw if way.startswith("answers") else point
                        low, high = np.minimum(low, value)[good], np.maximum(high, value)[good]
                        errors[case, way].append(_error(value[good], true[good], several=several))
                        beside[case, way].append(_error(raw[good], true[good], several=several))
                        inside = (true[good] >= low - 1e-9) & (true[good] <= high + 1e-9)
                        held[case, way].append(float(inside.mean()))
                        wide[case, way].append(float((high - low).mean()))
        result += [
            {
                "task": name,
                "case": case,
                "way": way,
                "sets": len(values) // repeats,
                "samples": len(values),
                "error": float(np.mean(values)),
                "answers": float(np.mean(beside.get((case, way), values))),
                "held": float(np.mean(held[case, way])),
                "width": float(np.mean(wide[case, way])),
            }
            for (case, way), values in errors.items()
        ]
    return result


def _error(found: np.ndarray, true: np.ndarray, *, several: bool) -> float:
    """Return half the sum of the differences; of labels that come together the mean of the differences."""
    return float(np.abs(found - true).mean() if several else 0.5 * np.abs(found - true).sum())


def tables(result: dict[str, Any]) -> dict[str, str]:
    """Return the tables of the page."""
    one = result["level"]
    lines = ["| test | p ≤ .05 |", "|---|---:|"]
    lines += [f"| {name} | {share:.3f} |" for name, share in one["single"].items()]
    lines += [
        f"| **any of them, together** | {one['any']:.3f} |",
        f"| **alarm (effect above its floor too)** | {one['alarm']:.3f} |",
    ]
    head = f"{one['draws']} draws of {one['texts']} and {one['texts']} texts of one set.\n\n"
    found = {"level": head + "\n".join(lines)}
    by_case: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for row in result["planted"]:
        by_case[row["case"]][row["texts"]] = row
    lines = ["| planted | " + " | ".join(f"{size}" for size in SIZES) + f" | tests that fire, {SIZES[-1]} texts |"]
    lines += ["|---|" + "---:|" * len(SIZES) + "---|"]
    for case, sizes in by_case.items():
        last = sizes[max(sizes)]["by"]
        fired = ", ".join(f"{name} {share:.0%}" for name, share in list(last.items())[:3])
        cells = " | ".join(f"{sizes[size]['alarm']:.0%}" if size in sizes else "-" for size in SIZES)
        lines.append(f"| {case} | {cells} | {fired} |")
    found["planted"] = "\n".join(lines)
    cases = list(result["tests"][0]["found"])
    lines = [
        "| test of embeddings | " + " | ".join(cases) + " | processor time, ms |",
        "|---|" + "---:|" * (len(cases) + 1),
    ]
    for row in result["tests"]:
        cells = " | ".join(f"{row['found'][case]:.1%}" for case in cases)
        lines.append(f"| {row['test']} | {cells} | {1000 * row['seconds']:.0f} |")
    found["tests"] = "\n".join(lines)
    blocks = []
    for task in TASKS:
        mine = [row for row in result["shares"] if row["task"] == task]
        if not mine:
            continue
        lines = [f"{task}:", ""]
        head = "error | of the answers | interval holds | wide"
        lines += [f"| shares by | sets | {head} | planted: {head} |"]
        lines += ["|---|" + "---:|" * 9]
        for way in dict.fromkeys(row["way"] for row in mine):
            cells = []
            for case in ("as they are", "planted"):
                row = next(one for one in mine if one["way"] == way and one["case"] == case)
                cells += [f"{row['error']:.3f}", f"{row['answers']:.3f}", f"{row['held']:.0%}", f"{row['width']:.2f}"]
            lines.append(f"| {way} | {row['sets']} | " + " | ".join(cells) + " |")
        blocks.append("\n".join(lines))
    found["shares"] = "\n\n".join(blocks)
    return found


def write_page(result: dict[str, Any]) -> None:
    """Put the tables into the page."""
    text = PAGE.read_text(encoding="utf-8")
    for name, table in tables(result).items():
        text = re.sub(
            rf"<!-- {name} -->.*?<!-- /{name} -->",
            lambda _, name=name, table=table: f"<!-- {name} -->\n\n{table}\n\n<!-- /{name} -->",
            text,
            flags=re.DOTALL,
        )
    PAGE.write_text(text, encoding="utf-8")


def main(arguments: Iterable[str] | None = None) -> None:
    """Measure, write the result, or make the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--part", action="append", choices=["level", "planted", "tests", "shares"])
    parser.add_argument("--task", action="append", choices=TASKS, help="shares of this task alone, the others are kept")
    parser.add_argument("--most", type=int, default=MOST, help="texts of a source; a cache is of one such number")
    parser.add_argument("--manifest", action="store_true")
    parser.add_argument("--page", action="store_true")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args(arguments)
    result = json.loads(given.out.read_text()) if given.out.is_file() else {}
    if given.page:
        write_page(result)
        return
    asked = given.part or ("shares", "tests", "level", "planted")
    if given.manifest or "shares" in asked:
        validation = read(given.corpus, "validation", given.cache, tasks=TASKS)
    if given.manifest:
        counts = {name: asdict(one) for name, one in counted(validation).items()}
        tree = json.loads(MANIFEST.read_text(encoding="utf-8"))
        atomic_write_text(MANIFEST, json.dumps(tree | {"answers": counts}, ensure_ascii=False, separators=(",", ":")))
        return
    tasks = given.task or TASKS
    test = read(given.corpus, "test", given.cache, tasks=tasks if "shares" in asked else (), most=given.most)
    rows = Rows(test)
    sources = {name: np.flatnonzero(np.array(test["source"]) == name) for name in set(test["source"])}
    for part in asked:
        start = time.monotonic()
        if part == "shares":
            kept = [row for row in result.get(part, []) if row["task"] not in tasks]
            result[part] = kept + shares(validation, test, tasks)
        else:
            ways = {"level": level, "planted": planted, "tests": vector_tests}
            result[part] = ways[part](rows, sources)
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{part}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
