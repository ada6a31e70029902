"""How the embedded classifier was made: half an hour on one GPU, in three rounds, then the usual finish.

    ottenok data build shades -o corpora/shades --data-root DATA
    python benchmarks/embedded.py corpora/shades ENCODER first --unlabelled TEXTS.txt
    python benchmarks/embedded.py corpora/shades ENCODER second --unlabelled TEXTS.txt --first first \
        --teacher-seconds 330 --student-seconds 270
    python benchmarks/embedded.py corpora/shades ENCODER third --unlabelled TEXTS.txt --second second \
        --teacher-seconds 265 --student-seconds 257
    ottenok train shades --corpus corpora/shades --model.encoder ENCODER --weights third/model.safetensors -o RUN

The first round trains two classifiers with all twelve layers (`--teacher-seconds` each, both at once on one GPU), lets
them score every text, and teaches a student that begins with the first teacher's first five layers: Kullback-Leibler
divergence at temperature 2 from the mean of the teachers' logits, and three tenths of the loss of the labels. The
second trains two more classifiers, three tenths of whose loss is what the first student thinks; the second of them
reads the texts with words masked for the first third of its time. Two students then go on from the first one, taught by
both (four tenths each) and by what it thought itself (two tenths), and the three students' weights are averaged.

The third asks no teacher about a text that it has learned from: a network that has seen a text's label a dozen times is
too sure of it, and a student learns that too. One network reads all texts with words masked; three teachers go on from
it, each on the labels of two thirds; each says what it thinks of the other third, at a temperature that its source's
labels ask for (cross-fitted distillation: Dao et al. 2021, https://arxiv.org/abs/2104.09732). Two students go on from
the second round's (three tenths, and one tenth, of the labels' loss), and the three are averaged. The first two rounds
learned without RuSentiment's posts, the third with them.

Half of the texts are read in another dress each time (`dress`). It is a script beside `ottenok train` because a
borrowed GPU's minutes had to be filled to the second: rates follow the clock. It is a tidied form of what ran. That of
the second round packed the texts into rows of 128 tokens and compiled the network, which is about three times as fast,
and weighed rare classes a little more (0.7 for 0.5 in `class_weights`); this form was tried on a CPU only. The last
line fits temperatures and thresholds, exports, quantises and writes the card, like the end of any other run.

A smaller try, on a CPU: `--scale 0.002 --teacher-seconds 60 --student-seconds 60 --rows 3000`.
"""

from __future__ import annotations

import argparse
import atexit
import hashlib
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from torch.nn import functional
from transformers import AutoModel

from ottenok.data.corpus import Corpus, open_corpus
from ottenok.recipes.train import load_recipe
from ottenok.tasks.calibration import fit_temperature
from ottenok.tasks.decision import Decision
from ottenok.text.noise import add_noise
from ottenok.text.normalise import TextOptions, normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SENTIMENT, EMOTIONS, STARS = slice(0, 3), slice(3, 10), slice(10, 15)
OUTPUTS = 15
MAX_LENGTH = 128
TOKENS = 12_000  # of a batch, padding included
# How teachers and students learn, in every round.
TEACHING = {"peak": 2.5e-4, "head_peak": 1e-3, "decay": 0.9}
STUDYING = {"peak": 3e-4, "head_peak": 5e-4, "decay": 1.0, "thought": 1.0}
CYRILLIC, HAN = re.compile("[а-яё]", re.IGNORECASE), re.compile("[\u4e00-\u9fff]")
MONTHS = (
    "января", "февраля", "марта", "апреля", "мая", "июня", "июля", "августа", "сентября",
    "октября", "ноября", "декабря",
)  # fmt: skip
QUOTES = ["«»", '""', "“”", "「」", "''", "„“", "《》", "()", "””"]
ADDRESSES = ["t.co/", "vk.com/wall", "weibo.com/", "example.com/", "youtu.be/", "ya.ru/", "bit.ly/"]


def date(rng: random.Random, *, russian: bool) -> str:
    """Return a date as logs, exports and posts write it."""
    year, month, day = rng.randint(2008, 2026), rng.randint(1, 12), rng.randint(1, 28)
    clock = f"{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}"
    numbers = [
        f"{day:02d}.{month:02d}.{year}",
        f"{year}-{month:02d}-{day:02d}",
        f"{year}-{month:02d}-{day:02d} {clock}",
        f"{day:02d}/{month:02d}/{year % 100:02d}",
        f"[{day:02d}.{month:02d}.{year} {clock}]",
    ]
    words = f"{day} {MONTHS[month - 1]} {year}" if russian else f"{year}年{month}月{day}日"
    return rng.choices([*numbers, words], weights=[2, 2, 1, 1, 1, 3])[0]


def number(rng: random.Random) -> str:
    """Return what stands before a text in an export: its number."""
    found = rng.randint(1, 9_999_999)
    return rng.choice(
        [f"#{found % 99_999}", f"id{found}", f"{found}", f"ID: {found}", f"№{found % 9_999}", f"[{found}]"]
    )


def address(rng: random.Random) -> str:
    """Return a web address."""
    tail = "".join(rng.choices("abcdefghijkmnpqrstuvwxyz0123456789", k=rng.randint(4, 10)))
    return f"https://{rng.choice(ADDRESSES)}{tail}"


def dress(text: str, rng: random.Random) -> str:
    """Return a text in another dress, which changes neither its sentiment nor its emotions."""
    russian = bool(CYRILLIC.search(text))
    if russian:
        change = rng.choices([str.upper, str.lower, str.capitalize, str.title, str], weights=[22, 12, 6, 6, 54])[0]
        text = change(text)
        if rng.random() < 0.3:
            text = text.replace("ё", "е").replace("Ё", "Е")
    elif rng.random() < 0.4:
        text = add_noise(text, "script", rate=1.0, seed=rng.randrange(2**31))
    draw = rng.random()
    if draw < 0.17:
        text = date(rng, russian=russian) + rng.choice([" ", "  ", ": ", " - ", "\n", ", "]) + text
    elif draw < 0.32:
        text = number(rng) + rng.choice([" ", ": ", " - ", ". "]) + text
    elif draw < 0.36:
        text = f"{number(rng)} {date(rng, russian=russian)} {text}"
    elif draw < 0.40:
        text = f"{text} {date(rng, russian=russian)}"
    draw = rng.random()
    if draw < 0.15:
        first, last = rng.choice(QUOTES)
        text = first + text + last
    elif draw < 0.28:
        text = f"{text} {address(rng)}"
    elif draw < 0.32:
        text = f"{address(rng)} {text}"
    elif draw < 0.38:
        text = f"@user{rng.randint(1, 99)} {text}"
    elif draw < 0.43:
        text = add_noise(text, "hashtags", rate=0.1, seed=rng.randrange(2**31))
    elif draw < 0.46:
        text = rng.choice(["> ", "- ", "— ", "• ", "* "]) + text
    draw = rng.random()
    if draw < 0.18:
        text = text.rstrip(".!?。！？…")
    elif draw < 0.24:
        text = re.sub(r"[^\w\s]", "", text)
    elif draw < 0.30:
        text = text.rstrip() + rng.choice([".", "。", "...", "!", "！"])
    elif draw < 0.42:
        text = add_noise(text, "typos", rate=0.1, seed=rng.randrange(2**31))
    return text


class Reader:
    """Dresses, normalises and tokenises texts in processes of its own."""

    tokenizer: Tokenizer
    text: TextOptions

    def __init__(self, encoder: Path, text: TextOptions, processes: int) -> None:
        self._pool = ProcessPoolExecutor(processes, initializer=Reader.begin, initargs=(str(encoder), text))
        atexit.register(self._pool.shutdown)

    @classmethod
    def begin(cls, encoder: str, text: TextOptions) -> None:
        """Open the tokenizer in a process."""
        cls.tokenizer = Tokenizer.from_file(f"{encoder}/tokenizer.json")
        cls.tokenizer.enable_truncation(MAX_LENGTH)
        cls.tokenizer.no_padding()
        cls.text = text

    @classmethod
    def part(cls, texts: Sequence[str], seed: int, share: float) -> list[npt.NDArray[np.uint16]]:
        """Return the ids of some texts, a share of them in another dress."""
        rng = random.Random(seed)
        worn = [dress(text, rng) if rng.random() < share else text for text in texts]
        found = [normalise(new, cls.text) or old for new, old in zip(worn, texts, strict=True)]
        return [np.array(one.ids, np.uint16) for one in cls.tokenizer.encode_batch(found)]

    def __call__(self, texts: Sequence[str], *, seed: int = 0, share: float = 0.0) -> list[npt.NDArray[np.uint16]]:
        """Return the ids of all texts; the same for the same seed."""
        parts = [texts[start : start + 4000] for start in range(0, len(texts), 4000)]
        seeds = [seed * 100_003 + 4000 * place for place in range(len(parts))]
        return [ids for part in self._pool.map(Reader.part, parts, seeds, [share] * len(parts)) for ids in part]


class Rows:
    """The corpus's rows and unlabelled texts as arrays: labels of each task, known or not, and classes of sources."""

    def __init__(
        self, corpus: Corpus, unlabelled: Sequence[str] = (), chosen: npt.NDArray[np.int64] | None = None
    ) -> None:
        table = corpus.table() if chosen is None else corpus.table().take(chosen)
        extra = len(unlabelled)
        self.texts: list[str] = [*table.column("text").to_pylist(), *unlabelled]
        self.source = np.array([*table.column("source").to_pylist(), *["unlabelled"] * extra])
        self.split = np.array([*table.column("split").to_pylist(), *["train"] * extra])
        self.train = self.split == "train"
        self.truth, self.known, self.present = [], [], []
        for task in corpus.tasks:
            found = [*table.column(task.column).to_pylist(), *[None] * extra]
            labels = task.scheme.labels
            self.known.append(np.array([one is not None for one in found]))
            self.truth.append(np.array([[label in (one or ()) for label in labels] for one in found], np.float32))
            given = {name: task.classes.get(name) or labels for name in set(self.source)}
            self.present.append(np.array([[label in given[name] for label in labels] for name in self.source]))
        # Sources of emotions whose sentiment follows from them; dialogues have both labels from their annotators.
        taught = {name for name in set(self.source) if self.known[1][self.source == name].mean() > 0.5}
        self.derived = np.isin(self.source, sorted(taught - {"cped", "bmeld"})) & self.known[0]


class Net(nn.Module):
    """Encoder, mean of its vectors, one linear layer for all tasks; a bias for each source while it learns."""

    def __init__(self, encoder: Path, sources: int) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            encoder, dtype=torch.float32, add_pooling_layer=False, attn_implementation="sdpa",
            hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        )  # fmt: skip
        torch.manual_seed(7)
        self.head = nn.Linear(self.encoder.config.hidden_size, OUTPUTS)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        self.bias = nn.Embedding(sources, OUTPUTS)
        nn.init.zeros_(self.bias.weight)
        for parameter in self.encoder.embeddings.parameters():
            parameter.requires_grad_(requires_grad=False)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, source: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits `[batch, 15]`: sentiment, emotions, stars."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        real = mask[..., None].float()
        logits: torch.Tensor = self.head((hidden * real).sum(1) / real.sum(1))
        return logits if source is None else logits + self.bias(source)


def padded(rows: Sequence[npt.NDArray[np.uint16]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask on the device; widths are multiples of 8."""
    ids = np.full((len(rows), -(-max(map(len, rows)) // 8) * 8), 1, np.int64)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    tensor = torch.from_numpy(ids).to(DEVICE, non_blocking=True)
    return tensor, (tensor != 1).long()


def batches(lengths: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], tokens: int) -> list[npt.NDArray[np.int64]]:
    """Cut rows, in their order, into batches of at most 512 texts and so many tokens."""
    found, start, longest = [], 0, 8
    for place, row in enumerate(rows):
        longest = max(longest, -(-int(lengths[row]) // 8) * 8)
        if place > start and (longest * (place - start + 1) > tokens or place - start >= 512):
            found.append(rows[start:place])
            start, longest = place, max(8, -(-int(lengths[row]) // 8) * 8)
    return [*found, rows[start:]] if len(rows) else found


@torch.inference_mode()
def score(net: Net, tokens: Sequence[npt.NDArray[np.uint16]]) -> npt.NDArray[np.float32]:
    """Return the logits of texts, without any source's bias."""
    net.eval()
    lengths = np.array([len(one) for one in tokens])
    found = np.zeros((len(tokens), OUTPUTS), np.float32)
    for batch in batches(lengths, np.argsort(lengths), 4 * TOKENS):
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            found[batch] = net(*padded([tokens[row] for row in batch])).float().cpu().numpy()
    return found


def class_weights(rows: Rows, sources: list[str]) -> torch.Tensor:
    """Return float32 `[sources, 3]`: what a class of sentiment weighs in its source, its mean 1."""
    found = np.ones((len(sources), 3), np.float32)
    for place, name in enumerate(sources):
        chosen = rows.train & (rows.source == name) & rows.known[0]
        counts = rows.truth[0][chosen].sum(0)
        there = counts >= 20
        if there.sum() > 1:
            weights = np.minimum(np.where(there, (counts[there].mean() / np.maximum(counts, 1)) ** 0.5, 1.0), 4.0)
            found[place] = weights / ((counts * weights).sum() / counts.sum())
    return torch.from_numpy(found).to(DEVICE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a network learns.

    Attributes:
        seed: Of rows and dresses.
        seconds: How long.
        steps: So many steps instead, by whose number the rates then go.
        tokens: Of a batch, padding included.
        rates: Source to how often an epoch reads its rows.
        scale: Share of the rows that an epoch reads.
        peak: Learning rate of the last layer, at most.
        head_peak: Of the head.
        decay: Of a layer's rate against that of the one above.
        labels: Weight of the labels' loss.
        thought: Weight of the loss of what teachers think.
        masked: Share of the time in which words are masked and guessed, before the rest.
        embeddings: Whether embeddings learn too, a layer below the first.
        biases: Whether each source has a bias of its own while labels are learned.
        smoothing: Share of a sentiment's cost that is spread over all labels.
    """

    seed: int
    seconds: float = 0.0
    steps: int | None = None
    tokens: int = TOKENS
    rates: dict[str, float]
    scale: float
    peak: float
    head_peak: float
    decay: float
    labels: float = 1.0
    thought: float = 0.0
    masked: float = 0.0
    embeddings: bool = False
    biases: bool = True
    smoothing: float = 0.05


class Costs:
    """What the logits of a batch cost: by the labels, by what teachers think, or by both."""

    def __init__(self, rows: Rows, soft: npt.NDArray[np.float32] | None, plan: Plan) -> None:
        sources = sorted(set(rows.source))
        self.source = torch.from_numpy(np.searchsorted(sources, rows.source)).to(DEVICE)
        self.truth = [torch.from_numpy(one).to(DEVICE) for one in rows.truth]
        self.known = [torch.from_numpy(one).to(DEVICE) for one in rows.known]
        self.present = [torch.from_numpy(one).to(DEVICE) for one in rows.present]
        self.weight = class_weights(rows, sources)
        # A sentiment that follows from an emotion teaches less than one that somebody gave.
        self.derived = torch.where(torch.from_numpy(rows.derived), 0.4, 1.0).to(DEVICE)
        self.soft = None if soft is None else torch.from_numpy(soft).to(DEVICE)
        self.plan = plan

    def __call__(self, logits: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Return a scalar for the logits of the rows of these numbers."""
        truth, known, present = ([part[batch] for part in one] for one in (self.truth, self.known, self.present))
        answers = truth[0].argmax(1)
        log = functional.log_softmax(logits[:, SENTIMENT].masked_fill(~present[0], -1e4), dim=-1)
        spread = (log * present[0]).sum(1) / present[0].sum(1)
        smoothing = self.plan.smoothing
        costs = (smoothing - 1.0) * log.gather(1, answers[:, None])[:, 0] - smoothing * spread
        costs = costs * known[0] * self.derived[batch] * self.weight[self.source[batch], answers]
        emotions = functional.binary_cross_entropy_with_logits(logits[:, EMOTIONS], truth[1], reduction="none")
        costs = costs + 1.5 * (emotions * present[1]).sum(1) * known[1]
        stars = functional.cross_entropy(logits[:, STARS], truth[2].argmax(1), reduction="none")
        loss: torch.Tensor = (costs + 0.3 * stars * known[2]).mean()
        if self.soft is None:
            return loss
        teacher = self.soft[batch]
        thought = torch.sigmoid(teacher[:, EMOTIONS])
        emotions = functional.binary_cross_entropy_with_logits(logits[:, EMOTIONS], thought, reduction="none")
        far = 1.5 * emotions.sum(1).mean()
        for columns, share in ((SENTIMENT, 1.0), (STARS, 0.3)):
            mine = functional.log_softmax(logits[:, columns] / 2.0, dim=-1)
            theirs = functional.softmax(teacher[:, columns] / 2.0, dim=-1)
            far = far + 4.0 * share * functional.kl_div(mine, theirs, reduction="none").sum(1).mean()
        return self.plan.labels * loss + self.plan.thought * far


class Guess(nn.Module):
    """The loss of words that were masked: BERT's head, with the encoder's own embeddings as its last layer."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        width, pieces = net.encoder.config.hidden_size, net.encoder.config.vocab_size
        self.dense, self.norm = nn.Linear(width, width), nn.LayerNorm(width)
        self.bias = nn.Parameter(torch.zeros(pieces))

    def forward(self, net: Net, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean cross-entropy over 15 % of the pieces; the last piece of the vocabulary is the mask."""
        chosen = (torch.rand(ids.shape, device=ids.device) < 0.15) & mask.bool()
        chosen[:, 0] = False
        shown = ids.masked_fill(chosen, net.encoder.config.vocab_size - 1)
        hidden = net.encoder(input_ids=shown, attention_mask=mask).last_hidden_state[chosen]
        embeddings = net.encoder.embeddings.word_embeddings.weight
        logits = functional.linear(self.norm(functional.gelu(self.dense(hidden))), embeddings).float() + self.bias
        return functional.cross_entropy(logits, ids[chosen])


def epoch_batches(
    rows: Rows, usable: npt.NDArray[np.bool_], lengths: npt.NDArray[np.int64], plan: Plan, epoch: int
) -> list[npt.NDArray[np.int64]]:
    """Draw an epoch's rows, each source at its rate, and cut them into batches of texts of like length."""
    rng, drawn = np.random.default_rng([plan.seed, epoch]), []
    for name in sorted(set(rows.source)):
        own = np.flatnonzero(rows.train & (rows.source == name) & usable)
        count = plan.rates.get(name, 1.0) * plan.scale * len(own)
        whole = int(count // max(1, len(own)))
        drawn += [own] * whole + [rng.choice(own, int(count - whole * len(own)), replace=False)]
    order = rng.permutation(np.concatenate(drawn))
    pools = [order[start : start + 20_000] for start in range(0, len(order), 20_000)]
    cut = [
        one for pool in pools for one in batches(lengths, pool[np.argsort(lengths[pool], kind="stable")], plan.tokens)
    ]
    return [cut[place] for place in rng.permutation(len(cut))]


def learn(
    net: Net,
    rows: Rows,
    reader: Reader,
    plan: Plan,
    soft: npt.NDArray[np.float32] | None = None,
    without: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Teach `net` for the plan's seconds or steps; `soft` are teachers' logits, rows in `without` are kept back."""
    if 0.0 < plan.masked < 1.0:
        learn(net, rows, reader, replace(plan, seconds=plan.masked * plan.seconds, masked=1.0), soft, without)
        plan = replace(plan, seconds=(1.0 - plan.masked) * plan.seconds, masked=0.0)
    layers, groups = net.encoder.config.num_hidden_layers, []
    net.encoder.embeddings.requires_grad_(plan.embeddings)
    for name, parameter in net.named_parameters():
        if parameter.requires_grad:
            layer = re.search(r"layer\.(\d+)\.", name)
            depth = layers if ".embeddings." in name else layers - int(layer[1]) - 1 if layer else None
            peak = plan.head_peak if depth is None else plan.peak * plan.decay**depth
            shrink = 0.0 if parameter.ndim < 2 else 0.1 if name.startswith("bias") else 0.01
            groups.append({"params": [parameter], "lr": peak, "peak": peak, "weight_decay": shrink})
    costs = Costs(rows, soft, plan)
    usable = np.logical_or.reduce(rows.known) | (soft is not None) | (plan.masked == 1.0)
    if without is not None:
        usable &= ~without
    guess = Guess(net).to(DEVICE) if plan.masked else None
    if guess is not None:
        groups = [
            {"params": [one for group in groups for one in group["params"]], "peak": 3e-4, "lr": 3e-4},
            {"params": list(guess.parameters()), "peak": 1e-3, "lr": 1e-3},
        ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-6, fused=True)

    def dressed(epoch: int) -> list[npt.NDArray[np.uint16]]:
        return reader(rows.texts, seed=epoch + 1 + 1000 * plan.seed, share=0.5)

    tokens, epoch, step, begun = dressed(0), 0, 0, time.monotonic()

    def share_done() -> float:
        return (time.monotonic() - begun) / plan.seconds if plan.steps is None else step / plan.steps

    while share_done() < 1.0:
        # The next epoch's texts are dressed while this one is learned.
        with ThreadPoolExecutor(1) as beside:
            following = beside.submit(dressed, epoch + 1)
            net.train()
            for chosen in epoch_batches(rows, usable, np.array([len(one) for one in tokens]), plan, epoch):
                done = share_done()
                if done >= 1.0:
                    break
                for group in optimizer.param_groups:
                    group["lr"] = group["peak"] * (done / 0.06 if done < 0.06 else max(0.02, (1.0 - done) / 0.94))
                batch = torch.from_numpy(chosen).to(DEVICE)
                ids, mask = padded([tokens[row] for row in chosen])
                with torch.autocast(DEVICE, dtype=torch.bfloat16):
                    source = costs.source[batch] if plan.biases and plan.labels > plan.thought else None
                    loss = costs(net(ids, mask, source), batch) if guess is None else guess(net, ids, mask)
                loss.backward()
                nn.utils.clip_grad_norm_(net.parameters(), 1.0)
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                step += 1
            tokens, epoch = following.result(), epoch + 1
        print(f"epoch {epoch}: {time.monotonic() - begun:.0f} s", flush=True)


def folds(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return which third a text is in, by its first letters, so that texts that begin alike are in one."""
    begins = [re.sub(r"[\W_]+", "", text.lower().replace("ё", "е"))[:24] for text in texts]
    return np.array([int(hashlib.md5(one.encode(), usedforsecurity=False).hexdigest()[:6], 16) % 3 for one in begins])


def softened(rows: Rows, logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return logits, those of each source and task over the temperature that its training labels ask for."""
    found = logits.copy()
    for place, (columns, activation) in enumerate(((SENTIMENT, "softmax"), (EMOTIONS, "sigmoid"), (STARS, "softmax"))):
        judged, heats = rows.train & rows.known[place], {}
        for name in sorted(set(rows.source[judged])):
            own = np.flatnonzero(judged & (rows.source == name))[:6000]
            if len(own) >= 300:
                there = rows.present[place][own[0]]  # the labels that the source can give
                truth = rows.truth[place][own][:, there] > 0
                fit = fit_temperature(logits[own, columns][:, there], truth, Decision(activation=activation))
                heats[name] = fit.temperature
        usual = float(np.median(list(heats.values()))) if heats else 1.0
        for name in set(rows.source):
            found[rows.source == name, columns] /= heats.get(name, usual)
    return found


def third_round(
    options: argparse.Namespace,
    rows: Rows,
    reader: Reader,
    common: dict[str, Any],
    student: Callable[[Path], Net],
    beside: Callable[[str, Sequence[int]], None],
) -> None:
    """Teach students by what teachers think of texts that they have not learned from; see the head of this file."""
    folder, second, third = options.weights, options.second, folds(rows.texts)
    masked = folder / "masked.safetensors"
    if options.teacher is not None:
        net = Net(options.encoder, len(set(rows.source)))
        net.load_state_dict(load_file(masked))
        torch.manual_seed(30 + options.teacher)
        plan = Plan(
            seed=30 + options.teacher,
            seconds=options.teacher_seconds,
            **TEACHING,
            smoothing=0.0,
            **common,
        )
        learn(net.to(DEVICE), rows, reader, plan, without=third == options.teacher)
        np.save(folder / f"fold{options.teacher}.npy", score(net, reader(rows.texts)))
        return
    if options.student is not None:
        plan = Plan(
            seed=options.student,
            seconds=options.student_seconds,
            labels=0.3 if options.student == 41 else 0.1,
            **STUDYING,
            **common,
        )
        net = student(second / "student.safetensors")
        learn(net, rows, reader, plan, np.load(folder / "soft.npy"))
        found = {name: one.cpu() for name, one in net.state_dict().items()}
        save_file(found, folder / f"student{options.student}.safetensors")
        return
    net = Net(options.encoder, len(set(rows.source))).to(DEVICE)
    told = {**common, **TEACHING, "rates": {}}
    learn(net, rows, reader, Plan(seed=30, seconds=0.25 * options.teacher_seconds, masked=1.0, **told))
    save_file(net.state_dict(), masked)
    beside("--teacher", (0, 1, 2))
    said = np.stack([np.load(folder / f"fold{place}.npy") for place in range(3)])
    held = np.where(rows.train[:, None], said[third, np.arange(len(third))], said.mean(0))
    np.save(folder / "soft.npy", softened(rows, held))
    beside("--student", (41, 42))
    average([second / "student.safetensors", *(folder / f"student{n}.safetensors" for n in (41, 42))], folder)


def main_learn(options: argparse.Namespace) -> None:
    """Train the teachers and the student; a teacher or a second student is this same script in a process of its own."""
    recipe, corpus = load_recipe("shades"), open_corpus(options.corpus)
    extra = options.unlabelled.read_text(encoding="utf-8").splitlines() if options.unlabelled else []
    folder: Path = options.weights
    folder.mkdir(parents=True, exist_ok=True)
    count = len(corpus.table())
    rows = Rows(corpus, extra, options.rows and np.random.default_rng(0).choice(count, options.rows, replace=False))
    reader = Reader(options.encoder, TextOptions(**corpus.manifest["recipe"]["text"]), options.processes)
    first: Path | None = options.first
    layers = len(recipe.model.layers)

    def student(weights: Path) -> Net:
        net = Net(options.encoder, len(set(rows.source)))
        net.encoder.encoder.layer = net.encoder.encoder.layer[:layers]
        net.encoder.config.num_hidden_layers = layers
        # A teacher has more layers: its first ones are taken.
        given = load_file(weights)
        net.load_state_dict({name: one for name, one in given.items() if name in net.state_dict()})
        return net.to(DEVICE)

    def beside(what: str, seeds: Sequence[int]) -> None:
        alone = [sys.executable, __file__, *sys.argv[1:], what]
        running = [subprocess.Popen([*alone, str(seed)]) for seed in seeds]
        if any(one.wait() for one in running):
            sys.exit(f"{what} failed: see above")

    common = {"rates": recipe.balance.rates, "scale": options.scale}
    if options.second is not None:
        third_round(options, rows, reader, common, student, beside)
        return
    thoughts = None
    if first is not None:
        kept = first / "thoughts.npy"
        if not kept.is_file():
            np.save(kept, score(student(first / "student.safetensors"), reader(rows.texts)).astype(np.float16))
        thoughts = np.load(kept).astype(np.float32)
    if options.teacher is not None:
        plan = Plan(
            seed=options.teacher,
            seconds=options.teacher_seconds,
            **TEACHING,
            labels=1.0 if first is None else 0.7,
            thought=0.0 if first is None else 0.3,
            masked=0.3 if first is not None and options.teacher % 2 == 0 else 0.0,
            **common,
        )
        torch.manual_seed(options.teacher)
        net = Net(options.encoder, len(set(rows.source))).to(DEVICE)
        learn(net, rows, reader, plan, thoughts)
        np.save(folder / f"teacher{options.teacher}.npy", score(net, reader(rows.texts)).astype(np.float16))
        save_file(net.state_dict(), folder / f"teacher{options.teacher}.safetensors")
        return
    seeds = (1, 2) if first is None else (11, 12)
    if options.student is None:
        beside("--teacher", seeds)
    said = [np.load(folder / f"teacher{seed}.npy").astype(np.float32) for seed in seeds]
    soft = np.mean(said, axis=0) if thoughts is None else 0.4 * said[0] + 0.4 * said[1] + 0.2 * thoughts
    plan = Plan(
        seed=options.student or 3,
        seconds=options.student_seconds,
        labels=0.3,
        **STUDYING,
        **common,
    )
    if first is None or options.student is not None:
        begin = folder / "teacher1.safetensors" if first is None else first / "student.safetensors"
        net = student(begin)
        learn(net, rows, reader, plan, soft)
        name = "student" if first is None else f"student{options.student}"
        save_file({name: one.cpu() for name, one in net.state_dict().items()}, folder / f"{name}.safetensors")
        return
    beside("--student", (21, 22))
    average([first / "student.safetensors", *(folder / f"student{n}.safetensors" for n in (21, 22))], folder)


def average(files: Sequence[Path], folder: Path) -> None:
    """Write the mean of students' weights as the round's student."""
    weights = [load_file(one) for one in files]
    mean = {name: torch.stack([one[name].float() for one in weights]).mean(0) for name in weights[0]}
    save_file(mean, folder / "student.safetensors")


def rename(options: argparse.Namespace) -> None:
    """Name the student's weights as the recipe's network has them, for `ottenok train shades --weights`."""
    weights = {
        name: one.float().contiguous() for name, one in load_file(options.weights / "student.safetensors").items()
    }
    given = {name: one for name, one in weights.items() if name.startswith("encoder.encoder.")}
    for name, columns in {"head": SENTIMENT, "others.0.head": EMOTIONS, "others.1.head": STARS}.items():
        given[f"{name}.out.weight"] = weights["head.weight"][columns].contiguous()
        given[f"{name}.out.bias"] = weights["head.bias"][columns].contiguous()
    save_file(given, options.weights / "model.safetensors")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--unlabelled", type=Path, help="A text a line.")
    parser.add_argument("--teacher-seconds", type=float, default=225.0)
    parser.add_argument("--student-seconds", type=float, default=205.0)
    parser.add_argument("--scale", type=float, default=1.0, help="Share of the rows that an epoch reads.")
    parser.add_argument("--rows", type=int, help="Read so many rows of the corpus only.")
    parser.add_argument("--processes", type=int, default=7)
    parser.add_argument("--first", type=Path, help="Folder of the first round: do the second.")
    parser.add_argument("--second", type=Path, help="Folder of the second round: do the third.")
    parser.add_argument("--teacher", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--student", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    main_learn(options)
    if options.teacher is None and options.student is None:
        rename(options)


if __name__ == "__main__":
    main()
