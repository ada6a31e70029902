"""Optuna's own plots of a search, as PNG and SVG."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from ottenok.core.files import atomic_path
from ottenok.core.lazy import require

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ottenok.studies.search.study import SearchStudy

__all__ = ["PLOTS", "draw_plots"]

# File name to Optuna's function, and how many trials must have been completed for it to say anything.
PLOTS = {
    "history": ("plot_optimization_history", 1),
    "epochs": ("plot_intermediate_values", 1),
    "slice": ("plot_slice", 1),
    "parallel": ("plot_parallel_coordinate", 2),
    "importances": ("plot_param_importances", 4),
}


def draw_plots(folder: Path, study: SearchStudy) -> tuple[Path, ...]:
    """Draw what the trials suffice for into `folder`; return the files.

    `importances` is the share of the metric's variance that each key explains (PED-ANOVA, Watanabe et al. 2023, or
    fANOVA before Optuna 5): with few trials it is a hint and no more.
    """
    optuna = require("optuna", extra="search")
    kinds = require("optuna.visualization.matplotlib", extra="search")
    completed = [trial.params for trial in study.trials() if trial.state == optuna.trial.TrialState.COMPLETE]
    files: list[Path] = []
    for name, (function, least) in PLOTS.items():
        # Nothing has an importance where nothing differs.
        if len(completed) >= least and (name != "importances" or any(each != completed[0] for each in completed)):
            files += _draw(folder / name, getattr(kinds, function), study)
    return tuple(files)


def _draw(stem: Path, function: Callable[..., Any], study: SearchStudy) -> list[Path]:
    pyplot = require("matplotlib.pyplot", extra="search")
    named = {} if stem.name in {"epochs", "importances"} else {"target_name": study.recipe.run.metric}
    files = [stem.with_suffix(".png"), stem.with_suffix(".svg")]
    # Optuna's plots set a style for the whole process, and say that they are experimental.
    with warnings.catch_warnings(), require("matplotlib", extra="search").rc_context():
        warnings.simplefilter("ignore")
        function(study.study, **named)
        figure = pyplot.gcf()
        figure.set_size_inches(*_size(stem.name, len(study.space.axes)))
        if stem.name == "slice":
            for part in figure.axes:
                part.tick_params(axis="x", labelrotation=30)
        try:
            for file in files:
                with atomic_path(file) as temporary:
                    figure.savefig(temporary, dpi=120, bbox_inches="tight")
        finally:
            pyplot.close(figure)
    return files


def _size(name: str, keys: int) -> tuple[float, float]:
    """Return width and height in inches; a slice has one part for each key."""
    return (max(8.0, 3.5 * keys), 4.5) if name in {"slice", "parallel"} else (9.0, 5.5)
