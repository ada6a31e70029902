"""Distil a classifier: soft targets from teachers, a student trained on them, and the two side by side."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.core.config import merge, parse
from ottenok.core.errors import ConfigError, DataError
from ottenok.core.files import atomic_write_text, sha256_file
from ottenok.core.lazy import check_extra, need
from ottenok.core.progress import SILENT, Progress
from ottenok.data.corpus import CORPUS_FILE
from ottenok.recipes.train import TeacherOptions, TrainRecipe, load_recipe
from ottenok.studies.cards import rewrite_card
from ottenok.studies.training import Trained, train
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.data.corpus import Split
    from ottenok.tasks.tables import Grid

__all__ = ["RESULTS_FILE", "Distilled", "distil"]

RESULTS_FILE = "distil.json"
_HOME = Places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Distilled:
    """A finished student.

    Attributes:
        trained: The student, with ONNX graphs and card.
        rows: Teacher and student on test rows (without those, on validation rows), as `distil.json` in the student's
            folder has them: the fields of `ottenok.training.distil.Compared`; empty where there are no such rows.
        table: The same to be read.
    """

    trained: Trained
    rows: list[dict[str, Any]]
    table: Grid


def distil(
    recipe: str | Path | TrainRecipe,
    out: str | Path,
    *,
    over: Mapping[str, Any] | None = None,
    resume: bool = False,
    places: Places = _HOME,
    progress: Progress = SILENT,
) -> Distilled | None:
    """Train a student on what teachers think of the recipe's texts, and of more texts without labels.

    What the teachers say is written into the cache, shard by shard, and read from there by the next student of the same
    teachers and texts.

    Args:
        recipe: A TOML file with a table `[distil]`, the name of a recipe, or a recipe.
        out: The student's folder; empty or absent unless `resume`.
        over: Keys to replace in the recipe, nested.
        resume: Go on with the run that is in `out`.
        places: Where data is.
        progress: Is told what happens.

    Returns:
        What came out; None in processes other than the first, where torchrun started several.

    Raises:
        OttenokError: The recipe, a teacher or the data is wrong.
        MissingExtraError: The extra `train` is not installed.
    """
    check_extra("train")
    with need("train"):
        from ottenok.training.distil import Teacher, compared, comparison_table, soft_targets, with_unlabelled
        from ottenok.training.run import check_ready
    if isinstance(recipe, TrainRecipe):
        resolved = parse(TrainRecipe, merge(recipe.model_dump(mode="json"), TrainRecipe.upgraded(over or {})))
    else:
        resolved = load_recipe(recipe, over)
    options = resolved.distil
    if options is None:
        raise ConfigError(
            "the recipe has no table [distil]", hint="Name a teacher: --distil.teachers '[\"FOLDER\"]'", key="distil"
        )
    if absent := [name for name in options.unlabelled if not Path(name).is_file()]:
        raise DataError("there is no such file", file=absent[0], key="distil.unlabelled")
    check_ready(resolved)
    teachers = [Teacher(name, resolved.run, cache=places.cache) for name in options.teachers]
    corpus = corpus_of(resolved.data, places, progress)
    # Shards and corpora are named by what decides them, so that a call that was killed finds its own again.
    facts = [
        sha256_file(corpus.folder / CORPUS_FILE),
        options.text,
        [sha256_file(Path(one)) for one in options.unlabelled],
    ]
    name = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]
    folder = places.cache / "distil"
    corpus = with_unlabelled(corpus, options.unlabelled, options.text, folder=folder / f"corpus-{name}")
    wanted = [task.name for task in resolved.tasks]
    tasks = [task for task in corpus.tasks if not wanted or task.name in wanted]
    size = resolved.batch.eval_batch_size
    file = soft_targets(teachers, corpus, tasks, folder=folder, size=size, progress=progress)
    teacher = TeacherOptions(file=str(file), weight=options.weight, temperature=options.temperature)
    data = resolved.data.model_copy(update={"corpus": str(corpus.folder)})
    student = resolved.model_copy(update={"teacher": teacher, "data": data})
    trained = train(student, out, resume=resume, places=places, progress=progress)
    if trained is None:
        return None
    split: Split = "test" if "test" in trained.reports else "validation"
    bundle = trained.bundle
    learned = bundle.manifest.task_list(canonical=True)
    found = compared(teachers, bundle.folder, learned, corpus, split=split, size=size, progress=progress)
    rows = [asdict(one) for one in found]
    told: dict[str, Any] = {"teachers": [Path(name).name for name in options.teachers], "split": split, "rows": rows}
    atomic_write_text(bundle.folder / RESULTS_FILE, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    names = ", ".join(told["teachers"])
    notes = [
        f"{one.task}: macro F1 {one.teacher:.3f} of the teacher ({names}) and {one.student:.3f} of this student on "
        f"{one.rows:,} {split} rows: {one.difference:+.3f} [{one.low:+.3f}, {one.high:+.3f}]."
        for one in found
        if one.part == "all"
    ]
    old = [note for note in bundle.manifest.notes if note not in notes]
    write_manifest(bundle.folder, bundle.manifest.model_copy(update={"notes": (*old, *notes)}))
    bundle = open_bundle(bundle.folder)
    rewrite_card(bundle)
    trained = replace(trained, bundle=bundle)
    return Distilled(trained=trained, rows=rows, table=comparison_table(found))
