# ruff: noqa: INP001 - a script, no package
"""Fill the tables of the pages in this folder from the committed result files in `results/`.

    python docs/systems/pages.py            # write the pages
    python docs/systems/pages.py --check    # end with 1 if a page is not up to date

A table stands between `<!-- table: KIND ARGUMENTS -->` and `<!-- end -->`; `TABLES` has the kinds. Where a result file
is not there the table is one line that says so. No figure is written by hand: ours come from `results/NAME.json`, which
`docs/systems/collect.py` makes, and those of the authors from `published.toml`.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from ottenok.recipes.old_keys import translated
from ottenok.studies.compare import Comparison
from ottenok.studies.compare_tables import as_markdown
from ottenok.tasks.metrics import METRICS
from ottenok.tasks.report import Interval, Report, SourceMetrics
from ottenok.tasks.tables import Grid, confusion_table, label_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parent
_TABLE = re.compile(r"(<!-- table: ([^\n]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
_NONE = "-"


class NotRunError(Exception):
    """A result file, or an arm in it, is not there."""


def published() -> dict[str, Any]:
    """Return what the authors wrote."""
    return tomllib.loads((HERE / "published.toml").read_text(encoding="utf-8"))


def result(folder: Path, name: str) -> dict[str, Any]:
    """Read a result file.

    Raises:
        NotRunError: It is not there.
    """
    file = folder / f"{name}.json"
    if not file.is_file():
        raise NotRunError(f"Not run yet: there is no `results/{name}.json`.")
    tree: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return tree


def variants(tree: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return what a result file says of each variant and seed; files of older versions call them arms."""
    found: list[dict[str, Any]] = tree["variants"] if "variants" in tree else tree["arms"]
    return found


def reports(tree: Mapping[str, Any], arm: str, split: str = "test") -> list[Report]:
    """Return the reports of an arm's runs, one per seed.

    Raises:
        NotRunError: The arm was not trained.
    """
    found = [one for one in variants(tree) if one["name"] == arm and split in one.get("reports", {})]
    if not found:
        reason = next(
            (one["reason"] for one in variants(tree) if one["name"] == arm and one["reason"]), "not trained yet"
        )
        raise NotRunError(f"The arm {arm} has no figures: {reason}.")
    return [Report.from_json(one["reports"][split]) for one in found]


def titles(tree: Mapping[str, Any]) -> dict[str, str]:
    """Return name to title of the arms, in their order."""
    return {arm["name"]: arm["title"] for arm in variants(tree)}


def cell(found: list[Interval], digits: int = 3) -> str:
    """Show a figure: with its interval for one run, as mean and deviation for several."""
    values = [one.value for one in found]
    if len(values) > 1:
        return f"{mean(values):.{digits}f} ± {stdev(values):.{digits}f}"
    low, high = found[0].low, found[0].high
    text = f"{values[0]:.{digits}f}"
    return text if low is None or high is None else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def figure(found: list[Report], name: str, source: str = "") -> list[Interval]:
    """Return a figure of each report, of the whole or of one source; empty where there is none."""
    if not source:
        return [report.metrics[name] for report in found if name in report.metrics]
    return [one.metrics[name] for report in found if (one := _source(report, source)) and name in one.metrics]


def _source(report: Report, name: str) -> SourceMetrics | None:
    return next((one for one in report.sources if one.source == name), None)


def title(name: str) -> str:
    """Return what tables call a figure."""
    return METRICS[name].title if name in METRICS else name


def published_table(_: Path, system: str) -> str:
    """`published SYSTEM`: the authors' table."""
    tree = published()[system]
    rows = tuple(tuple(one if isinstance(one, str) else f"{one:g}" for one in row) for row in tree["rows"])
    return Grid(header=tuple(tree["columns"]), rows=rows).markdown()


def labels_table(folder: Path, name: str, arm: str) -> str:
    """`labels RESULT ARM`: ours in the layout of the published cards, with the rows and the seed."""
    tree = result(folder, name)
    report = reports(tree, arm)[0]
    return f"{label_table(report).markdown()}\n\n{title('macro_f1')} {cell([report.metrics['macro_f1']])}."


def sources_table(folder: Path, name: str) -> str:
    """`sources RESULT`: macro F1 per source, published and ours, as it is and on balanced labels."""
    tree, system = result(folder, name), published()["sentiment-balanced"]
    trained = {arm["name"] for arm in variants(tree) if arm["state"] == "done"}
    if not trained:
        raise NotRunError("No arm is trained yet.")
    names = [(text, reports(tree, arm)) for arm, text in titles(tree).items() if arm in trained]
    header = ["", "published"]
    for text, _ in names:
        header += [text, f"{text}, balanced labels"]
    rows = []
    for source, value in system["rows"]:
        own, row = system["sources"][source], [source, f"{value:g}"]
        for _, found in names:
            row += [_or_none(figure(found, figure_name, own)) for figure_name in ("macro_f1", "balanced_f1")]
        rows.append(tuple(row))
    return Grid(header=tuple(header), rows=tuple(rows)).markdown()


def _or_none(found: list[Interval]) -> str:
    return cell(found) if found else _NONE


def comparison_table(folder: Path, name: str) -> str:
    """`comparison RESULT`: figures, paired tests and costs of all arms, and why an arm is missing."""
    tree = result(folder, name)
    if tree["comparison"] is None:
        rows = tuple((arm["title"], arm["reason"] or arm["state"]) for arm in variants(tree))
        return Grid(header=("", "reason"), rows=rows).markdown()
    return as_markdown(Comparison.from_json(tree["comparison"]), level=4)


def epochs_table(folder: Path, name: str, arm: str, *columns: str) -> str:
    """`epochs RESULT ARM FIGURE...`: an arm's epochs on validation rows."""
    tree = result(folder, name)
    found = next((one["epochs"] for one in variants(tree) if one["name"] == arm), [])
    if not found:
        raise NotRunError(f"The arm {arm} has no epochs.")
    header = ("epoch", "training loss", "step", "validation loss", *(title(column) for column in columns))
    keys = (("epoch", "g"), ("train_loss", ".4f"), ("step", "g"), ("loss", ".4f"), *((key, ".4f") for key in columns))
    rows = tuple(tuple(f"{row[key]:{form}}" if key in row else _NONE for key, form in keys) for row in found)
    return Grid(header=header, rows=rows).markdown()


def steps_table(folder: Path, name: str) -> str:
    """`steps RESULT`: each arm against the one before it, from the paired comparisons of `collect.py`."""
    tree = result(folder, name)
    metric = tree["steps"]["metric"]
    rows = []
    for arm, text in titles(tree).items():
        try:
            value = cell(figure(reports(tree, arm), metric))
        except NotRunError as error:
            rows.append((text, _NONE, str(error), _NONE))
            continue
        gain = tree["steps"]["gains"].get(arm)
        change = _NONE if gain is None else _change(gain)
        rows.append((text, value, change, _NONE if gain is None or gain["p"] is None else _chance(gain["p"])))
    header = ("", title(metric), "gain over the step before", "p")
    note = "p is that of the paired permutation test, not corrected for the number of steps."
    return f"{Grid(header=header, rows=tuple(rows)).markdown()}\n\n{note}"


def _change(gain: Mapping[str, Any]) -> str:
    text = f"{gain['value']:+.3f}"
    return text if gain["low"] is None else f"{text} [{gain['low']:+.3f}, {gain['high']:+.3f}]"


def _chance(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def windows_table(folder: Path, name: str, *arms: str) -> str:
    """`windows RESULT ARM...`: the same models on texts that are cut and on texts that are read in windows."""
    tree, rows = result(folder, name), []
    names = ("accuracy", "weighted_f1", "macro_f1")
    for arm in arms:
        whole = Report.from_json(result(folder, f"{name}-windows-{arm}")["reports"][0])
        for how, found in (("cut", reports(tree, arm)[:1]), ("windows", [whole])):
            cells = (cell(figure(found, metric)) for metric in names)
            rows.append((f"{titles(tree)[arm]}, {how}", *cells))
    return Grid(header=("", *(title(metric) for metric in names)), rows=tuple(rows)).markdown()


def confusions(folder: Path, name: str, *arms: str) -> str:
    """`confusion RESULT ARM...`: rows are the true labels, columns the answers."""
    tree = result(folder, name)
    parts = [f"{titles(tree)[arm]}:\n\n{confusion_table(reports(tree, arm)[0]).markdown()}" for arm in arms]
    return "\n\n".join(parts)


def facts(folder: Path, name: str) -> str:
    """`facts RESULT`: a list of sentences that a check in `collect.py` wrote."""
    return "\n".join(f"- {line}" for line in result(folder, name)["facts"])


def machine(folder: Path, name: str) -> str:
    """`machine RESULT`: what our figures were made with, as the first finished arm has it."""
    tree = result(folder, name)
    done = [arm for arm in variants(tree) if arm["state"] == "done"]
    if not done:
        raise NotRunError("No arm is trained yet.")
    recipe, here = translated(done[0]["recipe"])[0], tree["environment"]
    counts = (done[0].get("data") or {}).get("rows", {})
    drawn = recipe["data"]["epoch_rows"]
    told = [
        f"Encoder {recipe['model']['encoder']}, pooling {recipe['model']['pooling']}",
        f"at most {recipe['text']['max_length']} tokens",
        f"{recipe['schedule']['num_train_epochs']} epochs of {'all rows' if drawn is None else f'{drawn:,} rows'}",
        f"batch {recipe['batch']['batch_size']}",
        f"rate {recipe['optim']['learning_rate']:g}",
    ]
    rows = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    processor = f"{here['processor'] or 'an unnamed processor'}, {here['processors']} processors"
    return f"{', '.join(told)}. Corpus: {rows}. {tree['minutes']:.0f} minutes in all on {processor}."


def marks(folder: Path) -> str:
    """`marks`: what was asked of the models, and what they reach."""
    rows = []
    for mark in tomllib.loads((HERE / "marks.toml").read_text(encoding="utf-8"))["marks"]:
        found = _found(folder, mark)
        value = mean(one.value for one in found) if found else None
        cells = (_known(mark.get("published")), f"{mark['mark']:g}", _or_none(found), _state(value, mark["mark"]))
        rows.append((mark["what"], *cells))
    return _ours(Grid(header=("", "published", "mark", "ours", ""), rows=tuple(rows)))


def _ours(grid: Grid) -> str:
    """Return a table as Markdown whose names of files and variants, which we wrote ourselves, stay marked."""
    return grid.markdown().replace("\\`", "`")


def tries(folder: Path) -> str:
    """`tries`: what else was tried for marks that are not reached."""
    rows = []
    for one in tomllib.loads((HERE / "marks.toml").read_text(encoding="utf-8"))["tries"]:
        found = _found(folder, one)
        rows.append((one["what"], cell(found) if found else "not run yet"))
    return _ours(Grid(header=("", "ours"), rows=tuple(rows)))


def _found(folder: Path, place: Mapping[str, Any]) -> list[Interval]:
    """Return the figures that an entry of `marks.toml` names; empty where nothing was run."""
    try:
        tree = result(folder, place["result"])
        return figure(reports(tree, place["arm"]), place["figure"], place.get("source", ""))
    except NotRunError:
        return []


def _state(value: float | None, mark: float) -> str:
    if value is None:
        return "not run yet"
    return "reached" if value >= mark else f"{mark - value:.3f} short"


def _known(value: float | None) -> str:
    return _NONE if value is None else f"{value:g}"


TABLES: dict[str, Callable[..., str]] = {
    "published": published_table,
    "labels": labels_table,
    "sources": sources_table,
    "comparison": comparison_table,
    "epochs": epochs_table,
    "steps": steps_table,
    "windows": windows_table,
    "confusion": confusions,
    "facts": facts,
    "machine": machine,
    "marks": marks,
    "tries": tries,
}


def filled(page: str, folder: Path) -> str:
    """Return a page with its tables as the result files in `folder` have them."""

    def fill(found: re.Match[str]) -> str:
        kind, *arguments = found[2].split()
        try:
            text = TABLES[kind](folder, *arguments)
        except NotRunError as error:
            text = f"*{error}*"
        return f"{found[1]}\n{text}\n\n{found[3]}"

    return _TABLE.sub(fill, page)


def main(arguments: list[str]) -> int:
    """Write the pages, or check them."""
    stale = []
    for page in sorted(HERE.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        made = filled(text, HERE / "results")
        if made != text:
            stale.append(page.name)
            if "--check" not in arguments:
                page.write_text(made, encoding="utf-8", newline="\n")
    told = "not up to date" if "--check" in arguments else "written"
    sys.stdout.write("".join(f"{name}: {told}\n" for name in stale) or "All pages are up to date.\n")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
