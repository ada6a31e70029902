"""How large the base install is, and whose the megabytes are.

    python benchmarks/install_size.py            # a fresh virtual environment; into results/install_size.json, which
                                                 # keeps what other Pythons (3.11, 3.14) have found
    python benchmarks/install_size.py --table    # the table in README.md, made from the result

A virtual environment is made with this Python, and ottenok is installed into it from this folder as README.md says,
`pip install .`, without extras. What is counted is its site-packages as `du` does, in blocks of the disk, compiled
files too, without pip, setuptools and wheel, which the virtual environment has before anything is installed. One MB is
2^20 bytes, as `du -m` has it.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import tempfile
import venv
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
RESULT = HERE / "results" / "install_size.json"
README = HERE / "README.md"
BEGIN, END = "<!-- install_size: made by install_size.py --table -->", "<!-- /install_size -->"
OURS_NOT = ("pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack")


def on_disk(paths: list[Path]) -> int:
    """Return the bytes of the blocks that files and folders take, each once."""
    found = {file for path in paths for file in ([path, *path.rglob("*")] if path.is_dir() else [path])}
    return sum(file.lstat().st_blocks * 512 for file in found if file.exists())


def measure() -> dict[str, object]:
    """Install into a fresh virtual environment and weigh it."""
    with tempfile.TemporaryDirectory(prefix="install-size-") as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip"]
        subprocess.run([*pip, "install", "--quiet", str(HERE.parent)], check=True)
        (site,) = Path(folder).glob("lib/python*/site-packages")
        packages: dict[str, dict[str, object]] = {}
        counted: set[Path] = set()
        for one in metadata.distributions(path=[str(site)]):
            if one.name in OURS_NOT:
                continue
            tops = {site / file.parts[0] for file in one.files or () if file.parts[0] != ".."} - counted
            counted |= tops
            asked = [line.partition(";")[0] for line in one.requires or () if "extra ==" not in line]
            packages[one.name] = {"version": one.version, "bytes": on_disk(sorted(tops)), "asks_for": asked}
        rest = [path for path in site.iterdir() if path not in counted and not path.name.startswith(OURS_NOT)]
        return {
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "bytes": sum(int(str(one["bytes"])) for one in packages.values()) + on_disk(rest),
            "with_pip_and_setuptools": on_disk([site]),
            "packages": dict(sorted(packages.items(), key=lambda item: -int(str(item[1]["bytes"])))),
        }


def table(results: dict) -> str:
    """Write the results as Markdown: of every Python the sum, of the first the packages.

    What has less than a megabyte stands in one row.
    """
    lines = []
    for one in results.values():
        pip = f"{one['with_pip_and_setuptools'] / 2**20:.0f} with the pip and setuptools of a virtual environment"
        lines.append(f"- Python {one['python']}, {one['machine']}: **{one['bytes'] / 2**20:.0f} MB** ({pip}).")
    result = next(iter(results.values()))
    packages = result["packages"]
    large = {name: one for name, one in packages.items() if one["bytes"] >= 1 << 20}
    small = sum(one["bytes"] for name, one in packages.items() if name not in large)
    lines += ["", f"| package, Python {result['python']} | MB | asked for by |", "|---|---|---|"]
    for name, one in large.items():
        by = sorted(other for other, facts in packages.items() if any(asks(line, name) for line in facts["asks_for"]))
        lines.append(f"| {name} {one['version']} | {one['bytes'] / 2**20:.1f} | {', '.join(by)} |")
    return "\n".join([*lines, f"| {len(packages) - len(large)} smaller ones | {small / 2**20:.1f} | |"])


def asks(requirement: str, name: str) -> bool:
    """Whether a requirement, such as `hf-xet<2.0`, is of a package."""
    asked, plain = (re.split("[^a-z0-9-]", re.sub("[_.]", "-", text.lower()))[0] for text in (requirement, name))
    return asked == plain


def main() -> None:
    """Run what the command line asks for."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--table", action="store_true", help="only write the table")
    if not arguments.parse_args().table:
        found = measure()
        results = json.loads(RESULT.read_text(encoding="utf-8"))
        results[".".join(str(found["python"]).split(".")[:2])] = found
        RESULT.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text:
        text += f"\n{BEGIN}\n{END}\n"
    before, _, rest = text.partition(BEGIN)
    body = table(json.loads(RESULT.read_text(encoding="utf-8")))
    title = "## The size of the base install\n\n`python benchmarks/install_size.py`; what is counted is said there.\n"
    README.write_text(f"{before}{BEGIN}\n{title}\n{body}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
