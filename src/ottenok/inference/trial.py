"""The first load of a model that this machine did not make, in a process of its own with limits on time and memory.

A graph may loop without end, a tokenizer may make gigabytes out of a line or search for hours: what can't be told from
the files is tried before this process depends on it, also of folders that look like ottenok's own, since anybody can
write such. What passed, and what was exported here, is not tried again while its files stay.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from ottenok.bundle.manifest import CONFIG, GRAPHS, MANIFEST, TOKENIZER, TOKENIZER_CONFIG, read_json
from ottenok.core import errors
from ottenok.core.errors import BundleError, MissingExtraError, ModelError, OttenokError
from ottenok.core.files import atomic_write_text
from ottenok.core.home import cache_home
from ottenok.core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ottenok.inference.api import Precision

__all__ = ["remember", "try_folder"]

_SECONDS = 60
# More for large files: bytes that are read and computed with in a second, at the least.
_BYTES_A_SECOND = 20 << 20
# Of address space: what an interpreter with onnxruntime takes, and some times the files.
_BYTES = 4 << 30
_TIMES = 6
# No tokenizer makes more tokens out of a character than its bytes and some.
_MOST_TOKENS = 32
_RUN = 2000
_REFUSED = 3
_GRAPHS = tuple(name for names in GRAPHS.values() for name in names)
_NAMES = (CONFIG, TOKENIZER, TOKENIZER_CONFIG, *_GRAPHS)
_TEXTS = (
    "Какая гадость эта ваша заливная рыба!",
    "服务态度很差，再也不来了。",
    "A plain sentence, with 3 numbers: 1,000.50 😀",
    *(one * _RUN for one in ("a", "A", "я", "好", "0", " ", "!", "aB 1", "\u0301", "aa ")),
    "a" * _RUN + "!",
    "1" * _RUN + "x",
)


def try_folder(folder: Path, cache: Path) -> None:
    """Load a model in a process of its own, and let it read some texts, unless that was done before.

    Args:
        folder: Holds a tokenizer and a graph.
        cache: Keeps what passed.

    Raises:
        OttenokError: What the process raised; or it took too long or too much memory (`ModelError`).
    """
    import subprocess

    marks = [cache / "tried" / key for key in _keys(folder)]
    if all(mark.is_file() for mark in marks):
        return
    size = sum(file.stat().st_size for name in _NAMES if (file := folder / name).is_file())
    seconds = _SECONDS + size / _BYTES_A_SECOND
    command = [sys.executable, "-c", f"from ottenok.inference import trial; trial.main({str(folder)!r}, {size})"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    hint = "Whatever its files say, this is no model to classify with."
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"the model did not read a few texts in {seconds:.0f} seconds", hint=hint, file=str(folder)
        ) from error
    if done.returncode == _REFUSED:
        told = json.loads(done.stdout.splitlines()[-1])
        if "extra" in told:
            raise MissingExtraError(told["package"], told["extra"])
        raise getattr(errors, told.pop("kind"))(told.pop("message"), **told)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it was ended"])[-1][:200]
        raise ModelError(
            f"the model could not read a few texts with {(_BYTES + _TIMES * size) / 1e9:.0f} GB of memory: {last}",
            hint=hint,
            file=str(folder),
        )
    _keep(marks, folder)


def remember(folder: Path, cache: Path | None = None) -> None:
    """Keep in mind that the graphs of a bundle were made here, of a model that this process had in its memory."""
    _keep([cache_home(cache) / "tried" / key for key in _keys(folder)], folder)


def _keep(marks: list[Path], folder: Path) -> None:
    # Where nothing can be kept, it is tried each time.
    with suppress(OSError):
        for mark in marks:
            atomic_write_text(mark, f"{folder.resolve()}\n")


def _keys(folder: Path) -> Iterator[str]:
    """Yield a name for each graph of a folder and what it is run with.

    Files of a bundle go by the checksums of its manifest, with which they are compared when they are loaded; others by
    their place, size and times, since a sum over gigabytes would take longer than the model.
    """
    listed: dict[str, Any] = {}
    if (folder / MANIFEST).is_file():
        with suppress(BundleError):  # told when the folder is opened
            listed = read_json(folder / MANIFEST).get("files") or {}
    for graph in _GRAPHS:
        if not (folder / graph).is_file():
            continue
        digest = hashlib.sha256(__version__.encode())
        if not listed:
            digest.update(str(folder.resolve()).encode())
        for name in (graph, CONFIG, TOKENIZER, TOKENIZER_CONFIG):
            if listed:
                facts = listed.get(name)
                digest.update(f"{name} {facts.get('sha256') if isinstance(facts, dict) else None}\n".encode())
            elif (folder / name).is_file():
                stat = (folder / name).stat()
                digest.update(f"{name} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
        yield digest.hexdigest()[:32]


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
        bundle = open_bundle(folder)
        for precision, names in GRAPHS.items():
            if not any(map(bundle.has, names)):
                continue
            classifier = load_bundle(bundle, precision=cast("Precision", precision), threads=1)
            for text in _TEXTS:
                tokens = sum(len(ids) for ids in classifier.prepare([text]).windows.ids)
                if tokens > _MOST_TOKENS * len(text):
                    raise ModelError(
                        f"the tokenizer makes {tokens:,} tokens out of {len(text):,} characters", file=folder
                    )
            classifier([*_TEXTS[:3], "a b " * (_RUN // 8)])
    except MissingExtraError as error:
        sys.stdout.write(json.dumps({"package": error.package, "extra": error.extra}) + "\n")
        sys.stdout.flush()
        sys.exit(_REFUSED)
    except OttenokError as error:
        told = {"kind": type(error).__name__, "message": error.message, "hint": error.hint, "file": error.file}
        sys.stdout.write(json.dumps({**told, "key": error.key}) + "\n")
        sys.stdout.flush()
        sys.exit(_REFUSED)
