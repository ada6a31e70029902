"""The keys of exact duplicates, on the published files: the overlaps that their collection lists."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from typing import TYPE_CHECKING

import pytest

from ottenok.text.normalise import dedupe_key, normalise

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.data


# The published counts leave out texts of fewer than six letters ("ok", "супер").
SHORTEST = 6


def _unique(texts: Iterable[str]) -> set[str]:
    keys = map(dedupe_key, texts)
    return {key for key in keys if len(key) >= SHORTEST and re.fullmatch(r"\w+", key)}


def _csv(stream: io.TextIOBase, column: str) -> set[str]:
    return _unique(row[column] for row in csv.DictReader(stream))


def _keys(path: Path, column: str) -> set[str]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return _csv(stream, column)


def _json(path: Path) -> set[str]:
    return _unique(entry["content"] for entry in json.loads(path.read_text(encoding="utf-8-sig")))


def test_rusentiment(data_root: Path) -> None:
    """The test shares 91 texts with the random posts and 17 with the preselected ones."""
    test, random, preselected = (
        _keys(data_root / f"rusentiment/rusentiment_{name}.csv", "text")
        for name in ("test", "random_posts", "preselected_posts")
    )

    assert (len(test & random), len(test & preselected)) == (91, 17)


def test_app_reviews(data_root: Path) -> None:
    """228 of 2,167 distinct test texts are in train."""
    train, test = (_keys(data_root / f"app-reviews-ru/{name}.csv", "text") for name in ("train", "test"))

    assert (len(test), len(test & train)) == (2167, 228)


def test_smp(data_root: Path) -> None:
    """The usual train file shares 245 texts with its test and 129 with its eval."""
    folder = data_root / "smp2020-ewect"
    lines = (folder / "usual_train_evanshao.txt").read_text(encoding="utf-8-sig").split("\n")
    train = _unique(line.split(",", 1)[1].rsplit(",", 1)[0] for line in lines if line.count(",") >= 2)
    test, valid = (_json(folder / f"usual_{name}_labeled.txt") for name in ("test", "eval"))

    assert (len(train & test), len(train & valid)) == (245, 129)


def test_hotels(data_root: Path) -> None:
    """ChnSentiCorp's hotels share 7,015 of 7,754 texts with the online shopping reviews."""
    hotels = _keys(data_root / "chnsenticorp-htl/ChnSentiCorp_htl_all.csv", "review")
    with zipfile.ZipFile(data_root / "online-shopping-10-cats/online_shopping_10_cats.zip") as archive:
        text = archive.read("online_shopping_10_cats.csv").decode("utf-8-sig")
    shopping = _csv(io.StringIO(text, newline=""), "review")

    assert (len(hotels), len(hotels & shopping)) == (7754, 7015)


def test_normalising_keeps_real_texts(data_root: Path) -> None:
    """No real text with letters is lost, and й and ё are as many as before."""
    with (data_root / "rusentiment/rusentiment_random_posts.csv").open(encoding="utf-8-sig", newline="") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]

    for text in texts:
        assert normalise(text) or not dedupe_key(text)
    assert sum(normalise(text).count("й") >= text.count("й") for text in texts) > 0.99 * len(texts)
