"""`generate` against a real server on this machine: good answers and bad ones, stops and resumes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError, DataError, GenerationError, MissingExtraError
from ottenok.data.build import build
from ottenok.generate.run import generate
from ottenok.generate.sieve import KnownTexts, Match, Origin
from ottenok.recipes.corpus import CorpusRecipe
from ottenok.text.normalise import dedupe_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.generate.recipe import GenerationRecipe

    Make = Callable[..., GenerationRecipe]
    Rows = Callable[[Path], list[dict[str, Any]]]

KEY = "sk-tiny-secret"
LONG = "сегодня ночью мне опять приснился тот страшный дом на краю леса, и я проснулся в поту и до утра не мог уснуть"


def _corpus(folder: Path, *texts: str, **own: Any) -> Path:
    """Build a corpus whose file of texts is a test."""
    file = folder / "human.csv"
    file.write_text("text,label\n" + "".join(f"{text},fear\n" for text in texts), encoding="utf-8")
    source = {"own": {"name": "human", "file": str(file), "languages": ["ru"]}, "use": "test-only"}
    recipe = parse(CorpusRecipe, {"name": "human", "scheme": "emotions-7", "sources": [source]})
    return build(recipe, root=None, cache=folder / "cache", out=folder / "corpus").folder


def _fear(recipe: GenerationRecipe, count: int) -> GenerationRecipe:
    """The same for one label."""
    return recipe.model_copy(update={"labels": {"fear": recipe.labels["fear"].model_copy(update={"count": count})}})


def test_every_label_gets_its_texts(chat: Any, make: Make, rows: Rows, tmp_path: Path) -> None:
    """Counts are met exactly; each row says where it is from; requests ask for JSON with the key and a seed."""
    out = tmp_path / "out.jsonl"
    summary = generate(make(), out, key=KEY)

    found = rows(out)
    assert summary.accepted == summary.wanted == {"fear": 6, "disgust": 4}
    assert [row["label"] for row in found].count("disgust") == 4
    assert len({row["text"] for row in found}) == 10
    prompt = hashlib.sha256((tmp_path / "prompt.md").read_bytes()).hexdigest()
    for row in found:
        assert (row["source"], row["language"], row["model"]) == ("generated", "ru", "toy-2026")
        assert (row["prompt"], row["prompt_sha256"]) == ("prompt.md", prompt)
        assert row["answer"].startswith("chatcmpl-")
        assert row["request"].startswith(row["label"])
        assert row["seed"] in {body["seed"] for body in chat.bodies}
        assert row["time"].endswith("+00:00")
    assert all(headers["authorization"] == f"Bearer {KEY}" for headers in chat.headers)
    assert chat.bodies[0]["response_format"]["type"] == "json_schema"
    assert 1 <= chat.most <= 2
    assert (summary.spent.requests, summary.spent.input_tokens, summary.stopped) == (5, 500, "")
    assert summary.spent.cost == pytest.approx(5 * (100 * 1.0 + 50 * 2.0) / 1e6)
    assert KEY not in "".join(path.read_text("utf-8") for path in tmp_path.glob("*.jsonl"))


def test_answers_that_cannot_be_read_are_repeated_then_rejected(
    chat: Any, make: Make, rows: Rows, tmp_path: Path
) -> None:
    """Two attempts with two seeds, then a reject with the reason; a second chance that succeeds leaves none."""
    chat.script(chat.reply("Не могу."), chat.reply("{", finish="length"), chat.reply("хм"), chat.fresh(3))
    recipe = make(labels={"disgust": {"count": 2}, "fear": {"count": 2}}, limits={"parallel": 1, "attempts": 2})
    summary = generate(recipe, tmp_path / "out.jsonl")

    (reject,) = rows(tmp_path / "out.rejects.jsonl")
    assert (reject["reason"], reject["content"]) == ("no JSON with texts in the answer (ended with length)", "{")
    assert summary.problems == {reject["reason"]: 1}
    assert summary.accepted == summary.wanted
    assert summary.spent.requests == len(chat.bodies) == 5
    assert len({body["seed"] for body in chat.bodies}) == 5


def test_rate_limits_and_server_errors_pass(chat: Any, make: Make, tmp_path: Path) -> None:
    """The client waits as long as a 429 says, and repeats after a 500 and a 503."""
    chat.script(
        chat.reply("slow down", status=429, headers={"Retry-After": "1"}),
        chat.reply("oops", status=500, headers={"Retry-After-Ms": "10"}),
        chat.reply("busy", status=503, headers={"Retry-After-Ms": "10"}),
    )
    begun = time.monotonic()
    summary = generate(make(limits={"parallel": 1}), tmp_path / "out.jsonl")

    assert summary.accepted == summary.wanted
    assert summary.problems == {}
    assert len(chat.bodies) == 3 + 5
    assert time.monotonic() - begun >= 1.0


def test_a_server_that_keeps_failing_ends_the_run(chat: Any, make: Make, rows: Rows, tmp_path: Path) -> None:
    """Three requests without an answer: a clear error, and what came before is there to go on with."""
    out, recipe = tmp_path / "out.jsonl", make(server={"retries": 0}, limits={"parallel": 1})
    chat.script(chat.fresh(0), *[chat.reply(f"broken inside {KEY}", status=500)] * 3)
    with pytest.raises(GenerationError, match=r"3 requests in a row.*broken inside") as caught:
        generate(recipe, out, key=KEY)

    assert "--resume" in str(caught.value.hint)
    assert len(rows(out)) == 2
    assert KEY not in str(caught.value)
    assert KEY not in "".join(path.read_text("utf-8") for path in tmp_path.glob("*.jsonl"))
    summary = generate(recipe, out, resume=True)
    assert summary.accepted == summary.wanted
    assert len(chat.bodies) == 4 + 4


def test_slow_answers_are_no_answers(chat: Any, make: Make, tmp_path: Path) -> None:
    """A request that takes longer than the timeout counts as unanswered, and others go on."""
    chat.script(chat.fresh(0, wait=5.0))
    summary = generate(make(server={"timeout": 1.5, "retries": 0}, limits={"parallel": 1}), tmp_path / "out.jsonl")

    assert summary.problems == {"no answer in 1.5 seconds": 1}
    assert summary.accepted == summary.wanted


@pytest.mark.parametrize(
    ("status", "message", "hint"),
    [
        (401, "refuses the request: .*401.*wrong key", "--key-variable"),
        (403, "403", "may use this model"),
        (404, "404", "/v1"),
        (400, "400", "server.model"),
    ],
)
def test_a_refusal_is_told_at_once(chat: Any, make: Make, tmp_path: Path, status: int, message: str, hint: str) -> None:
    """A wrong key, model or address ends the run with the server's words, the key taken out, and what to check."""
    chat.answer = lambda _body, _number: chat.reply(f"wrong key {KEY}", status=status)
    with pytest.raises(GenerationError, match=message) as caught:
        generate(make(limits={"parallel": 1}), tmp_path / "out.jsonl", key=KEY)

    assert hint in str(caught.value.hint)
    assert KEY not in str(caught.value)
    assert len(chat.bodies) == (4 if status == 400 else 1)


def test_a_server_that_is_down_is_named(make: Make, tmp_path: Path) -> None:
    """Nobody listens: the error names the address."""
    recipe = make(server={"base_url": "http://127.0.0.1:9/v1", "retries": 0})
    with pytest.raises(GenerationError, match=r"http://127.0.0.1:9/v1 can't be reached") as caught:
        generate(recipe, tmp_path / "out.jsonl")
    assert "server.base_url" in str(caught.value.hint)


def test_nothing_is_asked_unless_a_server_is_named(chat: Any, make: Make, tmp_path: Path) -> None:
    """Without an address or a model there is an error and no file."""
    for change in ({"base_url": None}, {"model": None}):
        with pytest.raises(ConfigError, match="unless you name a server and a model"):
            generate(make(server=change), tmp_path / "out.jsonl")
    assert chat.bodies == []
    assert not list(tmp_path.glob("out*"))


def test_without_openai_the_extra_is_named(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the package is not installed, the error says what to install."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"ottenok\[generate\]"):
        generate(make(), tmp_path / "out.jsonl")


def test_a_server_without_schemas_and_seeds_is_asked_without(chat: Any, make: Make, tmp_path: Path) -> None:
    """A 400 for the schema, then for the seed: plain requests from then on, and rows without a seed."""

    def answer(body: dict[str, Any], number: int) -> Any:
        if "response_format" in body or "seed" in body:
            return chat.reply("unknown field", status=400)
        return chat.fresh(number)

    chat.answer = answer
    summary = generate(make(limits={"parallel": 1}), tmp_path / "out.jsonl")

    assert summary.accepted == summary.wanted
    assert len(chat.bodies) == 3 + 5


def test_the_body_is_what_the_recipe_says(chat: Any, make: Make, tmp_path: Path) -> None:
    """Options that are not set are not sent, and further keys are."""
    request = {"temperature": None, "max_tokens": 99, "seed": False, "extra": {"top_k": 5}}
    generate(make(request=request, server={"answer": "text"}), tmp_path / "out.jsonl")

    body = chat.bodies[0]
    assert (body["model"], body["max_tokens"], body["top_k"]) == ("toy", 99, 5)
    assert not {"temperature", "seed", "response_format"} & set(body)


@pytest.mark.parametrize("body", ["<html>Sign in</html>", '{"id": 1}', '{"choices": []}', "{", "[]", "null", '"x"'])
def test_what_is_no_completion_is_broken(chat: Any, make: Make, tmp_path: Path, body: str) -> None:
    """Another page or other JSON with status 200 is an answer that can't be read, not a crash."""
    kind = "text/html" if body.startswith("<") else "application/json"
    chat.script(chat.reply(body=body, headers={"Content-Type": kind}))
    summary = generate(make(limits={"parallel": 1, "attempts": 1}), tmp_path / "out.jsonl")

    assert sum(summary.problems.values()) == 1
    assert summary.accepted == summary.wanted


def test_repeats_and_faults_are_refused_by_reason(chat: Any, make: Make, rows: Rows, tmp_path: Path) -> None:
    """Duplicates and near duplicates among themselves and of examples, wrong language, too short, too long."""
    chat.script(
        chat.texts("Боюсь темноты!", LONG, "боюсь  ТЕМНОТЫ", f"{LONG}!!", LONG.replace("опять", "снова")),
        chat.texts(
            "I am afraid of the dark",
            "我晚上很怕黑",
            "ой",
            "ужас " * 300,
            "Мне очень страшно выходить из дома по ночам.",
        ),
    )
    out = tmp_path / "out.jsonl"
    summary = generate(_fear(make(limits={"parallel": 1}), 3), out)

    assert summary.refused == {
        "duplicate": 2,
        "near duplicate": 1,
        "another language": 2,
        "too short": 1,
        "too long": 1,
        "copy of an example": 1,
        "more than wanted": 1,
    }
    assert len(rows(tmp_path / "out.rejects.jsonl")) == 9
    assert [row["text"] for row in rows(out)][:2] == ["Боюсь темноты!", LONG]


def test_texts_of_a_test_do_not_come_back(chat: Any, make: Make, rows: Rows, tmp_path: Path) -> None:
    """Copies and near copies of a corpus's test are refused, in whatever normal form they come."""
    folder = _corpus(tmp_path, LONG.replace(",", ""), "боюсь писать @anna про https://example.org/a", "мне не по себе")
    chat.script(
        chat.texts("Боюсь писать @petr про http://example.com/b", LONG.replace("опять", "снова")),
        chat.texts("Мне не по себе...", LONG.upper()),
    )
    recipe = _fear(make(limits={"parallel": 1}), 4)
    summary = generate(recipe, tmp_path / "out.jsonl", against=[folder])

    assert summary.refused == {"copy of a test text": 3, "near copy of a test text": 1}
    assert all("приснился" not in row["text"] for row in rows(tmp_path / "out.jsonl"))
    with pytest.raises(DataError, match="no such folder"):
        generate(make(), tmp_path / "two.jsonl", against=[tmp_path / "no"])


def test_a_label_without_anything_new_is_given_up(chat: Any, make: Make, tmp_path: Path) -> None:
    """A model that repeats itself is asked a stated number of times more, not for ever."""
    chat.answer = lambda _body, _number: chat.texts("страшно, аж жуть", "боюсь")
    summary = generate(make(limits={"parallel": 1, "fruitless": 3}), tmp_path / "out.jsonl")

    assert "fear, disgust bring nothing new" in summary.stopped
    assert sum(summary.accepted.values()) == 2
    assert len(chat.bodies) == 1 + 2 * 3


def test_the_cost_has_a_limit(chat: Any, make: Make, tmp_path: Path) -> None:
    """No request begins that would pass the limit; a later run with a greater limit goes on."""
    out, one = tmp_path / "out.jsonl", 200e-6
    limited = make(limits={"parallel": 1, "max_cost": 2.5 * one})
    summary = generate(limited, out)
    assert summary.stopped == "the limit of the cost is reached"
    assert (len(chat.bodies), sum(summary.accepted.values())) == (2, 4)

    assert generate(limited, out, resume=True).stopped
    assert len(chat.bodies) == 2
    assert not generate(make(limits={"max_cost": 1.0}), out, resume=True).stopped
    assert len(chat.bodies) == 5


def test_tokens_are_guessed_where_the_server_counts_none(chat: Any, make: Make, tmp_path: Path) -> None:
    """The sum says that it is a guess, and the limit of the cost still holds."""
    chat.answer = lambda _body, number: chat.fresh(number, usage=False)
    spent = generate(make(), tmp_path / "out.jsonl").spent

    assert spent.estimated
    assert spent.cost > 0


def test_a_file_is_neither_overwritten_nor_mixed_up(chat: Any, make: Make, tmp_path: Path) -> None:
    """An existing file needs --resume; one of other labels or of something else is refused as it is."""
    out = tmp_path / "out.jsonl"
    generate(make(), out)
    asked = len(chat.bodies)
    with pytest.raises(ConfigError, match="already"):
        generate(make(), out)
    with pytest.raises(ConfigError, match="language ru, and the recipe has zh"):
        generate(make(language="zh"), out, resume=True)
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "мои данные", "label": "fear"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="was not written by"):
        generate(make(), other, resume=True)
    assert other.read_text("utf-8") == '{"text": "мои данные", "label": "fear"}\n'
    generate(make(), out, resume=True)
    assert len(chat.bodies) == asked


def test_a_torn_last_line_is_dropped(chat: Any, make: Make, rows: Rows, tmp_path: Path) -> None:
    """What a killed process or a full disk left unfinished is asked for again, and nothing else is."""
    out = tmp_path / "out.jsonl"
    generate(make(limits={"parallel": 1}), out)
    for name, cut in (("out.jsonl", 100), ("out.requests.jsonl", 5)):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-cut])
    summary = generate(make(limits={"parallel": 1}), out, resume=True)

    assert summary.accepted == summary.wanted
    assert len(rows(out)) == 10
    assert len(chat.bodies) == 5 + 1


_SCRIPT = """
import sys
from pathlib import Path
from ottenok.generate.recipe import load_generation_recipe
from ottenok.generate.run import generate
recipe = load_generation_recipe(Path(sys.argv[1]), {"server": {"base_url": sys.argv[2]}, "limits": {"parallel": 1}})
generate(recipe, Path(sys.argv[3]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(
    chat: Any, make: Make, rows: Rows, recipe_path: Path, tmp_path: Path, how: signal.Signals
) -> None:
    """Killed in the middle of the third request: two answers are there, and no finished request is made again."""
    out = tmp_path / "out.jsonl"
    chat.script(chat.fresh(0), chat.fresh(1), chat.fresh(2, wait=30.0))
    process = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, recipe_path, chat.url, out], stderr=subprocess.DEVNULL, env=dict(os.environ)
    )
    while len(chat.bodies) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(how)
    assert process.wait(60) != 0
    kept = rows(out)
    assert len(kept) == 4

    chat.script()
    summary = generate(make(limits={"parallel": 1}), out, resume=True)
    assert summary.accepted == summary.wanted
    assert rows(out)[:4] == kept
    seeds = [body["seed"] for body in chat.bodies]
    assert seeds[2] == seeds[3]  # the request that was under way is the one that is made again
    assert len(seeds) == len(set(seeds)) + 1 == 6


def test_it_runs_in_a_notebook(make: Make, tmp_path: Path) -> None:
    """Where an event loop runs already, as in a notebook's cell, the answer is the same."""

    async def cell() -> dict[str, int]:
        return dict(generate(make(), tmp_path / "out.jsonl").accepted)

    assert asyncio.run(cell()) == {"fear": 6, "disgust": 4}


def test_two_processes_do_not_write_one_file(chat: Any, make: Make, tmp_path: Path) -> None:
    """The second is told, and asks nobody."""
    out = tmp_path / "out.jsonl"
    found: list[str] = []

    def answer(_body: dict[str, Any], number: int) -> Any:
        if not found:
            found.append("asked")
            with pytest.raises(ConfigError, match="another process"):
                generate(make(), out, resume=True)
            found.append("refused")
        return chat.fresh(number)

    chat.answer = answer
    generate(make(limits={"parallel": 1}), out)
    assert found == ["asked", "refused"]


def test_generated_texts_are_for_training_alone(make: Make, tmp_path: Path) -> None:
    """As a `train-only` source with `validation = "train"`, no text gets into validation or a test."""
    out = tmp_path / "out.jsonl"
    generate(make(labels={"fear": {"count": 40}, "disgust": {"count": 30}}, request={"texts": 2}), out)
    human = tmp_path / "human.csv"
    lines = [
        f"человеческий текст номер {number} про {['аист', 'барсук', 'волк'][number % 3]},fear" for number in range(60)
    ]
    human.write_text("text,label\n" + "\n".join(lines), encoding="utf-8")
    sources = [
        {"own": {"name": "human", "file": str(human), "languages": ["ru"]}},
        {
            "own": {"name": "generated", "file": str(out), "languages": ["ru"]},
            "use": "train-only",
            "validation": "train",
        },
    ]
    recipe = parse(CorpusRecipe, {"name": "both", "scheme": "emotions-7", "sources": sources})
    table = build(recipe, root=None, cache=tmp_path / "cache", out=tmp_path / "both").table().to_pylist()

    generated = [row for row in table if row["source"] == "generated"]
    assert len(generated) == 70
    assert {row["split"] for row in generated} == {"train"}
    assert {row["split"] for row in table} == {"train", "validation", "test"}
    assert {label for row in generated for label in row["labels"]} == {"fear", "disgust"}


def test_known_texts_are_found_among_many() -> None:
    """Exact and near copies are found wherever they lie, the worst origin first; a stranger is not."""
    words = [
        "дом",
        "лес",
        "снег",
        "ночь",
        "волк",
        "река",
        "мост",
        "поезд",
        "город",
        "окно",
        "дверь",
        "свет",
        "тень",
        "шаг",
        "голос",
        "страх",
        "сон",
        "утро",
    ]
    texts = [" ".join(words[(number * step) % 18] for step in range(1, 14)) + f" {number}" for number in range(300)]
    known = KnownTexts()
    known.add([dedupe_key(text) for text in texts[:150]], [Origin.TRAIN] * 150)
    known.add([dedupe_key(text) for text in texts[150:]], [Origin.TEST] * 150)
    known.add([dedupe_key(texts[7])], [Origin.GENERATED])

    stranger = dedupe_key("совсем другой текст про погоду и отпуск на море")
    assert known.find(stranger) is None
    assert known.find("") is None
    assert known.find(dedupe_key(texts[200] + "!")) == Match(origin=Origin.TEST, exact=True)
    assert known.find(dedupe_key(texts[299] + " вот")) == Match(origin=Origin.TEST, exact=False)


def test_requests_keep_the_pace(chat: Any, make: Make, tmp_path: Path) -> None:
    """Ten requests a second begin in steps of a tenth of a second, however many may run."""
    begun = time.monotonic()
    generate(make(limits={"parallel": 8, "requests_per_minute": 600.0}), tmp_path / "out.jsonl")

    assert len(chat.bodies) == 5
    assert time.monotonic() - begun >= 0.4
