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
from ottenok.data.inputs import find_inputs
from ottenok.data.intake import Intake, take_in
from ottenok.data.manifest import Account, manifest_text
from ottenok.data.output import RowWriter
from ottenok.data.own import corpus_scheme
from ottenok.data.spill import open_spill, write_spill
from ottenok.tables.rejects import RejectsFile

if TYPE_CHECKING:
    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
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
    scheme = corpus_scheme(recipe, [one.card for one in inputs.sources])
    with atomic_folder(out) as folder, tempfile.TemporaryDirectory(dir=folder, prefix="work-") as work:
        _build(recipe, inputs, scheme, folder=folder, work=Path(work), progress=progress)
    return open_corpus(out)


def _build(
    recipe: CorpusRecipe, inputs: Inputs, scheme: LabelScheme, *, folder: Path, work: Path, progress: Progress
) -> None:
    texts = work / "texts.arrow"
    with RejectsFile(folder / REJECTS_FILE) as rejects, write_spill(texts) as sink:
        noted = take_in(Intake(inputs=inputs, recipe=recipe, scheme=scheme, spill=sink, rejects=rejects), progress)
    ledger = noted.ledger.close()
    with open_spill(texts) as spill:
        cleaning = Cleaning(recipe=recipe, inputs=inputs, ledger=ledger)
        cleaned = cleaning.run(spill, noted.labels.values, work=work, progress=progress)
        stats = Account(inputs=inputs, noted=noted, ledger=ledger, cleaned=cleaned).stats(recipe, scheme)
        if not sum(stats.rows.values()):
            raise DataError(
                "no row is left", hint="Look at the label map, the parts and the filters.", file=recipe.name
            )
        writer = RowWriter(
            ledger=ledger, cleaned=cleaned, inputs=inputs, labels=noted.labels, languages=noted.languages
        )
        writer.write(spill, folder / CORPUS_FILE, progress)
    (folder / MANIFEST_FILE).write_text(manifest_text(stats, recipe, scheme), encoding="utf-8", newline="\n")


def _check_place(out: Path) -> None:
    """Refuse to replace what is no corpus."""
    if out.exists() and not (out / MANIFEST_FILE).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise DataError(
            "there is something else in this place, and it is no corpus",
            hint="Choose another folder, or remove it first.",
            file=str(out),
        )
