"""Ray, started on this machine or joined at an address, without a dashboard and without telling anybody anything."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.core.errors import ConfigError, ModelError, OttenokError
from ottenok.core.files import LockedError, locked
from ottenok.core.lazy import require
from ottenok.inference.api import available_processors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["LOCAL", "RayCrew", "started", "sweep"]

# The address that means: start Ray here.
LOCAL = "local"
# Bytes of Ray's store of objects on one machine. No table passes through it, only names of files and counts.
_STORE = 200 << 20
# Folders of Rays that were started here; each is locked as long as the process that started it lives.
_HOME, _LOCK = "ottenok-ray-", "lock"
# Seconds in which a folder may have no lock yet.
_YOUNG = 60.0
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
    # Ray lets its workers give way to all else; here they compute as `ottenok classify` itself does.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Sockets lie in it, whose paths may have a hundred characters.
    root = Path("/tmp")  # noqa: S108 - mkdtemp makes a folder of this user alone in it
    home = Path(tempfile.mkdtemp(prefix=_HOME, dir=root if root.is_dir() else None))
    sweep(home.parent)
    try:
        with locked(home / _LOCK):
            ray.init(
                address=LOCAL,
                num_cpus=workers or available_processors(),
                object_store_memory=_STORE,
                _temp_dir=str(home),
                **quiet,
            )
            yield ray
    finally:
        ray.shutdown()
        shutil.rmtree(home, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove the folders of Rays that were started here by processes that are no more; they were killed.

    Args:
        root: Where they lie. A folder whose lock is held, that has none, or that is younger than a minute, stays.
    """
    for home in root.glob(f"{_HOME}*"):
        with suppress(OSError, LockedError):  # somebody else's, or in use
            if (home / _LOCK).is_file() and time.time() - home.stat().st_mtime > _YOUNG:
                with locked(home / _LOCK):
                    shutil.rmtree(home, ignore_errors=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RayCrew:
    """Processes on a cluster that work at once.

    Attributes:
        ray: The module, connected.
        size: How many work at once.
        cpus: Processors of each.
        gpus: GPUs of each.
        retries: Times that work whose process died is begun again.
    """

    ray: Any
    size: int
    cpus: int = 1
    gpus: int = 0
    retries: int = _RETRIES

    @classmethod
    def of(cls, ray: Any, workers: int | None = None) -> RayCrew:  # noqa: ANN401 - ray has no narrower type
        """Return a crew of single processors; None: all of the cluster."""
        return cls(ray=ray, size=workers or max(1, int(ray.cluster_resources().get("CPU", 1))))

    @classmethod
    def for_training(cls, ray: Any, workers: int | None = None) -> RayCrew:  # noqa: ANN401 - as above
        """Return a crew that shares the cluster's processors and GPUs; None: one for each GPU, or for each machine."""
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = int(sum(one.get("GPU", 0) for one in machines))
        size = workers or gpus or len(machines)
        largest = max((one.get("CPU", 1) for one in machines), default=1)
        share = sum(one.get("CPU", 1) for one in machines) // size
        return cls(ray=ray, size=size, cpus=int(max(1, min(share, largest))), gpus=min(1, gpus // size), retries=1)

    def spread(
        self,
        work: Callable[..., Any],
        calls: Iterable[tuple[Any, ...]],
        *,
        lost: Callable[[str], Any] | None = None,
    ) -> Iterator[tuple[tuple[Any, ...], Any]]:
        """Call a function once for each tuple of arguments; yield the tuples with what came out, as they end.

        Ray keeps the processes, so what they have loaded stays. See `ottenok.studies.spread.Crew`.

        Raises:
            OttenokError: A call raised it; the others are let go.
            ModelError: A call ended with another error, or its process died again and again.
        """
        ray = self.ray
        remote = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus, max_retries=self.retries)(work)
        waiting, running = iter(calls), dict[Any, tuple[Any, ...]]()
        try:
            while True:
                while len(running) < self.size and (call := next(waiting, None)) is not None:
                    running[remote.remote(*call)] = call
                if not running:
                    return
                (ready,), _ = ray.wait(list(running))
                call = running.pop(ready)
                try:
                    result = ray.get(ready)
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, OttenokError):
                        raise error.cause from None
                    raise ModelError(f"a worker failed: {type(error.cause).__name__}: {error.cause}") from error
                except ray.exceptions.RayError as error:
                    told = (
                        f"its process died {self.retries + 1} times: {str(error).strip().partition(chr(10))[0][:300]}"
                    )
                    if lost is None:
                        hint = "What was done is kept. Memory is the commonest cause: give fewer --workers."
                        raise ModelError(f"a worker is lost: {told}", hint=hint) from error
                    result = lost(told)
                yield call, result
        finally:
            for reference in running:
                ray.cancel(reference, force=True)
