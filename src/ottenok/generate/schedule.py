"""Which request comes next, when, and whether at all."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING

from ottenok.generate.cost import Spent, count_roughly, estimate_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ottenok.generate.prompts import Request
    from ottenok.generate.recipe import GenerationRecipe
    from ottenok.generate.server import Answer

__all__ = ["Budget", "Pace", "Schedule"]


class Pace:
    """Lets requests begin in even steps."""

    def __init__(self, per_minute: float | None) -> None:
        self._step = 60.0 / per_minute if per_minute else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        """Wait for the next free moment."""
        now = time.monotonic()
        begin = max(now, self._next)
        self._next = begin + self._step
        await asyncio.sleep(begin - now)


class Budget:
    """Counts what is spent, and says whether there is enough for one request more."""

    def __init__(self, recipe: GenerationRecipe, spent: Spent) -> None:
        self._recipe = recipe
        self.spent = spent

    def pay(self, request: Request, answer: Answer) -> Spent:
        """Note what an answer cost: by the server's count, or roughly where it has none."""
        told = answer.input_tokens is not None and answer.output_tokens is not None
        used = answer.input_tokens if told else count_roughly(request.text)
        written = answer.output_tokens if told else count_roughly(answer.content)
        cost = self._recipe.prices.cost(used or 0, written or 0)
        one = Spent(requests=1, input_tokens=used or 0, output_tokens=written or 0, cost=cost, estimated=not told)
        self.spent += one
        return one

    def allows(self, request: Request, *, under_way: int) -> bool:
        """Whether the cost stays within its limit when this and those that are under way cost what is usual."""
        limit = self._recipe.limits.max_cost
        if limit is None:
            return True
        guess = estimate_request(request, self._recipe.prices).cost
        usual = self.spent.cost / self.spent.requests if self.spent.requests else guess
        return self.spent.cost + usual * (under_way + 1) <= limit


class Schedule:
    """Says for which label the next request is."""

    def __init__(self, recipe: GenerationRecipe, *, accepted: Mapping[str, int], numbers: Mapping[str, int]) -> None:
        self._recipe = recipe
        self._wanted = {label: wanted.count for label, wanted in recipe.labels.items()}
        self.accepted = Counter({label: accepted.get(label, 0) for label in recipe.labels})
        self._numbers = Counter(numbers)
        self._under_way: Counter[str] = Counter()
        self._fruitless: Counter[str] = Counter()

    @property
    def given_up(self) -> tuple[str, ...]:
        """Labels for which nothing new comes any more."""
        return tuple(label for label in self._wanted if self._hopeless(label) and self.missing(label))

    def missing(self, label: str) -> int:
        """Texts of a label that are still wanted."""
        return max(self._wanted[label] - self.accepted[label], 0)

    def next_label(self) -> str | None:
        """The label that is furthest from what is wanted, requests under way counted; None: nothing to begin now."""
        shares = {label: self._expected(label) / wanted for label, wanted in self._wanted.items()}
        open_ = [label for label, share in shares.items() if share < 1 and not self._hopeless(label)]
        return min(open_, key=shares.__getitem__, default=None)

    def next_number(self, label: str) -> int:
        """Number of the label's next request."""
        return self._numbers[label] + 1

    def begin(self, label: str) -> None:
        """Note that a request for a label has begun."""
        self._numbers[label] += 1
        self._under_way[label] += 1

    def end(self, label: str, *, accepted: int) -> None:
        """Note that a request came to its end with so many new texts."""
        self._under_way[label] -= 1
        self.accepted[label] += accepted
        self._fruitless[label] = 0 if accepted else self._fruitless[label] + 1

    def _expected(self, label: str) -> int:
        return self.accepted[label] + self._under_way[label] * self._recipe.request.texts

    def _hopeless(self, label: str) -> bool:
        return self._fruitless[label] >= self._recipe.limits.fruitless
