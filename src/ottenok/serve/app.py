"""The application: which path is answered how."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from ottenok.core.errors import InputError, MissingExtraError, SchemeError
from ottenok.core.version import __version__
from ottenok.inference.api import available_processors
from ottenok.inference.classifier import BATCH_TOKENS
from ottenok.serve import formats
from ottenok.serve.batching import Engine, Job
from ottenok.serve.description import DOORS, describe
from ottenok.serve.guard import Guard, notes_of, refusal
from ottenok.serve.metrics import Metrics
from ottenok.serve.refused import Gone, Refused, overloaded
from ottenok.serve.stream import NdjsonAnswers
from ottenok.serve.tracing import tracing
from ottenok.serve.uploads import read_upload

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from types import FrameType

    from starlette.types import ASGIApp, Receive, Scope, Send

    from ottenok.serve.served import Models, Served
    from ottenok.serve.settings import Settings
    from ottenok.tasks.task import Task

__all__ = ["PAGE", "PAGE_HEADERS", "Pages", "Service", "application", "parsed", "read_body", "refuse"]

_Body = TypeVar("_Body", bound=BaseModel)
PAGE = Path(__file__).parent / "page"
# Bytes of a body that is surely of ordinary size.
_SURELY_SMALL = 16_384
# Explanations that are made or wait.
_MOST_EXPLAINED = 4
# Nothing from elsewhere, no frames, no plugins; what the page draws it draws itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS = {"content-security-policy": _POLICY, "referrer-policy": "no-referrer", "cache-control": "no-cache"}


class Service:
    """What the paths do.

    Args:
        models: Who answers.
        settings: Limits.

    Attributes:
        models: As given.
        settings: As given.
        metrics: Counts.
        engine: There from the application's start on.
        draining: Whether the server is about to stop.
    """

    def __init__(self, models: Models, settings: Settings) -> None:
        self.models = models
        self.settings = settings
        self.engine: Engine | None = None
        self.draining = False
        self._explaining = asyncio.Semaphore(1)
        self._to_explain = 0
        self.metrics = Metrics(
            [model.name for model in models.served],
            queued=lambda: self.engine.waiting if self.engine else 0,
            held=lambda: self.engine.held if self.engine else 0,
        )

    @property
    def fault(self) -> str | None:
        """Why the server is not ready; None: it is."""
        if self.draining:
            return "the server is stopping"
        return "the server is starting" if self.engine is None else self.engine.fault

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Run the engine for as long as the application runs."""
        # Before the server ends at a signal, readiness goes, and connections are asked to close, for a while.
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT) if threading.current_thread() is threading.main_thread() else ():
            end = signal.getsignal(number)
            if not callable(end):
                continue

            def begin(number: int, frame: FrameType | None, end: Callable[..., Any] = end) -> None:
                again, self.draining = self.draining, True
                delay = 0.0 if again else self.settings.drain
                loop.call_soon_threadsafe(loop.call_later, delay, end, number, frame)

            signal.signal(number, begin)
        # The first text through a graph takes longer than those after it.
        for model in self.models.served:
            await asyncio.to_thread(model.classifier, "да 是")
        self.engine = Engine(
            self.settings,
            threads=self.settings.threads or max(1, available_processors() // self.settings.processes),
            answered=lambda job: self.metrics.answered(job, time.monotonic() - job.arrived),
            computed=self.metrics.computed,
        )
        # What is there now stays: to go through it again and again would stop all threads for 30 ms each time.
        gc.collect()
        gc.freeze()
        yield
        await self.engine.stop()

    async def classify(self, request: Request, model: Served, texts: Sequence[str], **options: Any) -> Job:  # noqa: ANN401 - of a job
        """Return the answered job of a request.

        Raises:
            Gone: The client is gone.
            Refused: The texts are too many or too long, or the engine can't answer them.
        """
        if self.engine is None:
            raise Refused("The server is starting.", kind="Unhealthy", retry_after=1)
        self.metrics.came(len(texts))
        longest = max(map(len, texts), default=0)
        try:
            if len(texts) > self.settings.max_texts:
                raise Refused(f"batch size {len(texts)} > maximum allowed batch size {self.settings.max_texts}")
            if longest > self.settings.max_text:
                raise Refused(
                    f"A text of {longest:,} characters is longer than the {self.settings.max_text:,} that are allowed.",
                    status=413,
                )
            gone = request.scope.get("ottenok.gone")
            job = await self.engine.answer(
                Job(model=model, texts=texts, timeout=self.settings.timeout, gone=gone, **options)
            )
        except (Gone, asyncio.CancelledError):
            self.metrics.failed("dropped")
            raise
        notes = notes_of(request.scope)
        notes.job = job
        notes.facts.update(
            model=model.name, texts=len(texts), tokens=job.tokens, windows=job.windows, queue_ms=_ms(job.waiting)
        )
        return job

    # ---- text-embeddings-inference ----

    async def predict(self, request: Request) -> Response:
        """`/predict` and `/invocations`."""
        body = await self._body(request, formats.PredictRequest)
        model, task = self._asked(request)
        return await self._predicted(request, body, model, task or model.tasks[0])

    async def _predicted(self, request: Request, body: formats.PredictRequest, model: Served, task: Task) -> Response:
        texts, batch = formats.predict_texts(body.inputs)
        job = await self._read_as_asked(request, body, model, texts)
        rows = formats.scored(job, task, logits=body.raw_scores)
        return _json(rows if batch else rows[0], job)

    async def _read_as_asked(
        self, request: Request, body: formats.PredictRequest, model: Served, texts: list[str]
    ) -> Job:
        """Classify what a `/predict` body asks for, cut or whole as it says."""
        left = body.truncation_direction.lower() == "left"
        ends = bool(body.truncate) and left
        job = await self.classify(request, model, texts, max_windows=1 if body.truncate else None, ends=ends)
        if body.truncate is False and any(prediction.truncated for prediction in job.predictions):
            raise Refused(
                "`inputs` is longer than the server reads, and `truncate` is false. Without it the text is read in "
                "windows, as far as that goes."
            )
        return job

    async def vertex(self, request: Request) -> Response:
        """`/vertex`: several bodies of `/predict`."""
        body = await self._body(request, formats.VertexRequest)
        model, task = self._asked(request)
        task = task or model.tasks[0]
        parts = [(one, *formats.predict_texts(one.inputs)) for one in body.instances]
        found: list[formats.PredictAnswer] = []
        for one, texts, batch in parts:
            job = await self._read_as_asked(request, one, model, texts)
            rows = formats.scored(job, task, logits=one.raw_scores)
            found.append(rows if batch else rows[0])
        return _json({"predictions": found})

    async def info(self, request: Request) -> Response:
        """`/info`."""
        model, task = self._asked(request)
        labels = (task or model.tasks[0]).scheme.labels
        manifest, settings = model.classifier.manifest, self.settings
        return _json(
            {
                "model_id": model.name,
                "model_sha": None,
                "model_dtype": "int8" if "int8" in model.classifier.backend.name else "float32",
                "served_model_name": model.name,
                "model_type": {
                    "classifier": {
                        "id2label": {str(number): label for number, label in enumerate(labels)},
                        "label2id": {label: number for number, label in enumerate(labels)},
                    }
                },
                "max_concurrent_requests": settings.max_connections,
                "max_input_length": manifest.max_length,
                "max_batch_tokens": BATCH_TOKENS,
                "max_batch_requests": None,
                "max_client_batch_size": settings.max_texts,
                "auto_truncate": False,
                "tokenization_workers": 2,
                "version": __version__,
                "sha": None,
                "docker_label": None,
            }
        )

    async def health(self, request: Request) -> Response:
        """`/health` and `/ping`: ready or not; an empty body, or infinity's for who wants JSON."""
        if self.fault is not None:
            raise Refused(f"Not ready: {self.fault}.", kind="Unhealthy", retry_after=1)
        if "json" in request.headers.get("accept", ""):
            return _json({"unix": time.time()})
        return Response()

    async def live(self, _: Request) -> Response:
        """`/live`: the process answers, whether or not it is ready."""
        return Response()

    async def prometheus(self, _: Request) -> Response:
        """`/metrics`."""
        return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    # ---- Hugging Face ----

    async def root(self, request: Request) -> Response:
        """`POST /`: Hugging Face's shape where its clients ask, else that of text-embeddings-inference.

        The Python client always sends `parameters`, the JavaScript one only where there are some; it says its name.
        """
        raw = await self._raw(request)
        model, task = self._asked(request)
        task = task or model.tasks[0]
        if b'"parameters"' in raw or "@huggingface/inference" in request.headers.get("user-agent", ""):
            return await self._hub(request, parsed(raw, formats.HubRequest), model, task)
        return await self._predicted(request, parsed(raw, formats.PredictRequest), model, task)

    async def hub_model(self, request: Request) -> Response:
        """`POST /models/{id}`: Hugging Face's shape."""
        body = await self._body(request, formats.HubRequest)
        model, task = self.models.find(request.path_params["id"], request.query_params.get("task"))
        return await self._hub(request, body, model, task or model.tasks[0])

    async def _hub(self, request: Request, body: formats.HubRequest, model: Served, task: Task) -> Response:
        parameters = body.parameters or formats.HubParameters()
        own, asked = task.decision.activation, parameters.function_to_apply
        if asked not in {None, "none", own}:
            raise Refused(
                f"The model was trained with {own}, and {asked} would make other numbers of it than probabilities. "
                "Leave function_to_apply out, or ask for none.",
                param="function_to_apply",
            )
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        if not texts:
            raise Refused("`inputs` cannot be empty", kind="Empty")
        job = await self.classify(request, model, texts)
        rows = formats.scored(job, task, logits=asked == "none")
        return _json([row[: parameters.top_k] for row in rows], job)

    # ---- infinity, vLLM, OpenAI ----

    async def infinity(self, request: Request) -> Response:
        """`/classify`."""
        body, model, task, texts = await self._classification(request)
        job = await self.classify(request, model, texts)
        return _json(formats.infinity_answer(job, task, body.model or model.name, raw_scores=body.raw_scores), job)

    async def vllm(self, request: Request) -> Response:
        """`/v1/classify`."""
        body, model, task, texts = await self._classification(request)
        job = await self.classify(request, model, texts)
        return _json(formats.vllm_answer(job, task, body.model or model.name), job)

    async def _classification(self, request: Request) -> tuple[formats.ClassifyRequest, Served, Task, list[str]]:
        body = await self._body(request, formats.ClassifyRequest)
        model, task = self._asked(request, body.model)
        texts = [body.input] if isinstance(body.input, str) else body.input
        if not texts:
            raise Refused("`input` has no text.", kind="Empty", param="input")
        return body, model, task or model.tasks[0], texts

    async def moderations(self, request: Request) -> Response:
        """`/v1/moderations`: of the model's first task with several labels, if no task is named."""
        body = await self._body(request, formats.ModerationRequest)
        model, task = self._asked(request, body.model)
        if task is None:
            task = next((one for one in model.tasks if one.scheme.kind == "multi-label"), model.tasks[0])
        texts = formats.moderation_texts(body.input)
        if not texts:
            raise Refused("`input` has no text.", kind="Empty", param="input")
        job = await self.classify(request, model, texts)
        return _json(formats.moderation_answer(job, task, body.model or model.name), job)

    # ---- ottenok ----

    async def model_list(self, _: Request) -> Response:
        """`/v1/models`."""
        return _json({"object": "list", "data": [model.describe() for model in self.models.served]})

    async def model_card(self, request: Request) -> Response:
        """`/v1/models/{id}`."""
        return _json(self.models.find(request.path_params["id"])[0].describe())

    async def infinity_models(self, _: Request) -> Response:
        """`/models`, as infinity has it."""
        data = [
            {
                "id": model.name,
                "object": "model",
                "owned_by": "infinity",
                "created": 0,
                "backend": "optimum",
                "capabilities": ["classify"],
                "stats": {},
            }
            for model in self.models.served
        ]
        return _json({"object": "list", "data": data})

    async def analyze(self, request: Request) -> Response:
        """`/v1/analyze`: everything; a body of NDJSON is answered line by line while it comes."""
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/x-ndjson":
            if self.fault is not None:
                raise Refused(f"Not ready: {self.fault}.", kind="Unhealthy", retry_after=1)
            model, task = self._asked(request)
            most = request.query_params.get("max_windows", "")
            if most and not (most.isascii() and most.isdigit() and int(most[:9]) > 0):
                raise Refused("expected a whole number of at least 1", param="max_windows")
            tasks = None if task is None else [task]
            return NdjsonAnswers(self, request, model, tasks, int(most[:9]) if most else None)
        body = await self._body(request, formats.AnalyzeRequest)
        model, task = self._asked(request, body.model)
        names = body.tasks if body.tasks is not None else [task.name] if task is not None else None
        tasks = self.tasks_of(model, names)
        texts = [body.inputs] if isinstance(body.inputs, str) else body.inputs
        if not texts:
            raise Refused("`inputs` has no text.", kind="Empty", param="inputs")
        job = await self.classify(request, model, texts, max_windows=body.max_windows)
        results = [
            formats.analysis(text, prediction, model, tasks)
            for text, prediction in zip(texts, job.predictions, strict=True)
        ]
        return _json({"model": model.name, "results": results}, job)

    def tasks_of(self, model: Served, names: Sequence[str] | None) -> list[Task] | None:
        """Return the tasks of these names; None: all.

        Raises:
            Refused: A name is not the model's, or stands twice.
        """
        if names is None:
            return None
        found = [self.models.find(model.name, name)[1] for name in names]
        if len(set(names)) < len(names):
            raise Refused("`tasks` names a task twice.", param="tasks")
        return [task for task in found if task is not None]

    async def explain(self, request: Request) -> Response:
        """`/v1/explain`: which words made the label; one at a time, for it takes hundreds of runs of the model."""
        body = await self._body(request, formats.ExplainRequest)
        model, task = self._asked(request, body.model)
        if body.task is not None:
            task = self.models.find(model.name, body.task)[1]
        if self.fault is not None:
            raise Refused(f"Not ready: {self.fault}.", kind="Unhealthy", retry_after=1)
        if self._to_explain >= _MOST_EXPLAINED:
            raise overloaded(2.0 * _MOST_EXPLAINED)
        self._to_explain += 1
        try:
            async with asyncio.timeout(self.settings.timeout), self._explaining:
                name = None if task is None else task.name
                explain = partial(model.classifier.explain, body.inputs, task=name, label=body.label)
                found = await asyncio.to_thread(explain)
        except TimeoutError:
            message = f"There was no answer within {self.settings.timeout:g} seconds."
            raise Refused(message, kind="Overloaded", status=504, retry_after=5) from None
        except MissingExtraError as error:
            raise Refused(f"This server can't explain: {error.message}.", status=501) from error
        except (InputError, SchemeError) as error:
            raise Refused(str(error)) from error
        finally:
            self._to_explain -= 1
        notes_of(request.scope).facts.update(model=model.name, texts=1)
        return _json(found.to_json())

    async def table(self, request: Request) -> Response:
        """`/v1/table`: the rows of a table that was dropped on the page."""
        content = await read_body(request, self.settings)
        return _json(await asyncio.to_thread(read_upload, request.query_params.get("name", ""), content))

    # ---- for people ----

    async def home(self, request: Request) -> Response:
        """`GET /`: the page for browsers; for others what TEI says there, which is its health."""
        if "text/html" not in request.headers.get("accept", ""):
            return await self.health(request)
        index = PAGE / "index.html"
        if not index.is_file():
            return RedirectResponse("/docs")
        return FileResponse(index, headers={**PAGE_HEADERS, "vary": "accept"})

    async def openapi(self, _: Request) -> Response:
        """`/openapi.json`."""
        return _json(describe(self.models))

    async def docs(self, _: Request) -> Response:
        """`/docs`: Swagger UI from this server alone."""
        return HTMLResponse(_DOCS, headers={"content-security-policy": _DOCS_POLICY})

    async def docs_script(self, _: Request) -> Response:
        """`/docs/start.js`."""
        script = 'SwaggerUIBundle({url: "/openapi.json", dom_id: "#ui", deepLinking: true, validatorUrl: null});'
        return Response(script, media_type="text/javascript")

    # ---- what several need ----

    async def _body(self, request: Request, kind: type[_Body]) -> _Body:
        return parsed(await self._raw(request), kind)

    async def _raw(self, request: Request) -> bytes:
        """Return the body of a request; where there is no room for even the least text that it can hold, none is read.

        Raises:
            Gone: As `read_body`.
            Refused: As `read_body`, or there is no room.
        """
        length = notes_of(request.scope).headers.get(b"content-length", b"")
        # A character takes at most 6 bytes of JSON, but for those beyond the first plane.
        size = int(length) if length.isdigit() else _SURELY_SMALL
        engine = self.engine
        if engine is not None and size < _SURELY_SMALL and engine.fault is None and not engine.has_room(size // 6):
            raise overloaded(engine.delay())
        return await read_body(request, self.settings)

    def _asked(self, request: Request, name: str | None = None) -> tuple[Served, Task | None]:
        """Return the model and the task that a request names, in its body or as `?model=` and `?task=`."""
        if not request.scope["query_string"]:
            return self.models.find(name)
        query = request.query_params
        return self.models.find(query.get("model") if name is None else name, query.get("task"))


_DOCS = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ottenok: the HTTP API</title>
<link rel="stylesheet" href="/docs/static/swagger-ui.css">
<div id="ui"></div>
<script src="/docs/static/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</html>
"""
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


# How text-embeddings-inference counts its errors.
_FAILURES = {"Validation": "validation", "Tokenizer": "tokenization", "Backend": "inference"}


def _json(value: Any, job: Job | None = None) -> Response:  # noqa: ANN401 - any JSON value
    """Return a JSON response, with text-embeddings-inference's headers where a job made it."""
    response = Response(to_json(value), media_type="application/json")
    if job is not None:
        total = b"%d" % _ms(time.monotonic() - job.arrived)
        response.raw_headers += [
            (b"x-compute-type", b"cpu"),
            (b"x-compute-time", total),
            (b"x-compute-characters", b"%d" % sum(map(len, job.texts))),
            (b"x-compute-tokens", b"%d" % job.tokens),
            (b"x-total-time", total),
            (b"x-tokenization-time", b"%d" % _ms(job.tokenising)),
            (b"x-queue-time", b"%d" % _ms(job.waiting)),
            (b"x-inference-time", b"%d" % _ms(job.computing)),
        ]
    return response


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


async def read_body(request: Request, settings: Settings) -> bytes:
    """Return the body of a request.

    Raises:
        Gone: The client is gone.
        Refused: It is too large, packed, or does not come.
    """
    headers = notes_of(request.scope).headers
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused("Packed bodies are not read (Content-Encoding).", status=415)
    length = headers.get(b"content-length", b"")
    too_large = Refused(f"The body is larger than the {settings.max_body:,} bytes that are allowed.", status=413)
    if length.isdigit() and int(length) > settings.max_body:
        raise too_large
    parts, held = [], 0
    try:
        async with asyncio.timeout(settings.body_timeout):
            while True:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Gone
                part = message.get("body", b"")
                parts.append(part)
                held += len(part)
                if held > settings.max_body:
                    raise too_large
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise Refused(f"The body did not come within {settings.body_timeout:g} seconds.", status=408) from None


def parsed(raw: bytes, kind: type[_Body]) -> _Body:
    """Return the parsed body.

    Raises:
        Refused: It is no JSON, or not of this form; its values are not repeated.
    """
    try:
        return kind.model_validate_json(raw.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        try:
            raw.decode()
        except UnicodeDecodeError:
            raise Refused("The body is not in UTF-8, the encoding of JSON.") from None
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"] if part != "str")
        raise Refused(f"{place}: {first['msg']}" if place else first["msg"], param=place or None) from None


async def refuse(metrics: Metrics, request: Request, error: Exception) -> Response:
    """Answer a refusal, in the shape of its path."""
    more: list[tuple[bytes, bytes]] = []
    if isinstance(error, HTTPException):
        more = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
        error = Refused(str(error.detail), status=error.status_code)
    assert isinstance(error, Refused)
    if request.method == "POST":
        metrics.failed(_FAILURES.get(error.kind, error.kind.lower()))
    status, headers, body = refusal(error, request.url.path)
    response = Response(body, status_code=status)
    response.raw_headers = headers + more
    return response


class Pages(StaticFiles):
    """Files of the page, with the policy that nothing comes from elsewhere."""

    async def get_response(self, path: str, scope: Any) -> Response:  # noqa: ANN401 - Starlette's own type
        """Return a file with the policy."""
        response = await super().get_response(path, scope)
        response.headers.update(PAGE_HEADERS)
        return response


def application(models: Models, settings: Settings) -> Guard:
    """Return the ASGI application; any server of ASGI runs it, and Ray Serve too.

    Args:
        models: Who answers.
        settings: Limits, keys and timeouts; addresses and processes are the server's own.
    """
    service = Service(models, settings)
    handlers: dict[tuple[str, str], Callable[[Request], Awaitable[Response]]] = {
        (door.path, door.method): getattr(service, door.handler) for door in DOORS
    }

    def route(path: str) -> Route:
        async def endpoint(request: Request) -> Response:
            notes_of(request.scope).path = path
            return await handlers[path, "GET" if request.method == "HEAD" else request.method](request)

        return Route(path, endpoint, methods=[method for own, method in handlers if own == path])

    routes: list[Route | Mount] = [route(path) for path in dict.fromkeys(door.path for door in DOORS)]
    routes.append(Mount("/page", Pages(directory=PAGE, check_dir=False)))
    offline = find_spec("fastapi_offline")
    if offline is not None and offline.origin is not None:
        # Only its files are wanted: Swagger UI as this server's own.
        routes.append(Mount("/docs/static", StaticFiles(directory=Path(offline.origin).parent / "static")))
    refused = partial(refuse, service.metrics)
    starlette = Starlette(
        routes=routes, exception_handlers={Refused: refused, HTTPException: refused}, lifespan=service.lifespan
    )

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer what has a handler by its very path at once: Starlette's way there takes longer than the handler."""
        handler = handlers.get((scope.get("path", ""), scope.get("method", "")))
        if handler is None:
            await starlette(scope, receive, send)
            return
        notes_of(scope).path = scope["path"]
        request = Request(scope, receive, send)
        try:
            response = await handler(request)
        except Refused as error:
            response = await refused(request, error)
        await response(scope, receive, send)

    inner: ASGIApp = answer
    if settings.cors_origins:
        inner = CORSMiddleware(
            answer,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["x-request-id", "retry-after"],
        )
    return Guard(
        inner,
        settings=settings,
        metrics=service.metrics,
        draining=lambda: service.draining,
        tracing=tracing(settings.otlp_endpoint),
    )
