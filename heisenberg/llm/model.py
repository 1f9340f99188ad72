"""One language model under a lease: every wait is bounded, and a server that falls silent is condemned.

What the brain and the analyst share. It knows neither questions nor answers; how the server is asked is its
backend's affair, whose turn it is to use it the lease's.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import aiohttp

from heisenberg.core.config import LlmConfig
from heisenberg.core.errors import BrainError, HeisenbergError
from heisenberg.core.stages import LeaseService, ServiceLease
from heisenberg.llm.backend import Backend, Request
from heisenberg.llm.completions import Completions
from heisenberg.llm.deltas import Delta, Limits, Refused, Stalled, Unreachable
from heisenberg.llm.prompts import Prompt

log = logging.getLogger(__name__)

PROMPT_TOKENS_PER_S = 50
"""A slow CPU reads prompts at least this fast; the first token may take as much longer."""

VOICE_SLOT = 0
"""The first slot of llama.cpp's server belongs to the voice: whoever else uses one with several leaves it its cache."""

Schema = Mapping[str, Any]


class LanguageModel:
    """A language model that streams text.

    Args:
        llm: the model, its backend and its limits.
        lease: gives the model's server for the length of a block.
        http: a session to share; without it the backend makes its own, and ``close`` closes it.
        is_voice: whether somebody waits for its answers to be spoken.
    """

    def __init__(
        self,
        llm: LlmConfig,
        lease: LeaseService,
        *,
        http: aiohttp.ClientSession | None = None,
        is_voice: bool = True,
    ) -> None:
        self.name = llm.model
        self._llm = llm
        self._lease = lease
        self._backend = _backend(llm, http, VOICE_SLOT if is_voice else None)

    @property
    def reads_ahead(self) -> bool:
        """Whether :meth:`read_ahead` does anything."""
        return self._backend.reads_ahead

    async def answer(self, prompt: Prompt, schema: Schema, max_tokens: int) -> AsyncGenerator[Delta, None]:
        """Stream the answer to *prompt*. Closing the generator ends the generation at the server.

        Raises: BrainError; RunnerError if the model cannot be started.
        """
        async with self._leased() as service:
            async with aclosing(self._deltas(service, self._request(prompt, schema, max_tokens))) as deltas:
                async for delta in deltas:
                    yield delta

    async def warm_up(self, prompt: Prompt, schema: Schema) -> None:
        """Start the server, wait as long as that takes, and let it read *prompt*. Raises HeisenbergError."""
        async with self._lease() as service:
            await self._backend.load(service)
            await _drained(self._deltas(service, self._request(prompt, schema, 1)))

    async def read_ahead(self, prompt: Prompt) -> None:
        """Let the server read *prompt* and keep it, where that is of use. May be cancelled; never raises."""
        if not self.reads_ahead:
            return
        try:
            async with self._leased() as service:
                # 0 tokens are taken for 1.
                await _drained(self._backend.deltas(service, self._request(prompt, None, 1)))
        except HeisenbergError as exc:
            log.debug("The prompt was not read ahead: %s", exc)

    async def close(self) -> None:
        """Close the connections that are ours. May be called twice."""
        await self._backend.close()

    @asynccontextmanager
    async def _leased(self) -> AsyncIterator[ServiceLease]:
        """The server; the wait for it is bounded, and it is condemned if it falls silent or breaks off."""
        limit_s = self._llm.timeout_seconds
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(limit_s):
                    service = await stack.enter_async_context(self._lease())
            except TimeoutError as exc:
                text = f"The language model was not free within {limit_s:g} s. See llm.timeout_seconds."
                raise BrainError(text, code="llm-timeout") from exc
            try:
                yield service
            except (Unreachable, Stalled) as exc:
                service.condemn(exc.message)
                raise

    async def _deltas(self, service: ServiceLease, request: Request) -> AsyncGenerator[Delta, None]:
        """The model's answer; asked again with a looser form if the server does not know the one that is wanted."""
        while True:
            try:
                async with aclosing(self._backend.deltas(service, request)) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except Refused as exc:
                if not self._backend.relax(exc):
                    raise

    def _request(self, prompt: Prompt, schema: Schema | None, max_tokens: int) -> Request:
        llm = self._llm
        first_s = llm.stall_seconds + prompt.tokens / PROMPT_TOKENS_PER_S
        return Request(prompt, max_tokens, schema, Limits(first_s, llm.stall_seconds, llm.timeout_seconds))


async def _drained(deltas: AsyncGenerator[Delta, None]) -> None:
    async with aclosing(deltas):
        async for _ in deltas:
            pass


def _backend(llm: LlmConfig, http: aiohttp.ClientSession | None, slot: int | None) -> Backend:
    if llm.backend == "ollama":
        from heisenberg.llm.ollama import Ollama  # its client takes a while to import

        return Ollama(llm)
    return Completions(llm, http=http, slot=slot)
