"""Predictions as a file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import DataError
from ottenok.tasks.predictions import Predictions, load_predictions, predictions_file, save_predictions

if TYPE_CHECKING:
    from pathlib import Path


def _predictions(**over: Any) -> Predictions:
    truth = np.array([[True, False, False], [False, True, False]])
    probs = np.array([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]], dtype=np.float32)
    usual: dict[str, Any] = {
        "ids": ("a/0/1", "b/0/7"),
        "sources": ("a", "b"),
        "labels": ("negative", "neutral", "positive"),
        "truth": truth,
        "probs": probs,
        "system": "модель",
        "scheme": "sentiment-3",
    }
    return Predictions(**{**usual, **over})


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every field comes back, bit for bit, and the columns say what they are to any tool."""
    file = save_predictions(predictions_file(tmp_path), _predictions())
    found = load_predictions(file)

    assert (found.ids, found.sources, found.labels) == (("a/0/1", "b/0/7"), ("a", "b"), _predictions().labels)
    assert (found.system, found.scheme) == ("модель", "sentiment-3")
    assert (found.truth.dtype, found.probs.dtype) == (np.bool_, np.float32)
    np.testing.assert_array_equal(found.truth, _predictions().truth)
    np.testing.assert_array_equal(found.probs, _predictions().probs)
    assert file == tmp_path / "predictions" / "test.parquet"
    names = ["id", "source", "true:negative", "p:negative", "true:neutral", "p:neutral", "true:positive", "p:positive"]
    assert pq.read_table(file).column_names == names


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 30), st.integers(1, 5), st.integers(0, 1000))
def test_any_shape_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: int, labels: int, seed: int) -> None:
    """Also no rows at all, and one label."""
    chance = np.random.default_rng(seed)
    made = _predictions(
        ids=tuple(f"x/0/{i}" for i in range(rows)),
        sources=("x",) * rows,
        labels=tuple(f"метка {i}" for i in range(labels)),
        truth=chance.random((rows, labels)) < 0.5,
        probs=chance.random((rows, labels)).astype(np.float32),
    )
    found = load_predictions(save_predictions(tmp_path_factory.mktemp("p") / "x.parquet", made))
    np.testing.assert_array_equal(found.probs, made.probs)
    np.testing.assert_array_equal(found.truth, made.truth)
    assert found.ids == made.ids


def test_some_rows_can_be_taken() -> None:
    """In the order that is asked for."""
    found = _predictions().take([1, 0])

    assert found.ids == ("b/0/7", "a/0/1")
    assert found.sources == ("b", "a")
    np.testing.assert_array_equal(found.probs, _predictions().probs[::-1])
    assert len(found.take([])) == 0


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"ids": ("a", "a")}, "an id occurs twice"),
        ({"ids": ("a",)}, "expected shape [1, 3], found [2, 3]"),
        ({"sources": ("a",)}, "1 sources for 2 rows"),
        ({"labels": ("x", "x", "y")}, "two labels"),
        ({"truth": np.zeros((2, 2), dtype=bool)}, "key truth"),
        ({"probs": np.array([[0.1, 0.2, 1.2], [0, 0, 0]], dtype=np.float32)}, "row 1, key p:positive: found 1.2"),
        ({"probs": np.array([[0.1, 0.2, 0.7], [0, np.nan, 0]], dtype=np.float32)}, "row 2, key p:neutral: found nan"),
    ],
)
def test_what_contradicts_itself_is_not_written(over: dict[str, Any], words: str, tmp_path: Path) -> None:
    """The message names the row and the column, and no file is left."""
    with pytest.raises(DataError) as caught:
        save_predictions(tmp_path / "x.parquet", _predictions(**over))
    assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


def _with_facts(table: pa.Table, old: bytes, new: bytes) -> pa.Table:
    facts = table.schema.metadata
    return table.replace_schema_metadata({key: value.replace(old, new) for key, value in facts.items()})


def _with_column(table: pa.Table, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index("p:neutral"), "p:neutral", values)


_CHANGES = {
    "foreign": lambda table: table.replace_schema_metadata(None),
    "newer": lambda table: _with_facts(table, b": 1", b": 2"),
    "unnamed": lambda table: _with_facts(table, b"[", b"{}, ["),
    "labels": lambda table: _with_facts(table, b'"labels": [', b'"labels": [3, '),
    "column": lambda table: table.drop_columns(["p:neutral"]),
    "null": lambda table: _with_column(table, pa.array([None, 0.5], pa.float32())),
    "text": lambda table: _with_column(table, pa.array(["a", "b"])),
    "value": lambda table: _with_column(table, pa.array([7.0, 0.5], pa.float32())),
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("foreign", "no predictions of ottenok"),
        ("newer", "format 2"),
        ("unnamed", "no predictions of ottenok"),
        ("labels", "expected the labels' names"),
        ("column", "'p:neutral' is missing"),
        ("null", "rows without a value"),
        ("text", "expected float32"),
        ("value", "no probability"),
    ],
)
def test_altered_files_are_refused(change: str, words: str, tmp_path: Path) -> None:
    """Each with its own reason, and the file's name."""
    file = save_predictions(tmp_path / "x.parquet", _predictions())
    pq.write_table(_CHANGES[change](pq.read_table(file)), file)

    with pytest.raises(DataError) as caught:
        load_predictions(file)
    assert words in str(caught.value)
    assert caught.value.file == str(file)


def test_other_files_are_refused(tmp_path: Path) -> None:
    """No file, a file of another kind, and half a file."""
    with pytest.raises(DataError, match="no such file"):
        load_predictions(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("id,source\n", encoding="utf-8")
    with pytest.raises(DataError, match="no Parquet file"):
        load_predictions(tmp_path / "text.parquet")
    file = save_predictions(tmp_path / "x.parquet", _predictions())
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError, match="no Parquet file"):
        load_predictions(file)
