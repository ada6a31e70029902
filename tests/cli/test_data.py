"""`ottenok data`: what a stranger's file and the public sets go through."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ottenok.cli.main import run
from ottenok.data.card import card_names
from ottenok.data.corpus import open_corpus

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Terminal

_STRANGE = (
    "\ufeffid;отзыв;оценка;автор\r\n"
    '1;"Хорошо; очень ""хорошо""";плюс;Вася\r\n'
    "2;Плохо сделано;минус;Петя\r\n"
    "3;Сломано;минус;лишнее;поле\r\n"
    '4;"В две\r\nстроки";минус;Оля\r\n'
    "5;Ещё бы раз купил;плюс;Вася\r\n"
)


@pytest.fixture
def strange(tmp_path: Path) -> Path:
    """Return a CSV with a semicolon, a BOM, quotes, CRLF and a broken row."""
    path = tmp_path / "strange.csv"
    path.write_bytes(_STRANGE.encode())
    return path


@pytest.fixture(autouse=True)
def _no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OTTENOK_DATA", raising=False)
    monkeypatch.setenv("OTTENOK_CACHE", str(tmp_path / "cache"))


def _build(path: Path, *more: str) -> int:
    folder = str(path.parent / "corpus")
    return run(["data", "build", str(path), "--text", "отзыв", "--label", "оценка", "-o", folder, *more])


def test_strange_file_goes_in_with_one_command(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A semicolon, a BOM, quotes and a line break in a field are read; the broken row is told of and kept aside."""
    assert _build(strange) == 0

    out = capsys.readouterr().out
    rejects = [json.loads(line) for line in (strange.parent / "corpus" / "rejects.jsonl").read_text().splitlines()]
    texts = open_corpus(strange.parent / "corpus").table(columns=("text",))["text"].to_pylist()
    assert "1 record was rejected (5 fields instead of 4: 1)" in out
    assert [(one["row"], one["reason"]) for one in rejects] == [(3, "5 fields instead of 4")]
    assert set(texts) == {'Хорошо; очень "хорошо"', "Плохо сделано", "В две строки", "Ещё бы раз купил"}


def test_authors_stay_out(strange: Path) -> None:
    """No name of the author column is anywhere in the corpus folder."""
    assert _build(strange) == 0

    written = b"".join(path.read_bytes() for path in (strange.parent / "corpus").iterdir())
    assert "Вася".encode() not in written


def test_labels_are_mapped(strange: Path) -> None:
    """`--label-map` leads a stranger's labels to a scheme's."""
    assert (
        _build(strange, "--scheme", "sentiment-3", "--label-map", "плюс=positive", "--label-map", "минус=negative") == 0
    )

    corpus = open_corpus(strange.parent / "corpus")
    labels = {label for row in corpus.table(columns=("labels",))["labels"].to_pylist() for label in row}
    assert corpus.scheme == "sentiment-3"
    assert labels == {"negative", "positive"}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--scheme", "sentiment-3"], "минус"),
        (["--scheme", "sentiment-4"], "Did you mean 'sentiment-3'?"),
        (["--clean.treshold", "0.8"], "Did you mean 'threshold'?"),
        (["--clean.threshold", "high"], "clean.threshold"),
        (["--nonsense"], "--nonsense"),
        (["--data-rot", "x"], "Did you mean '--data-root'?"),
        (["--clean.threshold"], "value is missing"),
        (["--clean.threshold", "0.5", "--clean.threshold.x", "1"], "both as a value and as a section"),
        (["--sed", "1"], "'--seed'"),
        (["--label-map", "плюс"], "THEIRS=OURS"),
    ],
)
def test_wrong_option_is_refused(
    strange: Path, more: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong scheme, key, value or map ends with code 2 and a message that names it; no corpus is written."""
    assert _build(strange, *more) == 2

    assert expected in capsys.readouterr().err
    assert not (strange.parent / "corpus").exists()


def test_wrong_column_lists_the_columns(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column that is not there is answered with the file, the columns that are, and the nearest one."""
    assert run(["data", "build", str(strange), "--text", "отзывы", "--label", "оценка", "-o", "x"]) == 2

    err = capsys.readouterr().err
    assert "strange.csv" in err
    assert "'отзыв', 'оценка'" in err
    assert "Did you mean 'отзыв'?" in err


def test_file_without_columns_is_no_recipe(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A data file without --text and --label is answered with what to add."""
    assert run(["data", "build", str(strange), "-o", "x"]) == 2

    assert "--text COLUMN --label COLUMN" in capsys.readouterr().err


def test_recipe_takes_overrides(strange: Path) -> None:
    """A recipe file with the user's own data builds, and a key given on the command line wins."""
    recipe = strange.parent / "mine.toml"
    recipe.write_text(
        'name = "mine"\nscheme = "own"\n[[sources]]\n'
        'own = { name = "shop", file = "strange.csv", text = "отзыв", label = "оценка" }\n',
        encoding="utf-8",
    )

    assert (
        run(
            [
                "data",
                "build",
                str(recipe),
                "-o",
                str(strange.parent / "corpus"),
                "--seed",
                "7",
                "--split.train=1.0",
                "--split.validation=0.0",
                "--split.test=0.0",
            ]
        )
        == 0
    )
    corpus = open_corpus(strange.parent / "corpus")
    assert set(corpus.table(columns=("split",))["split"].to_pylist()) == {"train"}
    assert corpus.manifest["recipe"]["split"]["train"] == 1.0
    assert corpus.manifest["recipe"]["seed"] == 7


def test_recipe_takes_a_scheme_and_no_label_map(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a recipe, `--scheme` is the corpus's; `--label-map`, which it could not follow, is refused."""
    out = ["-o", str(strange.parent / "corpus")]
    recipe = strange.parent / "mine.toml"
    own = 'own = { name = "shop", file = "strange.csv", text = "отзыв", label = "оценка" }'
    recipe.write_text(f'name = "mine"\nscheme = "own"\n[[sources]]\n{own}\n', encoding="utf-8")

    assert run(["data", "build", str(recipe), "--scheme", "sentiment-4", *out]) == 2
    assert "sentiment-4" in capsys.readouterr().err
    assert run(["data", "build", "sentiment-union", "--label-map", "a=b", *out]) == 2
    assert "--label-map" in capsys.readouterr().err


def test_stats_tell_what_was_dropped(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`stats` shows rows, labels, licence and the reasons; `--json` holds the same for a program."""
    _build(strange)
    capsys.readouterr()

    assert run(["data", "stats", str(strange.parent / "corpus")]) == 0
    shown = capsys.readouterr().out
    assert run(["data", "stats", str(strange.parent / "corpus"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "rejected: 5 fields instead of 4" in shown
    assert found["sources"][0]["rejected"] == {"5 fields instead of 4": 1}
    assert sum(found["rows"].values()) == 4


def test_stats_name_what_is_not_learned(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Language by label with training rows; a label with too few of them is said to be not learned."""
    _build(strange)
    capsys.readouterr()
    assert run(["data", "stats", str(strange.parent / "corpus")]) == 0
    assert "not learned" in capsys.readouterr().out
    assert run(["data", "stats", str(strange.parent / "corpus"), "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {(cell["language"], cell["label"], cell["learned"]) for cell in cells} == {
        ("ru", "минус", False),
        ("ru", "плюс", False),
    }


def test_stats_fit_a_terminal(tmp_path: Path, terminal: Terminal) -> None:
    """On a terminal of 80 columns no line is longer, and names, counts and bars stand whole on their lines."""
    path = tmp_path / "many.csv"
    labels = [f"настроение-{number}" for number in range(9)]
    rows = [f"Отзыв номер {number} о товаре,{labels[number % 9 if number % 2 else 0]}" for number in range(500)]
    path.write_text("\n".join(["отзыв,оценка", *rows, "Отзыв номер 1 о товаре,настроение-1", ",x"]), encoding="utf-8")
    assert _build(path) == 0

    shown = terminal(["data", "stats", str(tmp_path / "corpus")], columns=80)

    assert max(map(len, shown.splitlines())) <= 80
    assert "duplicate" in shown
    assert "rejected: empty text" in shown
    assert all(any(label in line and "█" in line for line in shown.splitlines()) for label in labels)


def test_list_fits_a_terminal(terminal: Terminal) -> None:
    """On a terminal of 80 columns the names of all data sets can be read and copied."""
    shown = terminal(["data", "list"], columns=80)

    assert max(map(len, shown.splitlines())) <= 80
    assert [name for name in card_names() if f"{name} " not in shown] == []


def test_list_names_every_card(capsys: pytest.CaptureFixture[str]) -> None:
    """`list` names every card, as a table and as JSON; nothing is here without data."""
    assert run(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert run(["data", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)

    assert [name for name in card_names() if f"{name} " not in shown] == []
    assert sorted(one["name"] for one in found) == list(card_names())
    assert [one["kind"] for one in found[-1:]] != ["labelled"]
    assert not any(one["here"] for one in found)


@pytest.mark.data
def test_list_knows_what_is_at_hand(data_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the folder of real data sets, its sets are here and the larger ones are not."""
    assert run(["data", "list", "--json", "--data-root", str(data_root)]) == 0

    here = {one["name"] for one in json.loads(capsys.readouterr().out) if one["here"]}
    assert {"rusentiment", "cedr", "online-shopping-10-cats", "dmsc-sample"} <= here
    assert not here & {"rureviews", "mokoron", "linis-2015", "kaggle-news", "dmsc"}


def test_info_shows_the_card(capsys: pytest.CaptureFixture[str]) -> None:
    """`info` shows labels, faults and licence; `--json` is the card."""
    assert run(["data", "info", "rusentiment"]) == 0
    shown = capsys.readouterr().out
    assert run(["data", "info", "rusentiment", "--json"]) == 0

    assert "CC-BY-NC-SA-4.0" in shown
    assert json.loads(capsys.readouterr().out)["label"]["map"]["skip"] == ""


def test_absent_set_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A recipe whose required files are absent names them and the command that fetches them."""
    recipe = tmp_path / "one.toml"
    recipe.write_text('name = "one"\nscheme = "sentiment-3"\n[[sources]]\ncard = "waimai-10k"\n', encoding="utf-8")

    assert run(["data", "build", str(recipe), "-o", str(tmp_path / "corpus")]) == 2
    err = capsys.readouterr().err
    assert "waimai-10k" in err
    assert "ottenok data fetch waimai-10k" in err


def test_recipes_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The recipes that ottenok brings are listed by name."""
    assert run(["data", "recipes", "--json"]) == 0

    names = {one["name"] for one in json.loads(capsys.readouterr().out)}
    assert {"sentiment-union", "sentiment-balanced", "kinopoisk", "douban-stars", "emotions-7"} <= names
