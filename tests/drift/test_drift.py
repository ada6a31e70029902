"""`ottenok drift`: no alarm where nothing has changed, an alarm where something has, and what it says."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

import ottenok
from mood_texts import CHINESE, texts, write
from ottenok.cli.drift import ALARM
from ottenok.cli.drift import drift as command
from ottenok.cli.main import run
from ottenok.core.errors import ConfigError, DataError, InputError
from ottenok.drift.statistics import (
    changed_words,
    coded,
    count_draws,
    discoveries,
    divisions,
    largest_gap,
    mean_gap,
    p_values,
    together,
    total_variation,
    vector_gap,
)

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.inference.classifier import Classifier

_HOSTILE = "<script>alert(1)</script> \u202eплохо\u202c</style><img src=x onerror=alert(2)>"


def test_a_file_against_itself_gives_no_alarm(tmp_path: Path) -> None:
    """Nothing has changed: the exit code is 0, every probability is 1."""
    file = write(tmp_path / "a.csv", texts(120), "text", "mood")
    done = CliRunner().invoke(command, [str(file), str(file), "--json"], standalone_mode=False)
    found = json.loads(done.stdout)
    assert done.return_value in {0, None}
    assert (found["alarm"], found["alarms"], found["words"]) == (False, [], [])
    assert {change["p"] for change in found["changes"]} == {1.0}
    names = {change["name"] for change in found["changes"]}
    assert {"languages", "answers", "length", "unknown", "unfamiliar", "embeddings", "labels: emotions-7"} <= names
    assert found["rows"] == [120, 120]


def test_a_planted_shift_gives_an_alarm_and_a_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other moods, another language and hostile texts: exit code 3, what changed, and a page that only shows."""
    old = write(tmp_path / "old.csv", texts(150, positive=0.8), "text", "mood")
    new_rows = [*texts(110, positive=0.2, seed=1), *[(text, "") for text in CHINESE * 6], *[(_HOSTILE, "")] * 10]
    new = write(tmp_path / "new.csv", new_rows, "text", "mood")
    page = tmp_path / "drift.html"
    assert run(["drift", str(old), str(new), "-o", str(page)]) == ALARM
    told = capsys.readouterr().out
    assert "Alarm: " in told
    assert "\u202e" not in told
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html.replace("&lt;script", "")
    assert "\u202e" not in html
    assert re.search(r"<img[ />]", html) is None
    assert "default-src 'none'" in html
    for name in ("languages", "labels, sentiment-3", "Words that changed most", "true shares"):
        assert name in html
    assert run(["drift", str(old), str(new), "--floor", "nonsense=1"]) == 2
    assert "there is no test 'nonsense'" in capsys.readouterr().err


def test_from_python(classifier: Classifier) -> None:
    """Lists are as good as files; labels are told with their true shares and the intervals of their change."""
    old = [text for text, _ in texts(150, positive=0.7)]
    new = [text for text, _ in texts(150, positive=0.3, seed=2)]
    found = ottenok.find_drift(old, new, model=classifier, permutations=499)
    labels = next(one for one in found.changes if one.name == "labels: sentiment-3")
    assert labels.alarm
    assert labels.effect == pytest.approx(0.4, abs=0.1)
    positive = next(one for one in labels.labels if one.label == "positive")
    assert positive.old > 0.6
    assert positive.new < 0.4
    assert positive.true_change is not None
    assert positive.true_change.low is not None
    assert positive.true_change.low <= positive.true_change.value <= (positive.true_change.high or 0)
    assert {word.word for word in found.words} & {"ужасный", "отвратительный", "плохой", "грязный", "мерзкий"}
    high = ottenok.find_drift(old, new, model=classifier, permutations=499, floors=dict.fromkeys(_kinds(found), 1.0))
    assert not high.alarm
    assert json.dumps(found.to_json())


def _kinds(found: ottenok.drift.compare.Drift) -> set[str]:  # type: ignore[name-defined]
    return {change.kind for change in found.changes}


def _scrape(labels: dict[str, int], file: Path) -> str:
    """Write what the server's own counters say after texts of these labels, and return the file's name."""
    pytest.importorskip("prometheus_client")
    from ottenok.serve.metrics import Metrics

    metrics = Metrics(['the "model"'], queued=lambda: 0, held=lambda: 0)
    answers = [
        SimpleNamespace(truncated=False, windows=1, confidence=0.8, tasks={"mood": SimpleNamespace(labels=(label,))})
        for label, count in labels.items()
        for _ in range(count)
    ]
    model = SimpleNamespace(name='the "model"')
    facts = {"tokenising": 0.0, "waiting": 0.0, "computing": 0.0, "tokens": 10}
    metrics.answered(SimpleNamespace(texts=answers, predictions=answers, model=model, **facts), 0.1)  # type: ignore[arg-type]
    file.write_bytes(metrics.text())
    return str(file)


def test_what_a_server_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two saved texts of /metrics: the later one's new counts are compared, and no model is loaded."""
    monday = _scrape({"good": 300, "bad": 100}, tmp_path / "monday")
    same = _scrape({"good": 600, "bad": 200}, tmp_path / "same")
    worse = _scrape({"good": 400, "bad": 400}, tmp_path / "worse")
    assert run(["drift", monday, same]) == 0
    assert "goes on counting" in capsys.readouterr().out
    assert run(["drift", monday, worse, "--json"]) == ALARM
    found = json.loads(capsys.readouterr().out)
    labels = next(change for change in found["changes"] if change["name"] == "labels: mood")
    assert found["texts"] == [400, 400]
    assert labels["effect"] == pytest.approx(0.5)
    assert run(["drift", monday, worse, "--apart", "--json"]) == ALARM
    assert json.loads(capsys.readouterr().out)["texts"] == [400, 800]
    assert run(["drift", worse, monday, "--json"]) == ALARM  # it began anew
    assert json.loads(capsys.readouterr().out)["texts"] == [800, 400]
    assert run(["drift", monday, worse, "--model", "other"]) == 2
    assert 'the "model"' in capsys.readouterr().err


def test_bad_inputs_are_told(tmp_path: Path, classifier: Classifier) -> None:
    """No text, no column, no file, no tables in a folder: what was found and what to do; one text is enough."""
    empty = write(tmp_path / "empty.csv", [(" ", "")], "text", "mood")
    good = write(tmp_path / "good.csv", texts(30), "text", "mood")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="no text"):
        ottenok.find_drift(good, empty, model=classifier)
    with pytest.raises(DataError, match="there is no column 'review'"):
        ottenok.find_drift(good, good, text="review", model=classifier)
    with pytest.raises(DataError, match="no such file"):
        ottenok.find_drift(good, tmp_path / "absent.csv", model=classifier)
    with pytest.raises(DataError, match="no table"):
        ottenok.find_drift(good, tmp_path / "folder", model=classifier)
    with pytest.raises(ConfigError, match="permutations"):
        ottenok.find_drift(good, good, model=classifier, permutations=3)
    one = ottenok.find_drift(good, ["Отлично!"], model=classifier, permutations=99)
    assert not one.alarm
    assert "only large changes" in " ".join(one.notes)
    long = ottenok.find_drift(["слово " * 4000, "ещё"], ["Отлично!", "да"], model=classifier, permutations=99)
    assert len(long.to_html()) < 1_000_000


def test_a_sample_bounds_the_work(tmp_path: Path, classifier: Classifier) -> None:
    """Of a folder with more texts than --rows a sample is measured, and that is said."""
    for number in range(3):
        write(tmp_path / f"{number}.csv", texts(40, seed=number), "text", "mood")
    found = ottenok.find_drift(tmp_path, tmp_path, rows=50, model=classifier, permutations=99)
    assert (found.rows, found.texts) == ((120, 120), (50, 50))
    assert any("50 of 120" in note for note in found.notes)


def test_tests_of_texts_share_their_draws() -> None:
    """Categories, means and vectors of rows that differ are told from those of rows that do not; rows may lack one."""
    draw = np.random.default_rng(0)
    codes = np.array([0] * 90 + [1] * 10 + [0] * 50 + [1] * 50)
    vectors = draw.normal(size=(200, 8)).astype(np.float32)
    rows = np.where(np.arange(200)[:, None] % 2, draw.random((200, 2)), np.nan)
    same = np.tile(rows[:100], (2, 1))
    gaps = {
        "codes": coded(codes, total_variation),
        "ordered": coded(codes[::-1], largest_gap),
        "half": coded(np.where(np.arange(200) % 2, codes, -1), total_variation),
        "means": mean_gap(rows + np.arange(200)[:, None] // 100),
        "equal means": mean_gap(same),
        "vectors": vector_gap(vectors + 2 * (np.arange(200)[:, None] > 99), np.arange(200)),
        "some": vector_gap(vectors[::4], np.arange(0, 200, 4)),
        "none": vector_gap(np.zeros((3, 4), np.float32), np.array([0, 1, 150])),
    }
    blocks = [[gap(block) for gap in gaps.values()] for block in divisions(100, 100, draws=999, generator=draw)]
    found = dict(zip(gaps, map(np.concatenate, zip(*blocks, strict=True)), strict=True))
    assert found["codes"][0] == found["ordered"][0] == found["half"][0] == pytest.approx(0.4)
    p = {name: float(p_values(one)[0]) for name, one in found.items()}
    assert {p["codes"], p["ordered"], p["half"], p["means"], p["vectors"]} == {0.001}
    assert (p["equal means"], p["none"]) == (1.0, 1.0)
    assert p["some"] > 0.01
    assert together({}, {}) == {}


def test_the_statistics_are_the_published_ones() -> None:
    """Westfall and Young are Šidák where tests are independent, and free where they are the same; others as printed."""
    draw = np.random.default_rng(0)
    null = draw.random((3, 20_000))
    null[:, 0] = [0.995, 0.96, 0.5]
    apart = dict(zip("abc", null, strict=True))
    even = dict.fromkeys("abc", 1.0)
    assert together(apart, even) == pytest.approx({"a": 1 - 0.995**3, "b": 1 - 0.96**2, "c": 0.5}, abs=0.01)
    assert together(dict.fromkeys("abc", null[0]), even) == pytest.approx(dict.fromkeys("abc", 0.005), abs=0.001)
    heavy = together(apart, {"a": 1.0, "b": 9.0, "c": 1.0})
    assert heavy["b"] < together(apart, even)["b"]
    assert heavy["a"] > together(apart, even)["a"]
    assert discoveries([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    old, new = np.array([90, 10]), np.array([50, 50])
    found = count_draws(old, new, total_variation, draws=999, generator=draw)
    assert (found[0], p_values(found)[0]) == (pytest.approx(0.4), pytest.approx(0.001))
    assert p_values(count_draws(old * 10**9, old * 10**9, total_variation, draws=99, generator=draw))[0] == 1.0
    words = changed_words({"a": 50, "b": 100}, {"a": 5, "b": 100}, texts=(100, 100))
    assert [(word.word, word.z < 0) for word in words] == [("a", True), ("b", False)]
    assert words[0].p < 0.001 < words[1].p
