"""One run of a judge: what it has judged is kept, and an endpoint that does not answer is given up."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

from ..json_cache import JsonCache, digest
from .judge import Judge, Usage, open_client
from .library import InstructorBaseRagasLLM, llm_factory

GIVE_UP = 10
"""After so many judgements in a row that the endpoint did not answer, it is not asked any more; one that could not be
read counts for a third."""
MAX_ANSWER_TOKENS = 4096
READ_RETRIES = 2
"""How often an answer that is not the JSON asked for is asked again, with what was wrong with it."""
UNREAD = 0.34
UNASKED = "not asked: the judge had stopped answering"
VERDICTS = ("verdict", "attributed", "noncommittal")


class GivenUp(Exception):
    """Nothing is kept for a request, and the endpoint is not asked any more."""


class Judging:
    """One run of a judge.

    :param judge: Who judges.
    :param cache: Where judgements are kept; None keeps none.
    """

    def __init__(self, judge: Judge, cache: JsonCache | None) -> None:
        self.judge = judge
        self.usage = Usage()
        self.client = open_client(judge, self.usage)
        self.llm: Any = llm_factory(
            judge.model, client=self.client, max_tokens=MAX_ANSWER_TOKENS, max_retries=READ_RETRIES
        )
        self.cache = cache
        self.failed_in_a_row = 0.0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def judgement(self, prompt: str, form: Any, sample: int) -> Any:
        """The judge's answer to `prompt`, in the form of a pydantic model, from the cache where it is there.

        :param sample: Tells repeated requests of one metric apart, whose answers may differ.
        :raises GivenUp: When it is not there and the endpoint has been given up.
        """
        request = {
            "url": self.judge.base_url or "",
            "model": self.judge.model,
            "prompt": prompt,
            "schema": form.model_json_schema(),
            "parameters": {k: v for k, v in self.llm.model_args.items() if isinstance(v, str | int | float)},
            "sample": sample,
        }
        name = digest(request)
        async with self._locks[name]:  # two metrics may ask the same
            stored = self.cache.get(name) if self.cache else None
            if stored is not None:
                try:
                    return form.model_validate(stored)
                except ValueError:
                    pass  # damaged
            if self.failed_in_a_row >= GIVE_UP:
                raise GivenUp(UNASKED)
            answer = await self.llm.agenerate(prompt, form)
            said = answer.model_dump(mode="json")
            if not _on_scale(said):
                raise ValueError("A verdict is neither 0 nor 1.")
            self.failed_in_a_row = 0.0
            if self.cache:
                self.cache.put(name, said)
        return answer


class Asked(InstructorBaseRagasLLM):
    """The judge as one metric sees it while it scores one sample."""

    def __init__(self, judging: Judging) -> None:
        self._judging = judging
        self._asked: Counter[str] = Counter()
        self._given: list[tuple[str, Any]] = []

    def given(self, form: str) -> list[Any]:
        """The answers in the form of that name, in the order they were asked for."""
        return [answer for name, answer in self._given if name == form]

    def generate(self, prompt: str, response_model: Any) -> Any:
        """RAGAS's interface wants it; its metrics do not call it."""
        raise TypeError("The judge is asked asynchronously; use agenerate().")

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        """The judge's answer to `prompt` as a `response_model`."""
        sample = self._asked[prompt]
        self._asked[prompt] += 1
        answer = await self._judging.judgement(prompt, response_model, sample)
        self._given.append((response_model.__name__, answer))
        return answer


def _on_scale(said: Any) -> bool:
    """Whether every verdict in a judgement is 0 or 1."""
    if isinstance(said, dict):
        return all(value in (0, 1) if name in VERDICTS else _on_scale(value) for name, value in said.items())
    return all(map(_on_scale, said)) if isinstance(said, list) else True
