"""`ottenok.pipeline` beside transformers' own, on the same model."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING, Any

import pytest

import ottenok
from ottenok.bundle.manifest import CONFIG, ONNX
from ottenok.core.errors import ConfigError, InputError
from toys import fake_classifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEXT, LONG = "Какая гадость!", "很好 " * 90
TEXTS = ["Отличный фильм", "酒店很差", "стол", "Я люблю кино, а ты?"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny BERT classifier of transformers, with its ONNX graph."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tiny_encoders import tiny_encoder

    place = tiny_encoder(tmp_path_factory.mktemp("pipeline") / "bert")
    labels = {0: "negative", 1: "neutral", 2: "positive"}
    torch.manual_seed(1)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        place, id2label=labels, attn_implementation="eager"
    ).eval()
    torch.nn.init.normal_(model.classifier.weight)
    model.save_pretrained(place)
    (place / ONNX).parent.mkdir()
    ids, axes = torch.tensor([[2, 7, 9, 3], [2, 8, 3, 3]]), {0: "batch", 1: "length"}
    # The older exporter, which takes a second where ours takes ten.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(place / ONNX),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
            dynamo=False,
        )
    return place


@pytest.fixture(scope="module", params=["single_label_classification", "multi_label_classification"])
def both(request: pytest.FixtureRequest, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a maker of transformers' pipeline and ours of the same folder, with the same options."""
    from transformers import pipeline

    place = tmp_path_factory.mktemp(request.param) / "bert"
    shutil.copytree(folder, place)
    config = json.loads((place / CONFIG).read_text(encoding="utf-8"))
    (place / CONFIG).write_text(json.dumps({**config, "problem_type": request.param}), encoding="utf-8")
    task = "text-classification"
    return lambda **options: (
        pipeline(task, model=str(place), device="cpu", **options),
        ottenok.pipeline(task, model=place, device="cpu", **options),
    )


def _same(found: Any, expected: Any) -> None:
    """Assert the same shape, labels, and scores to a millionth."""
    assert type(found) is type(expected)
    if isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            _same(one, other)
    else:
        assert list(found) == list(expected)
        assert found["label"] == expected["label"]
        assert found["score"] == pytest.approx(expected["score"], abs=1e-5)


@pytest.mark.train
@pytest.mark.parametrize("init", [{}, {"top_k": None}, {"top_k": 1}, {"function_to_apply": "none"}])
def test_calls_and_answers_are_those_of_transformers(both: Any, init: dict[str, Any]) -> None:
    """Every shape of call gives transformers' shape of answer, with the same labels and scores."""
    theirs, ours = both(**init)
    inputs: list[Any] = [TEXT, TEXTS, [TEXT], {"text": TEXT}, [{"text": TEXT}, TEXT]]
    calls: list[dict[str, Any]] = [
        {},
        {"top_k": None},
        {"top_k": 1},
        {"top_k": 2},
        {"top_k": 9},
        {"function_to_apply": "sigmoid"},
        {"function_to_apply": "softmax", "top_k": 2},
        {"function_to_apply": "none", "top_k": None},
        {"truncation": True, "max_length": 6, "padding": True, "batch_size": 2},
    ]
    for given in inputs:
        for options in calls:
            _same(ours(given, **options), theirs(given, **options))
    _same(ours(LONG, truncation=True), theirs(LONG, truncation=True))


@pytest.mark.train
def test_generators_and_data_sets_are_read_as_they_come(both: Any) -> None:
    """A generator is read no further than is asked for, and a data set by its places, as in transformers."""
    torch = pytest.importorskip("torch")
    theirs, ours = both()

    class Texts(torch.utils.data.Dataset):  # type: ignore[name-defined,misc]
        def __len__(self) -> int:
            return len(TEXTS)

        def __getitem__(self, place: int) -> str:
            return TEXTS[place]

    seen = []

    def endless() -> Iterator[str]:
        while True:
            seen.append(1)
            yield TEXTS[len(seen) % 4]

    _same(list(ours(iter(TEXTS), batch_size=3, top_k=2)), list(theirs((text for text in TEXTS), batch_size=3, top_k=2)))
    _same(list(ours(Texts())), list(theirs(Texts())))
    next(ours(endless(), batch_size=2))
    assert len(seen) == 2


def test_long_texts_are_read_whole() -> None:
    """Without `truncation` a text beyond the model's length is read in windows; with it, its beginning alone."""
    pipe = ottenok.pipeline(model=fake_classifier(max_length=16))

    assert pipe(LONG) != pipe(LONG, truncation=True) == pipe(LONG[:30], truncation=True)


def test_nothing_to_read_is_not_guessed() -> None:
    """An empty text has no label, in every shape; a missing one is an error that says which."""
    pipe = ottenok.pipeline("sentiment-analysis", model=fake_classifier())
    nothing = {"label": None, "score": 0.0}

    assert pipe("") == [nothing] == pipe("", function_to_apply="none")
    assert pipe(["", " "], top_k=None) == [[nothing], [nothing]]
    with pytest.raises(InputError, match=r"row 3.*expected a text, found NoneType"):
        pipe(["а", "б", None], batch_size=1)


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        ({"text": "а", "text_pair": "б"}, {}, "expected a text, found a pair of texts"),
        ([["а", "б"]], {}, "expected a text, found list"),
        (5, {}, "expected texts, found int"),
        ("а", {"topk": 2}, "there is no option 'topk'.*top_k"),
        ("а", {"top_k": 0}, "top_k.*found 0"),
        ("а", {"function_to_apply": "tanh"}, "function_to_apply.*found 'tanh'"),
        ("а", {"truncation": "maybe"}, "truncation.*found 'maybe'"),
    ],
)
def test_wrong_calls_say_what_is_wrong(inputs: Any, options: dict[str, Any], message: str) -> None:
    """What can't be answered is an error with a way out."""
    with pytest.raises((ConfigError, InputError), match=f"(?s){message}"):
        ottenok.pipeline(model=fake_classifier())(inputs, **options)


@pytest.mark.parametrize("given", [("fill-mask", {}), (None, {"device": 0}), (None, {"top_p": 1})])
def test_wrong_pipelines_are_refused(given: tuple[str | None, dict[str, Any]]) -> None:
    """Another task, a GPU, or an unknown option is an error before a model is loaded."""
    with pytest.raises(ConfigError):
        ottenok.pipeline(given[0], **given[1])


def test_it_works_without_torch() -> None:
    """Neither torch nor transformers is loaded; the embedded model answers with a probability."""
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None; import ottenok\n"
        "(one,) = ottenok.pipeline('text-classification', threads=1)('服务态度很差，再也不来了')\n"
        "assert one['label'] == 'negative' and .5 < one['score'] <= 1, one"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
