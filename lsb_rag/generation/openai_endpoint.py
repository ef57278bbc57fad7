"""Answers from any OpenAI-compatible endpoint: OpenAI, Ollama, vLLM, llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ..errors import EndpointError, MissingExtraError
from ..lexical.background_frequency import BackgroundFrequency
from ..passage import Hit
from ..utils.arguments import checked
from ..utils.endpoints import KEY_VARIABLE, api_key, checked_url, shown_url
from ..utils.secrets import redacted, without_keys, without_secrets
from .answer import INSTRUCTIONS, NO_ANSWER, Answer, fenced, is_refusal, with_citations
from .guard import guarded, missing_identifiers, prompt_note

TIMEOUT_SECONDS = 120.0
RETRIES = 2
TEMPERATURE = 0.0


@checked
class OpenAIGenerator:
    """Answers with a chat model behind an OpenAI-compatible endpoint.

    The key comes from the environment variable ``OPENAI_API_KEY``; a local server that needs none gets a placeholder.
    Only the client gets the key, and it is never shown.

    The prompt names the identifiers of the question that no passage holds. An answer that states something about one is
    replaced, see :func:`lsb_rag.generation.guard.guarded`. The confidence is that of the best passage it cites.

    :param model: Name of the model at the endpoint.
    :param base_url: The endpoint, such as ``http://localhost:11434/v1``. Default: ``OPENAI_BASE_URL``, else OpenAI's.
    :param timeout: Seconds to wait for an answer.
    :param retries: Repetitions of a failed request, with back-off.
    :param background: How common words are in any text; tells identifiers from ordinary acronyms.
    :raises InvalidInputError: When the endpoint's address cannot be read.
    :raises MissingExtraError: When the extra ``openai`` is not installed.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        timeout: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
        background: BackgroundFrequency | None = None,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingExtraError(
                "Endpoints need the openai client. Install it with `pip install 'lsb-rag[openai]'`."
            ) from error
        base_url = checked_url(base_url)
        if base_url is None and not os.environ.get(KEY_VARIABLE):
            raise EndpointError("Set OPENAI_API_KEY, or name a local endpoint: openai:MODEL@http://localhost:PORT/v1.")
        self.model = model
        self.base_url = base_url
        self.background = background
        self._error = openai.OpenAIError
        self._client = openai.OpenAI(
            base_url=base_url,
            api_key=api_key(),
            timeout=timeout,
            max_retries=retries,
        )

    def __repr__(self) -> str:
        return f"OpenAIGenerator({self.model!r}, {shown_url(self.base_url or '')!r})"

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return f"openai:{self.model}" + (f"@{shown_url(self.base_url)}" if self.base_url else "")

    @property
    def _where(self) -> str:
        return shown_url(self.base_url or "") or "of OpenAI"

    @property
    def cache_key(self) -> dict[str, Any]:
        """The settings that an answer depends on, besides the question and the passages."""
        return {"name": self.name, "instructions": INSTRUCTIONS, "temperature": TEMPERATURE}

    def answer(self, question: str, hits: Sequence[Hit]) -> Answer:
        """Answer with the model, see :class:`~lsb_rag.generation.answer.Generator`.

        :raises EndpointError: When the endpoint cannot be reached, refuses, or answers with nothing.
        """
        if not hits:
            return Answer(NO_ANSWER)
        texts = [hit.titled_text for hit in hits]
        note = prompt_note(missing_identifiers(question, texts, self.background))
        prompt = f"{fenced([hit.text for hit in hits])}\n\nQuestion: {question}{note}"
        try:
            response = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": prompt}],
                temperature=TEMPERATURE,
            )
            text = without_keys(response.choices[0].message.content or "").strip()
        except (self._error, AttributeError, IndexError, TypeError, ValueError) as error:
            raise EndpointError(
                f"The endpoint {self._where} gave no answer from {self.model!r}: {redacted(error).rstrip('.')}. "
                "Check that it runs, the model's name, and OPENAI_API_KEY."
            ) from without_secrets(error)
        if not text:
            raise EndpointError(f"The endpoint {self._where} gave an empty answer.")
        kept = guarded(text, question, texts, self.background)
        answer = with_citations(kept, [hit.id for hit in hits])
        cited = [hit.confidence for hit in hits if hit.id in answer.citations or not answer.citations]
        confidence = 0.0 if answer.refused else max(cited)
        return replace(answer, confidence=confidence, replaced=answer.refused and not is_refusal(text))
