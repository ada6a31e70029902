"""What models write instead of JSON, and prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ottenok.core.errors import ConfigError, SchemeError
from ottenok.generate.recipe import load_generation_recipe, load_prompts, make_request
from ottenok.generate.server import BrokenAnswerError, count_roughly, plan, read_texts
from ottenok.recipes.files import recipe_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from ottenok.generate.recipe import GenerationRecipe

TEXTS = st.text(min_size=1).filter(lambda text: text.strip())


@pytest.mark.parametrize(
    "content",
    [
        '{"texts": ["боюсь", "страшно"]}',
        '["боюсь", "страшно"]',
        '[{"text": "боюсь"}, {"text": "страшно"}]',
        '{"text": "боюсь"}\n{"text": "страшно"}\n',
        '"боюсь"\n"страшно"',
        'Вот тексты:\n```json\n{"texts": ["боюсь",\n "страшно"]}\n```\nНадеюсь, помог!',
        'Конечно! [Вот] они: {"texts": ["боюсь", "страшно"]}. Ещё?',
        '<think>\nнаписать {"texts": ["нет"]}?\n</think>\n\n{"texts": ["боюсь", "страшно"]}',
        '{"texts": [\n  "боюсь",\n  "страшно",\n  "и ещё од',
        '{"texts": ["боюсь", " ", 7, null, "страшно"], "label": "fear"}',
    ],
)
def test_texts_are_found_in_what_models_write(content: str) -> None:
    """JSON, JSON lines, fences, thoughts, prose around, and a list cut off between lines."""
    assert read_texts(content) == ("боюсь", "страшно")


@pytest.mark.parametrize(
    "content", ["", "   ", "Извините, не могу.", "{}", '{"texts": []}', '{"texts": "', "[1, 2]", "[" * 100_000, "null"]
)
def test_an_answer_without_texts_is_broken(content: str) -> None:
    """Refusals, empty lists, cut-off and deeply nested JSON are one kind of error."""
    with pytest.raises(BrokenAnswerError):
        read_texts(content)


@given(st.text())
def test_any_answer_is_read_or_broken(content: str) -> None:
    """No answer gives another exception, and no text that is found is empty."""
    try:
        texts = read_texts(content)
    except BrokenAnswerError:
        return
    assert all(text.strip() for text in texts)


@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_what_was_asked_for_is_read_as_it_is(texts: list[str]) -> None:
    """The JSON object of the prompt comes back text for text."""
    assert read_texts(json.dumps({"texts": texts})) == tuple(texts)


@pytest.mark.parametrize("name", ["emotions-7-rare", "emotions-7-rare-zh"])
def test_shipped_recipes_make_prompts(name: str) -> None:
    """No server is named, every place is filled, topics change, and every prompt file has its turn."""
    recipe = load_generation_recipe(recipe_file(name, "generate"))
    prompts = load_prompts(recipe)
    requests = [make_request(recipe, prompts, label="fear", number=number) for number in range(1, 13)]

    assert recipe.server.base_url is None
    assert sum(wanted.count for wanted in recipe.labels.values()) == 700
    assert {request.prompt.name for request in requests} == {Path(path).name for path in recipe.prompts}
    assert len({request.text for request in requests}) == len({request.seed for request in requests}) == 12
    for request in requests:
        assert '{"texts": [' in request.text
        assert not any(place in request.text for place in ("{label}", "{topic}", "{examples}", "{count}"))
        assert recipe.title("fear") in request.text
        assert recipe.labels["fear"].examples[0] in request.text


def test_what_is_filled_in_is_not_filled_again(make: Callable[..., GenerationRecipe]) -> None:
    """Braces of a description or an example stay as they are, and so does JSON in a prompt."""
    recipe = make(labels={"fear": {"description": "{count} {x}", "examples": ["{label}"]}})
    text = make_request(recipe, load_prompts(recipe), label="fear", number=1).text

    assert text == 'Напиши 2 текстов: страх. {count} {x}\n- {label}\nОтвет: {"texts": ["..."]}'


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (b"{lable}", "Did you mean 'label'"),
        (b"{topic}", "the recipe has no topics"),
        (b" \n", "empty"),
        ("страх".encode("cp1251"), "not UTF-8"),
        (None, "can't be read"),
    ],
)
def test_wrong_prompts_are_refused(make: Callable[..., GenerationRecipe], prompt: bytes | None, message: str) -> None:
    """The error names the file and what is wrong with it."""
    recipe = make()
    path = Path(recipe.prompts[0])
    path.unlink() if prompt is None else path.write_bytes(prompt)

    with pytest.raises(ConfigError, match=message) as caught:
        load_prompts(recipe)
    assert caught.value.file == str(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server": {"base_url": "localhost:8000"}}, "http:// or https://"),
        ({"server": {"base_url": "https://user:word@host/v1"}}, "no name, password or query"),
        ({"server": {"api_key": "sk-1"}}, "unknown key"),
        ({"prices": {"input": 0.0, "output": 0.0}, "limits": {"max_cost": 1.0}}, "needs prices"),
        ({"labels": {"fear": {"count": 0}}}, "greater than or equal to 1"),
        ({"labels": {"fera": {"count": 1}}}, "Did you mean 'fear'"),
        ({"scheme": "emotions"}, "Did you mean 'emotions-7'"),
    ],
)
def test_wrong_recipes_are_refused(recipe_path: Path, change: dict[str, object], message: str) -> None:
    """A key has no place in a recipe, and what is unknown gets the nearest name."""
    with pytest.raises((ConfigError, SchemeError), match=message):
        load_generation_recipe(recipe_path, change)


def test_the_estimate_counts_what_is_missing(make: Callable[..., GenerationRecipe]) -> None:
    """Requests and cost shrink with the texts that are there; Han characters count more."""
    recipe = make()
    prompts = load_prompts(recipe)
    whole, rest = (plan(recipe, prompts, have=have)[1] for have in ({}, {"fear": 5}))

    assert (whole.requests, rest.requests) == (5, 3)
    assert whole.output_tokens == 5 * 2 * 40
    assert 0 < rest.cost < whole.cost
    assert (count_roughly("страх"), count_roughly("恐惧 ok")) == (3, 4)
