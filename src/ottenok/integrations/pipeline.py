"""`pipeline("text-classification")` as transformers has it, without torch: the same calls, the same answers.

Long texts are read whole, in windows, where transformers fails or cuts; `truncation=True` cuts here too.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from ottenok.core.errors import ConfigError, InputError
from ottenok.core.suggest import suggest
from ottenok.inference.api import load
from ottenok.inference.classifier import STREAM_TEXTS, Classifier
from ottenok.inference.tokens import slices
from ottenok.tasks.decision import sigmoid, softmax

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["TextClassificationPipeline", "pipeline"]

_TASKS = ("text-classification", "sentiment-analysis")
_FUNCTIONS = ("default", "softmax", "sigmoid", "none")
# What may be said in a call. What a tokenizer or torch needs and we do not is heard and has no effect.
_OPTIONS = ("top_k", "function_to_apply", "truncation", "max_length", "batch_size", "padding", "num_workers")
_TRUNCATION = {
    None: False,
    False: False,
    True: True,
    "do_not_truncate": False,
    "longest_first": True,
    "only_first": True,
}


def pipeline(
    task: str | None = None,
    model: Classifier | str | Path | None = None,
    *,
    device: str | int | None = None,
    **options: Any,  # noqa: ANN401 - anything, to be refused by name
) -> TextClassificationPipeline:
    """Return a pipeline, as `transformers.pipeline` does.

        >>> pipe = ottenok.pipeline("text-classification")              # doctest: +SKIP
        >>> pipe("服务态度很差，再也不来了")                               # doctest: +SKIP
        [{'label': 'negative', 'score': 0.95...}]

    Args:
        task: `text-classification`, or its older name `sentiment-analysis`.
        model: What `ottenok.load` takes, or a classifier; None: the model that ottenok ships.
        device: `cpu` or -1, as there is nothing else.
        options: Those of a call, as its defaults (see `TextClassificationPipeline.__call__`), and those of
            `ottenok.load`, such as `threads` and `tasks`.

    Raises:
        ConfigError: There is no such task, option or device.
        OttenokError: The model can't be loaded; see `ottenok.load`.
    """
    if task is not None and task not in _TASKS:
        raise ConfigError(f"found the task {task!r}, expected {_TASKS[0]}", hint=suggest(task, _TASKS), key="task")
    if str(device) not in {"None", "cpu", "-1"}:
        raise ConfigError(f"found {device!r}, expected cpu", hint="Classifiers run on processors.", key="device")
    of_calls = {key: options.pop(key) for key in _OPTIONS if key in options}
    if isinstance(model, Classifier):
        _check_options(options)
        return TextClassificationPipeline(model, **of_calls)
    known = (load.__kwdefaults__ or {}).keys()
    _check_options({key: value for key, value in options.items() if key not in known}, known)
    return TextClassificationPipeline(load(model, **options), **of_calls)


class TextClassificationPipeline:
    """Texts to lists of labels and scores; a score is a probability, 0..1.

    Args:
        model: The classifier; of several tasks its first one answers.
        options: Defaults of calls.

    Attributes:
        model: As given.
        task: Always `text-classification`.
    """

    task = _TASKS[0]

    def __init__(self, model: Classifier, **options: Any) -> None:  # noqa: ANN401
        _check_options({key: value for key, value in options.items() if key not in _OPTIONS})
        self.model = model
        self._options = options
        self._limited: dict[int | None, Classifier] = {}

    def __call__(self, inputs: Any, **options: Any) -> Any:  # noqa: ANN401 - see below
        """Classify.

        Args:
            inputs: A string, a dictionary with `text`, a list or column of these, or an iterator or data set of them.
            options: `top_k`: labels for each text, the most probable first; None: all; not given: the first alone,
                not in a list. `function_to_apply`: `softmax`, `sigmoid` or `none` of the logits; `default`: what the
                model was trained with. `truncation`: read no more of a text than the model reads at once, or
                `max_length` tokens. `batch_size`: texts that are read from an iterator at once.

        Returns:
            `[{"label", "score"}]` for a string; a dictionary, or with `top_k` a list of them, for each text of a list;
            an iterator for an iterator. A text without anything to read has the label None and the score 0.

        Raises:
            ConfigError: There is no such option, or it has another value than it can have.
            InputError: An input is no text, or a pair of texts.
        """
        _check_options({key: value for key, value in options.items() if key not in _OPTIONS})
        asked = self._options | options
        if isinstance(inputs, str | dict):
            (found,) = self._answers(iter([inputs]), asked)
            return [found] if isinstance(inputs, str) and "top_k" not in options else found
        if isinstance(inputs, Iterator):
            return self._answers(inputs, asked)
        for name in ("to_pylist", "to_list", "tolist"):
            if hasattr(inputs, name):
                inputs = getattr(inputs, name)()
                break
        if isinstance(inputs, list | tuple):
            return list(self._answers(iter(inputs), asked))
        if hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__"):  # data sets of torch
            return self._answers((inputs[place] for place in range(len(inputs))), asked)
        raise InputError(
            f"expected texts, found {type(inputs).__name__}", hint="Give a string, a list of them or an iterator."
        )

    def _answers(self, inputs: Iterator[Any], asked: dict[str, Any]) -> Iterator[Any]:
        """Yield what is answered to each input."""
        top_k, function = asked.get("top_k", 1), asked.get("function_to_apply") or "default"
        batch_size = asked.get("batch_size") or STREAM_TEXTS
        for key in ("top_k", "max_length", "batch_size"):
            number = asked.get(key)
            if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise ConfigError(f"found {number!r}, expected a whole number of at least 1, or None", key=key)
        function = str(getattr(function, "value", function)).lower()
        if function not in _FUNCTIONS:
            hint = suggest(function, _FUNCTIONS)
            raise ConfigError(f"found {function!r}", hint=hint, key="function_to_apply")
        truncation = asked.get("truncation")
        truncation = getattr(truncation, "value", truncation)
        if truncation not in _TRUNCATION:
            raise ConfigError(f"found {truncation!r}, expected True or False", key="truncation")
        model = self.model
        if _TRUNCATION[truncation]:
            length = asked.get("max_length")
            if length not in self._limited:
                self._limited[length] = model.limited(max_length=length, max_windows=1)
            model = self._limited[length]
        return self._scored(model, inputs, function, top_k, batch_size, alone="top_k" not in asked)

    def _scored(
        self,
        model: Classifier,
        inputs: Iterator[Any],
        function: str,
        top_k: int | None,
        batch_size: int,
        *,
        alone: bool,
    ) -> Iterator[Any]:
        labels = model.labels
        first = model.tasks[0].name
        for place, batch in enumerate(slices(inputs, batch_size)):
            texts = [_text(one, place * batch_size + number) for number, one in enumerate(batch, start=1)]
            if function == "default":
                answers = model(texts)
                rows = [list(answer.tasks[first].probabilities.values()) for answer in answers]
                read = [answer.windows > 0 for answer in answers]
            else:
                logits = model.logits(texts)
                read = [bool(row.any()) for row in logits]
                if logits.shape[1] != len(labels):
                    labels = ("score",)
                scores = logits.astype(np.float64)
                scores = {"softmax": softmax, "sigmoid": sigmoid}.get(function, np.asarray)(scores)
                rows = (scores * np.array(read)[:, None]).tolist()
            for row, known in zip(rows, read, strict=True):
                found: list[dict[str, Any]] = [
                    {"label": label, "score": score} for label, score in zip(labels, row, strict=True)
                ]
                found.sort(key=itemgetter("score"), reverse=True)
                if not known:
                    found = [{"label": None, "score": 0.0}]
                yield found[0] if alone else found[:top_k]


def _check_options(unknown: Iterable[str], known: Iterable[str] = ()) -> None:
    """Refuse options that there are not.

    Raises:
        ConfigError: Naming the first, with the nearest one.
    """
    for key in unknown:
        raise ConfigError(f"there is no option {key!r}", hint=suggest(key, sorted(chain(_OPTIONS, known))), key=key)


def _text(value: object, row: int) -> str:
    """Return an input's text.

    Raises:
        InputError: It has none, or two.
    """
    if isinstance(value, dict):
        pair = value.get("text_pair")
        if pair is not None or set(value) - {"text", "text_pair"} or "text" not in value:
            found = (
                "a pair of texts"
                if pair is not None
                else f"a dictionary with {', '.join(map(str, value)) or 'nothing'}"
            )
            raise InputError(f"expected a text, found {found}", hint='Give a string, or {"text": …}.', row=row)
        value = value["text"]
    if not isinstance(value, str):
        raise InputError(f"expected a text, found {type(value).__name__}", row=row)
    return value
