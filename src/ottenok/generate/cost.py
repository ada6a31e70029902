"""Tokens and money: what was spent, and what a run is likely to cost before it begins."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ottenok.generate.prompts import make_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ottenok.generate.prompts import Prompt, Request
    from ottenok.generate.recipe import GenerationRecipe, Prices

__all__ = ["Estimate", "Spent", "count_roughly", "estimate", "estimate_request"]

# Assumptions, not measurements: tokenizers differ twofold. A Han character is a token, two other characters are one;
# a short text is 40 tokens.
_HAN = re.compile("[\u3007\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_OTHERS_PER_TOKEN = 2
_TEXT_TOKENS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What requests have cost.

    Attributes:
        requests: Requests that were answered, every attempt counted.
        input_tokens: Tokens of prompts.
        output_tokens: Tokens of answers.
        cost: At the prices of the recipe.
        estimated: Whether tokens of some answers are estimates, because the server did not count.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    estimated: bool = False

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost=self.cost + other.cost,
            estimated=self.estimated or other.estimated,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a run is likely to take, if every text is a new one.

    Attributes:
        requests: The first request of each label and prompt: what will be sent.
        spent: Requests, tokens and cost of the whole run.
    """

    requests: tuple[Request, ...]
    spent: Spent


def count_roughly(text: str) -> int:
    """Guess the tokens of a text."""
    han = len(_HAN.findall(text))
    return han + math.ceil((len(text) - han) / _OTHERS_PER_TOKEN)


def estimate_request(request: Request, prices: Prices) -> Spent:
    """Guess what one request takes."""
    tokens, answer = count_roughly(request.text), request.count * _TEXT_TOKENS
    cost = prices.cost(tokens, answer)
    return Spent(requests=1, input_tokens=tokens, output_tokens=answer, cost=cost, estimated=True)


def estimate(recipe: GenerationRecipe, prompts: Sequence[Prompt], *, have: Mapping[str, int]) -> Estimate:
    """Guess what the texts that are missing take.

    Args:
        recipe: What is wanted.
        prompts: Its prompts.
        have: Texts of each label that are there already.
    """
    shown: list[Request] = []
    whole = Spent(estimated=True)
    for label, wanted in recipe.labels.items():
        missing = max(wanted.count - have.get(label, 0), 0)
        needed = math.ceil(missing / recipe.request.texts)
        requests = [make_request(recipe, prompts, label=label, number=number + 1) for number in range(needed)]
        shown += requests[: len(prompts)]
        whole = sum((estimate_request(request, recipe.prices) for request in requests), whole)
    return Estimate(requests=tuple(shown), spent=whole)
