"""Whatever the bytes are, a reader gives rows or one `DataError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ottenok.core.errors import DataError
from ottenok.data.card import ReaderSpec
from ottenok.data.readers import READERS, read
from ottenok.tables.records import Record

if TYPE_CHECKING:
    from pathlib import Path

_TEXT_KINDS = ["csv", "json", "jsonl", "label-first", "nlpcc-reviews", "smp-text"]
# Pieces of the formats, so that the bytes get past the first check more often than never.
_PIECES = st.sampled_from(
    [
        b"text,label\n", b"text;label\r\n", b'"', b",", b"\n", b"\r", b"\0", b"\xef\xbb\xbf", b"\xff\xfe", b"{", b"}",
        b'{"text": "a", "label": "b"}', b"[", b"]", b'<review id="1" label="0">', b"</review>", b"<weibo>", b"</weibo>",
        b"<sentence>", b"</sentence>", b"<table>", b"</table>", b'<?xml version="1.0"?>', b"PK\3\4", b"PAR1",
        "привет".encode(), "привет".encode("windows-1251"), "你好".encode("gb18030"), b"\xd8\x00",
    ]
)  # fmt: skip
_BYTES = st.lists(_PIECES | st.binary(max_size=8), max_size=12).map(b"".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for files that are written over and over."""
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", sorted(READERS))
@settings(max_examples=60, deadline=None)
@given(content=_BYTES, header=st.booleans())
def test_any_bytes_give_rows_or_one_data_error(folder: Path, kind: str, content: bytes, header: bool) -> None:
    """No other exception comes out, row numbers rise, and all that is read can be written as UTF-8."""
    path = folder / f"data.{kind}"
    path.write_bytes(content)
    options: dict[str, str | int | bool | list[str]] = {"encoding": "auto"} if kind in _TEXT_KINDS else {}
    if kind == "csv":
        options |= {"delimiter": "auto", "header": header}
    if kind == "aligned-lines":
        options = {"labels": path.name}
    columns = ("text", "label") if header else (0, 1)

    try:
        rows = list(read(path, ReaderSpec(kind=kind, text=columns[0], label=columns[1], options=options)))
    except DataError:
        return

    assert [row.row for row in rows] == sorted({row.row for row in rows})
    for row in rows:
        said = (row.text, *row.labels) if isinstance(row, Record) else (row.reason, row.content)
        assert all("\0" not in value and value.encode() is not None for value in said)
        assert isinstance(row, Record) or len(row.content) <= 200
