"""Session with a judge: judgements are kept, and an endpoint that does not answer is no longer asked."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from typing import Any

from ..json_cache import JsonCache, digest
from .judge import Judge, Usage, open_client
from .library import InstructorBaseRagasLLM, llm_factory

GIVE_UP = 10
"""Number of unanswered judgements in a row after which the endpoint is no longer asked."""
UNREADABLE_WEIGHT = 0.34
"""Share of an unanswered judgement that an unreadable one counts for."""
MAX_ANSWER_TOKENS = 4096
READ_RETRIES = 2
"""Number of times the judge is asked again when its answer is not the JSON asked for, with the error."""
UNASKED = "not asked: the judge had stopped answering"
VERDICTS = ("verdict", "attributed", "noncommittal")


class JudgeUnavailable(Exception):
    """No judgement is kept for a request, and the endpoint is no longer asked."""


class JudgeSession:
    """A run of a judge, with its client, its usage and the judgements kept.

    :param judge: The judge.
    :param cache: Cache of the judgements; None keeps none.
    """

    def __init__(self, judge: Judge, cache: JsonCache | None) -> None:
        self.judge = judge
        self.usage = Usage()
        self.client = open_client(judge, self.usage)
        self.llm: Any = llm_factory(
            judge.model, client=self.client, max_tokens=MAX_ANSWER_TOKENS, max_retries=READ_RETRIES
        )
        self.cache = cache
        self._failed_in_a_row = 0.0
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def judgement(self, prompt: str, form: Any, sample: int) -> Any:
        """Return the judge's answer to `prompt`, from the cache if it is kept there.

        :param form: The pydantic model of the answer.
        :param sample: Number that tells repeated requests of one metric apart, whose answers may differ.
        :raises JudgeUnavailable: When it is not kept and the endpoint is no longer asked.
        :raises ValueError: For a verdict that is neither 0 nor 1.
        """
        request = {
            "url": self.judge.base_url or "",
            "model": self.judge.model,
            "prompt": prompt,
            "schema": form.model_json_schema(),
            "parameters": {k: v for k, v in self.llm.model_args.items() if isinstance(v, str | int | float)},
            "sample": sample,
        }
        key = digest(request)
        async with self._locks[key]:  # two metrics may ask the same
            stored = self.cache.get(key) if self.cache else None
            if stored is not None:
                try:
                    return form.model_validate(stored)
                except ValueError:
                    pass  # damaged: ask again
            if self._failed_in_a_row >= GIVE_UP:
                raise JudgeUnavailable(UNASKED)
            answer = await self.llm.agenerate(prompt, form)
            content = answer.model_dump(mode="json")
            if not _on_scale(content):
                raise ValueError("A verdict is neither 0 nor 1.")
            self._failed_in_a_row = 0.0
            if self.cache:
                self.cache.put(key, content)
        return answer

    def count_failure(self, *, answered: bool, readable: bool) -> None:
        """Count a failed judgement towards giving up the endpoint.

        An answer that is readable, such as the refusal of one request, does not count.
        """
        if not answered:
            self._failed_in_a_row += 1.0
        elif not readable:
            self._failed_in_a_row += UNREADABLE_WEIGHT


class RecordingJudge(InstructorBaseRagasLLM):
    """A RAGAS language model for one metric and one sample, which records what the judge answered."""

    def __init__(self, session: JudgeSession) -> None:
        self._session = session
        self._times_asked: Counter[str] = Counter()
        self._answers: list[tuple[str, Any]] = []

    def answers(self, form: str) -> list[Any]:
        """Return the answers whose pydantic model is called `form`, in the order they were given."""
        return [answer for name, answer in self._answers if name == form]

    def generate(self, prompt: str, response_model: Any) -> Any:
        """Refuse: RAGAS's interface requires the method, but its metrics do not call it."""
        raise TypeError("The judge is asked asynchronously; use agenerate().")

    async def agenerate(self, prompt: str, response_model: Any) -> Any:
        """Return the judge's answer to `prompt` as a `response_model`, and record it."""
        sample = self._times_asked[prompt]
        self._times_asked[prompt] += 1
        answer = await self._session.judgement(prompt, response_model, sample)
        self._answers.append((response_model.__name__, answer))
        return answer


def _on_scale(content: Any) -> bool:
    """Whether every verdict in a judgement is 0 or 1."""
    if isinstance(content, list):
        return all(map(_on_scale, content))
    if not isinstance(content, dict):
        return True
    return all(value in (0, 1) if name in VERDICTS else _on_scale(value) for name, value in content.items())
