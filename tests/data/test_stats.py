"""The numbers of a corpus."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from ottenok.core.config import parse
from ottenok.core.errors import DataError
from ottenok.data.build import build
from ottenok.data.corpus import open_corpus
from ottenok.data.stats import corpus_cells, corpus_stats, training_rows
from ottenok.recipes.corpus import CorpusRecipe

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.data.corpus import Corpus


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Build a corpus of forty rows, ten of them Chinese, two of them the same."""
    dice = random.Random(1)
    lines = []
    for number in range(39):
        letters = "的一是了我不人在他有这上们来到时大地为子" if number % 4 == 0 else "абвгдежзиклмнопрст"
        text = "".join(dice.choices(letters, k=10 + number))
        lines.append({"text": text, "label": ("negative", "positive")[number % 2]})
    lines.append({**lines[1], "text": lines[1]["text"].upper()})
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    recipe = parse(
        CorpusRecipe,
        {
            "name": "forty",
            "scheme": "sentiment-3",
            "sources": [{"own": {"name": "rows", "file": str(file), "licence": "CC0-1.0"}}],
        },
    )
    return build(recipe, root=None, cache=tmp_path, out=tmp_path / "corpus")


def test_numbers_are_those_of_the_rows(corpus: Corpus) -> None:
    """Rows, labels, languages and lengths agree with the Parquet file, counted there anew."""
    stats = corpus_stats(corpus)
    rows = corpus.table().to_pylist()
    source = stats.sources[0]
    for split, count in stats.rows.items():
        own = [row for row in rows if row["split"] == split]
        assert count == source.kept[split] == len(own)
        for label in ("negative", "positive"):
            assert source.labels[split].get(label, 0) == sum(row["labels"] == [label] for row in own)
    assert source.languages == {"ru": 29, "zh": 10}
    lengths = sorted(len(row["text"]) for row in rows)
    assert source.lengths["50"] == lengths[19]
    assert source.lengths["100"] == lengths[-1]
    assert (source.licence, source.commercial, source.read) == ("CC0-1.0", None, 40)
    assert (source.files[0].rows, source.files[0].texts) == (40, 39)


def test_numbers_are_plain_json(corpus: Corpus) -> None:
    """They can be written and read again, and are those of the manifest."""
    found = json.loads(json.dumps(corpus_stats(corpus).to_json()))
    assert found.items() <= json.loads((corpus.folder / "manifest.json").read_text(encoding="utf-8")).items()


def test_cells_of_one_task_are_counted_in_the_rows(corpus: Corpus) -> None:
    """Also a corpus for one task shows language by class, the class without rows too."""
    cells = {(one.language, one.label): one for one in corpus_cells(corpus)}
    rows = corpus.table().to_pylist()
    assert list(cells) == [(language, label) for language in ("ru", "zh") for label in corpus.label_scheme.labels]
    for (language, label), cell in cells.items():
        own = [row["split"] for row in rows if row["language"] == language and row["labels"] == [label]]
        assert (cell.train, cell.validation, cell.test) == tuple(
            own.count(split) for split in ("train", "validation", "test")
        )
    assert not cells["zh", "neutral"].learned
    assert training_rows(cells.values())["sentiment-3"]["zh"]["neutral"] == 0


def test_a_manifest_of_another_kind_is_refused(corpus: Corpus) -> None:
    """A manifest that lacks something is named with its key, and the way out."""
    file = corpus.folder / "manifest.json"
    manifest = json.loads(file.read_text(encoding="utf-8"))
    del manifest["sources"][0]["licence"]
    file.write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(DataError, match="Build the corpus again") as error:
        corpus_stats(open_corpus(corpus.folder))
    assert error.value.key == "sources.0.licence"


def test_a_folder_without_a_corpus_is_named(tmp_path: Path) -> None:
    """Opening what is no corpus says how to build one."""
    with pytest.raises(DataError, match="ottenok data build"):
        open_corpus(tmp_path)
    with pytest.raises(DataError, match="there is no such folder"):
        open_corpus(tmp_path / "nowhere")
    (tmp_path / "rows.csv").touch()
    with pytest.raises(DataError, match="this is a file"):
        open_corpus(tmp_path / "rows.csv")
