"""The data of a study: each corpus is built once, and all have the same rows to compare on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.core.errors import DataError, OttenokError
from ottenok.studies.compare import check_metrics
from ottenok.training.inputs import Places, corpus_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.core.progress import Progress
    from ottenok.data.corpus import Corpus
    from ottenok.studies.compare import CompareSpec
    from ottenok.studies.study_recipe import ArmRun

__all__ = ["Ready", "corpora_of"]

# Keys of the data table that choose rows to learn from, not the corpus.
_NOT_CORPUS = {"epoch_rows", "validation_rows"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Runs whose data is there.

    Attributes:
        runs: These.
        failed: The others, each with the reason.
    """

    runs: tuple[ArmRun, ...]
    failed: tuple[tuple[ArmRun, str], ...]


def corpora_of(runs: Sequence[ArmRun], spec: CompareSpec, places: Places, progress: Progress) -> Ready:
    """Build every corpus that the runs need, once, and check that they can be compared.

    Raises:
        ConfigError: A figure of the comparison is none of the labels'.
        DataError: Two corpora have other rows to compare on, or one has none.
    """
    corpora: dict[str, Corpus | str] = {}
    ready: list[ArmRun] = []
    failed: list[tuple[ArmRun, str]] = []
    for run in runs:
        key = json.dumps(run.recipe.data.model_dump(mode="json", exclude=_NOT_CORPUS))
        if key not in corpora:
            corpora[key] = _corpus(run, spec, places, progress)
        found = corpora[key]
        if isinstance(found, str):
            failed.append((run, found))
        else:
            ready.append(run)
    _refuse_unlike([corpus for corpus in corpora.values() if not isinstance(corpus, str)], spec)
    return Ready(runs=tuple(ready), failed=tuple(failed))


def _corpus(run: ArmRun, spec: CompareSpec, places: Places, progress: Progress) -> Corpus | str:
    try:
        corpus = corpus_of(run.recipe.data, places, progress)
    except OttenokError as error:
        return f"there is no data: {error.message}"
    check_metrics(spec.metrics, corpus.label_scheme)
    return corpus


def _refuse_unlike(corpora: Sequence[Corpus], spec: CompareSpec) -> None:
    """Refuse corpora with other rows to compare on before anything is trained on them."""
    digests: dict[str, tuple[Corpus, int]] = {}
    for corpus in corpora:
        table = corpus.table("test" if spec.split == "test" else "validation", columns=("id", "labels"))
        if not table.num_rows:
            raise DataError(
                f"the corpus has no {spec.split} rows to compare on",
                hint="With run.test = false the arms are compared on validation rows.",
                file=str(corpus.folder),
            )
        rows = sorted(zip(table.column("id").to_pylist(), table.column("labels").to_pylist(), strict=True))
        digest = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
        digests.setdefault(digest, (corpus, len(rows)))
    if len(digests) > 1 and not spec.common:
        (one, first), (two, second), *_ = digests.values()
        raise DataError(
            f"the corpora {one.manifest.get('name')} ({first:,} {spec.split} rows) and {two.manifest.get('name')} "
            f"({second:,}) have other rows to compare on",
            hint="Give their recipes the same test rows, or compare on the rows that all have: --common",
        )
