"""What clients send and get: the wire formats of the servers that they were written for, and ottenok's own.

Bodies of requests are pydantic models, and what is sent back are typed dictionaries: `/openapi.json` is made of both.
Facts of each format: text-embeddings-inference 1.9, huggingface_hub 2.4, infinity 0.0.77, vLLM 0.11, openai 3.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # before Python 3.12 pydantic can't read that of typing

from ottenok.core.language import detect_language
from ottenok.serve.batching import mean_logits
from ottenok.serve.refused import Refused
from ottenok.serve.served import thresholds
from ottenok.tasks.task import columns

if TYPE_CHECKING:
    from ottenok.inference.prediction import Prediction
    from ottenok.serve.batching import Job
    from ottenok.serve.served import Served
    from ottenok.tasks.task import Task

__all__ = [
    "Analysis",
    "AnalyzeAnswer",
    "AnalyzeRequest",
    "ClassifyRequest",
    "ExplainRequest",
    "Explained",
    "HubParameters",
    "HubRequest",
    "InfinityAnswer",
    "ModelList",
    "ModerationAnswer",
    "ModerationRequest",
    "OpenAIError",
    "PredictAnswer",
    "PredictRequest",
    "ScoredLabel",
    "TeiError",
    "VertexAnswer",
    "VertexRequest",
    "VllmAnswer",
    "analysis",
    "infinity_answer",
    "moderation_answer",
    "moderation_texts",
    "predict_texts",
    "scored",
    "vllm_answer",
]


class _Request(BaseModel):
    """Keys that are not known are passed over, as the servers do whose clients these are."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


# ---- text-embeddings-inference ----


class PredictRequest(_Request):
    """The body of `/predict`.

    A text or a list of one is one text; a list of two texts is a pair, which these models do not read; a list of lists
    of one text is a batch.
    """

    inputs: str | list[str] | list[list[str]] = Field(
        description="A text; or a batch, each text in a list of its own: [[a], [b]]."
    )
    truncate: bool | None = Field(
        default=None,
        description="true: of a text longer than the model reads at once, one window is read. false: a text that is "
        "not read whole is refused. Without: it is read in windows, as many as the server allows.",
    )
    truncation_direction: Literal["Right", "Left", "right", "left"] = Field(
        default="Right", description="With truncate=true: Right keeps the beginning, Left the end."
    )
    raw_scores: bool = Field(default=False, description="Logits in place of probabilities.")


class ScoredLabel(TypedDict):
    """A label and its probability, 0..1 (or its logit)."""

    score: float
    label: str


PredictAnswer = list[ScoredLabel] | list[list[ScoredLabel]]


class VertexRequest(_Request):
    """The body of `/vertex`: several bodies of `/predict`."""

    instances: Annotated[list[PredictRequest], Field(min_length=1)]


class VertexAnswer(TypedDict):
    """The answers, one an instance."""

    predictions: list[PredictAnswer]


class TeiError(TypedDict):
    """What text-embeddings-inference says when it refuses."""

    error: str
    error_type: Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]


# ---- Hugging Face ----


class HubParameters(_Request):
    """What may be asked of the Hugging Face Inference API."""

    function_to_apply: Literal["sigmoid", "softmax", "none"] | None = Field(
        default=None, description="none gives logits; another than the model's own is refused."
    )
    top_k: Annotated[int, Field(ge=1)] | None = Field(default=None, description="Most labels; without: all.")


class HubRequest(_Request):
    """The body of the Hugging Face Inference API for text classification."""

    inputs: str | list[str]
    parameters: HubParameters | None = None


# ---- infinity and vLLM ----


class ClassifyRequest(_Request):
    """The body of `/classify` (infinity) and `/v1/classify` (vLLM)."""

    input: str | list[str] = Field(description="infinity takes a list, vLLM a text too.")
    model: str | None = None
    raw_scores: bool = False


class Usage(TypedDict):
    """Tokens that were read."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: NotRequired[int]


class InfinityAnswer(TypedDict):
    """The answer of infinity's `/classify`."""

    object: Literal["classify"]
    data: list[list[ScoredLabel]]
    model: str
    usage: Usage
    id: str
    created: int


class VllmItem(TypedDict):
    """One text's answer of vLLM's `/v1/classify`."""

    index: int
    label: str | None
    probs: list[float]
    num_classes: int


class VllmAnswer(TypedDict):
    """The answer of vLLM's `/v1/classify`."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[VllmItem]
    usage: Usage


# ---- OpenAI ----


class _Part(_Request):
    type: Literal["text"]
    text: str


class ModerationRequest(_Request):
    """The body of OpenAI's `/v1/moderations`; the categories are the model's labels."""

    input: str | list[str] | list[_Part] = Field(description="A text, texts, or the parts of one text.")
    model: str | None = None


class ModerationItem(TypedDict):
    """One text's answer; a category is true from its threshold on."""

    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    category_applied_input_types: dict[str, list[str]]


class ModerationAnswer(TypedDict):
    """The answer of OpenAI's `/v1/moderations`."""

    id: str
    model: str
    results: list[ModerationItem]


class _OpenAIErrorBody(TypedDict):
    message: str
    type: str
    param: str | None
    code: int


class OpenAIError(TypedDict):
    """What OpenAI, vLLM and infinity say when they refuse."""

    error: _OpenAIErrorBody


# ---- ottenok ----


class AnalyzeRequest(_Request):
    """The body of `/v1/analyze`."""

    inputs: str | list[str] = Field(description="A text, or texts.")
    model: str | None = Field(default=None, description="Name of a model, as `/v1/models` has it; null: the first.")
    tasks: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, description="Names of tasks, the primary one first; null: all."
    )
    max_windows: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        default=None, description="Most windows that are read of a long text; null: as many as the server allows."
    )


class TaskAnalysis(TypedDict):
    """The answer of one task."""

    label: str | None
    labels: list[str]
    confidence: float
    probabilities: dict[str, float]
    polarity: float | None


class Analysis(TaskAnalysis):
    """Everything that is known of one text; `label` to `polarity` are the first task's."""

    windows: int
    truncated: bool
    unknown: float
    reason: str | None
    tasks: NotRequired[dict[str, TaskAnalysis]]
    text_chars: int
    language: str | None
    thresholds: dict[str, dict[str, float]]


class AnalyzeAnswer(TypedDict):
    """The answer of `/v1/analyze`, a result for each text, in their order."""

    model: str
    results: list[Analysis]


class TaskCard(TypedDict):
    """One task of a model."""

    name: str
    labels: list[str]
    multi_label: bool
    polarity: dict[str, float] | None
    thresholds: dict[str, float]
    titles: dict[str, list[str]]


class ModelCard(TypedDict):
    """One model."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    title: str
    description: str
    tasks: list[TaskCard]
    max_length: int
    languages: list[str]
    licence: str


class ModelList(TypedDict):
    """The models, the first of which answers where none is named."""

    object: Literal["list"]
    data: list[ModelCard]


class ExplainRequest(_Request):
    """The body of `/v1/explain`."""

    inputs: str
    model: str | None = None
    task: str | None = None
    label: str | None = None


class ExplainedWord(TypedDict):
    """A word, its place in the text in characters, and what it adds to the logit."""

    text: str
    start: int
    end: int
    share: float


class Explained(TypedDict):
    """Why a label has its probability: `base` and all shares make the logit."""

    text: str
    task: str
    label: str
    base: float
    logit: float
    words: list[ExplainedWord]


# ---- from answers to bodies ----


def predict_texts(inputs: str | list[str] | list[list[str]]) -> tuple[list[str], bool]:
    """Return the texts of a `/predict` body, and whether they are a batch.

    Raises:
        Refused: There is none, or a pair of texts, which these models do not read.
    """
    if isinstance(inputs, str):
        found, batch = [inputs], False
    elif inputs and isinstance(inputs[0], list):
        if any(len(one) > 1 for one in inputs):
            raise _pair()
        found, batch = [one[0] if one else "" for one in inputs], True
    elif len(inputs) > 1:
        raise _pair()
    else:
        found, batch = list(inputs), False  # type: ignore[arg-type]
    if not found or found == [""]:
        raise Refused("`inputs` cannot be empty", kind="Empty")
    return found, batch


def _pair() -> Refused:
    return Refused(
        "A list of two texts is a pair, which this model does not read. A batch is a list of lists: "
        '{"inputs": [["one"], ["two"]]}.'
    )


def moderation_texts(given: str | list[str] | list[_Part]) -> list[str]:
    """Return the texts of a `/v1/moderations` body; parts are those of one text."""
    if isinstance(given, str):
        return [given]
    parts = [part.text for part in given if isinstance(part, _Part)]
    return ["\n".join(parts)] if parts else [text for text in given if isinstance(text, str)]


def scored(job: Job, task: Task, *, logits: bool = False) -> list[list[ScoredLabel]]:
    """Return all labels of each text with their probabilities or logits, the greatest first.

    Raises:
        Refused: Logits are asked for, and the task has not one for each label.
    """
    if not logits:
        rows = [list(prediction.tasks[task.name].probabilities.values()) for prediction in job.predictions]
    elif task.outputs != len(task.scheme.labels):
        raise Refused(f"The task {task.name!r} has no logit for each label ({task.decision.activation}).")
    else:
        rows = mean_logits(job)[:, columns(job.model.tasks)[task.name]].tolist()
    labels = task.scheme.labels
    return [
        [
            {"score": score, "label": label}
            for score, label in sorted(zip(row, labels, strict=True), key=itemgetter(0), reverse=True)
        ]
        for row in rows
    ]


def infinity_answer(job: Job, task: Task, name: str, *, raw_scores: bool) -> InfinityAnswer:
    """Return the body of infinity's `/classify`."""
    return {
        "object": "classify",
        "data": scored(job, task, logits=raw_scores),
        "model": name,
        "usage": {"prompt_tokens": job.tokens, "total_tokens": job.tokens},
        "id": f"infinity-{uuid.uuid4()}",
        "created": int(time.time()),
    }


def vllm_answer(job: Job, task: Task, name: str) -> VllmAnswer:
    """Return the body of vLLM's `/v1/classify`; `probs` are in the order of the model's labels."""
    return {
        "id": f"classify-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": name,
        "data": [
            {
                "index": index,
                "label": answer.label,
                "probs": list(answer.probabilities.values()),
                "num_classes": len(answer.probabilities),
            }
            for index, answer in enumerate(prediction.tasks[task.name] for prediction in job.predictions)
        ],
        "usage": {"prompt_tokens": job.tokens, "total_tokens": job.tokens, "completion_tokens": 0},
    }


def moderation_answer(job: Job, task: Task, name: str) -> ModerationAnswer:
    """Return the body of OpenAI's `/v1/moderations`.

    A text's categories are the labels that reach their threshold; of a task with one label, the label.
    """
    several = task.scheme.kind == "multi-label"
    least = thresholds(task)
    results: list[ModerationItem] = []
    for answer in (prediction.tasks[task.name] for prediction in job.predictions):
        found = {
            # float32 on both sides, as the decision has it: a threshold that is written like a score is reached by it.
            label: bool(np.float32(score) >= np.float32(least[label])) if several else label in answer.labels
            for label, score in answer.probabilities.items()
        }
        results.append(
            {
                "flagged": any(found.values()),
                "categories": found,
                "category_scores": dict(answer.probabilities),
                "category_applied_input_types": {label: ["text"] for label in found},
            }
        )
    return {"id": f"modr-{uuid.uuid4().hex}", "model": name, "results": results}


def analysis(text: str, prediction: Prediction, model: Served, tasks: list[Task] | None) -> dict[str, Any]:
    """Return everything that is known of one text.

    Args:
        text: As it came.
        prediction: The answer.
        model: Who gave it.
        tasks: What was asked for, the primary task first; None: all.
    """
    asked = model.tasks if tasks is None else tasks
    if tasks is not None:
        prediction = replace(prediction, tasks={task.name: prediction.tasks[task.name] for task in tasks})
    found = prediction.to_json()
    found["text_chars"] = len(text)
    found["language"] = found.get("language") or detect_language(text)
    found["thresholds"] = {task.name: thresholds(task) for task in asked}
    return found
