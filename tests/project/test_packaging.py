"""What is said of the package in several places agrees."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import ottenok

ROOT = Path(__file__).parents[2]
PACKAGE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_version_is_one() -> None:
    """The package's version is the one that the code tells."""
    assert PACKAGE["version"] == ottenok.__version__


def test_every_python_that_is_promised_is_tried() -> None:
    """The versions of Python in the classifiers are those that `requires-python` allows and that CI runs."""
    versions = [name.rsplit(" ", 1)[1] for name in PACKAGE["classifiers"] if re.search(r":: 3\.\d+$", name)]
    low, high = (int(number) for number in re.findall(r"3\.(\d+)", PACKAGE["requires-python"]))
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")

    assert versions == [f"3.{minor}" for minor in range(low, high)]
    assert all(f'"{version}"' in ci for version in versions)


def test_every_extra_is_in_all() -> None:
    """The extra `all` brings every other one, but not the tools of development."""
    extras = PACKAGE["optional-dependencies"]
    (everything,) = extras["all"]

    assert set(everything.removeprefix("ottenok[").removesuffix("]").split(",")) == extras.keys() - {"all", "dev"}


def test_the_image_is_made_of_files_that_are_here() -> None:
    """What the Dockerfile copies exists, and .dockerignore lets it in; the image does not run as root."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    copied = {name for line in lines if line.startswith("COPY") and "--from" not in line for name in line.split()[1:-1]}

    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)
    assert "USER 10001" in lines
