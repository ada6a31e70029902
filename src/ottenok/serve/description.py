"""The paths, and what `/openapi.json` says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import TypeAdapter

from ottenok.core.version import __version__
from ottenok.serve import formats

if TYPE_CHECKING:
    from ottenok.serve.served import Models

__all__ = ["DOORS", "Door", "describe"]


class Door(NamedTuple):
    """A path and a method.

    Attributes:
        method: `GET` or `POST`.
        path: As Starlette has it.
        handler: Name of the method of `ottenok.serve.app.Service` that answers.
        tag: Whose format it is.
        summary: A line.
        body: What is sent as JSON; bytes: a file; None: nothing.
        answer: What comes back as JSON; None: no JSON.
    """

    method: Literal["GET", "POST"]
    path: str
    handler: str
    tag: str
    summary: str
    body: Any = None
    answer: Any = None


_TEI, _HUB, _OWN = "text-embeddings-inference", "Hugging Face", "ottenok"
# JSON of no one form.
_OBJECT = dict[str, Any]
DOORS = (
    Door(
        "POST",
        "/v1/analyze",
        "analyze",
        _OWN,
        "Everything: all tasks, labels, probabilities, polarity, language, thresholds, windows.",
        formats.AnalyzeRequest,
        formats.AnalyzeAnswer,
    ),
    Door("GET", "/v1/models", "model_list", _OWN, "The models and their tasks.", None, formats.ModelList),
    Door("GET", "/v1/models/{id:path}", "model_card", _OWN, "One of them.", None, formats.ModelCard),
    Door(
        "POST", "/v1/explain", "explain", _OWN, "Which words made the label.", formats.ExplainRequest, formats.Explained
    ),
    Door(
        "POST",
        "/v1/table",
        "table",
        _OWN,
        "The rows of a table (CSV, XLSX, JSON, Parquet ...) whose bytes are sent; `?name=` is the file's name.",
        bytes,
        _OBJECT,
    ),
    Door(
        "POST",
        "/predict",
        "predict",
        _TEI,
        "Classify a text or a batch.",
        formats.PredictRequest,
        formats.PredictAnswer,
    ),
    Door(
        "POST",
        "/invocations",
        "predict",
        _TEI,
        "The same, as SageMaker calls it.",
        formats.PredictRequest,
        formats.PredictAnswer,
    ),
    Door(
        "POST",
        "/vertex",
        "vertex",
        _TEI,
        "Several such bodies, as Vertex AI sends them.",
        formats.VertexRequest,
        formats.VertexAnswer,
    ),
    Door(
        "POST",
        "/",
        "root",
        _HUB,
        "Hugging Face's shape where `parameters` is sent, else text-embeddings-inference's.",
        formats.PredictRequest | formats.HubRequest,
        formats.PredictAnswer,
    ),
    Door(
        "POST",
        "/models/{id:path}",
        "hub_model",
        _HUB,
        "Classify with one of the models.",
        formats.HubRequest,
        list[list[formats.ScoredLabel]],
    ),
    Door(
        "POST", "/classify", "infinity", "infinity", "Classify texts.", formats.ClassifyRequest, formats.InfinityAnswer
    ),
    Door("POST", "/v1/classify", "vllm", "vLLM", "Classify texts.", formats.ClassifyRequest, formats.VllmAnswer),
    Door(
        "POST",
        "/v1/moderations",
        "moderations",
        "OpenAI",
        "Labels as categories, each from its threshold on.",
        formats.ModerationRequest,
        formats.ModerationAnswer,
    ),
    Door("GET", "/models", "infinity_models", "infinity", "The models.", None, _OBJECT),
    Door("GET", "/info", "info", _TEI, "The model and the server's limits.", None, _OBJECT),
    Door("GET", "/health", "health", _TEI, "Ready or not."),
    Door("GET", "/ping", "health", _TEI, "Ready or not."),
    Door("GET", "/live", "live", _OWN, "The process answers, ready or not."),
    Door("GET", "/metrics", "prometheus", _TEI, "For Prometheus."),
    Door("GET", "/", "home", _OWN, "A page for browsers; for others as /health."),
    Door("GET", "/openapi.json", "openapi", _OWN, "This description.", None, _OBJECT),
    Door("GET", "/docs", "docs", _OWN, "This description for people."),
    Door("GET", "/docs/start.js", "docs_script", _OWN, "What the page of /docs starts with."),
)

_CODES = {
    "400": "There is no text.",
    "401": "The API key is missing or wrong.",
    "403": "Host or Origin is not allowed.",
    "404": "There is no such model or task.",
    "405": "The path has no such method.",
    "408": "The body did not come in time.",
    "413": "The body or a text is too large, or would take longer than a request may.",
    "415": "The body is packed, or of a kind that is not read.",
    "422": "The body is not of this form, or asks for what the model can't do.",
    "424": "The model could not be run.",
    "429": "The server has enough to do; Retry-After says when to come again.",
    "500": "A fault of the server.",
    "501": "The server can't do this.",
    "503": "The server is not ready.",
    "504": "There was no answer in time.",
}


def describe(models: Models) -> dict[str, Any]:
    """Return the OpenAPI 3.1 description of a server with these models."""
    names = {
        "model": [model.name for model in models.served],
        "task": list(dict.fromkeys(task.name for model in models.served for task in model.tasks)),
    }
    kinds = {id(kind): kind for door in DOORS for kind in (door.body, door.answer) if kind is not None}
    kinds |= {id(kind): kind for kind in (formats.TeiError, formats.OpenAIError)}
    schemas, defined = TypeAdapter.json_schemas(
        [(number, "validation", TypeAdapter(kind)) for number, kind in kinds.items()],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for door in DOORS:
        openai = door.path.startswith("/v1/") or door.path == "/classify"
        fault = schemas[id(formats.OpenAIError if openai else formats.TeiError), "validation"]
        named = {"404"} if "{id" in door.path else set()
        told = _CODES if door.body is not None else named | {"401", "403", "405", "500", "503"}
        codes = {key: text for key, text in _CODES.items() if key in told}
        answers: dict[str, Any] = {
            code: {"description": text, "content": {"application/json": {"schema": fault}}}
            for code, text in codes.items()
        }
        answers["401"].pop("content")
        answers["200"] = {"description": "The answer."}
        if door.answer is not None:
            schema = schemas[id(door.answer), "validation"]
            answers["200"]["content"] = {"application/json": {"schema": schema}}
        entry: dict[str, Any] = {
            "summary": door.summary,
            "tags": [door.tag],
            "operationId": f"{door.method.lower()}_{door.path.strip('/').replace('/', '_') or 'root'}".split("{")[0],
            "responses": dict(sorted(answers.items())),
        }
        if door.body is bytes:
            file = {"schema": {"type": "string", "format": "binary"}}
            entry["requestBody"] = {"required": True, "content": {"application/octet-stream": file}}
            entry["parameters"] = [{"name": "name", "in": "query", "required": False, "schema": {"type": "string"}}]
        elif door.body is not None:
            entry["requestBody"] = {
                "required": True,
                "content": {"application/json": {"schema": schemas[id(door.body), "validation"]}},
            }
            entry["parameters"] = [
                {
                    "name": name,
                    "in": "query",
                    "required": False,
                    "description": f"Name of a {name}, where the body does not say.",
                    "schema": {"type": "string", "enum": known},
                }
                for name, known in names.items()
            ]
        path = door.path.replace(":path}", "}")
        if "{id}" in path:
            entry["parameters"] = [
                {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "enum": names["model"]}},
                *entry.get("parameters", [])[1:],
            ]
        paths.setdefault(path, {})[door.method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ottenok",
            "version": __version__,
            "description": "Sentiment and emotions of Russian and Chinese texts.",
        },
        "paths": paths,
        "components": {
            "schemas": defined.get("$defs", {}),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"key": []}],
    }
