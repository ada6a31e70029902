"""The first load of a stranger's model, in a process of its own with limits on time and memory.

A graph may loop without end, a tokenizer may make gigabytes out of a line or search for hours: what can't be told from
the files is tried before this process depends on it. A folder that passed is not tried again while its files stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from ottenok.bundle.manifest import CONFIG, GRAPHS, TOKENIZER, TOKENIZER_CONFIG
from ottenok.core import errors
from ottenok.core.errors import ModelError, OttenokError
from ottenok.core.files import atomic_write_text
from ottenok.core.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["try_folder"]

_SECONDS = 60
# Of address space: what an interpreter with onnxruntime takes, and some times the files.
_BYTES = 4 << 30
_TIMES = 6
# No tokenizer makes more tokens out of a character than its bytes and some.
_MOST_TOKENS = 32
_RUN = 2000
_REFUSED = 3
_TEXTS = (
    "Какая гадость эта ваша заливная рыба!",
    "服务态度很差，再也不来了。",
    "A plain sentence, with 3 numbers: 1,000.50 😀",
    *(one * _RUN for one in ("a", "A", "я", "好", "0", " ", "!", "aB 1", "\u0301", "aa ")),
    "a" * _RUN + "!",
    "1" * _RUN + "x",
)


def try_folder(folder: Path, cache: Path) -> None:
    """Load another tool's model in a process of its own, and let it read some texts.

    Args:
        folder: Holds a configuration, a tokenizer and a graph.
        cache: Keeps what passed.

    Raises:
        OttenokError: What the process raised; or it took too long or too much memory (`ModelError`).
    """
    digest = hashlib.sha256(f"{__version__} {folder.resolve()}".encode())
    size = 0
    for name in (CONFIG, TOKENIZER, TOKENIZER_CONFIG, *(name for names in GRAPHS.values() for name in names)):
        with suppress(FileNotFoundError):
            facts = (folder / name).stat()
            size += facts.st_size
            digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    passed = cache / "tried" / digest.hexdigest()[:32]
    if passed.is_file():
        return
    command = [sys.executable, "-c", f"from ottenok.inference import trial; trial.main({str(folder)!r}, {size})"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    hint = "Whatever its files say, this is no model to classify with."
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"the model did not read a few texts in {_SECONDS} seconds", hint=hint, file=str(folder)
        ) from error
    if done.returncode == _REFUSED:
        told = json.loads(done.stdout.splitlines()[-1])
        raise getattr(errors, told.pop("kind"))(told.pop("message"), **told)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it was ended"])[-1][:200]
        raise ModelError(
            f"the model could not read a few texts with {(_BYTES + _TIMES * size) / 1e9:.0f} GB of memory: {last}",
            hint=hint,
            file=str(folder),
        )
    # Where nothing can be kept, it is tried each time.
    with suppress(OSError):
        atomic_write_text(passed, f"{folder.resolve()}\n")


def main(folder: str, size: int) -> None:
    """Try a folder in this process, which ends; its exit code says how."""
    with suppress(ImportError):
        import resource

        limit = _BYTES + _TIMES * size
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (limit if hard < 0 else min(limit, hard), hard))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    from ottenok.bundle.folder import open_bundle
    from ottenok.inference.api import load_bundle

    try:
        classifier = load_bundle(open_bundle(folder), threads=1)
        for text in _TEXTS:
            tokens = sum(len(ids) for ids in classifier.prepare([text]).windows.ids)
            if tokens > _MOST_TOKENS * len(text):
                raise ModelError(f"the tokenizer makes {tokens:,} tokens out of {len(text):,} characters", file=folder)
        classifier([*_TEXTS[:3], "a b " * _RUN])
    except OttenokError as error:
        told = {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "file": error.file}
        sys.stdout.write(json.dumps({**told, "key": error.key}) + "\n")
        sys.stdout.flush()
        sys.exit(_REFUSED)
