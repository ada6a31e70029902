"""How well `ottenok audit` finds wrong labels, and what it is worth to clean data with it.

    python benchmarks/audit.py ../shared/data -o benchmarks/results/audit.json

Of each set 6,000 rows at most; a quarter of them, with their copies, is a test whose labels nobody touches. In the rest
5 % of the labels are changed: at random (any other label), or by class (the label that the row's own is most often
taken for, by a head that has not learned from the row). Then the rows are audited as `ottenok audit` does, several
times with other seeds.

- precision: the share of changed rows among the 5 % of all rows that are suspected most. Chance gives 5 %.
- ceiling: the same when the rows that an audit suspects in the data as published are set aside before any label is
  changed. Labels that were wrong from the start count as false alarms in `precision`; here none of them is left, nor
  any that is only hard, so the truth is between the two.
- cleaned: macro F1 on the test of a quick head that learned from the cleaned copy (what `--write` makes), minus that of
  one that learned from the changed data, with a 95 % interval from resampling the test rows, the same ones for both.
- untouched: the same for the data as published: cleaned minus not cleaned.
- own: precision where the embedded model's own probabilities, which know the scheme, are averaged with the head's (in
  logarithms, half and half).

Known faults: texts that stand in a set twice with different labels, by their very characters, and how many rows of
theirs the audit lists; and texts of RuSentiment's test that stand in its training files.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import random
import zipfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import ottenok
from ottenok.audit.clean import DEFAULT_ACTIONS, decide
from ottenok.audit.copies import find_copies, judge_copies
from ottenok.audit.findings import ranked
from ottenok.audit.rows import AuditRows
from ottenok.audit.run import settled, suspected
from ottenok.audit.suspects import head_fit, suspect_labels
from ottenok.inference.head import embedded, fit_head
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Ints = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float64]

RESULT = Path(__file__).parent / "results" / "audit.json"
SHARE, ROWS, TEST, RESAMPLES = 0.05, 6000, 0.25, 500
# File, column of texts, column of labels, and what the embedded model knows.
SETS: dict[str, dict[str, Any]] = {
    "app-reviews-ru": {"file": "app-reviews-ru/train.csv", "text": "text", "label": "label", "language": "ru"},
    "chnsenticorp-htl": {"file": "chnsenticorp-htl/ChnSentiCorp_htl_all.csv", "text": "review", "language": "zh"},
    "waimai-10k": {"file": "waimai-10k/waimai_10k.csv", "text": "review", "language": "zh"},
    "covid19-weibo": {"file": "covid19-weibo/labeledData.csv", "text": "review", "language": "zh"},
    "rusentiment, two labels": {
        "file": "rusentiment/rusentiment_random_posts.csv",
        "text": "text",
        "language": "ru",
        "labels": ("negative", "positive"),
        "unseen": True,
    },
    "rusentiment": {
        "file": "rusentiment/rusentiment_random_posts.csv",
        "text": "text",
        "language": "ru",
        "unseen": True,
    },
    "online-shopping, ten goods": {
        "file": "online-shopping-10-cats/online_shopping_10_cats.zip",
        "text": "review",
        "label": "cat",
        "language": "zh",
        "unseen": True,
    },
}
# Labels of the embedded model's sentiment for those of the sets that it knows.
OWN = {
    "waimai-10k": {"0": "negative", "1": "positive"},
    "rusentiment, two labels": {"negative": "negative", "positive": "positive"},
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
    rows = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
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
    fit = head_fit(vectors, groups, seed=seed)
    return suspect_labels(rows.truth, rows.labels, groups, fit, several=False)


def changed(codes: Ints, probabilities: Floats, how: str, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Return labels of which 5 % are wrong, and which rows these are."""
    classes = probabilities.shape[1]
    rows = rng.choice(len(codes), round(SHARE * len(codes)), replace=False)
    new = codes.copy()
    if how == "random":
        new[rows] = (codes[rows] + rng.integers(1, classes, len(rows))) % classes
    else:
        taken = np.zeros((classes, classes))
        np.add.at(taken, codes, probabilities)
        np.fill_diagonal(taken, -1)
        new[rows] = taken.argmax(axis=1)[codes[rows]]
    return new, rows


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


def measure(name: str, root: Path, seeds: int, vectors_folder: Path | None) -> dict[str, Any]:
    """Measure one set."""
    facts = SETS[name]
    pairs = read(root / facts["file"], facts["text"], facts.get("label", "label"))
    random.Random(0).shuffle(pairs)
    pairs = pairs[:ROWS]
    vectors = _vectors([text for text, _ in pairs], facts["file"].split("/")[0], vectors_folder)
    if "labels" in facts:
        kept = [place for place, (_, label) in enumerate(pairs) if label in facts["labels"]]
        pairs, vectors = [pairs[place] for place in kept], vectors[kept]
    rows = audit_rows_of(pairs)
    codes, classes = rows.truth.argmax(axis=1), len(rows.labels)
    near = find_copies(rows.texts).near
    names = np.unique(near)
    tested = np.isin(near, np.random.default_rng(0).choice(names, round(TEST * len(names)), replace=False))
    pool, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    copies = find_copies([rows.texts[row] for row in pool])
    groups, learned, asked = copies.near, vectors[pool], vectors[test]

    def rows_with(new: Ints, places: Ints) -> AuditRows:
        return audit_rows_of(
            [(rows.texts[pool[place]], rows.labels[code]) for place, code in zip(places, new, strict=True)]
        )

    def answers(places: Ints, new: Ints) -> Ints:
        return np.asarray(fit_head(learned[places], new[places]).predict(asked), dtype=np.int64)

    everything = np.arange(len(pool))
    clean = codes[pool]
    own = _own(name, [rows.texts[row] for row in pool], rows.labels) if name in OWN else None
    paired = {what: Paired(codes[test], classes) for what in ("random", "class", "untouched")}
    found: dict[str, defaultdict[str, list[float]]] = {how: defaultdict(list) for how in ("random", "class")}
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        published = rows_with(clean, everything)
        first = judged(published, learned, groups, seed + 100)
        paired["untouched"].add(answers(everything, clean), answers(cleaned_codes(published, first, copies), clean))
        sound = np.flatnonzero(~first.wrong)
        for how in ("random", "class"):
            new, wrong = changed(clean, first.probabilities, how, rng)
            noisy = rows_with(new, everything)
            one = judged(noisy, learned, groups, seed)
            found[how]["precision"].append(precision(one.doubt, wrong))
            found[how]["listed"].append(float(one.wrong.mean()))
            found[how]["of_listed"].append(float(np.isin(np.flatnonzero(one.wrong), wrong).mean()))
            found[how]["found"].append(float(one.wrong[wrong].mean()))
            paired[how].add(answers(everything, new), answers(cleaned_codes(noisy, one, copies), new))
            if own is not None:
                mixed = np.sqrt(np.maximum(one.probabilities, 1e-9) * own)
                others = mixed.copy()
                others[everything, new] = 0.0
                found[how]["own"].append(
                    precision(others.max(axis=1) / (others.max(axis=1) + mixed[everything, new]), wrong)
                )
            new, wrong = changed(clean[sound], first.probabilities[sound], how, rng)
            one = judged(rows_with(new, sound), learned[sound], groups[sound], seed)
            found[how]["ceiling"].append(precision(one.doubt, wrong))
            print(name, seed, how, {key: round(values[-1], 3) for key, values in found[how].items()}, flush=True)
    return {
        "rows": len(pool),
        "test": len(test),
        "labels": classes,
        "language": facts["language"],
        "unseen": bool(facts.get("unseen")),
        "agreement": round(float((first.probabilities.argmax(axis=1) == clean).mean()), 3),
        **{how: {key: spread(values) for key, values in kinds.items()} for how, kinds in found.items()},
        "cleaned": {how: one.result() for how, one in paired.items()},
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


def _own(name: str, texts: Sequence[str], labels: Sequence[str]) -> Floats:
    """Return the embedded model's own probabilities of a set's labels."""
    classifier = ottenok.load(tasks="sentiment-3", always=True)
    columns = [list(classifier.labels).index(OWN[name][label]) for label in labels]
    found = classifier.predict_proba(list(texts))[:, columns].astype(np.float64) + 1e-6
    return np.asarray(found / found.sum(axis=1, keepdims=True))


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
        f"Precision among the 5 % of rows that are suspected most; median of {seeds} seeds (the least to the most).",
        "",
        "| set | rows, labels | labels unseen | head agrees | at random | ceiling | by class | ceiling |",
        "|---|---:|:-:|---:|---:|---:|---:|---:|",
    ]

    def cell(one: dict[str, float]) -> str:
        return f"{one['median']:.2f} ({one['least']:.2f} to {one['most']:.2f})"

    for name, one in result["sets"].items():
        cells = [cell(one[how][key]) for how in ("random", "class") for key in ("precision", "ceiling")]
        lines.append(
            f"| {name} ({one['language']}) | {one['rows']:,}, {one['labels']} | {'yes' if one['unseen'] else 'no'} "
            f"| {one['agreement']:.0%} | {' | '.join(cells)} |"
        )
    lines += [
        "",
        "What is listed (the kind `label`), of labels changed at random; medians.",
        "",
        "| set | rows listed | of them changed | changed rows found |",
        "|---|---:|---:|---:|",
    ]
    for name, one in result["sets"].items():
        listed = one["random"]
        cells = [f"{listed[key]['median']:.1%}" for key in ("listed", "of_listed", "found")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "Macro F1 on the untouched test of heads that learned from the data and from its cleaned copy; 95 % intervals.",
        "",
        "| set | changed at random | changed by class | as published |",
        "|---|---:|---:|---:|",
    ]
    for name, one in result["sets"].items():
        cells = []
        for how in ("random", "class", "untouched"):
            gap = one["cleaned"][how]
            low, high = gap["interval"]
            cells.append(
                f"{gap['before']:.3f} → {gap['after']:.3f}: {gap['difference']:+.3f} ({low:+.3f} to {high:+.3f})"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "The embedded model's own answers averaged with the head's, where it knows the labels; precision, medians.",
        "",
        "| set | at random: head | with its own | by class: head | with its own |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in result["sets"].items():
        if "own" in one["random"]:
            cells = [f"{one[how][key]['median']:.2f}" for how in ("random", "class") for key in ("precision", "own")]
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
    result: dict[str, Any] = {"seeds": given.seeds, "known": known_faults(given.data_root), "sets": {}}
    for name in SETS:
        result["sets"][name] = measure(name, given.data_root, given.seeds, given.vectors)
        given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(result))


if __name__ == "__main__":
    main()
