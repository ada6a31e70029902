"""How well `ottenok audit` finds wrong labels, and what it is worth to clean data with it.

    python benchmarks/audit.py ../shared/data -o benchmarks/results/audit.json

Of each set 6,000 rows at most; a quarter of them, with their copies, is a test whose labels nobody touches. In the rest
5 % of the labels are changed: at random (any other label); as confused (another label, the oftener the more often the
row's own is taken for it by quick models that have not learned from the row); or into the nearest, which is hardest
(always the label that the row's own is most often taken for). Then the rows are audited as `ottenok audit` does, again
with each seed: a round of all sets for each, and after each round the result is whole, so it can be stopped.

- precision: the share of changed rows among the 5 % of all rows that are suspected most. Chance gives 5 %.
- embeddings: the same of the head on embeddings alone, by plain odds.
- ceiling: the same as precision when the rows that an audit suspects in the data as published are set aside before any
  label is changed. Labels that were wrong from the start count as false alarms in `precision`; here none of them is
  left, nor any that is only hard, so the truth is between the two.
- cleaned: macro F1 on the test of a quick head that learned from the cleaned copy (what `--write` makes), minus that of
  one that learned from the changed data, with a 95 % interval from resampling the test rows, the same ones for both.
- untouched: the same for the data as published: cleaned minus not cleaned.

Known faults: texts that stand in a set twice with different labels, by their very characters, and how many rows of
theirs the audit lists; and texts of RuSentiment's test that stand in its training files.

The way that audits judge was chosen on the sets that say so, with seeds of their own.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import zipfile
from collections import Counter, defaultdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ottenok
from ottenok.audit.clean import DEFAULT_ACTIONS, decide
from ottenok.audit.copies import find_copies, judge_copies
from ottenok.audit.findings import ranked
from ottenok.audit.judges import head_fit, learn_head
from ottenok.audit.rows import AuditRows
from ottenok.audit.run import settled, suspected
from ottenok.audit.suspects import suspect_labels
from ottenok.inference.head import embedded, fit_head, out_of_sample
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

RESULT = Path(__file__).parent / "results" / "audit.json"
SHARE, ROWS, TEST, RESAMPLES = 0.05, 6000, 0.25, 500
HOWS = ("random", "confused", "nearest")
# File, column of texts, column of labels; whether the embedded model has not learned from these labels, whether the way
# of auditing was chosen on them, and whether texts that stand there more than once (with other labels) are left out.
SETS: dict[str, dict[str, Any]] = {
    "app-reviews-ru": {"file": "app-reviews-ru/train.csv", "text": "text", "language": "ru", "chosen": True},
    "chnsenticorp-htl": {"file": "chnsenticorp-htl/ChnSentiCorp_htl_all.csv", "text": "review", "language": "zh"},
    "waimai-10k": {"file": "waimai-10k/waimai_10k.csv", "text": "review", "language": "zh", "chosen": True},
    "covid19-weibo": {"file": "covid19-weibo/labeledData.csv", "text": "review", "language": "zh"},
    "online-shopping": {
        "file": "online-shopping-10-cats/online_shopping_10_cats.zip",
        "text": "review",
        "language": "zh",
    },
    "rusentiment, two labels": {
        "file": "rusentiment/rusentiment_random_posts.csv",
        "text": "text",
        "language": "ru",
        "labels": ("negative", "positive"),
    },
    "rusentiment": {
        "file": "rusentiment/rusentiment_random_posts.csv",
        "text": "text",
        "language": "ru",
        "unseen": "in part",
        "chosen": True,
    },
    "online-shopping, ten goods": {
        "file": "online-shopping-10-cats/online_shopping_10_cats.zip",
        "text": "review",
        "label": "cat",
        "language": "zh",
        "unseen": "yes",
        "chosen": True,
    },
    "cedr, three sources": {
        "file": "cedr/cedr-main-train.csv",
        "text": "text",
        "label": "source",
        "language": "ru",
        "unseen": "yes",
    },
    "bdci-car-2018, subjects": {
        "file": "bdci-car-2018/train_2.csv",
        "text": "content",
        "label": "subject",
        "language": "zh",
        "unseen": "yes",
        "once": True,
    },
}
KNOWN = {
    "rusentiment": ("rusentiment/rusentiment_random_posts.csv", "rusentiment/rusentiment_preselected_posts.csv"),
    "waimai-10k": ("waimai-10k/waimai_10k.csv",),
    "covid19-weibo": ("covid19-weibo/labeledData.csv",),
}


def read(file: Path, text: str, label: str) -> list[tuple[str, str]]:
    """Return the texts of a file that has any, with their labels."""
    data = file.read_bytes()
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as archive:
            data = archive.read(next(name for name in archive.namelist() if name.endswith(".csv")))
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig", errors="replace")))
    return [(row[text], row[label]) for row in rows if row[text] and row[text].strip()]


def audit_rows_of(pairs: Sequence[tuple[str, str]], splits: Sequence[str] = ()) -> AuditRows:
    """Return pairs of a text and a label as the rows of an audit."""
    labels = tuple(sorted({label for _, label in pairs}))
    place = {label: number for number, label in enumerate(labels)}
    return AuditRows(
        name="benchmark",
        file=Path("benchmark"),
        numbers=np.arange(1, len(pairs) + 1),
        ids=(),
        texts=[text for text, _ in pairs],
        labels=labels,
        truth=np.eye(len(labels), dtype=np.bool_)[[place[label] for _, label in pairs]],
        several=False,
        splits=splits,
        rejects=(),
    )


def judged(rows: AuditRows, vectors: npt.NDArray[np.float32], groups: Ints, seed: int) -> Any:  # noqa: ANN401
    """Audit the labels of rows."""
    fit = head_fit(vectors, rows.texts, groups, seed=seed)
    return suspect_labels(rows.truth, rows.labels, groups, fit, several=False)


def changed(codes: Ints, probabilities: Floats, how: str, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return labels of which 5 % are wrong, and which rows these are."""
    classes = probabilities.shape[1]
    rows = rng.choice(len(codes), round(SHARE * len(codes)), replace=False)
    new = codes.copy()
    taken = np.zeros((classes, classes))
    np.add.at(taken, codes, np.ones_like(probabilities) if how == "random" else probabilities)
    np.fill_diagonal(taken, 0.0)
    taken /= taken.sum(axis=1, keepdims=True)
    if how == "nearest":
        new[rows] = taken.argmax(axis=1)[codes[rows]]
    else:
        new[rows] = [rng.choice(classes, p=taken[code]) for code in codes[rows]]
    return new, rows


def plain_odds(codes: Ints, probabilities: Floats) -> Floats:
    """Return the odds of the likeliest other label against the row's own, as a share."""
    rows = np.arange(len(codes))
    others = probabilities.copy()
    others[rows, codes] = 0.0
    likeliest = others.max(axis=1)
    return np.asarray(likeliest / np.maximum(likeliest + probabilities[rows, codes], 1e-12))


def precision(doubt: Floats, wrong: Ints) -> float:
    """Return the share of wrong rows among the 5 % that are doubted most."""
    top = np.argsort(-np.nan_to_num(doubt), kind="stable")[: round(SHARE * len(doubt))]
    return float(np.isin(top, wrong).mean())


def macro_f1(truth: Ints, answers: Ints, classes: int) -> float:
    """Return the mean of the labels' F1."""
    hits = np.bincount(truth[truth == answers], minlength=classes)
    sizes = np.bincount(truth, minlength=classes) + np.bincount(answers, minlength=classes)
    return float(np.mean(2 * hits[sizes > 0] / sizes[sizes > 0]))


def cleaned_codes(rows: AuditRows, found: Any, copies: Any) -> Ints:  # noqa: ANN401
    """Return which rows `--write` keeps."""
    findings = ranked([*settled(rows, judge_copies(rows, copies), found), *suspected(rows, found)])
    return np.array(sorted(set(range(len(rows))) - set(decide(rows, findings, DEFAULT_ACTIONS))), dtype=np.int64)


class Paired:
    """Answers of two heads on the same test rows, seed by seed."""

    def __init__(self, truth: Ints, classes: int) -> None:
        self._truth, self._classes = truth, classes
        self._pairs: list[tuple[Ints, Ints]] = []

    def add(self, before: Ints, after: Ints) -> None:
        """Take the answers of two heads."""
        self._pairs.append((before, after))

    def result(self) -> dict[str, Any]:
        """Return F1 before and after, and the mean difference with its interval."""
        truth, classes, rng = self._truth, self._classes, np.random.default_rng(0)

        def difference(rows: Ints | slice) -> float:
            gaps = (
                macro_f1(truth[rows], b[rows], classes) - macro_f1(truth[rows], a[rows], classes)
                for a, b in self._pairs
            )
            return float(np.mean(list(gaps)))

        drawn = [difference(rng.integers(0, len(truth), len(truth))) for _ in range(RESAMPLES)]
        return {
            "before": round(float(np.mean([macro_f1(truth, a, classes) for a, _ in self._pairs])), 4),
            "after": round(float(np.mean([macro_f1(truth, b, classes) for _, b in self._pairs])), 4),
            "difference": round(difference(slice(None)), 4),
            "interval": [round(float(np.quantile(drawn, share)), 4) for share in (0.025, 0.975)],
        }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most."""
    return {"median": round(float(np.median(values)), 3), "least": round(min(values), 3), "most": round(max(values), 3)}


class Measured:
    """One set, measured seed by seed."""

    def __init__(self, name: str, root: Path, vectors_folder: Path | None) -> None:
        self._name, self._facts = name, SETS[name]
        facts = self._facts
        pairs = read(root / facts["file"], facts["text"], facts.get("label", "label"))
        if facts.get("once"):
            often = Counter(text for text, _ in pairs)
            pairs = [pair for pair in pairs if often[pair[0]] == 1]
        random.Random(0).shuffle(pairs)
        pairs = pairs[:ROWS]
        vectors = _vectors([text for text, _ in pairs], facts["file"].split("/")[0], vectors_folder)
        if "labels" in facts:
            kept = [place for place, (_, label) in enumerate(pairs) if label in facts["labels"]]
            pairs, vectors = [pairs[place] for place in kept], vectors[kept]
        rows = audit_rows_of(pairs)
        codes = rows.truth.argmax(axis=1)
        near = find_copies(rows.texts).near
        names = np.unique(near)
        tested = np.isin(near, np.random.default_rng(0).choice(names, round(TEST * len(names)), replace=False))
        pool, test = np.flatnonzero(~tested), np.flatnonzero(tested)
        self._texts, self._labels = [rows.texts[row] for row in pool], rows.labels
        self._codes, self._truth = codes[pool], codes[test]
        self._learned, self._asked = vectors[pool], vectors[test]
        self._copies = find_copies(self._texts)
        # Of two labels there is one way to be wrong.
        hows = HOWS if len(rows.labels) > 2 else HOWS[:1]
        self._paired = {
            what: Paired(self._truth, len(rows.labels))
            for what in ("untouched", "random", "nearest")
            if what in (*hows, "untouched")
        }
        self._found: dict[str, defaultdict[str, list[float]]] = {how: defaultdict(list) for how in hows}
        self._agreement: list[float] = []

    def _rows_with(self, new: Ints, places: Ints) -> AuditRows:
        return audit_rows_of(
            [(self._texts[place], self._labels[code]) for place, code in zip(places, new, strict=True)]
        )

    def _pair(self, what: str, rows: AuditRows, one: Any, new: Ints) -> None:  # noqa: ANN401
        def answers(places: Ints) -> Ints:
            head = fit_head(self._learned[places], new[places], tol=1e-3)
            return np.asarray(head.predict(self._asked), dtype=np.int64)

        self._paired[what].add(answers(np.arange(len(new))), answers(cleaned_codes(rows, one, self._copies)))

    def add(self, seed: int) -> None:
        """Measure with one more seed."""
        rng = np.random.default_rng(seed)
        clean, groups, everything = self._codes, self._copies.near, np.arange(len(self._codes))
        published = self._rows_with(clean, everything)
        first = judged(published, self._learned, groups, seed + 100)
        self._agreement.append(float((first.probabilities.argmax(axis=1) == clean).mean()))
        self._pair("untouched", published, first, clean)
        sound = np.flatnonzero(~first.wrong)
        for how, found in self._found.items():
            new, wrong = changed(clean, first.probabilities, how, rng)
            noisy = self._rows_with(new, everything)
            one = judged(noisy, self._learned, groups, seed)
            alone = out_of_sample(self._learned, new, groups=groups, seed=seed, learn=partial(learn_head, seed=seed))
            found["precision"].append(precision(one.doubt, wrong))
            found["embeddings"].append(precision(plain_odds(new, alone), wrong))
            found["listed"].append(float(one.wrong.mean()))
            found["of_listed"].append(float(np.isin(np.flatnonzero(one.wrong), wrong).mean()))
            found["found"].append(float(one.wrong[wrong].mean()))
            right = (one.suggested[wrong] == published.truth[wrong]).all(axis=1)
            found["righted"].append(float(right[one.wrong[wrong]].mean()))
            if how in self._paired:
                self._pair(how, noisy, one, new)
            new, wrong = changed(clean[sound], first.probabilities[sound], how, rng)
            one = judged(self._rows_with(new, sound), self._learned[sound], groups[sound], seed)
            found["ceiling"].append(precision(one.doubt, wrong))
            print(self._name, seed, how, {key: round(values[-1], 3) for key, values in found.items()}, flush=True)

    def result(self) -> dict[str, Any]:
        """Return what was measured until now."""
        facts = self._facts
        found = {
            how: {key: spread(values) for key, values in self._found.get(how, self._found["random"]).items()}
            for how in HOWS
        }
        cleaned = {how: one.result() for how, one in self._paired.items()}
        return {
            "rows": len(self._texts),
            "test": len(self._truth),
            "labels": len(self._labels),
            "language": facts["language"],
            "unseen": facts.get("unseen", "no"),
            "chosen": bool(facts.get("chosen")),
            "agreement": round(float(np.median(self._agreement)), 3),
            **found,
            "cleaned": {"nearest": cleaned["random"], **cleaned},
        }


def _vectors(texts: list[str], name: str, folder: Path | None) -> npt.NDArray[np.float32]:
    """Return embeddings, kept in a folder for the next time."""
    file = None if folder is None else folder / f"{name}.npz"
    if file is not None and file.is_file():
        with np.load(file) as kept:
            if kept["texts"].tolist() == [dedupe_key(text)[:40] for text in texts]:
                return np.asarray(kept["vectors"])
    found = embedded(ottenok.load(max_windows=8, always=True), texts)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, texts=np.array([dedupe_key(text)[:40] for text in texts]), vectors=found)
    return found


def known_faults(root: Path) -> dict[str, Any]:
    """Return what is known to be wrong in three sets, and what the audit lists of it."""
    result: dict[str, Any] = {}
    for name, files in KNOWN.items():
        pairs = [pair for file in files for pair in read(root / file, SETS[name]["text"], "label")]
        labels: defaultdict[str, set[str]] = defaultdict(set)
        for text, label in pairs:
            labels[text].add(label)
        contradicted = {text for text, given in labels.items() if len(given) > 1}
        rows = audit_rows_of(pairs)
        findings = judge_copies(rows, find_copies(rows.texts))
        listed = {row for one in findings if one.kind == "conflict" for row in (one.row, *one.related)}
        counts = Counter(one.kind for one in findings)
        result[name] = {
            "rows": len(pairs),
            "texts": len(contradicted),
            "found": len(contradicted & {rows.texts[row] for row in listed}),
            "conflict": counts["conflict"],
            "near-conflict": counts["near-conflict"],
            "duplicate": counts["duplicate"],
        }
    train = [pair for file in KNOWN["rusentiment"] for pair in read(root / file, "text", "label")]
    test = read(root / "rusentiment" / "rusentiment_test.csv", "text", "label")
    keys = {dedupe_key(text) for text, _ in test}
    leaking = {place for place, (text, _) in enumerate(train) if dedupe_key(text) in keys}
    rows = audit_rows_of([*train, *test], ["train"] * len(train) + ["test"] * len(test))
    findings = judge_copies(rows, find_copies(rows.texts))
    found = {one.row for one in findings if one.kind == "leak"}
    result["leaks"] = {
        "rows": len(leaking),
        "texts": len({dedupe_key(train[row][0]) for row in leaking}),
        "found": len(leaking & found),
        "listed": len(found),
        "near": sum(one.kind == "near-leak" for one in findings),
    }
    return result


def tables(result: dict[str, Any]) -> str:
    """Return the tables of docs/audit.md."""
    seeds = result["seeds"]
    lines = [
        f"Precision among the 5 % of rows that are suspected most; median (least to most); seeds: {seeds}.",
        "",
        "| set | rows, labels | labels unseen | quick models agree | at random | as confused | into the nearest |",
        "|---|---:|:-:|---:|---:|---:|---:|",
    ]

    def cell(one: dict[str, float]) -> str:
        return f"{one['median']:.2f} ({one['least']:.2f} to {one['most']:.2f})"

    for name, one in result["sets"].items():
        lines.append(
            f"| {name} ({one['language']}){'*' if one['chosen'] else ''} | {one['rows']:,}, {one['labels']} "
            f"| {one['unseen']} | {one['agreement']:.0%} "
            f"| {' | '.join(cell(one[how]['precision']) for how in HOWS)} |"
        )
    lines += [
        "",
        "\\* The way of judging was chosen on these sets, with other seeds.",
        "",
        "Embeddings alone with plain odds, and the ceiling; medians.",
        "",
        "| set | embeddings: at random | as confused | nearest | ceiling: at random | as confused | nearest |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, one in result["sets"].items():
        cells = [f"{one[how][key]['median']:.2f}" for key in ("embeddings", "ceiling") for how in HOWS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "What is listed (the kind `label`), of labels changed at random; medians.",
        "",
        "| set | rows listed | of them changed | changed rows found | their own label suggested |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in result["sets"].items():
        listed = one["random"]
        cells = [f"{listed[key]['median']:.1%}" for key in ("listed", "of_listed", "found", "righted")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Macro F1 on the untouched test of heads that learned from the data and from its cleaned copy; 95 % intervals.",
        "",
        "| set | changed at random | changed into the nearest | as published |",
        "|---|---:|---:|---:|",
    ]
    for name, one in result["sets"].items():
        cells = []
        for how in ("random", "nearest", "untouched"):
            gap = one["cleaned"][how]
            low, high = gap["interval"]
            cells.append(
                f"{gap['before']:.3f} → {gap['after']:.3f}: {gap['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Whole sets: texts that stand there with different labels by their very characters, and what the audit lists.",
        "",
        "| set | rows | such texts | listed | rows: conflict | near-conflict | duplicate |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in KNOWN:
        one = result["known"][name]
        cells = [f"{one[key]:,}" for key in ("rows", "texts", "found", "conflict", "near-conflict", "duplicate")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    leaks = result["known"]["leaks"]
    lines += [
        "",
        f"Of RuSentiment's test {leaks['texts']:,} texts stand in the training files, in {leaks['rows']:,} rows;",
        f"{leaks['found']:,} of these are listed as leaks, and {leaks['near']:,} more rows as nearly equal.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--vectors", type=Path, help="folder in which embeddings are kept for the next time")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    result: dict[str, Any] = {"seeds": 0, "known": known_faults(given.data_root)}
    sets = {name: Measured(name, given.data_root, given.vectors) for name in SETS}
    for seed in range(given.seeds):
        for one in sets.values():
            one.add(seed)
        result |= {"seeds": seed + 1, "sets": {name: one.result() for name, one in sets.items()}}
        given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(result))


if __name__ == "__main__":
    main()
