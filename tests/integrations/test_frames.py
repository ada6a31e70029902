"""Data frames of every library: the same kind comes back, with the answers as columns."""

from __future__ import annotations

from typing import Any

import pytest

import ottenok
from ottenok.core.errors import ConfigError, InputError
from toys import fake_classifier

pytest.importorskip("narwhals")

TEXTS = ["Отличный фильм", None, "", "房间又小又脏。", "стол"]
ROWS = {"review": TEXTS, "stars": [5, 4, 3, 1, 3]}
NAMES = ["label", "confidence", "polarity", "negative", "neutral", "positive"]


def frame_of(library: str) -> Any:
    """Return the rows as a frame of a library, or skip."""
    module = pytest.importorskip(library)
    return module.table(ROWS) if library == "pyarrow" else module.DataFrame(ROWS)


def rows_of(frame: Any) -> list[dict[str, Any]]:
    """Return a frame's rows, with None for everything that is missing."""
    if hasattr(frame, "to_pylist"):
        return frame.to_pylist()
    if hasattr(frame, "to_dicts"):
        return frame.to_dicts()
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_the_same_kind_comes_back(library: str) -> None:
    """The frame keeps its kind and columns, and its answers are the classifier's; what is missing stays missing."""
    classifier = fake_classifier("sentiment-3", "emotions-7")
    frame = frame_of(library)

    found = classifier.classify_frame(frame, text="review")

    assert type(found) is type(frame)
    for row, text, stars, answer in zip(rows_of(found), TEXTS, ROWS["stars"], classifier(TEXTS), strict=True):
        assert (row["review"], row["stars"]) == (text, stars)
        assert row["predicted_label"] == answer.label
        expected = [answer.confidence, answer.polarity, *answer.probabilities.values()] if text else [None] * 5
        assert [row[f"predicted_{name}"] for name in NAMES[1:]] == pytest.approx(expected, abs=1e-6)
        emotions = row["predicted_emotions-7:labels"]
        assert emotions == (list(answer.tasks["emotions-7"].labels) if text else None)


def test_the_index_of_pandas_is_kept() -> None:
    """Whatever the index is, repeated or of several levels, rows keep it."""
    pandas = pytest.importorskip("pandas")
    for index in ([3, 3, 1, 7, 3], pandas.MultiIndex.from_tuples([("a", n) for n in range(5)], names=["x", "y"])):
        frame = pandas.DataFrame(ROWS, index=index)
        found = fake_classifier().classify_frame(frame, text="review", columns=["label"])

        pandas.testing.assert_frame_equal(found[["review", "stars"]], frame)
        assert list(found.columns) == ["review", "stars", "predicted_label"]
        assert found["predicted_label"].isna().tolist() == [False, True, True, False, False]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_frame_without_rows_gets_the_columns(library: str) -> None:
    """No rows give the same columns."""
    frame = frame_of(library)
    empty = frame.iloc[:0] if library == "pandas" else frame.slice(0, 0)
    wide = fake_classifier("emotions-7").classify_frame(frame, text="review")

    found = fake_classifier("emotions-7").classify_frame(empty, text="review")

    names = found.column_names if library == "pyarrow" else list(found.columns)
    assert names == (wide.column_names if library == "pyarrow" else list(wide.columns))
    assert len(found) == 0


def test_lazy_frames_of_polars_stay_lazy() -> None:
    """A lazy frame is planned, with the right types, and computed when it is collected."""
    frame = frame_of("polars")
    classifier = fake_classifier()

    lazy = classifier.classify_frame(frame.lazy(), text="review", prefix="")

    assert type(lazy) is type(frame.lazy())
    assert lazy.collect_schema() == lazy.collect().schema
    assert lazy.collect().equals(classifier.classify_frame(frame, text="review", prefix=""))


def test_polars_has_an_expression() -> None:
    """`ottenok.classify()` is a struct of the answers, in eager and lazy frames, also of a folder's model."""
    polars = pytest.importorskip("polars")
    import ottenok.polars

    assert ottenok.polars.OttenokExpression
    classifier, frame = fake_classifier(), frame_of("polars")
    expected = classifier.classify_frame(frame, text="review", prefix="").drop("stars")
    expression = polars.col("review").ottenok.classify(classifier)

    for found in (
        frame.select("review", expression.alias("a")),
        frame.lazy().select("review", expression.alias("a")).collect(),
    ):
        assert found.unnest("a").equals(expected)
    one = frame.select(polars.col("review").ottenok.classify(classifier, columns=["polarity"]).struct.field("polarity"))
    assert one.equals(expected.select("polarity"))


def test_pandas_has_an_accessor() -> None:
    """`ottenok.classify()` of a column is a frame of the answers with the column's index."""
    pandas = pytest.importorskip("pandas")
    import ottenok.pandas

    assert ottenok.pandas.OttenokAccessor
    frame = pandas.DataFrame(ROWS, index=list("cabba"))
    classifier = fake_classifier()

    found = frame["review"].ottenok.classify(classifier)

    expected = classifier.classify_frame(frame, text="review", prefix="").drop(columns=["review", "stars"])
    pandas.testing.assert_frame_equal(found, expected)


def test_duckdb_calls_the_classifier() -> None:
    """A function of Arrow columns makes SQL classify; the relation itself is no frame in memory."""
    duckdb = pytest.importorskip("duckdb")
    arrow = pytest.importorskip("pyarrow")
    classifier = fake_classifier()

    def polarity(texts: Any) -> Any:
        return arrow.array([answer.polarity for answer in classifier(texts)], arrow.float64())

    base = duckdb.connect()
    base.create_function("polarity", polarity, ["VARCHAR"], "DOUBLE", type="arrow", null_handling="special")
    base.register("reviews", arrow.table(ROWS))

    found = base.sql("SELECT polarity(review) AS p FROM reviews").fetchall()

    assert [value for (value,) in found] == [answer.polarity for answer in classifier(TEXTS)]
    with pytest.raises(InputError, match=r"expected a frame in memory, found .*DuckDBPyRelation"):
        classifier.classify_frame(base.table("reviews"), text="review")


@pytest.mark.parametrize(
    ("make", "options", "error", "message"),
    [
        (lambda pd: [1], {}, InputError, "expected a data frame, found list"),
        (lambda pd: pd.DataFrame(ROWS), {"text": "reviews"}, InputError, "no column 'reviews'.*Did you mean 'review'"),
        (lambda pd: pd.DataFrame(ROWS), {"columns": ["lable"]}, ConfigError, "there is no answer 'predicted_lable'"),
        (
            lambda pd: pd.DataFrame(ROWS | {"label": [0] * 5}),
            {"prefix": ""},
            InputError,
            "has a column 'label' already",
        ),
        (
            lambda pd: pd.DataFrame([["a", "b"]], columns=["review", "review"]),
            {},
            InputError,
            "two columns of the same name",
        ),
        (lambda pd: pd.DataFrame({"review": ["a", 5]}), {}, InputError, "row 2.*found int 5"),
    ],
)
def test_wrong_frames_say_what_is_wrong(
    make: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """What is no frame, or has not what is asked for, is an error with a way out."""
    frame = make(pytest.importorskip("pandas"))
    with pytest.raises(error, match=f"(?s){message}"):
        fake_classifier().classify_frame(frame, **{"text": "review", **options})


def test_classifying_needs_no_frames() -> None:
    """`import ottenok` brings neither pandas nor Polars nor narwhals, and neither does a classifier."""
    import subprocess
    import sys

    code = (
        "import sys, ottenok; ottenok.load(threads=1); "
        "assert not {'pandas', 'polars', 'narwhals', 'pyarrow', 'sklearn'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ottenok.__version__
