"""What came out of a search: rows of trials, `trials.csv`, `trials.json`, `best.toml`."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ottenok.core.config import parse
from ottenok.core.errors import ConfigError
from ottenok.core.files import atomic_write_text
from ottenok.core.lazy import require
from ottenok.recipes.train import TrainRecipe
from ottenok.studies.search.space import plain_recipe
from ottenok.studies.search.study import FOLDER, REASON

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ottenok.studies.search.space import Value
    from ottenok.studies.search.study import SearchStudy

__all__ = ["BEST_FILE", "TrialRow", "trial_rows", "write_results"]

BEST_FILE = "best.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRow:
    """A trial.

    Attributes:
        number: Optuna's, from 0.
        state: `complete`, `pruned` (stopped early), `failed` (the reason says why) or `running`.
        value: The best epoch's metric; of a pruned trial the last epoch's; None for the others.
        epochs: Epochs that were measured.
        seconds: From its beginning to its end, None while it runs.
        reason: Why it failed.
        folder: Name of its run folder in `trials/`.
        values: Key of the recipe to the value that it had.
    """

    number: int
    state: str
    value: float | None
    epochs: int
    seconds: float | None
    reason: str
    folder: str
    values: dict[str, Value]


def trial_rows(study: SearchStudy) -> tuple[TrialRow, ...]:
    """Return every trial that was begun, by number."""
    retaken = study.retaken()
    return tuple(_row(trial, retaken.get(trial.number)) for trial in study.trials())


def _row(trial: Any, successor: int | None) -> TrialRow:  # noqa: ANN401 - Optuna's frozen trial
    reason = trial.user_attrs.get(REASON, "")
    if successor is not None:
        reason = f"stopped half-done; taken up again as trial {successor}"
    ended = trial.datetime_complete
    state = trial.state.name.lower()
    return TrialRow(
        number=trial.number,
        state={"fail": "failed"}.get(state, state),
        value=None if state == "fail" else trial.value,
        epochs=len(trial.intermediate_values),
        seconds=None if ended is None else round((ended - trial.datetime_start).total_seconds(), 1),
        reason=reason,
        folder=trial.user_attrs.get(FOLDER, ""),
        values=dict(trial.params),
    )


def write_results(folder: Path, study: SearchStudy, best: TrainRecipe | None) -> tuple[TrialRow, ...]:
    """Write the tables of trials and, if there is one, the best recipe; return the trials."""
    rows = trial_rows(study)
    keys = [axis.key for axis in study.space.axes]
    atomic_write_text(folder / "trials.csv", _csv(rows, keys))
    winner = study.best()
    facts = {
        "recipe": study.recipe.name,
        "metric": study.recipe.run.metric,
        "direction": "maximize" if study.higher else "minimize",
        "seed": study.recipe.seed,
        "sampler": {"name": "TPE", "startup": study.options.startup},
        "pruner": study.options.pruner,
        "space": study.space.to_json(),
        "best": None if winner is None else winner.number,
        "trials": [asdict(row) for row in rows],
    }
    atomic_write_text(folder / "trials.json", json.dumps(facts, ensure_ascii=False, indent=1) + "\n")
    if winner is not None and best is not None:
        ended = sum(row.state in {"complete", "pruned"} for row in rows)
        value = f"{study.recipe.run.metric} {winner.value:.4f}"
        head = f"# Found by `ottenok search`: trial {winner.number} of {ended}, {value} on validation rows."
        atomic_write_text(folder / BEST_FILE, f"{head}\n{_toml(best)}")
    return rows


def _csv(rows: Sequence[TrialRow], keys: Sequence[str]) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["number", "state", "value", "epochs", "seconds", *keys, "reason", "folder"])
    for row in rows:
        facts = [row.number, row.state, row.value, row.epochs, row.seconds]
        writer.writerow([*facts, *(row.values.get(key) for key in keys), row.reason, row.folder])
    return stream.getvalue()


def _toml(recipe: TrainRecipe) -> str:
    text: str = require("tomli_w", extra="search").dumps(_without_none(plain_recipe(recipe)))
    import tomllib

    if parse(TrainRecipe, tomllib.loads(text)) != recipe.model_copy(update={"search": None}):
        # TOML has no null: an option whose default is something else can't be said to be nothing.
        raise ConfigError("this recipe can't be written as TOML", hint="It sets an option to None that has a default.")
    return text


def _without_none(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_none(value) if isinstance(value, dict) else value
        for key, value in tree.items()
        if value is not None
    }
