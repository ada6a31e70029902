"""The models that a server answers with, by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ottenok.bundle.folder import open_bundle
from ottenok.bundle.foreign import tokenizer_text
from ottenok.bundle.manifest import TOKENIZER
from ottenok.core.errors import ConfigError
from ottenok.core.suggest import suggest
from ottenok.inference.api import load
from ottenok.inference.classifier import Classifier
from ottenok.inference.places import EMBEDDED, find_folder
from ottenok.inference.tokens import Tokeniser, read_tokenizer
from ottenok.serve.refused import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ottenok.tasks.task import Task

__all__ = ["Models", "Served", "load_models", "thresholds"]

# Names that clients send when their user has named no model.
_ANY = ("default", "default/not-specified", "omni-moderation-latest", "text-moderation-latest")


class Served:
    """A model and its name.

    Args:
        name: What clients call it.
        classifier: Answers.
        folder: The bundle that it was loaded from.

    Attributes:
        name: As given.
        classifier: As given.
    """

    def __init__(self, name: str, classifier: Classifier, folder: Path) -> None:
        self.name = name
        self.classifier = classifier
        self._folder = folder

    @cached_property
    def ends(self) -> Classifier:
        """The same classifier, reading of a long text its end alone: what clients ask for by `truncation_direction`."""
        bundle = open_bundle(self._folder)
        manifest = self.classifier.manifest
        file = bundle.file(TOKENIZER)
        tokenizer = read_tokenizer(file, None if bundle.own else tokenizer_text(self._folder))
        return Classifier(
            manifest=manifest,
            tokeniser=Tokeniser(
                tokenizer, max_length=manifest.max_length, overlap=manifest.window.overlap, read_end=True
            ),
            backend=self.classifier.backend,
        )

    @property
    def tasks(self) -> tuple[Task, ...]:
        """What it answers, the primary task first."""
        return self.classifier.tasks

    def describe(self) -> dict[str, Any]:
        """Return what `/v1/models` says of it."""
        manifest = self.classifier.manifest
        titles = {facts.name: dict(facts.scheme.titles) for facts in manifest.tasks}
        return {
            "id": self.name,
            "object": "model",
            "created": 0,
            "owned_by": "ottenok",
            "title": manifest.name,
            "description": manifest.description,
            "tasks": [
                {
                    "name": task.name,
                    "labels": list(task.scheme.labels),
                    "multi_label": task.scheme.kind == "multi-label",
                    "polarity": dict(zip(task.scheme.labels, task.scheme.values, strict=False)) or None,
                    "thresholds": thresholds(task),
                    "titles": titles.get(task.name, {}),
                }
                for task in self.tasks
            ],
            "max_length": manifest.max_length,
            "languages": list(manifest.languages),
            "licence": manifest.licence.id,
        }


def thresholds(task: Task) -> dict[str, float]:
    """Return label to the probability from which it is in the answer; empty where the most probable label always is."""
    given = task.decision.thresholds or ((0.5,) * len(task.scheme.labels) if task.scheme.kind == "multi-label" else ())
    return dict(zip(task.scheme.labels, given, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """Models by name, the first of which answers where none is named. Nothing else can be reached by a name."""

    served: tuple[Served, ...]
    _names: dict[str, tuple[Served, Task | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make the table of names: each model's own, and `model:task` for each of its tasks."""
        for model in self.served:
            self._names[model.name] = (model, None)
            for task in model.tasks:
                self._names[f"{model.name}:{task.name}"] = (model, task)
        for name in _ANY:
            self._names.setdefault(name, (self.served[0], None))

    def find(self, name: str | None, task: str | None = None) -> tuple[Served, Task | None]:
        """Return a model, and a task where one is named.

        Args:
            name: A model's name, `model:task`, or None.
            task: A task's name.

        Raises:
            Refused: There is no such model or task.
        """
        first: tuple[Served, Task | None] = (self.served[0], None)
        found = first if name is None else self._names.get(name)
        if found is None:
            known = suggest(name or "", [model.name for model in self.served])
            raise Refused(f"There is no model of this name. {known}", status=404, param="model")
        model, chosen = found
        if task is None:
            return model, chosen
        for one in model.tasks:
            if one.name == task:
                return model, one
        names = ", ".join(one.name for one in model.tasks)
        raise Refused(f"The model {model.name!r} has no such task. There are: {names}.", status=404, param="task")


def load_models(places: Sequence[str], **options: Any) -> Models:  # noqa: ANN401 - the options of `load`
    """Load models.

    Args:
        places: Each a folder or a hub name, or `name=` before it; empty: the embedded model.
        options: As `ottenok.load` has them.

    Raises:
        BundleError: As `ottenok.load`.
        ConfigError: Two models have one name.
        ModelError: As `ottenok.load`.
    """
    found: dict[str, Served] = {}
    for place in places or (EMBEDDED,):
        name, equals, model = place.partition("=")
        if not equals:
            model = place
            name = place if place == EMBEDDED or not Path(place).is_dir() else Path(place).resolve().name
        if name in found or not name:
            raise ConfigError(
                f"two models are called {name!r}" if name else f"a model without a name: {place!r}",
                hint="Give each its own: ottenok serve good=runs/a small=runs/b",
                key="MODEL",
            )
        folder = find_folder(model, cache=options.get("cache"), progress=options.get("progress"))
        found[name] = Served(name, load(model, **options), folder)
    return Models(served=tuple(found.values()))
