"""A request that is not answered: why, with which HTTP status, and the shapes in which clients expect to hear it."""

from __future__ import annotations

from typing import Any, Literal

from ottenok.core.errors import OttenokError

__all__ = ["Gone", "Kind", "Refused", "backend_failed", "overloaded", "refusal_body", "too_long"]

# The error types of text-embeddings-inference, as they stand on the wire.
Kind = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Tokenizer", "Empty"]
_STATUS: dict[Kind, int] = {
    "Unhealthy": 503,
    "Backend": 424,
    "Overloaded": 429,
    "Validation": 422,
    "Tokenizer": 422,
    "Empty": 400,
}
# How OpenAI, vLLM and infinity call them.
_TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refused(OttenokError):  # noqa: N818 - it is told to clients, who have errors of their own
    """A request is not answered.

    Args:
        message: Why, and what to do, one or two sentences; never contains the text of a request.
        kind: Error type of text-embeddings-inference.
        status: HTTP status; None: the usual one of this kind.
        retry_after: Seconds after which it may be tried again; None: that would change nothing.
        param: Field of the request that is at fault, if one is.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: Kind = "Validation",
        status: int | None = None,
        retry_after: int | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message, key=param)
        self.kind = kind
        self.status = _STATUS[kind] if status is None else status
        self.retry_after = retry_after


class Gone(Exception):  # noqa: N818 - it is no error
    """The client has closed the connection: nobody waits for the answer."""


def overloaded(seconds: float) -> Refused:
    """Return the refusal of a server that has enough to do for so many seconds."""
    return Refused(
        "The server has as much to do as it may put off. Try again later, with fewer requests at once.",
        kind="Overloaded",
        retry_after=max(1, min(60, round(seconds + 0.5))),
    )


def too_long(seconds: float, timeout: float) -> Refused:
    """Return the refusal of a request that takes so many seconds alone, which is more than it may."""
    return Refused(
        f"To read this whole takes about {seconds:.0f} seconds here, and a request may take {timeout:g}. Send fewer or "
        "shorter texts at once, or let less be read of them (`max_windows`, `truncate`).",
        status=413,
    )


def backend_failed() -> Refused:
    """Return the refusal after the model could not be run; the reason is in the server's log."""
    return Refused("The model could not be run on this input. The server's log says why.", kind="Backend")


def refusal_body(refused: Refused, *, openai: bool) -> dict[str, Any]:
    """Return the JSON body of a refusal.

    Args:
        refused: What happened.
        openai: In OpenAI's shape (`{"error": {...}}`, that of infinity and vLLM too), else in that of
            text-embeddings-inference.
    """
    if not openai:
        return {"error": str(refused), "error_type": refused.kind}
    usual = "invalid_request_error" if refused.status < 500 else "server_error"
    kind = _TYPES.get(refused.status, usual)
    return {"error": {"message": refused.message, "type": kind, "param": refused.key, "code": refused.status}}
