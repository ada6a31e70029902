"""One run at a time where nothing can be locked: in an object store a file says who is at work, and is renewed.

Stores have no locks that end with a process, and no clock in common. So a run writes its name and a count that goes on
every ten seconds; who finds another's name looks whether the count still goes on, and takes over if it does not. Two
runs that begin in the same second can both get through; that costs work and no rows, because writing a part twice gives
the same file.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ottenok.cluster.places import shown
from ottenok.core.errors import InputError, OttenokError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ottenok.cluster.places import Folder

__all__ = ["leased"]

# Seconds between two renewals; a run that has not renewed for two and a half of them is dead.
_BEAT = 10.0


@contextmanager
def leased(folder: Folder, name: str) -> Iterator[None]:
    """Give a folder to this run alone.

    Args:
        folder: Of an object store.
        name: Of the file in it that says who is at work.

    Raises:
        InputError: Another run is at work there; it is named.
    """
    mine = {"run": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
    mine |= {"since": datetime.now(UTC).isoformat(timespec="seconds")}
    over = threading.Event()

    def found() -> dict[str, Any]:
        for _ in range(3):
            with suppress(ValueError, AttributeError):
                if there := dict(json.loads(folder.read_text(name) or "{}").items()):
                    return there
            time.sleep(0.05)  # a store that moves files into place may have none for a moment
        return {}

    def refuse_another(there: dict[str, Any]) -> None:
        if there.get("run") not in {None, mine["run"]}:
            raise InputError(
                f"another run (process {there.get('pid')} on {there.get('host')}, since {there.get('since')}) "
                "is writing this output",
                hint="Wait for it, or name another folder. One that was killed is known half a minute later.",
                file=shown(folder.address),
            )

    def renew() -> None:
        count = 0
        while not over.wait(_BEAT):
            # A store that fails now and then is no reason to end: the file is old then, and the next beat renews it.
            with suppress(OSError, OttenokError):
                if found().get("run") not in {None, mine["run"]}:
                    return
                count += 1
                folder.write_text(name, json.dumps(mine | {"count": count}))

    before = found()
    dead = False  # of this machine, and no process any more
    if os.name == "posix" and before.get("host") == mine["host"] and isinstance(before.get("pid"), int):
        try:
            os.kill(before["pid"], 0)
        except ProcessLookupError:
            dead = True
        except (OSError, OverflowError):  # somebody else's
            pass
    if before and not dead:
        time.sleep(2.5 * _BEAT)
        if (now := found()) != before:
            refuse_another(now)
    folder.write_text(name, json.dumps(mine | {"count": 0}))
    refuse_another(found())
    thread = threading.Thread(target=renew, daemon=True, name="ottenok-lease")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(OSError, OttenokError):
            if found().get("run") == mine["run"]:
                folder.remove(name)
