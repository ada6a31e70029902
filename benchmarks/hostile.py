"""What hostile inputs cost: the time and the peak memory of each, in a process of its own.

    python benchmarks/hostile.py --out benchmarks/results/hostile.json

Each case is made in a temporary folder and given to the command line (`ottenok classify`, `ottenok data build`) or to
`ottenok.load`, as a user would. Told are the exit code, seconds, peak resident memory in MB beside that of a small
sound file, and the first line of the message.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_ROWS = '<row r="{row}"><c r="A{row}" t="inlineStr"><is><t>text</t></is></c></row>'
_SHEET = (
    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    "<sheetData>{rows}</sheetData></worksheet>"
)


def workbook(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    """Write a small workbook whose parts were changed."""
    import openpyxl

    book = openpyxl.Workbook()
    for row in (("text",), ("хорошо",)):
        book.active.append(row)
    book.save(path)
    with zipfile.ZipFile(path) as source:
        parts = {name: source.read(name).decode() for name in source.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in parts.items():
            target.writestr(name, data)


def far_row(path: Path) -> None:
    """An XLSX that names row 2,000,000,000."""
    sheet = _SHEET.format(rows=_ROWS.format(row=2 * 10**9))
    workbook(path, lambda parts: parts.update({"xl/worksheets/sheet1.xml": sheet}))


def giant_strings(path: Path) -> None:
    """An XLSX with a shared string of 300 MB."""
    strings = (
        '<?xml version="1.0"?><sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" count="1">'
        f"<si><t>{'x' * 300_000_000}</t></si></sst>"
    )
    workbook(path, lambda parts: parts.update({"xl/sharedStrings.xml": strings}))


def dictionary(path: Path) -> None:
    """A Parquet of few bytes whose 20,000,000 rows share one text of 400 characters."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = pa.DictionaryArray.from_arrays(
        pa.array([0] * 1_000_000, pa.int32()), pa.array(["очень длинный текст " * 20])
    )
    with pq.ParquetWriter(path, pa.schema([("text", words.type)]), compression="zstd") as writer:
        for _ in range(20):
            writer.write_table(pa.table({"text": words}))


def prefixes(path: Path) -> None:
    """A Parquet whose texts of 1 MB share all but their ends (DELTA_BYTE_ARRAY), 3 GB unpacked."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("text", pa.string())])
    options = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "compression": "zstd"}
    with pq.ParquetWriter(path, schema, **options) as writer:
        for group in range(30):
            writer.write_table(pa.table({"text": ["ю" * 500_000 + str(100 * group + n) for n in range(100)]}))


def packed(path: Path) -> None:
    """A gzip of 2 MB that unpacks to 2 GB."""
    with gzip.open(path, "wb", compresslevel=9) as stream:
        stream.write(b"text\n")
        for _ in range(2000):
            stream.write(b"a" * 999_999 + b"\n")


def long_row(path: Path) -> None:
    """A CSV with one text of 8 MB between two short ones."""
    path.write_text(f"text\nхорошо\n{'очень хорошо ' * 350_000}\nплохо\n", encoding="utf-8")


def longer_row(path: Path) -> None:
    """A CSV with one text of 200 MB, which is over the limit of a record, between two short ones."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write("text\nхорошо\n")
        for _ in range(200):
            stream.write("очень хорошо " * 40_000)
        stream.write("\nплохо\n")


def unclosed(path: Path) -> None:
    """A CSV of 50 MB after an unclosed quote in its second row."""
    path.write_text('n,text\n1,"не закрыто\n' + "2,хорошая книга\n" * 1_700_000, encoding="utf-8")


def quotes(path: Path) -> None:
    """A CSV of 200,000 lines each of which opens a quote and none closes it."""
    path.write_text("n,text\n" + '1,"а\n' * 200_000, encoding="utf-8")


def nested(path: Path) -> None:
    """JSON lines one of which is nested a million deep."""
    path.write_text('{"text": "хорошо"}\n{"text": ' + "[" * 1_000_000 + "}\n", encoding="utf-8")


def broken_array(path: Path) -> None:
    """A JSON array of 60 MB whose second object never ends."""
    good = '{"text": "хорошая книга"}'
    path.write_text(f'[{good}, {{"text": "не закр, ' + ", ".join([good] * 1_400_000) + "]", encoding="utf-8")


def bomb_document(path: Path) -> None:
    """A JSON document of 300 MB that is one nested object."""
    with path.open("w", encoding="utf-8") as stream:
        stream.write('{"a": {')
        for number in range(3_000_000):
            stream.write(f'"{number}": {{"text": "{"x" * 70}"}}, ')
        stream.write('"z": {}}}')


TABLES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "XLSX, row 2,000,000,000": ("a.xlsx", far_row),
    "XLSX, shared string of 300 MB": ("a.xlsx", giant_strings),
    "Parquet, 20 M rows of one text": ("a.parquet", dictionary),
    "Parquet, 3 GB of shared beginnings": ("a.parquet", prefixes),
    "gzip, 2 MB to 2 GB": ("a.csv.gz", packed),
    "CSV, a text of 8 MB": ("a.csv", long_row),
    "CSV, a text of 200 MB": ("a.csv", longer_row),
    "CSV, an unclosed quote before 50 MB": ("a.csv", unclosed),
    "CSV, 200,000 unclosed quotes": ("a.csv", quotes),
    "JSON lines, a million brackets": ("a.jsonl", nested),
    "JSON array, an object without end": ("a.json", broken_array),
    "JSON document, 300 MB in one object": ("a.json", bomb_document),
}


def measured(command: list[str], *, given: Path | None = None) -> dict[str, object]:
    """Run a command; return its exit code, seconds, peak memory and the first line of its message."""
    reader, writer = os.pipe()
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        os.dup2(writer, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(os.open(given or os.devnull, os.O_RDONLY), 0)
        os.execv(command[0], command)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8", errors="replace") as stream:
        told = [line for line in stream.read().splitlines() if line.strip()]
    _, status, usage = os.wait4(child, 0)
    first = next((line for line in told if line.startswith("Error:")), told[0] if told else "")
    return {
        "exit": os.waitstatus_to_exitcode(status),
        "seconds": round(time.monotonic() - begun, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "message": first[:200],
    }


def main() -> None:
    """Measure every case and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="Write the results here (JSON).")
    parser.add_argument("--make", nargs=2, metavar=("CASE", "FILE"), help="Only make the file of a case.")
    given = parser.parse_args()
    if given.make:
        TABLES[given.make[0]][1](Path(given.make[1]))
        return
    ottenok = [sys.executable, "-m", "ottenok"]
    found: dict[str, dict[str, object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        small = place / "small.csv"
        small.write_text("text\nхорошо\n", encoding="utf-8")
        usual = ["--text", "text", "-o"]
        found["a small sound file"] = measured([*ottenok, "classify", str(small), *usual, f"{folder}/o.csv"])
        for number, (name, (file, _)) in enumerate(TABLES.items()):
            path = place / str(number) / file
            path.parent.mkdir()
            # A process takes over the peak of the one that it was forked from: this one stays small.
            subprocess.run([sys.executable, __file__, "--make", name, str(path)], check=True)
            found[name] = measured([*ottenok, "classify", str(path), *usual, str(path.parent / "answers.jsonl")])
            found[name]["file_mb"] = round(path.stat().st_size / 1e6, 3)
            print(name, found[name], flush=True)
            path.unlink()
        line = place / "line.txt"
        with line.open("w", encoding="utf-8") as stream:
            stream.write("хорошо\n")
            stream.writelines("очень хорошо " for _ in range(2_600_000))
            stream.write("\nплохо\n")
        found["standard input, a line of 60 MB"] = measured([*ottenok, "classify"], given=line)
        found["standard input, a line of 60 MB"]["file_mb"] = round(line.stat().st_size / 1e6, 3)
    facts = {
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
        "cases": found,
    }
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    print(f"| case | file, MB | exit | seconds | peak memory, MB | message |\n{'|---' * 6}|")
    for name, one in found.items():
        cells = [name, one.get("file_mb", ""), one["exit"], one["seconds"], one["peak_mb"], one["message"]]
        print(f"| {' | '.join(map(str, cells))} |")


if __name__ == "__main__":
    main()
