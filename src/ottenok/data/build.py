"""From a recipe to a corpus on the disk, in three passes: read, clean, write.

The texts go through a staging file beside the corpus; a row in memory is some fifty bytes. The folder appears when it
is whole.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import DataError
from ottenok.core.files import LockedError, atomic_folder, flush, locked
from ottenok.core.home import cache_home
from ottenok.core.language import detect_language
from ottenok.core.lazy import need
from ottenok.core.progress import SILENT, stage
from ottenok.data.corpus import CORPUS_FILE, MANIFEST_FILE, REJECTS_FILE, Corpus, corpus_columns, open_corpus
from ottenok.data.dedupe import clean
from ottenok.data.harmonise import TaskLabels, clean_text, task_harmonisers
from ottenok.data.inputs import find_inputs
from ottenok.data.manifest import ManifestBuilder, OverlapCounter
from ottenok.data.own import corpus_schemes
from ottenok.data.readers import read
from ottenok.data.rows import SPLIT_NAMES, Codes, Reason, RowIndexWriter, key_digest, open_staging, write_staging
from ottenok.recipes.corpus import CorpusRecipe, corpus_recipe
from ottenok.tables.records import Rejected, RejectsFile
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ottenok.core.progress import Progress
    from ottenok.core.schemes import LabelScheme
    from ottenok.data.dedupe import Cleaned
    from ottenok.data.inputs import Inputs
    from ottenok.data.rows import RowIndex, StagingFile, StagingWriter
    from ottenok.tables.options import TableOptions
    from ottenok.tables.records import Record

__all__ = ["ReadPass", "build", "build_corpus", "write_rows"]

_ADVANCE = 1_000
_CONTENT = 200
_FILES = (CORPUS_FILE, MANIFEST_FILE, REJECTS_FILE)


def build(recipe: CorpusRecipe, *, root: Path | None, cache: Path, out: Path, progress: Progress = SILENT) -> Corpus:
    """Build a corpus.

    The same recipe, files and versions give the same bytes, in whatever order the recipe lists its sources. On any
    failure and on Ctrl-C nothing is left behind, and a corpus that was in `out` is still there. Nothing is replaced
    that is an input or that ottenok did not write.

    Args:
        recipe: What to build.
        root: Folder of data sets that is looked into first, or None.
        cache: Folder of fetched data sets.
        out: The corpus's folder; a corpus that is there is replaced, anything else is not.
        progress: Told about stages with totals, and about sources that are left out.

    Raises:
        ConfigError: The recipe names a source twice, or none of its sources is here.
        DataError: A file that is needed is absent, altered, changes meanwhile or can't be read; no row is left; `out`
            holds something else, or another process writes it.
        SchemeError: A source's labels do not lead to any of the recipe's tasks.
        MissingExtraError: A package of the extra `data` is not installed.
    """
    with need("data"):
        import pyarrow.parquet  # noqa: F401 - asked for before the work begins
    out = out.resolve()
    _check_place(out)
    inputs = find_inputs(recipe, root=root, cache=cache, progress=progress)
    for file in inputs.files:
        if file.located.path.resolve().is_relative_to(out):
            raise DataError(
                "this input lies in the folder that the corpus would replace",
                hint="Choose another folder for the corpus: -o FOLDER.",
                file=str(file.located.path),
            )
    schemes = corpus_schemes(recipe, [one.card for one in inputs.sources])
    with _alone(out), atomic_folder(out) as folder, tempfile.TemporaryDirectory(dir=folder, prefix="work-") as work:
        texts = Path(work) / "texts.arrow"
        with RejectsFile(folder / REJECTS_FILE) as rejects, write_staging(texts) as staging:
            done = ReadPass(recipe, inputs, schemes, staging=staging, rejects=rejects)
            done.run(progress)
        index, tasks = done.index.close(), done.tasks
        with open_staging(texts) as staged:
            cleaned = clean(index, recipe, inputs, tasks, staging=staged, work=Path(work), progress=progress)
            if not np.any(cleaned.reason == Reason.KEPT):
                codes, counts = np.unique(cleaned.reason, return_counts=True)
                reasons = Counter({Reason(code).title: int(count) for code, count in zip(codes, counts, strict=True)})
                for (_, rejected), count in done.rejected.items():
                    reasons[rejected] += count
                for (_, dropped), count in done.dropped.items():
                    reasons[dropped.title] += count
                told = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.most_common(3))
                raise DataError(
                    f"no row is left of {done.read.total():,} ({told or 'the files have no records'})",
                    hint="Look at the label map, the parts and the filters.",
                    file=recipe.name,
                )
            write_rows(folder / CORPUS_FILE, staged, index, cleaned, done, inputs, progress)
        manifest = ManifestBuilder(done, index, cleaned, recipe=recipe, inputs=inputs, tasks=tasks)
        (folder / MANIFEST_FILE).write_text(manifest.text(folder), encoding="utf-8", newline="\n")
        for name in _FILES:
            if (folder / name).is_file():
                with (folder / name).open("rb+") as stream:
                    flush(stream)
        _check_place(out)  # once more, for a build takes time
    return open_corpus(out)


def build_corpus(  # noqa: PLR0913 - a public door, options by name
    source: str | Path | CorpusRecipe,
    out: str | Path,
    *,
    text: str | int | None = None,
    label: str | int | Sequence[str] | None = None,
    scheme: str | None = None,
    label_map: Mapping[str, str] | None = None,
    table: TableOptions | None = None,
    overrides: Mapping[str, Any] | None = None,
    data_root: str | Path | None = None,
    cache: str | Path | None = None,
    progress: Progress = SILENT,
) -> Corpus:
    """Build a corpus from a recipe, or from a labelled file of your own.

        >>> corpus = build_corpus("reviews.csv", "corpora/reviews", text="review", label="mark")  # doctest: +SKIP

    Args:
        source: A recipe, its name or TOML file; or, with `text` and `label`, a data file (CSV, TSV, JSON, JSON lines,
            Parquet, XLSX) or a hub data set, `owner/name`.
        out: The corpus's folder. A corpus that is there is replaced, anything else is not.
        text: The file's text column: its name or 0-based position.
        label: Its label column, or the names of several 0/1 columns.
        scheme: Label scheme of the corpus, such as `sentiment-3`; None: the recipe's, or a file's labels as they are.
        label_map: From the file's labels to the scheme's, `""` to drop; others go by their names and usual spellings.
        table: How the file is read, where that is not found out.
        overrides: Keys of the recipe to be laid over it, as nested mappings: `{"split": {"test": 0.2, "train": 0.7}}`.
        data_root: Folder of data sets that is looked into first.
        cache: Folder of fetched data sets; None: the user's cache.
        progress: Told about stages with totals, and about sources that are left out.

    Raises:
        ConfigError: There is no such recipe, or a key is wrong.
        DataError: As for `build`.
        SchemeError: Labels do not lead to any task of the corpus.
        MissingExtraError: A package of the extra `data` is not installed.
    """
    if not isinstance(source, CorpusRecipe):
        source = corpus_recipe(
            source,
            text=text,
            label=label,
            scheme=scheme,
            label_map=label_map,
            reader=table.said() if table else None,
            overrides=overrides,
        )
    root = None if data_root is None else Path(data_root)
    return build(source, root=root, cache=cache_home(cache), out=Path(out), progress=progress)


def _check_place(out: Path) -> None:
    """Refuse to replace what is no corpus, and a corpus that has files beside its own.

    Raises:
        DataError: It is one of these.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    try:
        open_corpus(out)
    except DataError as error:
        raise DataError(
            "there is something else in this place, and it is no corpus",
            hint="Choose another folder, or remove it first.",
            file=str(out),
        ) from error
    strange = sorted(path.name for path in out.iterdir() if path.name not in _FILES)
    if strange:
        raise DataError(
            f"the folder of this corpus also holds {strange[0]!r}, which ottenok did not write",
            hint="Choose another folder, or move that elsewhere first.",
            file=str(out),
        )


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the place against other builds.

    Raises:
        DataError: Another process builds there.
    """
    try:
        with locked(out.with_name(f".{out.name}.lock")):
            yield
    except LockedError as error:
        who = "another process" if error.pid is None else f"process {error.pid}"
        raise DataError(
            f"{who} is building a corpus in this place", hint="Wait until it is done.", file=str(out)
        ) from error


class ReadPass:
    """The first pass: reads every record, harmonises it, notes it in the row index, and puts its text on the disk.

    Args:
        recipe: How records are read.
        inputs: What is read.
        schemes: The label scheme of each task.
        staging: Takes the texts.
        rejects: Takes the records that can't be used.

    Attributes:
        index: The rows that were taken.
        tasks: The corpus's tasks.
        languages: The table of languages.
        overlaps: The texts of all records, also of those whose labels the map leaves out.
        read: Records per file, rejected ones included.
        rejected: Rejected records per file and reason.
        dropped: Records that the recipe or its label map leaves out, per file and `Reason`.

    Raises:
        SchemeError: A source's labels do not lead to any task.
    """

    def __init__(
        self,
        recipe: CorpusRecipe,
        inputs: Inputs,
        schemes: Sequence[LabelScheme],
        *,
        staging: StagingWriter,
        rejects: RejectsFile,
    ) -> None:
        self._recipe = recipe
        self._inputs = inputs
        self._staging = staging
        self._rejects = rejects
        self._harmonisers = [task_harmonisers(one.spec, one.card.label, schemes) for one in inputs.sources]
        self._labels = [Codes() for _ in schemes]
        self.index = RowIndexWriter(len(schemes))
        self.languages = Codes()
        self.overlaps = OverlapCounter()
        self.read: Counter[int] = Counter()
        self.rejected: Counter[tuple[int, str]] = Counter()
        self.dropped: Counter[tuple[int, Reason]] = Counter()
        self.tasks = [
            TaskLabels(
                scheme=scheme,
                values=self._labels[place].values,
                classes={
                    name: one.classes
                    for name, source in zip(inputs.names, self._harmonisers, strict=True)
                    if (one := source[place]) is not None and one.classes
                },
            )
            for place, scheme in enumerate(schemes)
        ]

    def run(self, progress: Progress = SILENT) -> None:
        """Read all files.

        Raises:
            DataError: A file can't be read.
        """
        for number, file in enumerate(self._inputs.files):
            located, name = file.located, self._inputs.sources[file.source].card.name
            count = 0
            with stage(progress, f"reading {name}", total=located.file.rows, unit="rows"):
                for item in read(located.path, located.reader, label=located.file.label):
                    if isinstance(item, Rejected):
                        self._reject(number, item)
                    else:
                        self._take(number, item)
                    count += 1
                    if count % _ADVANCE == 0:
                        progress.advance(_ADVANCE)
                progress.advance(count % _ADVANCE)
            self.read[number] += count
            with suppress(OSError):
                now = located.path.stat()
                if (now.st_mtime_ns, now.st_size) == (located.modified, located.bytes):
                    continue
            raise DataError(
                "the file was changed while it was read", hint="Build again when it rests.", file=str(located.path)
            )

    def _take(self, number: int, record: Record) -> None:
        file = self._inputs.files[number]
        one = self._inputs.sources[file.source]
        part = record.part or file.located.file.part
        if not one.spec.wants(part):
            self.dropped[number, Reason.PART] += 1
            return
        text = clean_text(record.text, self._recipe.text, emoticons=one.card.emoticons)
        if not text:
            self._refuse(number, record, "empty text after cleaning", record.text)
            return
        key = dedupe_key(text)
        digest = key_digest(key)
        # Overlaps are those of the texts as published; cleaning compares them as normalised.
        published = key if text == record.text else dedupe_key(record.text)
        same = digest if published == key else key_digest(published)
        self.overlaps.add(same, letters=len(published), file=number)
        mapped = [None if task is None else task(record.labels) for task in self._harmonisers[file.source]]
        given = [task for task in mapped if task is not None]
        if given[0].unknown is not None:
            self._refuse(number, record, "unknown label", f"{given[0].unknown}: {record.text}")
        elif all(task.reason != Reason.KEPT for task in given):
            self.dropped[number, given[0].reason] += 1
        elif len(key) < self._recipe.clean.minimum_letters:
            self.dropped[number, Reason.SHORT] += 1
        else:
            languages = one.card.languages
            language = record.language or (languages[0] if len(languages) == 1 else detect_language(text))
            self.index.add(
                file=number,
                row=record.row,
                split=file.split,
                labels=tuple(
                    codes.code(*task.labels) if task is not None and task.reason == Reason.KEPT else -1
                    for codes, task in zip(self._labels, mapped, strict=True)
                ),
                language=self.languages.code(language),
                length=len(text),
                digest=digest,
            )
            self._staging.add(text, key, part)

    def _refuse(self, number: int, record: Record, reason: str, content: str) -> None:
        self._reject(number, Rejected(row=record.row, reason=reason, content=content[:_CONTENT]))

    def _reject(self, number: int, rejected: Rejected) -> None:
        file = self._inputs.files[number]
        self.rejected[number, rejected.reason] += 1
        self._rejects.write(source=self._inputs.names[file.source], file=file.name, rejected=rejected)


def write_rows(
    path: Path,
    staged: StagingFile,
    index: RowIndex,
    cleaned: Cleaned,
    done: ReadPass,
    inputs: Inputs,
    progress: Progress,
) -> None:
    """The third pass: write the rows that are kept, in the order in which they were read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = corpus_columns([task.name for task in done.tasks] if len(done.tasks) > 1 else [])
    schema = pa.schema([(name, pa.list_(pa.string()) if name.startswith("labels") else pa.string()) for name in names])
    places = [(inputs.names[file.source], file.number) for file in inputs.files]
    start = 0
    with (
        stage(progress, "writing", total=len(index), unit="rows"),
        pq.ParquetWriter(path, schema, compression="zstd") as sink,
    ):
        for batch in staged.batches():
            kept = np.flatnonzero(cleaned.reason[start : start + len(batch)] == Reason.KEPT)
            rows = start + kept
            start += len(batch)
            if len(kept):
                texts = batch.take(pa.array(kept))
                origins = [places[file] for file in index.file[rows].tolist()]
                numbers = index.row[rows].tolist()
                columns = [
                    [f"{name}/{file}/{row}" for (name, file), row in zip(origins, numbers, strict=True)],
                    texts.column("text"),
                    *(
                        [task.values[code] if code >= 0 else None for code in cleaned.labels[rows, place].tolist()]
                        for place, task in enumerate(done.tasks)
                    ),
                    [name for name, _ in origins],
                    texts.column("part"),
                    [done.languages.values[code][0] for code in index.language[rows]],
                    [SPLIT_NAMES[split] for split in cleaned.split[rows].tolist()],
                ]
                sink.write_batch(pa.record_batch(columns, schema=schema))
            progress.advance(len(batch))
