"""The HTTP server on Ray Serve: the same application in several replicas, on one machine or many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ottenok.core.lazy import need
from ottenok.serve.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["deployment"]

# Requests that Ray hands to a replica at once: the replica's own queue is what refuses more.
_ONGOING = 1024


def deployment(
    *models: str,
    settings: Settings | None = None,
    options: Mapping[str, Any] | None = None,
    **ray_options: Any,  # noqa: ANN401 - Ray's
) -> Any:  # noqa: ANN401 - Ray's Application
    """Return what `ray.serve.run` runs: `ottenok serve` in replicas.

    Running it anew under the same name with other models replaces the replicas one by one, while the others answer.

    Args:
        models: Folders or hub names, or `name=` before them, that every replica can reach; none: the embedded model.
        settings: Limits and keys; None: the usual ones, with one thread a replica. Host and port are Ray's.
        options: Of `ottenok.load`.
        ray_options: Of `ray.serve.deployment`, such as `num_replicas` or `autoscaling_config`.

    Raises:
        MissingExtraError: The extra `ray` or `server` is not installed.
    """
    with need("ray"):
        from ray import serve
    with need("server"):
        import uvicorn  # noqa: F401 - a replica would only die of it
    chosen = Settings(threads=1) if settings is None else settings
    loaded = dict(options or {})

    def build() -> Any:  # noqa: ANN401 - an ASGI application
        from ottenok.serve.app import application
        from ottenok.serve.served import load_models

        return application(load_models(models, **loaded), chosen)

    given = {"name": "ottenok", "max_ongoing_requests": _ONGOING, **ray_options}
    return serve.deployment(**given)(serve.ingress(build)()).bind()
