"""Asks llama.cpp's server, and every other one that speaks as OpenAI's does.

It writes the requests and owns the HTTP session; ``stream.py`` reads what comes back.
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import aiohttp

from heisenberg.core.config import LlmConfig
from heisenberg.core.stages import ServiceLease
from heisenberg.llm.backend import Request
from heisenberg.llm.deltas import Delta, Refused
from heisenberg.llm.stream import address, stream

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0

LLAMA_FIELDS = {
    "cache_prompt": True,
    # When the oldest exchange is forgotten, what follows it is moved within the cache, not read again.
    "n_cache_reuse": 32,
    # Thinking aloud would keep the user waiting; templates that cannot think ignore it.
    "chat_template_kwargs": {"enable_thinking": False},
    # Small models fall into loops. Looks at the answer, hardly at the worked ones before it, and lets JSON be.
    "dry_multiplier": 0.8,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 48,
    # Leaves out what is unlikely, which is what makes a small model go astray at a higher temperature.
    "min_p": 0.1,
}
"""What only llama.cpp understands; other servers may refuse what they do not know."""

_SCHEMA_WORDS = ("response_format", "schema", "grammar", "structured")


class Completions:
    """The backends ``llama.cpp`` and ``openai``.

    Args:
        llm: the model and its sampling.
        http: a session to share; without it one is made, and closed by ``close``.
        slot: where llama.cpp keeps what it read, if the lease does not say; None lets it choose.
    """

    def __init__(self, llm: LlmConfig, *, http: aiohttp.ClientSession | None = None, slot: int | None = None) -> None:
        self._llm = llm
        self._is_llama = llm.backend == "llama.cpp"
        self._slot = slot
        self._http = http
        self._owns_http = http is None
        self._is_constrained = True

    @property
    def reads_ahead(self) -> bool:
        """Other servers than llama.cpp are not asked to: no field of the protocol says what they keep."""
        return self._is_llama

    async def deltas(self, service: ServiceLease, request: Request) -> AsyncGenerator[Delta, None]:
        """The model's answer to *request*."""
        url = address(service.url, request.prompt.path)
        answer = stream(self._session(), url, service.api_key, self._body(request, service), request.limits)
        async with aclosing(answer) as deltas:
            async for delta in deltas:
                yield delta

    def relax(self, refusal: Refused) -> bool:
        """A server that does not know JSON schemas is asked without one."""
        if not self._is_constrained or not _is_about_schemas(refusal):
            return False
        log.warning(
            "The language model's server takes no JSON schema (%s); answers are not constrained.", refusal.reason
        )
        self._is_constrained = False
        return True

    async def load(self, service: ServiceLease) -> None:
        """A server of this kind has loaded its model, or says that it is loading."""

    async def close(self) -> None:
        """Close the HTTP session, if it is ours."""
        if self._owns_http and self._http is not None:
            await self._http.close()
            self._http = None

    def _body(self, request: Request, service: ServiceLease) -> dict[str, Any]:
        llm = self._llm
        body = {"model": llm.model, **request.prompt.fields, "stream": True, "max_tokens": request.max_tokens}
        body |= {"temperature": llm.temperature} | ({"seed": llm.seed} if llm.seed >= 0 else {})
        body |= (LLAMA_FIELDS | self._place(service)) if self._is_llama else {}
        if request.schema is None or not self._is_constrained:
            return body
        if self._is_llama and "prompt" in request.prompt.fields:  # where llama.cpp ignores response_format
            return body | {"json_schema": request.schema}
        named = {"name": "answer", "strict": True, "schema": request.schema}
        return body | {"response_format": {"type": "json_schema", "json_schema": named}}

    def _place(self, service: ServiceLease) -> dict[str, Any]:
        """A lease of the runner knows its slot, or that none can be had for certain: others may sit in it."""
        slot = getattr(service, "slot", None)
        if slot is None and not getattr(service, "roams", False):
            slot = self._slot
        return {} if slot is None else {"id_slot": slot}

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            # One connection per request: a server that was restarted in between is simply asked anew.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
            self._http = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._http


def _is_about_schemas(refusal: Refused) -> bool:
    return refusal.status in (400, 422, 501) and any(word in refusal.reason.lower() for word in _SCHEMA_WORDS)
