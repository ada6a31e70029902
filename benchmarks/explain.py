"""Which way to explain: methods of word shares compared on real texts, with the embedded classifier.

    python benchmarks/explain.py CORPUS --data-root ../shared/data [--torch RUN] [-o benchmarks/results/explain.json]

CORPUS is a built corpus with a test split of Russian and Chinese texts; RUN is the folder of a training with the same
weights in float32, for the gradients. Every method gets the same texts of 12 to 35 words and gives each word a share in
the log-odds of the predicted sentiment; a text without words is the special tokens alone. What is left over goes to all
words by the size of their shares, so that every method's shares add up.

- deletion: mean probability of the label while words are taken out, the largest share first; lower is better.
- insertion: mean probability while words are put into an empty text, the largest share first; higher is better.
- shapley: mean correlation with Shapley values from 15 pairs of random orders and their reverses.
- lexicon: how well shares in "positive" tell the words that lexicons call positive from those that they call negative,
  as an area under the ROC curve (Russian: RuSentiLex and KartaSlovSent where they do not disagree, by stem; Chinese:
  NTUSD in simplified characters).
- tokens: those computed, in multiples of the text's own; of gradients, passes forward, and back counted twice.
- processor: processor time, in multiples of one pass over the text, median; single texts, so it swings.
- time: a text of 25 words, `Classifier.explain` and one pass over the text alone, processor time and by the clock.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import time
from collections import defaultdict
from functools import cache
from itertools import islice
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
TEXT = (
    "Номер оказался обшарпанный и тесноватый, администраторша беспрестанно хамила, но завтраки отменные, панорама с "
    "балкона восхитительная, до набережной рукой подать, советую"
)
RESULT = Path(__file__).parent / "results" / "explain.json"
TITLES = {
    "random": "random shares",
    "gains": "each word put into the empty text",
    "losses": "each word taken out (occlusion)",
    "both": "mean of both: what ottenok did before",
    "core": "**into the empty text, and into or out of the weightier half: what ottenok does**",
    "core-third": "the same with the weightiest third",
    "near": "into the empty text, and out of the five words around it",
    "reading": "two orders: as written, and backwards",
    "orders-1": "one random order and its reverse",
    "orders-4": "four random orders and their reverses",
    "halves": "sets of half the words and their complements, ridge regression from the gains",
    "kernel": "KernelSHAP, as many pairs of sets as words",
    "gradient": "input × gradient (torch, float32)",
    "integrated": "integrated gradients from the special tokens, 16 steps (torch, float32)",
}


@cache
def empty(classifier: ottenok.Classifier) -> Floats:
    """Return the log-odds of the labels of a text without words."""
    return np.array([classifier.explain(" ", label=label).base for label in LABELS])


class Game:
    """The log-odds of a text's labels as a function of which words stay; what was asked before is remembered."""

    def __init__(self, classifier: ottenok.Classifier, text: str) -> None:
        self.text, self.words = text, find_words(text)
        self.count, self.tokens = len(self.words), 0
        self._classifier, self._known = classifier, dict[bytes, "Floats"]()
        self.empty = empty(classifier)

    def __call__(self, masks: npt.NDArray[np.bool_]) -> Floats:
        """Return the log-odds of all labels for each set of words that stay."""
        new = {mask.tobytes(): mask for mask in masks if mask.tobytes() not in self._known}
        if new:
            kept = [[word for word, stays in zip(self.words, mask, strict=True) if stays] for mask in new.values()]
            prepared = self._classifier.prepare([joined(self.text, words) for words in kept])
            self.tokens += sum(map(len, prepared.windows.ids))
            answers = self._classifier.finish(prepared, self._classifier.run(prepared))
            probs = np.array([list(one.probabilities.values()) for one in answers], dtype=np.float64)
            probs = np.clip(probs, 1e-7, 1 - 1e-7)
            there = prepared.windows.counts[:, None] > 0
            self._known.update(zip(new, np.where(there, np.log(probs / (1 - probs)), self.empty), strict=True))
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


def among(game: Game, share: float) -> Floats:
    """Return what ottenok.explain.shares does: gains, and changes of a core with this share of the words."""
    alone, size = gains(game), max(6, math.ceil(share * game.count))
    strength = np.abs(alone).max(axis=1)
    core = np.zeros(game.count, dtype=bool)
    core[np.argsort(-strength, kind="stable")[:size]] = True
    changed = game(core ^ np.eye(game.count, dtype=bool))
    weight = min(0.75, 0.5 * strength.sum() / strength[core].sum())
    return (1 - weight) * alone + weight * np.where(core, 1.0, -1.0)[:, None] * (game(core[None])[0] - changed)


def near(game: Game, size: int) -> Floats:
    """Return the mean of gains and of what words change among so many on each side of them."""
    places = np.arange(game.count)
    masks = np.abs(places[:, None] - places) <= size
    return (gains(game) + game(masks) - game(masks & ~np.eye(game.count, dtype=bool))) / 2


def halves(game: Game, pairs_of_sets: int, random: np.random.Generator) -> Floats:
    """Return a ridge regression on random halves of the words and their complements, held to 0.6 of the gains."""
    masks = np.zeros((2 * pairs_of_sets, game.count), dtype=bool)
    for row in range(pairs_of_sets):
        masks[2 * row, random.permutation(game.count)[: game.count // 2]] = True
        masks[2 * row + 1] = ~masks[2 * row]
    whole, base = game.ends()
    prior = 0.6 * gains(game)
    there = np.vstack([masks.astype(np.float64), np.full((1, game.count), 5.0)])
    left = np.vstack([game(masks) - base, 5.0 * (whole - base)]) - there @ prior
    return prior + np.linalg.solve(there.T @ there + 2.0 * np.eye(game.count), there.T @ left)


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


class Gradients:
    """Shares from gradients of the log-odds, token by token, in torch.

    Args:
        run: A training's folder with the classifier's weights in float32.
        classifier: Which tokens it gets.
    """

    def __init__(self, run: Path, classifier: ottenok.Classifier) -> None:
        from ottenok.models.network import load

        self._model, self._classifier = load(run), classifier
        self._table = self._model.get_input_embeddings()

    def __call__(self, game: Game, steps: int) -> Floats:
        """Return input times gradient (one step), or integrated gradients, of each word and label."""
        import torch

        prepared = self._classifier.prepare([game.text])
        ids = torch.tensor(np.array(prepared.windows.ids[:1]), dtype=torch.long)
        with torch.no_grad():
            inner = self._table(ids)
        inner[:, [0, -1]] = 0.0  # the special tokens stay as they are; their place is added below
        ends = self._table(ids).detach() - inner
        shares = torch.zeros(ids.shape[1], len(LABELS))
        for step in range(steps):
            at = (1.0 if steps == 1 else (step + 0.5) / steps) * inner + ends
            at.requires_grad_()
            handle = self._table.register_forward_hook(lambda *_, at=at: at)
            logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, : len(LABELS)]
            handle.remove()
            logs = torch.log_softmax(logits, dim=0)
            for label in range(len(LABELS)):
                odds = logs[label] - torch.log1p(-logs[label].exp())
                (slope,) = torch.autograd.grad(odds, at, retain_graph=True)
                shares[:, label] += (slope * inner)[0].sum(dim=1) / steps
        game.tokens += 3 * steps * ids.shape[1]
        return self._words(game, shares.numpy().astype(np.float64))

    def _words(self, game: Game, shares: Floats) -> Floats:
        """Give tokens to words: a token belongs to the word whose beginning of the text first holds it."""
        ends = [len(self._classifier.prepare([game.text[: word.end]]).windows.ids[0]) - 1 for word in game.words]
        found = np.zeros((game.count, len(LABELS)))
        start = 1
        for place, end in enumerate(ends):
            found[place] = shares[start : max(end, start)].sum(axis=0)
            start = max(end, start)
        return found


def methods(random: np.random.Generator, gradients: Gradients | None) -> dict[str, Callable[[Game], Floats]]:
    """Return the methods that are compared."""
    found: dict[str, Callable[[Game], Floats]] = {
        "random": lambda game: random.normal(size=(game.count, 3)),
        "gains": lambda game: completed(game, gains(game)),
        "losses": lambda game: completed(game, losses(game)),
        "both": lambda game: completed(game, (gains(game) + losses(game)) / 2),
        "core": lambda game: completed(game, among(game, 0.5)),
        "core-third": lambda game: completed(game, among(game, 1 / 3)),
        "near": lambda game: completed(game, near(game, 2)),
        "reading": lambda game: orders(game, [np.arange(game.count), np.arange(game.count)[::-1]]),
        "orders-1": lambda game: pairs(game, 1, random),
        "orders-4": lambda game: pairs(game, 4, random),
        "halves": lambda game: completed(game, halves(game, 6, random)),
        "kernel": lambda game: kernel(game, random),
    }
    if gradients is not None:
        found["gradient"] = lambda game: completed(game, gradients(game, 1))
        found["integrated"] = lambda game: completed(game, gradients(game, 16))
    return found


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


def measured(classifier: ottenok.Classifier, corpus: Path, root: Path, run: Path | None, count: int) -> dict[str, Any]:
    """Return the figures of every method for each language."""
    from sklearn.metrics import roc_auc_score

    mark, random = lexicons(root), np.random.default_rng(0)
    gradients = None if run is None else Gradients(run, classifier)
    table = pq.read_table(corpus / "corpus.parquet", columns=["text", "language", "split"]).to_pandas()
    result: dict[str, Any] = {}
    for language in ("ru", "zh"):
        # Not the draw on which methods were chosen (random_state 1).
        rows = table[(table.split == "test") & (table.language == language)].sample(frac=1.0, random_state=2)
        texts = [text for text in rows.text[: 100 * count] if 12 <= len(find_words(text)) <= 35][:count]
        found: dict[str, list[list[float]]] = defaultdict(list)
        words: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for text in texts:
            judge = Game(classifier, text)
            whole, _ = judge.ends()
            label = int(whole.argmax())
            truth = pairs(judge, 15, random)[:, label]
            begun = time.process_time()
            Game(classifier, text)(np.ones((1, judge.count), dtype=bool))
            once = time.process_time() - begun
            for name, method in methods(random, gradients).items():
                game = Game(classifier, text)
                begun = time.process_time()
                shares = method(game)
                spent = (time.process_time() - begun) / once
                order = np.argsort(-shares[:, label])
                masks = np.ones((game.count + 1, game.count), dtype=bool)
                for place, word in enumerate(order, start=1):
                    masks[place:, word] = False
                deleted, inserted = (1 / (1 + np.exp(-judge(some)[:, label])) for some in (masks, ~masks))
                like = 0.0 if shares[:, label].std() == 0 else np.corrcoef(shares[:, label], truth)[0, 1]
                cost = game.tokens / (len(classifier.prepare([text]).windows.ids[0]))
                found[name].append([deleted.mean(), inserted.mean(), like, cost, spent])
                for word, share in zip(game.words, shares[:, LABELS.index("positive")], strict=True):
                    if (sign := mark(word.text, language)) != 0:
                        words[name].append((sign, float(share)))
        means = {name: np.mean(values, axis=0) for name, values in found.items()}
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
                    "processor": round(float(np.median([row[4] for row in found[name]])), 1),
                }
                for name, mean in means.items()
            },
        }
    return result


def marked(classifier: ottenok.Classifier, corpus: Path, root: Path, count: int = 55) -> dict[str, Any]:
    """Return the lexicons' figure of cheap methods on more texts, all of which hold a word that lexicons mark."""
    from sklearn.metrics import roc_auc_score

    mark, every = lexicons(root), methods(np.random.default_rng(0), None)
    table = pq.read_table(corpus / "corpus.parquet", columns=["text", "language", "split"]).to_pandas()
    result = {}
    for language in ("ru", "zh"):
        texts = table[(table.split == "test") & (table.language == language)].sample(frac=1.0, random_state=3).text
        games = (Game(classifier, text) for text in texts if 12 <= len(find_words(text)) <= 35)
        signed = ((game, [mark(word.text, language) for word in game.words]) for game in games)
        found: dict[str, list[tuple[bool, float]]] = defaultdict(list)
        for game, signs in islice((one for one in signed if any(one[1])), count):
            for name in ("gains", "losses", "both", "core", "near"):
                shares = every[name](game)[:, LABELS.index("positive")]
                found[name] += [(sign > 0, share) for sign, share in zip(signs, shares.tolist(), strict=True) if sign]
        areas = {name: round(float(roc_auc_score(*zip(*rows, strict=True))), 3) for name, rows in found.items()}
        result[language] = {"texts": count, "words": len(found["both"]), "methods": areas}
    return result


def timed() -> dict[str, Any]:
    """Return what explaining a text of 25 words takes, with one thread and with two: medians and the least of 25."""
    found: dict[str, Any] = {"words": len(find_words(TEXT)), "load": round(os.getloadavg()[0], 1)}
    for threads in (1, 2):
        classifier = ottenok.load(threads=threads)
        found["tokens"] = len(classifier.prepare([TEXT]).windows.ids[0])
        for name, work in (("explain", classifier.explain), ("answer", classifier)):
            work(TEXT)
            spent, lasted = [], []
            for _ in range(25):
                begun, clock = time.process_time(), time.perf_counter()
                work(TEXT)
                spent.append(1e3 * (time.process_time() - begun))
                lasted.append(1e3 * (time.perf_counter() - clock))
            found[f"{name}, threads {threads}"] = {
                "processor_ms": [round(float(np.median(spent)), 1), round(min(spent), 1)],
                "clock_ms": [round(float(np.median(lasted)), 1), round(min(lasted), 1)],
            }
    return found


def tables(result: dict[str, Any]) -> str:
    """Return the tables of docs/explain.md."""
    lines = []
    for language, title in (("ru", "Russian"), ("zh", "Chinese")):
        one = result[language]
        lines += [
            f"{title}: {one['texts']} texts, {one['words']} words that the lexicons mark.",
            "",
            "| method | deletion ↓ | insertion ↑ | like Shapley ↑ | lexicon AUROC ↑ | tokens × | processor time × |",
            "|---|---:|---:|---:|---:|---:|---:|",
        ]
        for name, row in one["methods"].items():
            cells = (f"{row[key]:.3f}" for key in ("deletion", "insertion", "shapley", "lexicon"))
            lines.append(f"| {TITLES[name]} | {' | '.join(cells)} | {row['tokens']} | {row['processor']} |")
        lines.append("")
        if (more := result.get("lexicon", {}).get(language)) is not None:
            areas = ", ".join(f"{TITLES[name].strip('*')} {area:.3f}" for name, area in more["methods"].items())
            lines += [
                f"Lexicon AUROC on {more['texts']} other texts with {more['words']} such words: {areas}.",
                "",
            ]
    if (one := result.get("time")) is not None:
        lines += [
            (
                f"A text of {one['words']} words ({one['tokens']} tokens), milliseconds, median (least) of 25 runs; "
                f"load of the machine's two cores {one['load']}:"
            ),
            "",
            "| what | threads | processor time | by the clock |",
            "|---|---:|---:|---:|",
        ]
        for name, row in one.items():
            if isinstance(row, dict):
                what, threads = name.split(", threads ")
                spent, clock = ("{} ({})".format(*row[key]) for key in ("processor_ms", "clock_ms"))
                lines.append(f"| {what} | {threads} | {spent} | {clock} |")
        lines.append("")
    return "\n".join(lines)


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--torch", type=Path)
    parser.add_argument("--texts", type=int, default=20)
    parser.add_argument("--only", choices=["lexicon", "time"], help="Measure this part alone, and keep the rest.")
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.only != "time" and (given.corpus is None or given.data_root is None):
        parser.error("expected CORPUS and --data-root, or --only time")
    classifier = ottenok.load(tasks="sentiment-3", always=True)
    if given.only:
        result = json.loads(given.out.read_text(encoding="utf-8"))
    else:
        result = measured(classifier, given.corpus, given.data_root, given.torch, given.texts)
    if given.only != "time":
        result["lexicon"] = marked(classifier, given.corpus, given.data_root)
    if given.only != "lexicon":
        result["time"] = timed()
    given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(result))


if __name__ == "__main__":
    main()
