"""`ottenok shares`: true shares of files, groups and lists, and what is told beside them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import ottenok
from mood_texts import CHINESE, texts, write
from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.cli.main import run
from ottenok.core.errors import ConfigError, DataError, InputError
from ottenok.studies.cards import record
from ottenok.studies.rows import Columns
from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

    from ottenok.inference.classifier import Classifier

_HOSTILE = "<script>alert(1)</script>\u202e"


def test_labelled_texts_of_the_kind_correct_the_shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --validation shares are corrected; groups by month, JSON and a page come with it."""
    months = ("2024-05-17T08:00", "17.06.2024", "", "no date")
    rows = [(text, mood, months[place % 4]) for place, (text, mood) in enumerate(texts(100, positive=0.25))]
    file = write(tmp_path / "new.csv", rows, "text", "mood", "date")
    known = write(tmp_path / "known.csv", texts(150, seed=1), "text", "mood")
    page = tmp_path / "shares.html"
    asked = ["shares", str(file), "--validation", str(known), "--label", "mood", "--by", "date:month", "-o", str(page)]
    assert run([*asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    whole = found["groups"][0]
    labels = {one["label"]: one for one in whole["tasks"]["sentiment-3"]["labels"]}
    assert set(found) == {"data", "model", "rows", "left_out", "by", "validation", "groups", "notes"}
    assert whole["tasks"]["sentiment-3"]["method"] == "em"
    assert whole["tasks"]["emotions-7"]["method"] == "answered"
    assert sum(one["share"]["value"] for one in labels.values()) == pytest.approx(1.0)
    assert labels["positive"]["share"]["low"] <= 0.25 <= labels["positive"]["share"]["high"]
    assert [group["name"] for group in found["groups"] if not group["language"]] == [
        "",
        "(no date)",
        "2024-05",
        "2024-06",
    ]
    assert any("label shift" in note for note in found["notes"])
    assert any("No labelled text is neutral" in note for note in found["notes"])
    html = page.read_text(encoding="utf-8")
    assert "sentiment-3 by date:month" in html
    assert "<script" not in html
    assert run(["shares", str(known), "--task", "stars-5"]) == 0
    assert "true share" in capsys.readouterr().out


def test_without_them_a_range_is_told(classifier: Classifier) -> None:
    """The embedded model's own labelled rows are of other kinds: shares are those of the answers, and ranges wide."""
    mine = [text for text, _ in texts(60)] + list(CHINESE) + ["This is all English and nothing else here."] * 3
    found = ottenok.true_shares([*mine, None, " "], model=classifier)
    sentiment = found.whole.tasks["sentiment-3"]
    assert (sentiment.method, sentiment.spread) == ("answered", True)
    assert all(one.answered.value == one.share.value for one in sentiment.labels)
    assert sum((one.share.high or 0) - (one.share.low or 0) for one in sentiment.labels) > 0.3
    assert found.whole.withheld == {"language": 3}
    assert found.left_out == {"empty text": 2}
    assert [group.language for group in found.groups] == ["", "ru", "zh"]
    assert "differ among" in found.notes[0]
    foreign = ottenok.true_shares(["This is all English and nothing else here."], model=classifier)
    assert (foreign.whole.texts, foreign.whole.withheld, foreign.tables()) == (0, {"language": 1}, {})
    assert "0 of them" in foreign.to_html()
    like = ottenok.true_shares(mine, model=classifier, like=["romip-2012"], tasks=["sentiment-3"])
    assert like.whole.tasks["sentiment-3"].method == "em"
    narrow = sum((one.share.high or 0) - (one.share.low or 0) for one in like.whole.tasks["sentiment-3"].labels)
    assert narrow < sum((one.share.high or 0) - (one.share.low or 0) for one in sentiment.labels)


def test_hostile_groups_and_bad_inputs(tmp_path: Path, classifier: Classifier) -> None:
    """Names of groups are strangers' words; what can't be done is told with what to do."""
    rows = [(text, _HOSTILE if place % 2 else "b" * 5000) for place, (text, _) in enumerate(texts(20))]
    file = write(tmp_path / "a.csv", rows, "text", "source")
    html = ottenok.true_shares(file, by="source", model=classifier, tasks=["stars-5"]).to_html()
    assert "<script" not in html
    assert "\u202e" not in html
    assert len(html) < 500_000
    with pytest.raises(ConfigError, match="no span of time 'months'"):
        ottenok.true_shares(file, by="source:months", model=classifier)
    with pytest.raises(InputError, match=r"no row of .* has a date in the column 'source'"):
        ottenok.true_shares(file, by="source:month", model=classifier)
    with pytest.raises(ConfigError, match="no labelled rows of this classifier are of the set 'nothing'"):
        ottenok.true_shares(file, like=["nothing"], model=classifier)
    with pytest.raises(DataError, match="there is no column 'review'"):
        ottenok.true_shares(file, text="review", model=classifier)
    with pytest.raises(InputError, match="no text"):
        ottenok.true_shares([" "], model=classifier)
    with pytest.raises(ConfigError, match="have no columns"):
        ottenok.true_shares(["a"], by="source", model=classifier)
    sample = ottenok.true_shares(file, rows=5, model=classifier, tasks=["stars-5"])
    assert sample.whole.texts == 5


def test_what_is_labelled_is_counted_in_the_bundle(tmp_path: Path) -> None:
    """`evaluate --record` and `tune` keep how labelled rows were answered; another decision's counts do not stay."""
    folder = tmp_path / "model"
    write_bundle(folder, tiny_manifest("sentiment-3", languages=("ru",), max_length=64))
    write_manifest(folder, open_bundle(folder).manifest)
    known = write(tmp_path / "known.csv", texts(150), "text", "mood")
    columns = Columns(label="mood")
    model = ottenok.load(folder, threads=1)
    with pytest.raises(DataError, match="does not know how labelled texts are answered"):
        ottenok.true_shares(["а"], model=model, method="em")
    bare = ottenok.true_shares(["а", "б"], model=model)
    assert bare.whole.tasks["sentiment-3"].method == "answered"
    record(folder, ottenok.evaluate(model, known, columns=columns, resamples=0))
    counts = open_bundle(folder).manifest.answers["sentiment-3"]
    assert (counts.rows, counts.data) == (150, "known.csv")
    ottenok.tune(folder, write(tmp_path / "more.csv", texts(90, seed=3), "text", "mood"), columns=columns)
    assert open_bundle(folder).manifest.answers["sentiment-3"].rows == 90
    found = ottenok.true_shares([text for text, _ in texts(50)], model=folder)
    assert found.whole.tasks["sentiment-3"].method == "em"
    broken = open_bundle(folder).manifest.to_json()
    broken["answers"]["sentiment-3"]["groups"][0]["counts"][0].pop()
    (folder / "ottenok.json").write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(ottenok.core.errors.BundleError, match="do not fit"):  # type: ignore[attr-defined]
        ottenok.load(folder)
