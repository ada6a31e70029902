"""How long a corpus of two million short texts takes to build, how much memory, and whether it finds what was planted.

    python benchmarks/corpus_build.py                     # 2,000,000 rows; writes results/corpus_build.json
    python benchmarks/corpus_build.py --rows 200000       # a quick look, nothing is written
    python benchmarks/corpus_build.py --table             # the table in README.md, made from the result

The texts are made up with a seed: Russian-looking words and Chinese characters with Zipf's frequencies, in the lengths
of reviews and posts. About one row in twelve repeats an earlier one in other letters' case and punctuation, and about
one in twenty-four changes a letter or two of an earlier one; those count as planted whose Jaccard index is over the
threshold. A row's place in its file is its id, so what became of every planted pair is known. The build runs in a
process of its own, whose peak memory the system reports (pages of mapped files included).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from ottenok.core.config import parse
from ottenok.data.build import build
from ottenok.data.stats import corpus_stats
from ottenok.recipes.corpus import CleanOptions, CorpusRecipe
from ottenok.text.normalise import dedupe_key

HERE = Path(__file__).parent
RESULT = HERE / "results" / "corpus_build.json"
README = HERE / "README.md"
BEGIN, END = "<!-- corpus_build: made by corpus_build.py --table -->", "<!-- /corpus_build -->"
ROWS = 2_000_000
BLOCK = 50_000
EXACT, NEAR = 0.10, 0.05  # shares of rows that repeat an earlier one
LABELS = np.array(["negative", "neutral", "positive"])
CONSONANTS, VOWELS = "бвгджзклмнпрстфхцчшщ", "аеёиоуыэюя"


@dataclass
class Stages:
    """A progress observer that keeps the seconds of each stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    name: str = ""
    began: float = 0.0

    def start(self, stage: str, *, total: int | None, unit: str) -> None:  # noqa: ARG002
        """Begin a stage."""
        self.name, self.began = stage, time.perf_counter()

    def advance(self, count: int = 1) -> None:
        """Ignore the units."""

    def finish(self) -> None:
        """Add up the stage's time."""
        self.seconds[self.name] = round(self.seconds.get(self.name, 0) + time.perf_counter() - self.began, 1)
        print(f"{self.name}: {self.seconds[self.name]} s", file=sys.stderr, flush=True)

    def note(self, message: str) -> None:
        """Ignore notes."""


def words(random: np.random.Generator, count: int) -> np.ndarray:
    """Make Russian-looking words."""
    parts = [random.choice(list(letters), (count, 5)) for letters in (CONSONANTS, VOWELS)]
    syllables = np.char.add(*parts)
    lengths = random.integers(1, 6, count)
    return np.array(["".join(row[:length]) for row, length in zip(syllables, lengths, strict=True)])


def russian(random: np.random.Generator, vocabulary: np.ndarray, count: int) -> list[str]:
    """Make texts of 3 to 60 words, half of them under 12."""
    sizes = np.minimum(3 + random.geometric(0.08, count), 60)
    chosen = vocabulary[np.minimum(random.zipf(1.3, sizes.sum()) - 1, random.integers(0, len(vocabulary), sizes.sum()))]
    return [" ".join(part) for part in np.split(chosen, np.cumsum(sizes)[:-1])]


def chinese(random: np.random.Generator, count: int) -> list[str]:
    """Make texts of 5 to 200 characters, half of them under 25."""
    sizes = np.minimum(5 + random.geometric(0.035, count), 200)
    points = 0x4E00 + np.minimum(random.zipf(1.2, sizes.sum()) - 1, random.integers(0, 3_000, sizes.sum()))
    letters = points.astype("<u4").tobytes().decode("utf-32-le")
    ends = np.cumsum(sizes)
    return [letters[end - size : end] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]


def changed(random: np.random.Generator, text: str, letter: str) -> str:
    """Change one letter, or two of a long text."""
    letters = list(text)
    for place in random.integers(0, len(letters), 1 + (len(letters) > 150)):
        letters[place] = letter
    return "".join(letters)


def make_file(path: Path, rows: int, *, chinese_texts: bool, seed: int) -> dict[str, list[tuple[int, int]]]:
    """Write a CSV file of made-up rows; return the planted pairs of row numbers, by kind."""
    random = np.random.default_rng(seed)
    vocabulary = words(random, 60_000)
    planted: dict[str, list[tuple[int, int]]] = {"exact": [], "near": []}
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    with pa.csv.CSVWriter(path, schema) as sink:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            texts = chinese(random, count) if chinese_texts else russian(random, vocabulary, count)
            labels = LABELS[random.integers(0, 3, count)]
            kinds = random.random(count)
            for place in np.flatnonzero(kinds < EXACT + NEAR).tolist():
                origin = int(random.integers(0, max(place, 1)))
                if kinds[origin] < EXACT + NEAR:
                    continue  # only texts that are their own are repeated
                labels[place] = labels[origin]
                exact = kinds[place] < EXACT
                source = texts[origin]
                texts[place] = (
                    f"{source.upper()}!!" if exact else changed(random, source, "龘" if chinese_texts else "ъ")
                )
                planted["exact" if exact else "near"].append((start + origin + 1, start + place + 1))
            sink.write_table(pa.table([pa.array(texts), pa.array(labels.tolist())], schema=schema))
    return planted


def is_near(left: str, right: str, options: CleanOptions) -> bool:
    """Whether two texts are near duplicates by the definition, computed on plain sets."""
    sets = []
    for key in (dedupe_key(left), dedupe_key(right)):
        width = options.shingle_han if key[0] >= "一" else options.shingle
        sets.append({key[place : place + width] for place in range(len(key) - width + 1)})
    big = min(map(len, (dedupe_key(left), dedupe_key(right)))) - width + 1 >= options.minimum_shingles
    return big and len(sets[0] & sets[1]) / len(sets[0] | sets[1]) >= options.threshold


def run_build(work: Path) -> None:
    """Build the corpus and print what it took: the child process."""
    listed = [
        {"own": {"name": name, "file": str(work / f"{name}.csv"), "languages": [name], "scheme": "sentiment-3"}}
        for name in ("ru", "zh")
    ]
    recipe = parse(CorpusRecipe, {"name": "two-million", "scheme": "sentiment-3", "sources": listed})
    stages = Stages()
    began = time.perf_counter()
    build(recipe, root=None, cache=work / "cache", out=work / "corpus", progress=stages)
    print(json.dumps({"seconds": round(time.perf_counter() - began, 1), "stages": stages.seconds}))


def kept_rows(work: Path, name: str, rows: int) -> np.ndarray:
    """Which rows of a file are in the corpus: bool[rows + 1], by their number."""
    import pyarrow.parquet as pq

    kept = np.zeros(rows + 1, dtype=bool)
    ids = pq.read_table(work / "corpus" / "corpus.parquet", columns=["id"], filters=[("source", "=", name)])
    kept[[int(row.rpartition("/")[2]) for row in ids.column("id").to_pylist()]] = True
    return kept


def read_texts(work: Path, name: str) -> pa.ChunkedArray:
    """Read a made-up file's texts again."""
    return pa.csv.read_csv(work / f"{name}.csv").column("text")


def judge(work: Path, planted: dict[str, dict[str, list[tuple[int, int]]]], rows: int) -> dict[str, int]:
    """Count the planted pairs, and those of which one row is gone."""
    found = {"exact_planted": 0, "exact_found": 0, "near_planted": 0, "near_found": 0, "below_threshold_dropped": 0}
    for name, kinds in planted.items():
        kept = kept_rows(work, name, rows)
        texts = read_texts(work, name).to_pylist()
        for kind, pairs in kinds.items():
            for origin, copy in pairs:
                gone = not (kept[origin] and kept[copy])
                if kind == "exact" or is_near(texts[origin - 1], texts[copy - 1], CleanOptions()):
                    found[f"{kind}_planted"] += 1
                    found[f"{kind}_found"] += gone
                else:
                    found["below_threshold_dropped"] += gone
    return found


def measure(rows: int, seed: int) -> dict[str, object]:
    """Make the files, build in a child process, and judge the result."""
    with tempfile.TemporaryDirectory(prefix="corpus-build-") as folder:
        work = Path(folder)
        half = rows // 2
        planted = {
            name: make_file(work / f"{name}.csv", half, chinese_texts=name == "zh", seed=seed + number)
            for number, name in enumerate(("ru", "zh"))
        }
        load = os.getloadavg()[0]
        child = subprocess.run(
            [sys.executable, __file__, "--child", folder], check=True, stdout=subprocess.PIPE, text=True
        )
        took = json.loads(child.stdout)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        from ottenok.data.corpus import open_corpus

        stats = corpus_stats(open_corpus(work / "corpus"))
        reasons: dict[str, int] = {}
        for source in stats.sources:
            for one in source.dropped:
                reasons[one.reason] = reasons.get(one.reason, 0) + one.rows
        return {
            "rows": 2 * half,
            "seed": seed,
            "input_mb": round(sum(file.stat().st_size for file in work.glob("*.csv")) / 1e6),
            "seconds": took["seconds"],
            "rows_per_second": round(2 * half / took["seconds"]),
            "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
            "peak_rss_mb": round(used.ru_maxrss / 1024),
            "stages": took["stages"],
            "kept": stats.rows,
            "dropped": reasons,
            "near": asdict(stats.near) if stats.near else None,
            "planted": judge(work, planted, half),
            "machine": machine(load),
        }


def machine(load: float) -> dict[str, object]:
    """Say on what this was measured."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    versions = {name: __import__(name).__version__ for name in ("numpy", "pyarrow", "scipy")}
    from importlib import metadata

    return {
        "cpu": cpu or platform.processor(),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
        "python": platform.python_version(),
        **versions,
        "rensa": metadata.version("rensa"),
    }


def table(result: dict) -> str:
    """Write the result as Markdown."""
    planted, kept, on = result["planted"], result["kept"], result["machine"]
    rows = {
        "rows": f"{result['rows']:,} ({result['input_mb']} MB of CSV, Russian and Chinese)",
        "time": f"{result['seconds']:.0f} s ({result['rows_per_second']:,} rows/s)",
        "processor time": f"{result['cpu_seconds']:.0f} s",
        "peak memory of the process": f"{result['peak_rss_mb']:,} MB",
        "planted exact duplicates found": found_of(planted, "exact"),
        "planted near duplicates found": found_of(planted, "near"),
        "kept": f"train {kept['train']:,}, validation {kept['validation']:,}, test {kept['test']:,}",
        "machine": f"{on['cpu']}, {on['cores']} cores, load {on['load_before']} before the run; Python {on['python']}",
    }
    lines = [
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows.items()),
        "",
        "| stage | seconds |",
        "|---|---|",
        *(f"| {name} | {seconds:.1f} |" for name, seconds in result["stages"].items()),
    ]
    return "\n".join(lines)


def found_of(planted: dict[str, int], kind: str) -> str:
    """Say how many of the planted pairs were found."""
    found, everything = planted[f"{kind}_found"], planted[f"{kind}_planted"]
    return f"{found:,} of {everything:,} ({found / max(everything, 1):.2%})"


def write_table() -> None:
    """Put the table into the README, between its marks."""
    text = README.read_text(encoding="utf-8") if README.exists() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    if BEGIN not in text:
        text += f"\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    body = table(json.loads(RESULT.read_text(encoding="utf-8")))
    title = "## A corpus of two million texts\n\n`python benchmarks/corpus_build.py`; what is measured is said there.\n"
    README.write_text(f"{before}{BEGIN}\n{title}\n{body}\n{END}{after or chr(10)}", encoding="utf-8")


def main() -> None:
    """Run what the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=ROWS)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--table", action="store_true", help="only write the table")
    arguments.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    chosen = arguments.parse_args()
    if chosen.child:
        run_build(chosen.child)
        return
    if not chosen.table:
        result = measure(chosen.rows, chosen.seed)
        print(json.dumps(result, ensure_ascii=False, indent=2))
        if chosen.rows != ROWS:
            return
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    write_table()


if __name__ == "__main__":
    main()
