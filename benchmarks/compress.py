"""What `ottenok compress` makes of a classifier: size, speed, F1 and worst cell after each step.

    python benchmarks/compress.py MODEL CORPUS [--rows N]   # measure, write results/compress.json
    python benchmarks/compress.py --table                   # the table of README.md, from the result

MODEL is the folder of a classifier with an fp32 graph; the vocabulary is cut to the training texts of CORPUS, and the
steps are measured on its test rows.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from pathlib import Path
from typing import Any

from ottenok.core.files import atomic_write_text
from ottenok.studies.compress import compress

RESULT = Path(__file__).parent / "results" / "compress.json"


def table(found: dict[str, Any]) -> str:
    """Return the result as Markdown."""
    lines = [
        "| step | MB | texts/s | times | task | macro F1 | change | same answers | worst cell |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for step in found["steps"]:
        head = f"| {step['name']} | {step['bytes'] / 1e6:.1f} | {step['texts_per_second']:,.0f} | {step['speed']:.2f}"
        for task, one in step["tasks"].items():
            worst = f"{one['cell']} {-one['cell_loss']:+.3f}" if one["cell"] else "-"
            change = f"{0.0 - one['loss']:+.4f}"
            lines.append(f"{head} | {task} | {one['macro_f1']:.3f} | {change} | {one['same']:.1%} | {worst} |")
            head = "| | | |"
    told = [f"- {step['name']}: {step['told']}." for step in found["steps"][1:]]
    return "\n".join([*lines, "", *told, "", f"{found['what']}"])


def main() -> None:
    """Measure, or show the table of what was measured."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", nargs="?")
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(table(json.loads(RESULT.read_text(encoding="utf-8"))))
        return
    if given.model is None or given.corpus is None:
        parser.error("expected MODEL and CORPUS")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "small"
        done = compress(given.model, out, data=given.corpus, vocabulary=[given.corpus], most_rows=given.rows)
    facts = done.bundle.manifest
    rows = ", ".join(f"{count:,} of {task}" for task, count in done.rows.items())
    what = (
        f"The classifier `{facts.name}` in fp32, the training texts of `{done.data.split(',')[0]}`, its test rows "
        f"({rows}); one thread, processor time; Python {platform.python_version()}."
    )
    atomic_write_text(RESULT, json.dumps({"what": what, **done.to_json()}, ensure_ascii=False, indent=1) + "\n")
    print(table(json.loads(RESULT.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
