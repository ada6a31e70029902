"""Which way to explain: methods of word shares compared on real texts, with the embedded classifier.

    python benchmarks/explain.py CORPUS --data-root ../shared/data -o benchmarks/results/explain.json

CORPUS is a built corpus with a test split of Russian and Chinese texts. Every method gets the same texts of 12 to 35
words and gives each word a share in the log-odds of the predicted sentiment.

- deletion: mean probability of the label while words are taken out, the largest share first; lower is better.
- insertion: mean probability while words are put into an empty text, the largest share first; higher is better.
- shapley: mean correlation with Shapley values from 15 pairs of random orders and their reverses.
- lexicon: how well shares in "positive" tell the words that lexicons call positive from those that they call negative,
  as an area under the ROC curve (Russian: RuSentiLex and KartaSlovSent where they do not disagree, by stem; Chinese:
  NTUSD in simplified characters).
- cost: tokens computed, in multiples of the text's own; seconds, in multiples of one pass over the text alone.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

import ottenok
from ottenok.explain.words import find_words, joined

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

LABELS = ("negative", "neutral", "positive")
RESULT = Path(__file__).parent / "results" / "explain.json"
TITLES = {
    "random": "random shares",
    "gains": "each word put into the empty text",
    "losses": "each word taken out (occlusion)",
    "both": "**mean of both: what ottenok does**",
    "reading": "two orders: as written, and backwards",
    "orders-1": "one random order and its reverse",
    "orders-4": "four random orders and their reverses",
    "kernel": "KernelSHAP, as many pairs of sets as words",
}


class Game:
    """The log-odds of a text's labels as a function of which words stay; what was asked before is remembered."""

    def __init__(self, classifier: ottenok.Classifier, text: str) -> None:
        self.text, self.words = text, find_words(text)
        self.count, self.tokens = len(self.words), 0
        self._classifier, self._known = classifier, dict[bytes, "Floats"]()

    def __call__(self, masks: npt.NDArray[np.bool_]) -> Floats:
        """Return the log-odds of all labels for each set of words that stay."""
        new = {mask.tobytes(): mask for mask in masks if mask.tobytes() not in self._known}
        if new:
            kept = [[word for word, stays in zip(self.words, mask, strict=True) if stays] for mask in new.values()]
            prepared = self._classifier.prepare([joined(self.text, words) or "." for words in kept])
            self.tokens += sum(map(len, prepared.windows.ids))
            answers = self._classifier.finish(prepared, self._classifier.run(prepared))
            probs = np.array([list(one.probabilities.values()) for one in answers], dtype=np.float64)
            probs = np.clip(probs, 1e-7, 1 - 1e-7)
            self._known.update(zip(new, np.log(probs / (1 - probs)), strict=True))
        return np.array([self._known[mask.tobytes()] for mask in masks])

    def ends(self) -> tuple[Floats, Floats]:
        """Return the log-odds of the whole text and of the empty one."""
        full = np.ones((1, self.count), dtype=bool)
        return self(full)[0], self(~full)[0]


def completed(game: Game, shares: Floats) -> Floats:
    """Give what is left over to the words by the size of their shares."""
    whole, base = game.ends()
    sizes = np.abs(shares) + 1e-12
    return shares + (whole - base - shares.sum(axis=0)) * sizes / sizes.sum(axis=0)


def gains(game: Game) -> Floats:
    """Return what each word changes alone in the empty text."""
    return game(np.eye(game.count, dtype=bool)) - game.ends()[1]


def losses(game: Game) -> Floats:
    """Return what each word changes by being taken out of the whole text."""
    return game.ends()[0] - game(~np.eye(game.count, dtype=bool))


def orders(game: Game, given: list[npt.NDArray[np.int64]]) -> Floats:
    """Return the mean change of each word when words come in these orders."""
    masks = np.zeros((len(given), game.count + 1, game.count), dtype=bool)
    for row, order in enumerate(given):
        for place, word in enumerate(order, start=1):
            masks[row, place:, word] = True
    values = game(masks.reshape(-1, game.count)).reshape(len(given), game.count + 1, -1)
    shares = np.zeros((game.count, values.shape[2]))
    for order, row in zip(given, values, strict=True):
        shares[order] += np.diff(row, axis=0)
    return shares / len(given)


def pairs(game: Game, count: int, random: np.random.Generator) -> Floats:
    """Return the mean change of each word in random orders and their reverses."""
    drawn = [random.permutation(game.count) for _ in range(count)]
    return orders(game, [order for one in drawn for order in (one, one[::-1])])


def kernel(game: Game, random: np.random.Generator) -> Floats:
    """Return KernelSHAP's shares (Lundberg and Lee 2017) from sets and their complements."""
    sizes = np.arange(1, game.count)
    chance = 1.0 / (sizes * (game.count - sizes))
    masks = np.zeros((2 * game.count, game.count), dtype=bool)
    for row, size in enumerate(random.choice(sizes, game.count, p=chance / chance.sum())):
        masks[2 * row, random.choice(game.count, size, replace=False)] = True
        masks[2 * row + 1] = ~masks[2 * row]
    whole, base = game.ends()
    there = masks.astype(np.float64)
    left = there[:, :-1] - there[:, [-1]]
    right = game(masks) - base - there[:, [-1]] * (whole - base)
    found = np.linalg.solve(left.T @ left + 1e-2 * np.eye(game.count - 1), left.T @ right)
    return np.vstack([found, whole - base - found.sum(axis=0)])


def methods(random: np.random.Generator) -> dict[str, Callable[[Game], Floats]]:
    """Return the methods that are compared."""
    return {
        "random": lambda game: random.normal(size=(game.count, 3)),
        "gains": lambda game: completed(game, gains(game)),
        "losses": lambda game: completed(game, losses(game)),
        "both": lambda game: completed(game, (gains(game) + losses(game)) / 2),
        "reading": lambda game: orders(game, [np.arange(game.count), np.arange(game.count)[::-1]]),
        "orders-1": lambda game: pairs(game, 1, random),
        "orders-4": lambda game: pairs(game, 4, random),
        "kernel": lambda game: kernel(game, random),
    }


def lexicons(root: Path) -> Callable[[str, str], int]:
    """Return what says of a word in a language whether lexicons call it positive (1), negative (-1) or neither (0)."""
    import opencc
    import snowballstemmer

    stem = snowballstemmer.stemmer("russian").stemWord
    marks: dict[str, set[int]] = defaultdict(set)
    for line in (root / "lexicons/rusentilex_2017.txt").read_text(encoding="utf-8").splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) > 3 and not line.startswith("!") and " " not in parts[0]:
            marks[stem(parts[0].lower())].add({"positive": 1, "negative": -1}.get(parts[3], 0))
    with (root / "lexicons/kartaslovsent.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter=";"):
            if " " not in row["term"]:
                marks[stem(row["term"].lower())].add({"PSTV": 1, "NGTV": -1}.get(row["tag"], 0))
    simplified = opencc.OpenCC("t2s").convert
    chinese: dict[str, set[int]] = defaultdict(set)
    for name, mark in (("positive", 1), ("negative", -1)):
        for word in simplified((root / f"lexicons/ntusd-{name}.txt").read_text(encoding="utf-8-sig")).split():
            chinese[word].add(mark)

    def mark(word: str, language: str) -> int:
        found = marks.get(stem(word.lower()), {0}) if language == "ru" else chinese.get(word, {0})
        return next(iter(found)) if len(found) == 1 else 0

    return mark


def measured(classifier: ottenok.Classifier, corpus: Path, root: Path, count: int) -> dict[str, Any]:
    """Return the figures of every method for each language."""
    from sklearn.metrics import roc_auc_score

    mark, random = lexicons(root), np.random.default_rng(0)
    table = pq.read_table(corpus / "corpus.parquet", columns=["text", "language", "split"]).to_pandas()
    result: dict[str, Any] = {}
    for language in ("ru", "zh"):
        rows = table[(table.split == "test") & (table.language == language)].sample(frac=1.0, random_state=1)
        texts = [text for text in rows.text[: 100 * count] if 12 <= len(find_words(text)) <= 35][:count]
        found: dict[str, list[list[float]]] = defaultdict(list)
        words: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for text in texts:
            judge = Game(classifier, text)
            whole, _ = judge.ends()
            label = int(whole.argmax())
            truth = pairs(judge, 15, random)[:, label]
            alone = Game(classifier, text)
            alone.ends()
            begun = time.perf_counter()
            Game(classifier, text)(np.ones((1, alone.count), dtype=bool))
            once = time.perf_counter() - begun
            for name, method in methods(random).items():
                game = Game(classifier, text)
                begun = time.perf_counter()
                shares = method(game)
                seconds = time.perf_counter() - begun
                order = np.argsort(-shares[:, label])
                masks = np.ones((game.count + 1, game.count), dtype=bool)
                for place, word in enumerate(order, start=1):
                    masks[place:, word] = False
                deleted, inserted = (1 / (1 + np.exp(-judge(some)[:, label])) for some in (masks, ~masks))
                like = 0.0 if shares[:, label].std() == 0 else np.corrcoef(shares[:, label], truth)[0, 1]
                cost = game.tokens / (len(classifier.prepare([text]).windows.ids[0]))
                found[name].append([deleted.mean(), inserted.mean(), like, cost, seconds / once])
                for word, share in zip(game.words, shares[:, LABELS.index("positive")], strict=True):
                    if (sign := mark(word.text, language)) != 0:
                        words[name].append((sign, float(share)))
        means = {name: np.mean(values, axis=0) for name, values in found.items()}
        medians = {name: float(np.median([row[4] for row in values])) for name, values in found.items()}
        result[language] = {
            "texts": len(texts),
            "words": len(words["both"]),
            "methods": {
                name: {
                    "deletion": round(float(mean[0]), 3),
                    "insertion": round(float(mean[1]), 3),
                    "shapley": round(float(mean[2]), 3),
                    "lexicon": round(
                        float(roc_auc_score([s > 0 for s, _ in words[name]], [v for _, v in words[name]])), 3
                    ),
                    "tokens": round(float(mean[3]), 1),
                    "seconds": round(medians[name], 1),
                }
                for name, mean in means.items()
            },
        }
    return result


def tables(result: dict[str, Any]) -> str:
    """Return the tables of docs/explain.md."""
    lines = []
    for language, title in (("ru", "Russian"), ("zh", "Chinese")):
        one = result[language]
        lines += [
            f"{title}: {one['texts']} texts, {one['words']} words that the lexicons mark.",
            "",
            "| method | deletion ↓ | insertion ↑ | like Shapley ↑ | lexicon AUROC ↑ | tokens × | time × |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for name, row in one["methods"].items():
            cells = (f"{row[key]:.3f}" for key in ("deletion", "insertion", "shapley", "lexicon"))
            lines.append(f"| {TITLES[name]} | {' | '.join(cells)} | {row['tokens']} | {row['seconds']} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    classifier = ottenok.load(tasks="sentiment-3", always=True)
    result = measured(classifier, given.corpus, given.data_root, given.texts)
    given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(result))


if __name__ == "__main__":
    main()
