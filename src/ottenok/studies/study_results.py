"""What a study leaves for readers and for documents: `results.json` and `results.md`."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.bundle.folder import read_manifest
from ottenok.bundle.manifest import MANIFEST
from ottenok.core.files import atomic_write_text
from ottenok.inference.api import available_processors
from ottenok.studies.compare_tables import as_markdown
from ottenok.tasks.metrics import METRICS, best
from ottenok.tasks.tables import Grid
from ottenok.training.facts import public_recipe, versions
from ottenok.training.folder import HISTORY_FILE, read_history

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.studies.compare import Comparison
    from ottenok.studies.study import Entry, StudyPlan

__all__ = ["best_epoch", "write_results"]

# The names of the files, without their suffixes.
_RESULTS = "results"
_FORMAT = 2

# What the table of a variant's epochs shows, if its history has it, besides the figures that the study compares.
_EPOCH = (("epoch", "epoch", "{:.4g}"), ("train_loss", "train loss", "{:.4f}"), ("loss", "validation loss", "{:.4f}"))
_EPOCH_FIGURES = ("accuracy", "subset_accuracy", "macro_f1", "weighted_f1", "micro_f1", "macro_auc", "mae")


def best_epoch(folder: Path, metric: str) -> int | None:
    """Return the position of a run's best epoch by a metric of its history; None if it has none."""
    rows = read_history(folder) if (folder / HISTORY_FILE).is_file() else []
    return best(metric, [row[metric] for row in rows]) if all(metric in row for row in rows) else None


def write_results(
    folder: Path, plan: StudyPlan, entries: Mapping[str, Entry], comparison: Comparison | None
) -> dict[str, Any]:
    """Write both files into the study's folder.

    Returns:
        What is in `results.json`: `name`, `description`; `variants`, one per run, with its `state`, the `reason` of a
        failure, `minutes`, resolved `recipe`, `epochs` and the position of the `best` one, `reports` per split (with
        several tasks, per split and task), `training` facts, `data` and `notes`; the `comparison` (None if nothing is
        finished); the `environment`.
    """
    variants = []
    for run in plan.runs:
        entry, place = entries[run.folder], folder / run.folder
        done = (place / MANIFEST).is_file()
        one: dict[str, Any] = {
            "name": run.variant.name,
            "title": run.variant.title,
            "seed": run.seed,
            "folder": run.folder,
            "state": "done" if done else entry.state,
            "reason": "" if done else entry.reason,
            "minutes": entry.minutes,
            "recipe": public_recipe(run.recipe),
            "epochs": read_history(place) if (place / HISTORY_FILE).is_file() else [],
            "best": best_epoch(place, run.recipe.run.metric),
        }
        if done:
            manifest = read_manifest(place)
            data, training, first = manifest.data, manifest.training, manifest.tasks[0].name
            several = len(manifest.tasks) > 1
            one |= {
                "reports": manifest.metrics
                if several
                else {name: reports[first] for name, reports in manifest.metrics.items() if first in reports},
                "decision": {task.name: task.decision.to_json() for task in manifest.tasks}
                if several
                else manifest.decision.to_json(),
                "training": None if training is None else training.model_dump(mode="json"),
                "data": None if data is None else {"name": data.name, "rows": data.rows, "dropped": data.dropped},
                "notes": list(manifest.notes),
            }
        variants.append(one)
    # The processor's name, where the system tells it.
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text(encoding="utf-8", errors="replace").splitlines() if facts.is_file() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    tree = {
        "format": _FORMAT,
        "name": plan.name,
        "description": plan.description,
        "variants": variants,
        "comparison": None if comparison is None else comparison.to_json(),
        "environment": {
            "versions": versions(),
            "system": f"{platform.system()} {platform.machine()}",
            "processor": named[0] if named else platform.processor(),
            "processors": available_processors(),
            "threads": os.environ.get("OMP_NUM_THREADS", ""),
        },
        "minutes": round(sum(one["minutes"] for one in variants), 3),
    }
    file = folder / _RESULTS
    atomic_write_text(file.with_suffix(".json"), json.dumps(tree, ensure_ascii=False, indent=1) + "\n")
    atomic_write_text(file.with_suffix(".md"), _markdown(tree, comparison))
    return tree


def _markdown(tree: dict[str, Any], comparison: Comparison | None) -> str:
    """Return the comparison, each variant's epochs with what its manifest notes, and the machine."""
    parts = [f"# {tree['name']}", tree["description"]]
    if comparison is None:
        rows = tuple((one["title"], one["reason"] or one["state"]) for one in tree["variants"])
        parts.append(Grid(header=("", "reason"), rows=rows).markdown())
    else:
        parts.append(as_markdown(comparison))
    metrics = () if comparison is None else comparison.metrics
    for variant in tree["variants"]:
        if not variant["epochs"]:
            continue
        first = variant["epochs"][0]
        names = [name for name in dict.fromkeys((*metrics, *_EPOCH_FIGURES)) if name in first]
        columns = [column for column in _EPOCH if column[0] in first]
        columns += [(name, METRICS[name].title if name in METRICS else name, "{:.4f}") for name in names]
        columns.append(("minutes", "minutes", "{:.1f}"))
        epochs = tuple(
            tuple(form.format(row[key]) if key in row else "-" for key, _, form in columns) for row in variant["epochs"]
        )
        parts.append(f"## {variant['title']}, seed {variant['seed']}: epochs on validation rows")
        parts.append(Grid(header=tuple(title for _, title, _ in columns), rows=epochs).markdown())
        parts.append("\n".join(f"- {note}" for note in variant.get("notes", [])))
    here = tree["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in here["versions"].items())
    parts.append(
        f"## Machine\n\n{here['processor'] or 'An unnamed processor'}, {here['processors']} processors, "
        f"{here['system']}; {tree['minutes']:.1f} minutes in all. {packages}."
    )
    return "\n\n".join(part for part in parts if part) + "\n"
