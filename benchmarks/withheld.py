"""How often labels are withheld from usual texts, and from texts that a classifier should not answer.

    pip download --no-deps django -d /tmp/django
    python benchmarks/withheld.py CORPUS --data-root ../shared/data --catalogue /tmp/django/*.whl [--model FOLDER]
        [--distance] [-o benchmarks/results/withheld.json]

Usual: the test rows of every source of CORPUS, and short texts. Not to be answered: messages of Django's catalogues in
other languages, English comments (GoEmotions' originals), lines of this repository's code, random and shuffled letters,
random Han characters, signs. Another domain: Django's messages in Russian and Chinese. AUROC is that of `unfamiliar`
against all usual test texts. With --distance alone is measured, and put beside the rest, how well the distance of a
text's embedding from usual ones tells the same (Mahalanobis: from the nearest mean of a sentiment's validation rows, by
their common covariance), also for test texts of a source whose validation rows it does not know.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

import ottenok

if TYPE_CHECKING:
    from collections.abc import Callable

RESULT = Path(__file__).parent / "results" / "withheld.json"
SHORT = """
ок|👍|норм|да|нет|спс|ага|好|不错|赞|哈哈|可以|супер|ужас|+|👎|😂😂😂|ок 👍|хз|имхо|лол|кек|666|👍👍|好评|差评|ok|good
nice|ну такое|фу
5+|!!!|...|wow|не оч|топ|棒|呵呵|一般
"""
MIXED = """
iPhone 15 Pro Max супер|купил MacBook Air, доволен|Wi-Fi не работает|特别喜欢 iPhone 15 Pro Max|OMG 太好看了
сервис Ozon + Wildberries = боль|Netflix and chill, но фильм скучный|这个 app 老是 crash|Thank you, всё отлично
good game, но лагает|love you все|剧情 so so|BMW X5 — огонь|ну такой себе fast food
"""
LANGUAGES = {
    "uk": "Ukrainian", "be": "Belarusian", "bg": "Bulgarian", "kk": "Kazakh", "de": "German", "fr": "French",
    "tr": "Turkish", "ja": "Japanese", "ko": "Korean", "ar": "Arabic",
}  # fmt: skip


def messages(wheel: Path, language: str, count: int, draw: random.Random) -> list[str]:
    """Return sentences of at least 20 letters of Django's catalogues in a language."""
    found = []
    with zipfile.ZipFile(wheel) as archive:
        for name in sorted(archive.namelist()):
            if f"locale/{language}/LC" in name and name.endswith(".po"):
                for match in re.finditer(r'msgstr(?:\[0\])? ((?:"[^\n]*"\n)+)', archive.read(name).decode()):
                    text = "".join(line[1:-1] for line in match[1].splitlines()).replace("\\n", " ").replace('\\"', '"')
                    plain = re.sub(r"%\(\w+\)s|%s|%d|\{\w*\}|<[^>]*>", "", text)
                    if "Project-Id" not in plain and sum(map(str.isalpha, plain)) >= (
                        8 if language.startswith("zh") else 20
                    ):
                        found.append(plain)
    return draw.sample(found, min(count, len(found)))


def strange(usual: list[str], draw: random.Random) -> dict[str, list[str]]:
    """Return texts of the lengths of usual ones that say nothing."""
    sizes = [max(8, min(len(text), 300)) for text in usual]

    def words(alphabet: str) -> list[str]:
        made = []
        for size in sizes:
            text = ""
            while len(text) < size:
                text += "".join(draw.choices(alphabet, k=draw.randint(2, 9))) + " "
            made.append(text.strip())
        return made

    signs = "!@#$%^&*()_+-=[]{};:'\",.<>/?|~`0123456789 "
    shuffled = [" ".join("".join(draw.sample(word, len(word))) for word in text.split()) for text in usual]
    return {
        "random Cyrillic letters": words("абвгдежзийклмнопрстуфхцчшщъыьэюя"),
        "random Latin letters": words("abcdefghijklmnopqrstuvwxyz"),
        "random Han characters": [
            "".join(map(chr, draw.choices(range(0x4E00, 0x9FA5), k=size // 3))) for size in sizes
        ],
        "shuffled letters of words": shuffled,
        "signs and digits": ["".join(draw.choices(signs, k=size)) for size in sizes],
    }


def questions(tests: Any, root: Path, wheel: Path) -> dict[str, list[str]]:  # noqa: ANN401 - a frame of pandas
    """Return the texts that are asked about, by what they are."""
    draw = random.Random(0)
    asked: dict[str, list[str]] = {
        "short texts": re.findall(r"[^|\n]+", SHORT),
        "mixed languages": re.findall(r"[^|\n]+", MIXED),
    }
    asked |= {title: messages(wheel, code, 200, draw) for code, title in LANGUAGES.items()}
    with (root / "ru-goemotions/ru-go-emotions-simplified-test.csv").open(encoding="utf-8") as stream:
        english = [row["text"] for row in csv.DictReader(stream)]
    asked["English"] = draw.sample(english, 400)
    lines = [
        line.strip()
        for file in sorted(Path(ottenok.__file__).parent.rglob("*.py"))
        for line in file.open(encoding="utf-8")
    ]
    asked["code"] = draw.sample([line for line in lines if len(line) >= 20], 300)
    russian = tests[(tests.language == "ru") & (tests.text.str.len() >= 12)].text.sample(300, random_state=1).tolist()
    asked |= strange(russian, draw)
    asked |= {"another domain, Russian": messages(wheel, "ru", 200, draw)}
    asked |= {"another domain, Chinese": messages(wheel, "zh_Hans", 200, draw)}
    return asked


def distances(model: str | None, corpus: Path, root: Path, wheel: Path) -> dict[str, float]:
    """Return the AUROC of the distance of embeddings, of what is asked about and of each source that is left out."""
    from sklearn.metrics import roc_auc_score

    classifier = ottenok.load(model)
    table = pq.read_table(corpus / "corpus.parquet").to_pandas()
    table = table[table["labels:sentiment-3"].notna() & (table.split != "train")]
    rows = table.groupby(["split", "source"]).sample(frac=1.0, random_state=0)
    rows = rows.groupby(["split", "source"]).head(100)
    vectors = classifier.embed(rows.text.tolist()).astype(np.float64)
    labels, sources = np.array([one[0] for one in rows["labels:sentiment-3"]]), rows.source.to_numpy()
    fit, test = (rows.split == "validation").to_numpy(), (rows.split == "test").to_numpy()

    def measure(known: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        means = np.array([vectors[known & (labels == label)].mean(axis=0) for label in np.unique(labels)])
        inner = vectors[known] - means[np.searchsorted(np.unique(labels), labels[known])]
        spread = np.cov(inner.T)
        inverse = np.linalg.inv(spread + 1e-2 * np.trace(spread) / len(spread) * np.eye(len(spread)))
        return lambda found: np.min([(((found - one) @ inverse) * (found - one)).sum(axis=1) for one in means], axis=0)

    def area(usual: np.ndarray, strange: np.ndarray) -> float:
        truth = np.repeat([0, 1], [len(usual), len(strange)])
        return round(float(roc_auc_score(truth, np.concatenate([usual, strange]))), 3)

    far = measure(fit)
    usual = far(vectors[test])
    found = {
        name: area(usual, far(classifier.embed(texts).astype(np.float64)))
        for name, texts in questions(table[table.split == "test"], root, wheel).items()
    }
    for source in np.unique(sources[test]):
        other = measure(fit & (sources != source))
        found[f"test of {source}"] = area(
            other(vectors[test & (sources != source)]), other(vectors[test & (sources == source)])
        )
    return found


def measured(model: str | None, corpus: Path, root: Path, wheel: Path, count: int) -> dict[str, Any]:
    """Return what becomes of usual texts and of those that should not be answered."""
    from sklearn.metrics import roc_auc_score

    classifier = ottenok.load(model)
    table = pq.read_table(corpus / "corpus.parquet", columns=["text", "language", "source", "split"]).to_pandas()
    tests = table[table.split == "test"]
    usual: dict[str, list[str]] = {}
    for source, rows in tests.groupby("source"):
        usual[str(source)] = rows.text.sample(min(count, len(rows)), random_state=0).tolist()
    asked = questions(tests, root, wheel)

    def answers(texts: list[str]) -> tuple[dict[str, Any], np.ndarray]:
        found = classifier(texts)
        reasons = [answer.reason for answer in found]
        facts = {
            "texts": len(texts),
            "language": round(reasons.count("language") / len(texts), 4),
            "unfamiliar": round(reasons.count("unfamiliar") / len(texts), 4),
        }
        return facts, np.array([np.nan if answer.unfamiliar is None else answer.unfamiliar for answer in found])

    result: dict[str, Any] = {"usual": {}, "asked": {}}
    scores = []
    for name, texts in usual.items():
        result["usual"][name], found = answers(texts)
        scores.append(found)
    base = np.concatenate(scores)
    base = base[~np.isnan(base)]
    for name, texts in asked.items():
        facts, found = answers(texts)
        found = found[~np.isnan(found)]
        if len(base) and len(found):
            truth = np.repeat([0, 1], [len(base), len(found)])
            facts["auroc"] = round(float(roc_auc_score(truth, np.concatenate([base, found]))), 3)
        result["asked"][name] = facts
    return result


def tables(result: dict[str, Any]) -> str:
    """Return the tables of docs/withheld.md."""
    usual = result["usual"].values()
    total = sum(one["texts"] for one in usual)
    shares = [sum(one[key] * one["texts"] for one in usual) / total for key in ("language", "unfamiliar")]
    lines = [
        (
            f"Of {total:,} test texts of {len(usual)} sources {shares[0]:.2%} are taken for another language, "
            f"{shares[1]:.2%} for strange."
        ),
        "",
        "| texts | how many | withheld: language | withheld: unfamiliar | AUROC of `unfamiliar` |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, one in result["asked"].items():
        area = f"{one['auroc']:.3f}" if "auroc" in one else "-"
        lines.append(f"| {name} | {one['texts']:,} | {one['language']:.1%} | {one['unfamiliar']:.1%} | {area} |")
    if "distance" in result:
        far = result["distance"]
        left = {name.removeprefix("test of "): area for name, area in far.items() if name.startswith("test of ")}
        lines += [
            "",
            "AUROC of the distance of embeddings, which is not used: "
            + ", ".join(f"{name} {area:.3f}" for name, area in far.items() if not name.startswith("test of "))
            + f". Of test texts of a source that was left out: {np.median(list(left.values())):.3f} in the median of "
            + f"{len(left)} sources, from {min(left.values()):.3f} ({min(left, key=lambda name: left[name])}) to "
            + f"{max(left.values()):.3f} ({max(left, key=lambda name: left[name])}).",
        ]
    lines += ["", "| test | texts | withheld: language | withheld: unfamiliar |", "|---|---:|---:|---:|"]
    for name, one in result["usual"].items():
        lines.append(f"| {name} | {one['texts']:,} | {one['language']:.2%} | {one['unfamiliar']:.2%} |")
    return "\n".join([*lines, ""])


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--catalogue", type=Path, required=True)
    parser.add_argument("--model")
    parser.add_argument("--distance", action="store_true")
    parser.add_argument("--texts", type=int, default=300)
    parser.add_argument("-o", "--out", type=Path, default=RESULT)
    given = parser.parse_args()
    if given.distance:
        result = json.loads(given.out.read_text(encoding="utf-8"))
        result["distance"] = distances(given.model, given.corpus, given.data_root, given.catalogue)
    else:
        result = measured(given.model, given.corpus, given.data_root, given.catalogue, given.texts)
    given.out.write_text(json.dumps(result, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(tables(result))


if __name__ == "__main__":
    main()
