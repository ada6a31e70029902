"""`ottenok generate` on the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from ottenok.cli.generate import generate
from ottenok.cli.main import run

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

KEY = "sk-tiny-secret"


def _run(*arguments: object, key: str | None = KEY) -> str:
    found = CliRunner().invoke(
        generate, [str(one) for one in arguments], catch_exceptions=False, env={"OPENAI_API_KEY": key}
    )
    assert found.exit_code == 0, found.output
    return found.stdout


def test_the_command_tells_what_there_is_and_how_to_use_it(chat: Any, recipe_path: Path, tmp_path: Path) -> None:
    """Counts by label and reason, tokens and cost, and the source to put into a corpus recipe; the key goes along."""
    chat.script(chat.texts("боюсь высоты", "Боюсь высоты!!"))
    out = tmp_path / "rare.jsonl"
    shown = _run(recipe_path, "-o", out, "--server.base_url", chat.url, "--limits.parallel", 1)

    assert "fear: 6 of 6 texts\ndisgust: 4 of 4 texts\nRefused, duplicate: 1\n" in shown
    assert "Spent: 6 requests, 900 tokens, 0.0012 USD" in shown
    source = f'use = "train-only"\nvalidation = "train"\n[sources.own]\nname = "generated"\nfile = "{out}"'
    assert source in shown
    assert {headers["authorization"] for headers in chat.headers} == {f"Bearer {KEY}"}
    assert len(out.read_text("utf-8").splitlines()) == 10
    assert KEY not in shown + "".join(path.read_text("utf-8") for path in tmp_path.glob("*.jsonl"))


def test_the_key_may_be_elsewhere_or_not_needed(chat: Any, recipe_path: Path, tmp_path: Path) -> None:
    """--key-variable names the variable; a server without keys gets no real one; OpenAI's own variables stay here."""
    places = ["--server.base_url", chat.url, "--limits.parallel", 1]
    found = CliRunner(env={"MY_KEY": "sk-other", "OPENAI_API_KEY": KEY, "OPENAI_ORG_ID": "org-mine"}).invoke(
        generate, [str(one) for one in (recipe_path, "-o", tmp_path / "a.jsonl", "--key-variable", "MY_KEY", *places)]
    )
    assert found.exit_code == 0, found.output
    assert {headers["authorization"] for headers in chat.headers} == {"Bearer sk-other"}
    assert "org-mine" not in json.dumps(chat.headers)

    chat.headers.clear()
    _run(recipe_path, "-o", tmp_path / "b.jsonl", *places, key=None)
    assert {headers["authorization"] for headers in chat.headers} == {"Bearer none"}


def test_a_dry_run_asks_no_one(chat: Any, recipe_path: Path, tmp_path: Path) -> None:
    """The first prompt of each label and prompt file, and a rough cost; as JSON too; no file, no request."""
    shown = _run(recipe_path, "--dry-run", "--server.base_url", chat.url)
    tree = json.loads(_run(recipe_path, "--dry-run", "--json"))

    assert "--- fear/1, prompt.md, seed" in shown
    assert "Напиши 2 текстов: отвращение." in shown
    assert "Roughly: 5 requests, about" in shown
    assert [one["request"] for one in tree["prompts"]] == ["fear/1", "disgust/1"]
    assert tree["estimate"]["requests"] == 5
    assert chat.bodies == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["prompt.md", "tiny.toml"]


def test_a_run_goes_on_and_stops_at_its_cost(chat: Any, recipe_path: Path, tmp_path: Path) -> None:
    """--max-cost stops politely and says so; --resume goes on; --json gives the same for a program."""
    places = ["-o", tmp_path / "a.jsonl", "--server.base_url", chat.url, "--limits.parallel", 1]
    shown = _run(recipe_path, *places, "--max-cost", 0.0005)
    assert "Stopped early: the limit of the cost is reached." in shown
    assert "Roughly: 3 requests" in _run(recipe_path, *places, "--resume", "--dry-run")

    tree = json.loads(_run(recipe_path, *places, "--resume", "--json"))
    assert tree["accepted"] == tree["wanted"] == {"fear": 6, "disgust": 4}
    assert tree["spent"]["requests"] == len(chat.bodies) == 5


def test_mistakes_are_told_without_a_traceback(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No server, no file, another ending, no such recipe: exit code 2 and what to do."""
    for arguments, message in (
        (["-o", str(tmp_path / "a.jsonl")], "--server.base_url http://localhost:8000/v1"),
        ([], "-o FILE.jsonl"),
        (["-o", "a.csv"], "must end in .jsonl"),
        (["-o", "a.jsonl", "--server.adress", "x"], "unknown key"),
    ):
        assert run(["generate", str(recipe_path), *arguments]) == 2
        assert message in capsys.readouterr().err
    assert run(["generate", "emotions-7-raer", "--dry-run"]) == 2
    assert "Did you mean 'emotions-7-rare'" in capsys.readouterr().err


def test_an_unencrypted_key_is_pointed_out(
    recipe_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that would travel to another machine over http:// is worth a line; on this machine it is not."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    keys = ["--server.retries", "0", "--server.timeout", "0.2"]
    for host, told in (("localhost.invalid", True), ("127.0.0.1", False)):
        out = tmp_path / f"{host}.jsonl"
        code = run(["generate", str(recipe_path), "-o", str(out), "--server.base_url", f"http://{host}:9/v1", *keys])
        assert code == 2
        assert ("unencrypted" in capsys.readouterr().err) == told
