"""The corpus: one Parquet file of harmonised rows and the manifest that says how they came to be.

This is the border between data and training. A corpus folder holds `corpus.parquet` (columns of `COLUMNS`),
`manifest.json`, and `rejects.jsonl` where records were refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ottenok.core.errors import DataError
from ottenok.core.schemes import LabelScheme, load_scheme, load_schemes

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

__all__ = ["COLUMNS", "CORPUS_FILE", "MANIFEST_FILE", "REJECTS_FILE", "Corpus", "Split", "open_corpus"]

Split = Literal["train", "validation", "test"]

CORPUS_FILE = "corpus.parquet"
MANIFEST_FILE = "manifest.json"
REJECTS_FILE = "rejects.jsonl"
# id: "<source>/<file number>/<row>", unique; text: normalised, never empty; labels: list of the scheme's labels, in its
# order; source: card name, or the user's name for a file; part: sub-source or null; language: ISO 639-1;
# split: train, validation or test.
COLUMNS = ("id", "text", "labels", "source", "part", "language", "split")


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus on disk; rows are read when they are asked for.

    Attributes:
        folder: Where it is.
        manifest: The parsed `manifest.json`: name, scheme, sources with licences and hashes, counts of what was
            dropped, from where and why, and the resolved recipe.
    """

    folder: Path
    manifest: dict[str, Any]

    @property
    def scheme(self) -> str:
        """Name of the label scheme of every row."""
        return str(self.manifest["scheme"])

    @property
    def label_scheme(self) -> LabelScheme:
        """The label scheme of every row; also one that only the corpus's recipe defines.

        Raises:
            SchemeError: It is not built in, and the manifest does not define it.
        """
        if self.scheme in load_schemes() or "label_scheme" not in self.manifest:
            return load_scheme(self.scheme)
        found = self.manifest["label_scheme"]
        return LabelScheme(
            name=self.scheme,
            kind=found["kind"],
            labels=tuple(found["labels"]),
            values=tuple(found["values"]),
            titles={language: tuple(titles) for language, titles in found["titles"].items()},
            source=found["source"],
        )

    def table(self, split: Split | None = None, columns: tuple[str, ...] = COLUMNS) -> pa.Table:
        """Read one split (None: all) as an Arrow table, with the given columns."""
        import pyarrow.parquet as pq

        filters = [("split", "=", split)] if split else None
        return pq.read_table(self.folder / CORPUS_FILE, columns=list(columns), filters=filters)

    def batches(self, size: int = 65_536, columns: tuple[str, ...] = COLUMNS) -> Iterator[pa.RecordBatch]:
        """Read the corpus in record batches of at most `size` rows, in the file's order."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.folder / CORPUS_FILE) as file:
            yield from file.iter_batches(batch_size=size, columns=list(columns))


def open_corpus(folder: str | Path) -> Corpus:
    """Open a corpus folder.

    Raises:
        DataError: The folder holds no corpus, or its manifest can't be read.
    """
    folder = Path(folder)
    for name in (MANIFEST_FILE, CORPUS_FILE):
        if not (folder / name).is_file():
            raise DataError(
                f"this folder is no corpus: {name} is not in it",
                hint="Build one with: ottenok data build RECIPE -o FOLDER",
                file=str(folder),
            )
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the manifest can't be read: {error}", file=str(folder / MANIFEST_FILE)) from error
    return Corpus(folder=folder, manifest=manifest)
