"""From a recipe to a corpus on the disk, in three passes: read, clean, write.

The texts go through a file beside the corpus; a row in memory is some fifty bytes. The folder appears when it is whole.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError
from ottenok.core.files import atomic_folder
from ottenok.core.progress import SILENT
from ottenok.data.clean import Cleaning
from ottenok.data.corpus import CORPUS_FILE, MANIFEST_FILE, REJECTS_FILE, Corpus, open_corpus
from ottenok.data.harmonise import TaskLabels, task_harmonisers
from ottenok.data.inputs import find_inputs
from ottenok.data.intake import Intake, Noted, take_in
from ottenok.data.ledger import Codes, LedgerWriter
from ottenok.data.manifest import Account, manifest_text
from ottenok.data.output import RowWriter
from ottenok.data.own import corpus_schemes
from ottenok.data.spill import open_spill, write_spill
from ottenok.tables.rejects import RejectsFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
    from ottenok.data.harmonise import Harmoniser
    from ottenok.data.inputs import Inputs
    from ottenok.recipes.corpus import CorpusRecipe

__all__ = ["build"]


def build(recipe: CorpusRecipe, *, root: Path | None, cache: Path, out: Path, progress: Progress = SILENT) -> Corpus:
    """Build a corpus.

    The same recipe, files and versions give the same bytes, in whatever order the recipe lists its sources. On any
    failure and on Ctrl-C nothing is left behind, and a corpus that was in `out` is still there.

    Args:
        recipe: What to build.
        root: Folder of data sets that is looked into first, or None.
        cache: Folder of fetched data sets.
        out: The corpus's folder; a corpus that is there is replaced, anything else is not.
        progress: Told about stages with totals, and about sources that are left out.

    Raises:
        ConfigError: The recipe names a source twice, or none of its sources is here.
        DataError: A file that is needed is absent, altered or can't be read, no row is left, or `out` holds something
            else.
        SchemeError: A source's labels do not lead to the recipe's scheme.
        MissingExtraError: A package of the extra `data` is not installed.
    """
    _check_place(out)
    inputs = find_inputs(recipe, root=root, cache=cache, progress=progress)
    schemes = corpus_schemes(recipe, [one.card for one in inputs.sources])
    harmonisers = [task_harmonisers(one.spec, one.card.label, schemes) for one in inputs.sources]
    with atomic_folder(out) as folder, tempfile.TemporaryDirectory(dir=folder, prefix="work-") as work:
        _build(recipe, inputs, schemes, harmonisers, folder=folder, work=Path(work), progress=progress)
    return open_corpus(out)


def _build(
    recipe: CorpusRecipe,
    inputs: Inputs,
    schemes: Sequence[LabelScheme],
    harmonisers: Sequence[Sequence[Harmoniser | None]],
    *,
    folder: Path,
    work: Path,
    progress: Progress,
) -> None:
    texts = work / "texts.arrow"
    noted = Noted(ledger=LedgerWriter(tasks=len(schemes)), labels=tuple(Codes() for _ in schemes))
    with RejectsFile(folder / REJECTS_FILE) as rejects, write_spill(texts) as sink:
        take_in(
            Intake(inputs=inputs, recipe=recipe, harmonisers=harmonisers, spill=sink, rejects=rejects, noted=noted),
            progress,
        )
    ledger = noted.ledger.close()
    tasks = [
        TaskLabels(
            scheme=scheme,
            values=noted.labels[place].values,
            classes={
                name: one.classes
                for name, source in zip(inputs.names, harmonisers, strict=True)
                if (one := source[place]) is not None and one.classes
            },
        )
        for place, scheme in enumerate(schemes)
    ]
    with open_spill(texts) as spill:
        cleaned = Cleaning(recipe=recipe, inputs=inputs, ledger=ledger).run(spill, tasks, work=work, progress=progress)
        stats = Account(inputs=inputs, noted=noted, ledger=ledger, cleaned=cleaned, tasks=tasks).stats(recipe)
        if not sum(stats.rows.values()):
            raise DataError(
                "no row is left", hint="Look at the label map, the parts and the filters.", file=recipe.name
            )
        writer = RowWriter(ledger=ledger, cleaned=cleaned, inputs=inputs, tasks=tasks, languages=noted.languages)
        writer.write(spill, folder / CORPUS_FILE, progress)
    text = manifest_text(stats, recipe, tasks, folder=folder)
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8", newline="\n")


def _check_place(out: Path) -> None:
    """Refuse to replace what is no corpus."""
    if out.exists() and not (out / MANIFEST_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(
            "there is something else in this place, and it is no corpus",
            hint="Choose another folder, or remove it first.",
            file=str(out),
        )
