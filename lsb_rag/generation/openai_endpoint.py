"""Answers from any OpenAI-compatible endpoint: OpenAI, Ollama, vLLM, llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ..errors import EndpointError, MissingExtraError
from ..passage import Hit
from ..utils.endpoints import KEY_VARIABLE, api_key, checked_url, secrets_of, shown_url
from .answer import INSTRUCTIONS, NO_ANSWER, Answer, fenced, with_citations

TIMEOUT_SECONDS = 120.0
RETRIES = 2
TEMPERATURE = 0.0


class OpenAIGenerator:
    """Answers with a chat model behind an OpenAI-compatible endpoint.

    The key comes from the environment variable ``OPENAI_API_KEY``; a local server that needs none gets a placeholder.
    Only the client gets the key, and it is never shown.

    :param model: Name of the model at the endpoint.
    :param base_url: The endpoint, such as ``http://localhost:11434/v1``. Default: ``OPENAI_BASE_URL``, else OpenAI's.
    :param timeout: Seconds to wait for an answer.
    :param retries: Repetitions of a failed request, with back-off.
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
        prompt = f"{fenced([hit.text for hit in hits])}\n\nQuestion: {question}"
        try:
            response = self._client.chat.completions.create(
                model=self.model,
                messages=[{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": prompt}],
                temperature=TEMPERATURE,
            )
            text = (response.choices[0].message.content or "").strip()
        except (self._error, AttributeError, IndexError, TypeError, ValueError) as error:
            # A server may send back what it was sent.
            message = str(error)
            for secret in (self._client.api_key, *secrets_of(self.base_url)):
                message = message.replace(secret, "…")
            raise EndpointError(
                f"The endpoint {self._where} gave no answer from {self.model!r}: {message.rstrip('.')}. "
                "Check that it runs, the model's name, and OPENAI_API_KEY."
            ) from error
        if not text:
            raise EndpointError(f"The endpoint {self._where} gave an empty answer.")
        return with_citations(text, [hit.id for hit in hits])
