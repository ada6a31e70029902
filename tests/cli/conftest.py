"""A terminal for the command line's tests."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import Protocol

import pytest

_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal(Protocol):
    """Runs the command on a terminal."""

    def __call__(self, arguments: list[str], *, columns: int) -> str:
        """Run `ottenok` and return what the terminal showed, without colours."""


def _read(leader: int) -> bytes:
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:  # Linux says so when the other side is closed
            return shown
        if not piece:
            return shown
        shown += piece


def _run(arguments: list[str], *, columns: int) -> str:
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
    process = subprocess.Popen(
        [sys.executable, "-m", "ottenok", *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment | {"TERM": "xterm-256color"},
    )
    os.close(follower)
    shown = _read(leader)
    os.close(leader)
    assert process.wait() in {0, 2}
    return _CODES.sub("", shown.decode("utf-8", "replace")).replace("\r\n", "\n")


@pytest.fixture
def terminal() -> Terminal:
    """Return what runs a command on a terminal of a given width."""
    return _run
