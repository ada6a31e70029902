"""A manifest for folders of other tools: what transformers' `config.json` says, by stated rules.

The activation follows transformers' own text-classification pipeline: `problem_type` decides; without one, one label
means sigmoid and several mean softmax. The one addition is `function_to_apply`, which the pipeline reads too late to
ever matter for several labels: an author who wrote it down meant it, so here it comes second. Every guess is a note.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ottenok.bundle.manifest import CONFIG, MANIFEST, BundleManifest, LicenceFacts, TaskFacts, WindowRule, read_json
from ottenok.bundle.recognise import recognise
from ottenok.core.errors import BundleError
from ottenok.tasks.decision import Decision
from ottenok.tasks.task import task_name
from ottenok.text.normalise import TextOptions

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ottenok.tasks.decision import Activation

__all__ = ["foreign_manifest", "read_labels"]

# Other tools do not normalise texts, so a foreign model sees what it saw there, but for what is always cleaned.
_UNTOUCHED = TextOptions(entities="keep", width="keep", marks="keep", urls="keep", users="keep", yo="keep")

_BY_PROBLEM: Mapping[str, Activation] = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}
# Models whose position numbers start after the padding id, so that two of the positions are never reached.
_OFFSET_TYPES = frozenset({"roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer"})
_USUAL_LENGTH = 512
# Longer windows cost more than they bring: attention grows with the square, and sentiment is rarely that far away.
_LONGEST = 512
_UNSET_LENGTH = 1_000_000
_NUMBERED = re.compile(r"LABEL_\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Guess:
    """An activation, and what a user should know of how it was found."""

    activation: Activation
    notes: tuple[str, ...] = ()


def read_labels(config: Mapping[str, Any], *, file: str) -> tuple[str, ...]:
    """Return the labels of a `config.json` in the order of the outputs.

    Raises:
        BundleError: Ids are not 0, 1, 2, ..., or two labels have the same name.
    """
    names: Any = config.get("id2label")
    if names is None:
        count = config.get("num_labels", 2)
        names = {str(i): f"LABEL_{i}" for i in range(count)} if isinstance(count, int) else None
    try:
        by_id = {int(key): str(value) for key, value in names.items()}
    except (AttributeError, ValueError, TypeError) as error:
        raise BundleError("id2label does not map numbers to names", file=file, key="id2label") from error
    if not by_id or sorted(by_id) != list(range(len(by_id))):
        raise BundleError(f"expected the ids 0, 1, 2, ..., found {sorted(by_id)}", file=file, key="id2label")
    labels = tuple(by_id[i] for i in range(len(by_id)))
    if len(set(labels)) < len(labels):
        raise BundleError("two labels have the same name", file=file, key="id2label")
    return labels


def foreign_manifest(folder: Path) -> BundleManifest:
    """Make the manifest of a folder that another tool wrote.

    Raises:
        BundleError: `config.json` is absent or wrong, or is no text classifier's.
    """
    file = str(folder / CONFIG)
    config = read_json(folder / CONFIG)
    _check_classifier(config, file)
    labels = read_labels(config, file=file)
    guess = _activation(config, labels, file)
    scheme = recognise(labels, several=guess.activation == "sigmoid")
    length = _max_length(folder, config)
    return BundleManifest(
        name=folder.name,
        tasks=(
            TaskFacts(
                name=task_name(scheme.name),
                scheme=scheme,
                problem_type="multi-label" if guess.activation == "sigmoid" else "multi-class",
                decision=Decision(activation=guess.activation),
            ),
        ),
        text=_UNTOUCHED,
        max_length=length,
        window=WindowRule(overlap=min(32, length // 4)),
        licence=LicenceFacts(id="unknown", commercial=None, statement="config.json states no licence"),
        notes=(*guess.notes, *_label_notes(labels)),
    )


def _check_classifier(config: Mapping[str, Any], file: str) -> None:
    if config.get("model_type") == "ottenok":
        raise BundleError(
            f"ottenok made this bundle, but {MANIFEST} is missing", hint="Copy the whole folder.", file=file
        )
    names = config.get("architectures") or []
    if not any("ForSequenceClassification" in str(name) for name in names):
        found = ", ".join(str(name) for name in names) or "no architecture"
        raise BundleError(
            f"expected an architecture for sequence classification, found {found}",
            hint="An encoder without a trained head gives random labels: train one with `ottenok train`.",
            file=file,
            key="architectures",
        )


def _activation(config: Mapping[str, Any], labels: tuple[str, ...], file: str) -> _Guess:
    problem, function = config.get("problem_type"), config.get("function_to_apply")
    if problem == "regression" or (problem is None and function == "none"):
        raise BundleError(
            "this is a regression, and nothing says on which scale",
            hint=f"ottenok reads regressions that have an {MANIFEST}.",
            file=file,
            key="problem_type",
        )
    if problem is not None:
        if problem not in _BY_PROBLEM:
            raise BundleError(f"found {problem!r}, expected {' or '.join(_BY_PROBLEM)}", file=file, key="problem_type")
        return _Guess(activation=_BY_PROBLEM[problem])
    return _guess(function, labels)


def _guess(function: object, labels: tuple[str, ...]) -> _Guess:
    if function == "sigmoid":
        return _Guess(activation="sigmoid", notes=("config.json names no problem_type; its function_to_apply holds.",))
    if len(labels) == 1:
        return _Guess(activation="sigmoid", notes=("config.json names no problem_type; one label means sigmoid.",))
    note = f"config.json names no problem_type; {len(labels)} labels are taken to exclude each other (softmax)."
    return _Guess(activation="softmax", notes=(note,))


def _label_notes(labels: tuple[str, ...]) -> tuple[str, ...]:
    if all(_NUMBERED.fullmatch(label) for label in labels):
        return ("The labels have no names but LABEL_0 and so on: the model's card may say what they mean.",)
    return ()


def _max_length(folder: Path, config: Mapping[str, Any]) -> int:
    """Return the least of what the positions, the tokenizer and good sense allow.

    Tokenizers write 1e30 for "not set", and then truncation does nothing, so only real lengths count.
    """
    positions = config.get("max_position_embeddings")
    positions = positions if isinstance(positions, int) and positions > 4 else _USUAL_LENGTH
    if config.get("model_type") in _OFFSET_TYPES:
        positions -= 2
    stated = _tokenizer_length(folder)
    return min(positions, stated or positions, _LONGEST)


def _tokenizer_length(folder: Path) -> int | None:
    file = folder / "tokenizer_config.json"
    stated = read_json(file).get("model_max_length") if file.is_file() else None
    usable = isinstance(stated, int | float) and 4 < stated < _UNSET_LENGTH
    return int(stated) if usable else None  # type: ignore[arg-type] # narrowed by `usable`
