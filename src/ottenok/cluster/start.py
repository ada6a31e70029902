"""Ray, started on this machine or joined at an address, without a dashboard and without telling anybody anything."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, ModelError, OttenokError
from ottenok.core.lazy import require
from ottenok.inference.api import available_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["LOCAL", "processors", "spread", "started"]

# The address that means: start Ray here.
LOCAL = "local"
# Bytes of Ray's store of objects on one machine. No table passes through it, only names of files and counts.
_STORE = 200 << 20
# Times that work whose process died is begun again.
_RETRIES = 5


@contextmanager
def started(address: str = LOCAL, *, workers: int | None = None) -> Iterator[Any]:
    """Give the module `ray`, connected; let go at the end of what was started or joined here.

    Ray's ports are open to the whole network, so what is started here asks for a token that only this process and
    its children know. Its logs lie in a temporary folder, which goes with it.

    Args:
        address: `local`: Ray is started here and ends with the block. Else a cluster's, as `host:6379` or `auto`.
        workers: Processors that Ray started here may use; None: as many as there are. A cluster knows its own.

    Raises:
        ConfigError: No cluster answers at this address.
        MissingExtraError: The extra `ray` is not installed.
    """
    if address == LOCAL and "ray" not in sys.modules:  # it looks at these when it is imported
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    ray = require("ray", extra="ray")
    if ray.is_initialized():
        # Whoever started it ends it.
        yield ray
        return
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    if address != LOCAL:
        quiet.pop("include_dashboard")
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            told = str(error).strip().splitlines() or [type(error).__name__]
            raise ConfigError(
                f"no Ray cluster can be joined at {address!r}: {told[0][:200]}",
                hint="Start one with `ray start --head`, with the same versions of ray and Python; or say local.",
                key="--cluster",
            ) from error
        try:
            yield ray
        finally:
            ray.shutdown()
        return
    # Sockets lie in it, whose paths may have a hundred characters.
    root = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of this user alone in it
    home = tempfile.mkdtemp(prefix="ottenok-ray-", dir=root if root.is_dir() else None)
    try:
        ray.init(
            address=LOCAL,
            num_cpus=workers or available_processors(),
            object_store_memory=_STORE,
            _temp_dir=home,
            **quiet,
        )
        yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def processors(ray: Any) -> int:  # noqa: ANN401 - ray has no narrower type
    """Return how many processors the cluster has, at least 1."""
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def spread(
    ray: Any,  # noqa: ANN401 - ray has no narrower type
    work: Callable[..., Any],
    calls: Iterable[tuple[Any, ...]],
    workers: int,
) -> Iterator[tuple[Any, ...]]:
    """Call a function once for each tuple of arguments, on so many processors at once; yield the tuples as they end.

    A call whose process died is made again; Ray keeps the processes, so what they have loaded stays.

    Raises:
        OttenokError: A call raised it; the others are let go.
        ModelError: A call ended with another error, or its process died again and again.
    """
    remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(work)
    waiting, running = iter(calls), dict[Any, tuple[Any, ...]]()
    try:
        while True:
            while len(running) < workers and (call := next(waiting, None)) is not None:
                running[remote.remote(*call)] = call
            if not running:
                return
            (ready,), _ = ray.wait(list(running))
            call = running.pop(ready)
            try:
                ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, OttenokError):
                    raise error.cause from None
                raise ModelError(f"a worker failed: {type(error.cause).__name__}: {error.cause}") from error
            except ray.exceptions.RayError as error:
                told = str(error).strip().splitlines()
                raise ModelError(
                    f"a worker was lost {_RETRIES + 1} times: {told[0][:300] if told else error!r}",
                    hint="What was done is kept. Memory is the commonest cause: give fewer --workers.",
                ) from error
            yield call
    finally:
        for reference in running:
            ray.cancel(reference, force=True)
