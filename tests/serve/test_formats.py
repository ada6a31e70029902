"""The wire formats, word for word, asked by plain HTTP; and the same answers as the classifier gives."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import ottenok

if TYPE_CHECKING:
    import httpx

    from ottenok import Classifier

BAD, GOOD = "Какая гадость эта ваша заливная рыба!", "服务很好，下次还来"
LABELS = ["negative", "neutral", "positive"]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    """Return the same model in this process."""
    return ottenok.load()


def post(http: httpx.Client, path: str, body: Any) -> Any:
    """Return the JSON of an answer that has to be one."""
    response = http.post(path, json=body)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.mark.parametrize("path", ["/predict", "/invocations", "/"])
def test_tei_single(http: httpx.Client, classifier: Classifier, path: str) -> None:
    """A text, also in a list of one, gets all labels as a flat list, score before label, falling."""
    expected = classifier(BAD).probabilities
    for inputs in (BAD, [BAD]):
        found = post(http, path, {"inputs": inputs})
        assert [list(entry) for entry in found] == [["score", "label"]] * 3
        assert {entry["label"]: entry["score"] for entry in found} == pytest.approx(expected, abs=1e-6)
        assert found == sorted(found, key=lambda entry: -entry["score"])


def test_tei_batch(http: httpx.Client) -> None:
    """A list of lists is a batch, each text as if it were alone."""
    found = post(http, "/predict", {"inputs": [[BAD], [GOOD]]})
    assert found == [post(http, "/predict", {"inputs": BAD}), post(http, "/predict", {"inputs": GOOD})]


def test_tei_headers(http: httpx.Client) -> None:
    """An answer says what it took, in whole numbers."""
    headers = http.post("/predict", json={"inputs": BAD}).headers
    assert headers["x-compute-type"] == "cpu"
    assert headers["x-compute-characters"] == str(len(BAD))
    for name in ("compute-time", "compute-tokens", "total-time", "tokenization-time", "queue-time", "inference-time"):
        assert headers[f"x-{name}"].isdigit(), name


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"inputs": [BAD, GOOD]}, 422, "Validation"),  # a pair
        ({"inputs": []}, 400, "Empty"),
        ({"inputs": ""}, 400, "Empty"),
        ({"inputs": 7}, 422, "Validation"),
        ({}, 422, "Validation"),
        ({"inputs": [["a"]] * 1025}, 422, "Validation"),
    ],
)
def test_tei_errors(http: httpx.Client, body: Any, status: int, kind: str) -> None:
    """What is refused has text-embeddings-inference's status and shape."""
    response = http.post("/predict", json=body)
    assert (response.status_code, response.json()["error_type"]) == (status, kind)
    assert response.json()["error"]


def test_marks_and_encodings_of_bodies(http: httpx.Client) -> None:
    """A byte order mark is passed over, another encoding named, and `parameters` may be null."""
    body = json.dumps({"inputs": BAD, "parameters": None}, ensure_ascii=False)
    marked = http.post("/", content=body.encode("utf-8-sig"))
    assert marked.json() == post(http, "/", {"inputs": BAD, "parameters": {}})
    assert "not in UTF-8" in http.post("/predict", content=body.encode("cp1251")).json()["error"]


def test_tei_vertex(http: httpx.Client) -> None:
    """/vertex answers several bodies."""
    found = post(http, "/vertex", {"instances": [{"inputs": BAD}, {"inputs": [[GOOD]]}]})
    assert found == {
        "predictions": [post(http, "/predict", {"inputs": BAD}), [post(http, "/predict", {"inputs": GOOD})]]
    }


def test_tei_raw_scores(http: httpx.Client, classifier: Classifier) -> None:
    """raw_scores gives logits."""
    found = {entry["label"]: entry["score"] for entry in post(http, "/predict", {"inputs": BAD, "raw_scores": True})}
    expected = classifier.logits([BAD])[0].tolist()
    assert [found[label] for label in LABELS] == pytest.approx(expected, abs=1e-5)


def test_tei_info(http: httpx.Client) -> None:
    """/info has the labels and the limits."""
    found = http.get("/info").json()
    assert found["model_type"]["classifier"]["id2label"] == {"0": "negative", "1": "neutral", "2": "positive"}
    assert found["model_id"] == "default"
    assert found["max_input_length"] == 128


def test_multi_label_is_never_softmax(http: httpx.Client, classifier: Classifier) -> None:
    """The emotions are each a sigmoid, in every format, and the thresholds are the bundle's."""
    expected = classifier(BAD).tasks["emotions-7"].probabilities
    assert sum(expected.values()) != pytest.approx(1, abs=0.01)
    query = "?task=emotions-7"
    flat = {entry["label"]: entry["score"] for entry in post(http, f"/predict{query}", {"inputs": BAD})}
    hub = post(http, "/models/default:emotions-7", {"inputs": BAD, "parameters": {}})
    vllm = post(http, "/v1/classify", {"input": BAD, "model": "default:emotions-7"})["data"][0]
    infinity = post(http, "/classify", {"input": [BAD], "model": "default:emotions-7"})["data"][0]
    assert flat == pytest.approx(expected, abs=1e-6)
    assert {entry["label"]: entry["score"] for entry in hub[0]} == flat
    assert {entry["label"]: entry["score"] for entry in infinity} == flat
    assert dict(zip(expected, vllm["probs"], strict=True)) == flat
    item = post(http, "/v1/moderations", {"input": BAD})["results"][0]
    assert item["category_scores"] == flat
    decision = next(task for task in classifier.tasks if task.name == "emotions-7").decision
    assert item["categories"] == {
        label: flat[label] >= least for label, least in zip(expected, decision.thresholds, strict=True)
    }
    assert item["flagged"]
    refused = http.post(
        "/models/default:emotions-7", json={"inputs": BAD, "parameters": {"function_to_apply": "softmax"}}
    )
    assert refused.status_code == 422


def test_analyze(http: httpx.Client, classifier: Classifier) -> None:
    """/v1/analyze gives what the classifier gives, and the rest that is known."""
    found = post(http, "/v1/analyze", {"inputs": [BAD, GOOD, " "]})
    assert found["model"] == "default"
    for text, one in zip([BAD, GOOD, " "], found["results"], strict=True):
        assert one["tasks"].keys() == classifier(text).tasks.keys()
        assert one["label"] == classifier(text).label
        assert one["text_chars"] == len(text)
    assert [one["language"] for one in found["results"]] == ["ru", "zh", "other"]
    assert found["results"][2]["reason"] == "nothing to read"
    assert set(found["results"][0]["thresholds"]) == {"sentiment-3", "emotions-7", "stars-5"}
    one = post(http, "/v1/analyze", {"inputs": BAD, "tasks": ["stars-5"]})["results"][0]
    assert one["label"] == classifier(BAD).tasks["stars-5"].label
    assert "tasks" not in one


def test_long_texts(http: httpx.Client) -> None:
    """Long texts are read in windows; a request may say how many, or that one end be read, or nothing be cut."""
    text = "Очень плохо, ужасно, отвратительно. " * 40 + "Но в конце всё стало просто прекрасно! " * 40
    whole = post(http, "/v1/analyze", {"inputs": text})["results"][0]
    assert whole["windows"] > 5
    assert not whole["truncated"]
    two = post(http, "/v1/analyze", {"inputs": text, "max_windows": 2})["results"][0]
    assert (two["windows"], two["truncated"], two["label"]) == (2, True, "negative")
    begin = post(http, "/predict", {"inputs": text, "truncate": True})
    end = post(http, "/predict", {"inputs": text, "truncate": True, "truncation_direction": "Left"})
    assert (begin[0]["label"], end[0]["label"]) == ("negative", "positive")
    assert post(http, "/predict", {"inputs": text, "truncate": False})


def test_models(http: httpx.Client) -> None:
    """/v1/models says what each model answers; other names are not found, and reach no files."""
    card = http.get("/v1/models").json()["data"][0]
    assert card["id"] == "default"
    assert [task["name"] for task in card["tasks"]] == ["sentiment-3", "emotions-7", "stars-5"]
    assert card["tasks"][0]["polarity"] == {"negative": -1.0, "neutral": 0.0, "positive": 1.0}
    assert card["tasks"][1]["multi_label"]
    for name in ("../../etc/passwd", "/etc", "default/../x", "runs/tiny", "owner/name", "default:nothing"):
        assert http.post("/v1/analyze", json={"inputs": "a", "model": name}).status_code == 404, name
        assert http.post("/models/" + name.replace("..", "%2e%2e"), json={"inputs": "a"}).status_code == 404, name


def test_home(http: httpx.Client) -> None:
    """Browsers get a page at /, and others the server's health."""
    assert http.get("/", headers={"accept": "*/*"}).content == b""
    page = http.get("/", headers={"accept": "text/html,*/*"}, follow_redirects=True)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_description(http: httpx.Client) -> None:
    """The description is there, and its page needs nothing from elsewhere."""
    found = http.get("/openapi.json").json()
    assert "/v1/analyze" in found["paths"]
    page = http.get("/docs")
    assert "http" not in page.text.replace("the HTTP API", "").replace("http-equiv", "")
    assert http.get("/docs/static/swagger-ui-bundle.js").status_code == 200


def test_explain(http: httpx.Client, classifier: Classifier) -> None:
    """/v1/explain says which words made a label, as the classifier does; what it can't explain is refused."""
    pytest.importorskip("rjieba", reason="needs the extra explain")
    found = post(http, "/v1/explain", {"inputs": BAD, "task": "emotions-7", "label": "disgust"})
    assert (found["text"], found["task"], found["label"]) == (BAD, "emotions-7", "disgust")
    assert found["base"] + sum(word["share"] for word in found["words"]) == pytest.approx(found["logit"], abs=1e-4)
    assert max(found["words"], key=lambda word: word["share"])["text"] == "гадость"
    for body, status in (
        ({"inputs": BAD, "label": "nothing"}, 422),
        ({"inputs": BAD, "task": "nothing"}, 404),
        ({"inputs": "а" * 30_000}, 422),
    ):
        assert http.post("/v1/explain", json=body).status_code == status, body["inputs"][:10]
