"""What reaches the terminal, and what comes from it: odd encodings, hostile names, closed streams, full disks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ottenok.cli.classify import classify
from ottenok.cli.main import run
from ottenok.cli.screen import harmless
from toys import fake_classifier

_FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def _no_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer with a classifier without a model in this process."""
    monkeypatch.setattr("ottenok.inference.api.load", lambda *_arguments, **_options: fake_classifier())


def call(*arguments: str | bytes, given: bytes = b"", **environment: str) -> tuple[int, bytes, bytes]:
    """Run the command in a process of its own; return its exit code and what it wrote."""
    done = subprocess.run(
        [sys.executable, "-m", "ottenok", *arguments],
        input=given,
        capture_output=True,
        env=os.environ | environment,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("encoding", ["cp1251", "gbk", "ascii"])
@pytest.mark.parametrize("arguments", [["data", "list"], ["data", "info", "cedr"], ["data", "info", "waimai-10k"]])
def test_output_never_fails_for_a_character(encoding: str, arguments: list[str]) -> None:
    """Cards in Russian and Chinese are shown on terminals that have neither; what is not there becomes an escape."""
    code, out, err = call(*arguments, PYTHONIOENCODING=encoding)

    assert (code, err) == (0, b"")
    assert out.decode(encoding)


@pytest.mark.parametrize("encoding", ["cp1251", "ascii"])
def test_json_stays_json(encoding: str) -> None:
    """What the encoding does not have is escaped as JSON escapes it."""
    code, out, _ = call("data", "info", "waimai-10k", "--json", PYTHONIOENCODING=encoding)
    same = call("data", "info", "waimai-10k", "--json", PYTHONIOENCODING="utf-8")[1]

    assert code == 0
    assert json.loads(out.decode(encoding)) == json.loads(same.decode())


def test_control_characters_become_visible() -> None:
    """Escapes that would move the cursor, forge a line, or turn the writing direction are written out."""
    assert harmless("a\x1b[31mb\nc\td\u202ee\x9b\ud800") == "a\\x1b[31mb\\nc\\td\\u202ee\\x9b\\ud800"
    assert harmless("обычный текст 很好 😀") == "обычный текст 很好 😀"


def test_hostile_columns_are_told_harmlessly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column's and a file's name with terminal escapes reach the error as escapes."""
    path = tmp_path / "a\x1b]0;b.csv"
    path.write_text("te\x1b[2Jxt,n\nда,1\nнет,2\n", encoding="utf-8")

    assert run(["classify", str(path), "--text", "text", "-o", str(tmp_path / "out.csv")]) == 2

    err = capsys.readouterr().err
    assert "\x1b[2J" not in err
    assert "\x1b]0" not in err
    assert "\\x1b[2J" in err


def test_arguments_are_read_in_a_c_locale() -> None:
    """In a C locale a Russian text is the text that it is; bytes that are no UTF-8 are refused, never classified."""
    bare = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}
    text = "Какая гадость эта ваша заливная рыба!"
    code, out, _ = call("classify", text.encode(), **bare)
    same = call("classify", text)[1]

    assert code == 0
    assert out == same
    code, out, err = call("classify", text.encode("cp1251"))
    assert (code, out) == (2, b"")
    assert b"not UTF-8" in err


@pytest.mark.parametrize("closed", ["| head -1", ">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_streams_end_quietly(closed: str) -> None:
    """A reader that has seen enough, and streams that the shell closed, are no faults."""
    command = f"{sys.executable} -m ottenok data list --json {closed}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not _FULL.exists(), reason="needs /dev/full")
def test_a_full_disk_is_said(tmp_path: Path) -> None:
    """A write that fails for want of room is told as that, with what to do."""
    command = f"{sys.executable} -m ottenok data list > /dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "the same command" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("encoding", ["windows-1251", "koi8-r", "utf-16", "utf-8-sig"])
def test_standard_input_is_decoded(encoding: str) -> None:
    """Lines in another encoding get the answers of their texts, named or found out."""
    lines = [
        "Очень понравилось, спасибо за быструю доставку!",
        "Ужасный сервис, больше никогда не приду.",
        "Пришло вчера.",
    ]
    given = "\n".join(lines).encode(encoding)
    expected = [CliRunner().invoke(classify, [line]).stdout for line in lines]

    for named in ([], ["--encoding", encoding]):
        result = CliRunner().invoke(classify, named, input=given, catch_exceptions=False)
        assert result.stdout == "".join(expected)


def test_undecodable_input_is_refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no text in any known encoding are refused with the option that names one."""
    import io

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(bytes(range(128, 256)) * 20)))

    assert run(["classify"]) == 2
    assert "--encoding" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("id,review,mark\n1,хорошо,5\n2,плохо,1\n", "'review'"),
        ("отзыв;оценка\nда, хорошо;5\nнет, плохо;1\n", "'отзыв'"),
        ('{"text": "да", "n": 1}\n{"text": "нет", "n": 2}\n', "'text'"),
        ("a\tb\nда\t1\nнет\t2\nещё\t3\nраз\t4\n", "'a'"),
    ],
)
def test_a_table_on_standard_input_is_refused(table: str, column: str) -> None:
    """Its columns are named, and how to choose one; --lines takes each line as it stands."""
    refused = CliRunner().invoke(classify, [], input=table.encode())
    taken = CliRunner().invoke(classify, ["--lines"], input=table.encode())

    assert refused.exit_code == 2
    assert column in refused.output
    assert "--text COLUMN" in refused.output
    assert len(taken.stdout.splitlines()) == len(table.splitlines())


@pytest.mark.parametrize(
    "texts", ["да, хорошо\nнет, плохо\n", "привет\n", "Хорошо, но дорого.\nПлохо, зато дёшево.\nТак, себе.\n"]
)
def test_texts_with_commas_are_texts(texts: str) -> None:
    """Lines of plain texts are not taken for a table, though each has a comma."""
    result = CliRunner().invoke(classify, [], input=texts.encode(), catch_exceptions=False)

    assert len(result.stdout.splitlines()) == len(texts.splitlines())


@pytest.mark.parametrize("name", ["отзывы.txt", "Отзывы за июнь.csv", "нет такого.xlsx", "a.jsonl.gz", "папка"])
def test_names_of_files_are_not_classified(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is there, and what ends as files of data do, is a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "отзывы.txt").write_text("да\n")
    (tmp_path / "папка").mkdir()

    result = CliRunner().invoke(classify, [name])

    assert result.exit_code == 2
    assert "--text" in result.output


def test_one_endless_line_is_left_out() -> None:
    """A line beyond the limit has no answer, and those after it have theirs."""
    given = b"\n".join(["да".encode(), b"x" * 5000, "нет".encode()])
    result = CliRunner().invoke(classify, ["--max-record", "1000"], input=given, catch_exceptions=False)

    first, second, third = result.stdout.splitlines()
    assert second == "-\t(longer than 1,000 characters (--max-record))"
    assert not first.startswith("-")
    assert not third.startswith("-")
