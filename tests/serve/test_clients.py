"""The clients that users have, unchanged, against the real server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pages import run_node

if TYPE_CHECKING:
    import httpx

    from conftest import Running

BAD = "Какая гадость эта ваша заливная рыба!"


def analysis(http: httpx.Client) -> dict[str, dict[str, float]]:
    """Return each task's probabilities as /v1/analyze gives them."""
    tasks = http.post("/v1/analyze", json={"inputs": BAD}).json()["results"][0]["tasks"]
    return {name: answer["probabilities"] for name, answer in tasks.items()}


def test_huggingface_hub(server: Running, http: httpx.Client) -> None:
    """Hugging Face's InferenceClient gets every label, from the address alone and from a model's."""
    hub = pytest.importorskip("huggingface_hub")
    expected = analysis(http)
    for url, task in ((server.url, "sentiment-3"), (f"{server.url}/models/default:emotions-7", "emotions-7")):
        found = hub.InferenceClient(model=url, token="hf_key-of-the-tests").text_classification(BAD)
        assert {one.label: one.score for one in found} == pytest.approx(expected[task], abs=1e-6)
        assert found == sorted(found, key=lambda one: -one.score)
        two = hub.InferenceClient(model=url).text_classification(BAD, top_k=2)
        assert [one.label for one in two] == [one.label for one in found[:2]]


def test_openai(server: Running, http: httpx.Client) -> None:
    """OpenAI's client moderates with our labels and thresholds, lists models, and reads refusals as its own."""
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="key-of-the-tests", max_retries=0)
    with client:
        expected = analysis(http)["emotions-7"]
        result = client.moderations.create(input=BAD).results[0]
        assert result.category_scores.model_extra == pytest.approx(expected, abs=1e-6)
        assert result.categories.model_extra["disgust"] is True
        assert result.categories.model_extra["joy"] is False
        assert result.flagged
        assert len(client.moderations.create(input=[BAD, "ура"]).results) == 2
        assert [model.id for model in client.models.list()] == ["default"]
        with pytest.raises(openai.NotFoundError, match="no model of this name"):
            client.moderations.create(input=BAD, model="nothing")
        assert client.models.retrieve("default") == client.models.list().data[0]
        with pytest.raises(openai.NotFoundError, match="no model of this name"):
            client.models.retrieve("nothing")


def test_javascript(server: Running, http: httpx.Client) -> None:
    """The npm packages @huggingface/inference and openai get the same."""
    found = run_node("clients.mjs", {"url": server.url, "text": BAD}, package="@huggingface/inference")
    expected = analysis(http)
    assert {one["label"]: one["score"] for one in found["root"]} == pytest.approx(expected["sentiment-3"], abs=1e-6)
    emotions = expected["emotions-7"]
    assert [one["label"] for one in found["model"]] == sorted(emotions, key=emotions.__getitem__, reverse=True)[:2]
    moderation = found["moderation"]["results"][0]
    assert moderation["category_scores"] == pytest.approx(expected["emotions-7"], abs=1e-6)
    assert moderation["categories"]["disgust"] is True
    assert found["models"] == ["default"]
    assert found["refused"] == {"status": 404, "name": "NotFoundError"}
