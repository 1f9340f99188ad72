"""Asks Ollama, through its own client: answers in our JSON schema.

Ollama loads a model when it is asked, so the first answer may take long; ``load`` waits for that. Servers that know
no schemas are asked for plain JSON, and older ones for nothing. The text is ``partial.py``'s affair, as ever.
"""

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

import ollama

from heisenberg.core.config import LlmConfig
from heisenberg.core.stages import ServiceLease
from heisenberg.llm.backend import Request
from heisenberg.llm.deltas import Delta, Limits, Patience, Refused
from heisenberg.llm.ollama_client import connected, failures

log = logging.getLogger(__name__)

T = TypeVar("T")

LOAD_TIMEOUT_S = 300.0
"""Longest wait for a model that is being loaded; Ollama itself gives up after as long."""

MIN_P = 0.1
"""Leaves out what is unlikely, which is what makes a small model go astray at a higher temperature."""

_FORMATS = ("a JSON schema", "JSON", "")
"""How much of the answer's form a server understands, the most first."""

_FORMAT_WORDS = ("format", "schema", "grammar")
_SECONDS = re.compile(r"-?\d+(\.\d+)?")


class Ollama:
    """The backend ``ollama``.

    Args:
        llm: the model, its sampling and its options.
    """

    def __init__(self, llm: LlmConfig) -> None:
        self._llm = llm
        self._client: ollama.AsyncClient | None = None
        self._client_of = ("", "")
        self._formats = list(_FORMATS)
        self._forbids_thinking = True

    @property
    def reads_ahead(self) -> bool:
        """It also loads the model, while the question is being spoken. The cloud's models cost money."""
        return not self._llm.model.endswith("cloud")

    async def deltas(self, service: ServiceLease, request: Request) -> AsyncGenerator[Delta, None]:
        """The model's answer to *request*; what it thinks before is not part of it."""
        patience = Patience(request.limits)
        parts = self._parts(service, lambda client: self._ask(client, request), patience)
        async with aclosing(parts):
            async for part in parts:
                says = part.message.content if isinstance(part, ollama.ChatResponse) else part.response
                delta = Delta(says or "", (part.done_reason or "stop") if part.done else "", part.eval_count or 0)
                if delta.text:
                    patience.has_begun()
                yield delta

    def relax(self, refusal: Refused) -> bool:
        """A server that knows no schemas is asked for JSON, then for anything; an old one may do as it thinks."""
        reason = refusal.reason.lower()
        if refusal.status == 400 and "think" in reason and self._forbids_thinking:
            self._forbids_thinking = False
            return True
        is_about_form = refusal.status in (400, 422, 500, 501) and any(word in reason for word in _FORMAT_WORDS)
        if not is_about_form or len(self._formats) == 1:
            return False
        log.warning(
            "This Ollama does not take %s (%s); answers are %s.",
            self._formats.pop(0),
            refusal.reason,
            "any JSON" if self._formats[0] else "not constrained",
        )
        return True

    async def load(self, service: ServiceLease) -> None:
        """Bring the model into memory. Raises BrainError, ModelMissing if it has to be pulled first."""
        patience = Patience(Limits(LOAD_TIMEOUT_S, LOAD_TIMEOUT_S, LOAD_TIMEOUT_S))
        llm = self._llm

        async def ask(client: ollama.AsyncClient) -> AsyncIterator[ollama.ChatResponse]:
            options = self._options() | {"num_predict": 1}
            return await client.chat(llm.model, [], stream=True, options=options, keep_alive=_duration(llm.keep_alive))

        parts = self._parts(service, ask, patience)
        async with aclosing(parts):
            async for _ in parts:
                pass

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()  # type: ignore[no-untyped-call]

    def _ask(
        self, client: ollama.AsyncClient, request: Request
    ) -> "Awaitable[AsyncIterator[ollama.ChatResponse | ollama.GenerateResponse]]":
        fields = request.prompt.fields
        options = self._options() | {"num_predict": request.max_tokens}
        more: dict[str, Any] = {
            "stream": True,
            "think": False if self._forbids_thinking else None,
            "format": self._format(request.schema),
            "keep_alive": _duration(self._llm.keep_alive),
        }
        if "messages" in fields:
            asked: Any = client.chat(self._llm.model, fields["messages"], options=options, **more)
        else:
            options["stop"] = fields["stop"]
            asked = client.generate(self._llm.model, fields["prompt"], raw=True, options=options, **more)
        return asked  # type: ignore[no-any-return]  # the overloads do not see stream=True in a mapping

    def _options(self) -> dict[str, Any]:
        """Those of loading among them: other ones in the next request would make Ollama load the model again."""
        llm = self._llm
        options: dict[str, Any] = {"num_ctx": llm.window_tokens, "temperature": llm.temperature, "min_p": MIN_P}
        return options | ({"seed": llm.seed} if llm.seed >= 0 else {}) | llm.options

    def _format(self, schema: Mapping[str, Any] | None) -> Any:
        if schema is None or not self._formats[0]:
            return None
        return schema if len(self._formats) == len(_FORMATS) else "json"

    async def _parts(
        self,
        service: ServiceLease,
        ask: Callable[[ollama.AsyncClient], Awaitable[AsyncIterator[T]]],
        patience: Patience,
    ) -> AsyncGenerator[T, None]:
        """What Ollama answers, line by line, with its failures as ours."""
        client = await self._connected(service)
        with failures(service.url, self._llm.model):
            parts: Any = await ask(client)
            async with aclosing(parts):  # closes the connection, so that Ollama stops generating
                while (part := await patience.wait(anext(parts, None))) is not None:
                    yield part

    async def _connected(self, service: ServiceLease) -> ollama.AsyncClient:
        if self._client is None or self._client_of != (service.url, service.api_key):
            await self.close()
            self._client, self._client_of = connected(service.url, service.api_key), (service.url, service.api_key)
        return self._client


def _duration(text: str) -> str | float | None:
    """``llm.keep_alive`` as Ollama reads it: seconds have to be a number."""
    return float(text) if _SECONDS.fullmatch(text) else text or None
