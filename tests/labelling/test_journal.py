"""The journal keeps every answer, whatever happens to the process or to the end of the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ottenok.core.errors import ConfigError, DataError
from ottenok.labelling.journal import opened

if TYPE_CHECKING:
    from pathlib import Path


def _filled(path: Path) -> bytes:
    with opened(path) as journal:
        journal.begin(["joy", "гнев"], several=False)
        journal.add("answer", "раз\nдва\u2028три", ["joy"], rater="A", how="random")
        journal.add("answer", "再见", ["гнев"], rater="B", how="shared")
        journal.add("skip", "😀", [], rater="A", how="uncertain")
    return path.read_bytes()


def test_a_cut_anywhere_loses_the_cut_line_alone(tmp_path: Path) -> None:
    """Cut at every byte, the journal is read up to its last whole line, and the next answer stands on its own line."""
    whole = _filled(tmp_path / "whole.jsonl")
    for size in range(whole[:-1].rindex(b"\n", 0, whole[:-1].rindex(b"\n")), len(whole), 3):
        path = tmp_path / "cut.jsonl"
        path.write_bytes(whole[:size])
        lines = whole[:size].count(b"\n")
        with opened(path) as journal:
            assert len(journal.standing()) == lines - 1
            assert (journal.cut > 0) == (whole[size - 1 : size] != b"\n")
            journal.add("answer", "ещё", ["joy"], rater="A", how="random")
        assert [json.loads(line)["kind"] for line in path.read_bytes().splitlines()][-1] == "answer"
        with opened(path) as journal:
            assert [answer.text for answer in journal.standing()][-1] == "ещё"


def test_undo_is_an_entry(tmp_path: Path) -> None:
    """Nothing is ever removed from the file: what is taken back is said to be, for the rater who asks alone."""
    path = tmp_path / "journal.jsonl"
    before = _filled(path)
    with opened(path) as journal:
        assert journal.undo("A").kind == "skip"
        assert journal.undo("A").text == "раз\nдва\u2028три"
        assert journal.undo("A") is None
        assert [answer.rater for answer in journal.standing()] == ["B"]
    after = path.read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == before.count(b"\n") + 2
    with opened(path) as journal:
        assert [answer.rater for answer in journal.standing()] == ["B"]


def test_a_full_disk_takes_no_half_answer(tmp_path: Path) -> None:
    """An answer that does not fit is an error and does not count, then or later; the next one that fits does."""
    resource = pytest.importorskip("resource", reason="needs limits of the system")
    path = tmp_path / "journal.jsonl"
    before = _filled(path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 40, hard))
        try:
            with pytest.raises(OSError, match="large"):
                journal.add("answer", "не влезет" * 10, ["joy"], rater="A", how="random")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before
        journal.add("answer", "влезет", ["joy"], rater="A", how="random")
    with opened(path) as journal:
        assert [answer.text for answer in journal.standing()][-1] == "влезет"
        assert len(journal.standing()) == 4


def test_two_cannot_have_it(tmp_path: Path) -> None:
    """A second opening is refused with the process that has it, and possible again afterwards."""
    with (
        opened(tmp_path / "j.jsonl"),
        pytest.raises(ConfigError, match="is labelling with"),
        opened(tmp_path / "j.jsonl"),
    ):
        pass
    with opened(tmp_path / "j.jsonl"):
        pass


@pytest.mark.parametrize(
    "content", ['{"text": "другое"}\n', "text,label\nа,б\n", "[]\n", '{"kind": "answer"}\n', "\xff\xfe\n"]
)
def test_what_is_no_journal_is_refused(tmp_path: Path, content: str) -> None:
    """Another file is named with its line and left as it is."""
    path = tmp_path / "other.jsonl"
    path.write_bytes(content.encode("latin-1", "replace"))
    before = path.read_bytes()
    with pytest.raises(DataError, match="journal"), opened(path):
        pass
    assert path.read_bytes() == before


def test_a_file_without_a_line_end_is_not_emptied(tmp_path: Path) -> None:
    """A file of one line that no journal begins with is refused, not cut."""
    path = tmp_path / "other.txt"
    path.write_text("Мои записки")
    with pytest.raises(DataError, match="journal"), opened(path):
        pass
    assert path.read_text() == "Мои записки"


def test_labels_can_be_added_and_not_lost(tmp_path: Path) -> None:
    """The same command goes on, with more labels too; labels that have answers can't go, nor can the kind change."""
    path = tmp_path / "journal.jsonl"
    _filled(path)
    with opened(path) as journal:
        journal.begin([], several=False)
        assert journal.labels == ("joy", "гнев")
        journal.begin(["страх", "гнев", "joy"], several=False)
        with pytest.raises(ConfigError, match="'гнев'"):
            journal.begin(["joy", "страх"], several=False)
        with pytest.raises(ConfigError, match="--multi-label"):
            journal.begin([], several=True)
    with opened(path) as journal:
        assert journal.labels == ("joy", "гнев", "страх")


@pytest.mark.parametrize("labels", [[], ["one"], ["a", "a"], ["a", " "]])
def test_labels_that_can_not_be(tmp_path: Path, labels: list[str]) -> None:
    """Two different labels or more are needed."""
    with opened(tmp_path / "j.jsonl") as journal, pytest.raises(ConfigError):
        journal.begin(labels, several=False)
