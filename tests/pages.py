"""What tests need to run JavaScript: Node with the packages of `tests/js`, and Debian's Chromium driven by Playwright.

Each function skips the test, with a reason, on a machine that lacks its part.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

JS = Path(__file__).parent / "js"
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def node_package(name: str) -> Path:
    """Return the folder of an npm package of `tests/js`, or skip."""
    folder = JS / "node_modules" / name
    if not folder.is_dir():
        pytest.skip(f"needs the npm package {name}: npm ci --prefix tests/js")
    return folder


def run_node(script: str, given: object = None, *, package: str, seconds: int = 120) -> Any:
    """Run a script of `tests/js` under Node and return the JSON that it prints.

    Args:
        script: Its file name.
        given: Goes to its standard input as JSON.
        package: What it imports; without it the test is skipped.
        seconds: Most that it may take.
    """
    node_package(package)
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    done = subprocess.run(
        [node, script], cwd=JS, input=json.dumps(given), capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a headless Chromium.

    Use it in a fixture of a module: until it ends, Playwright's event loop runs in this thread, and no other can.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    program = os.environ.get("OTTENOK_CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_QUIET))
        try:
            yield browser
        finally:
            browser.close()
