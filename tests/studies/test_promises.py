"""`ottenok tune --precision` and `--unfamiliar`: what is stored, and what every surface then answers."""

from __future__ import annotations

import csv
import json
import random
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import ottenok
from ottenok.bundle.folder import open_bundle, write_manifest
from ottenok.cli.classify import classify
from ottenok.cli.tune import tune as command
from ottenok.core.errors import DataError
from ottenok.studies.tuning import tune
from toys import tiny_manifest, write_bundle

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = [
    "день",
    "ночь",
    "улица",
    "фонарь",
    "аптека",
    "свет",
    "живи",
    "ещё",
    "хоть",
    "четверть",
    "века",
    "всё",
    "нет",
    "плохо",
    "хорошо",
    "ужасно",
    "отлично",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny model's folder, with a file of 400 texts whose labels are its own answers but for a twentieth."""
    folder = tmp_path_factory.mktemp("promises") / "model"
    write_bundle(folder, tiny_manifest("sentiment-3", "emotions-7", languages=("ru",), max_length=64))
    write_manifest(folder, open_bundle(folder).manifest)
    draw = random.Random(0)
    texts = [" ".join(draw.choices(_WORDS, k=draw.randint(1, 9))) for _ in range(400)]
    answers = ottenok.load(folder, threads=1).predict(texts)
    wrong = [draw.choice(["negative", "neutral", "positive"]) if draw.random() < 0.05 else one for one in answers]
    with (folder.parent / "rows.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("text", "label"), *zip(texts, wrong, strict=True)])
    return folder


def test_a_promise_is_written_and_kept(folder: Path, tmp_path: Path) -> None:
    """The limits stand in the copy's manifest and card; what is below them has no label and a reason."""
    out = tmp_path / "copy"
    arguments = [str(folder), str(folder.parent / "rows.csv"), "-o", str(out), "--precision", "0.8", "--json"]
    told = CliRunner().invoke(command, arguments, catch_exceptions=False)

    tree = json.loads(told.stdout)["promises"]["sentiment-3"]
    manifest = open_bundle(out).manifest
    selective = manifest.tasks[0].selective
    assert selective is not None
    assert list(selective.limits) == tree["selective"]["limits"]
    assert manifest.tasks[0].decision == open_bundle(folder).manifest.tasks[0].decision
    assert manifest.tasks[1].selective is None
    assert "at least 80% of the given answers" in (out / "README.md").read_text(encoding="utf-8")
    answers = ottenok.load(out, threads=1)(["день", "ночь улица", "плохо"])
    for answer in answers:
        best = max(answer.probabilities, key=answer.probabilities.__getitem__)
        limit = dict(zip(answer.probabilities, selective.limits, strict=True))[best]
        given = limit is not None and answer.probabilities[best] >= limit
        assert (answer.label, answer.reason) == ((best, None) if given else (None, "unsure"))


def test_a_new_decision_ends_its_promise(folder: Path, tmp_path: Path) -> None:
    """Limits belong to the probabilities that they were found on."""
    rows = folder.parent / "rows.csv"
    first = tune(folder, rows, tmp_path / "first", precision=0.8).bundle
    assert first.manifest.tasks[0].selective is not None

    assert tune(first.folder, rows, tmp_path / "second").bundle.manifest.tasks[0].selective is None


def test_strange_texts_are_learned_from_usual_ones(folder: Path, tmp_path: Path) -> None:
    """After the fit random letters are more unfamiliar than words, and are withheld; nothing else changes."""
    out = tmp_path / "copy"
    shown = CliRunner().invoke(
        command, [str(folder), str(folder.parent / "rows.csv"), "-o", str(out), "--unfamiliar", "0.99"]
    )
    usual, strange = ottenok.load(out, threads=1)(["улица фонарь аптека свет", "цщфжъ йцшгщзъ вжлщ фйцъ щшгж"])

    assert "Strange texts are told by 400 usual ones" in shown.stdout
    assert usual.unfamiliar is not None
    assert strange.unfamiliar is not None
    assert usual.unfamiliar < 0.99 <= strange.unfamiliar <= 1.0
    assert (usual.reason, strange.reason) == (None, "unfamiliar")
    assert len(json.dumps(open_bundle(out).manifest.to_json()["familiarity"])) < 2000
    assert "(unfamiliar)" in CliRunner().invoke(classify, ["цщфжъ йцшгщзъ вжлщ фйцъ", "-m", str(out)]).stdout


def test_too_few_texts_teach_nothing(folder: Path, tmp_path: Path) -> None:
    """A fit on a handful of texts is refused."""
    few = tmp_path / "few.csv"
    few.write_text("text,label\nдень,neutral\n", encoding="utf-8")
    with pytest.raises(DataError, match="expected at least 200"):
        tune(folder, few, unfamiliar=0.99, write=False)
