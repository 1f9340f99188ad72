"""The brain: asks the language model and gives its thoughts while they grow.

Ties the package together: prompt → stream → parser → sentences. It owns the HTTP session and decides what is sent;
the model's process, and whose turn it is to use it, are the lease's affair.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

import aiohttp

from heisenberg.core.config import LlmConfig, VisualConfig
from heisenberg.core.errors import BrainError, HeisenbergError
from heisenberg.core.stages import Exchange, LeaseService, ServiceLease, Thought
from heisenberg.llm.answer import GrowingAnswer
from heisenberg.llm.prompts import Prompt, PromptBuilder
from heisenberg.llm.stream import Delta, Limits, Refused, Stalled, Unreachable, address, stream
from heisenberg.llm.visuals import VisualSchema

log = logging.getLogger(__name__)

PROMPT_TOKENS_PER_S = 50
"""A slow CPU reads prompts at least this fast; the first token may take as much longer."""

CONNECT_TIMEOUT_S = 10.0

LLAMA_FIELDS = {
    "cache_prompt": True,
    # The first slot belongs to the voice: whoever else uses a server with several leaves it its cache.
    "id_slot": 0,
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


class SchemaBrain:
    """A language model that answers in a JSON schema.

    Args:
        llm: the model, its prompt and its limits.
        visual: the visual fields and their order.
        lease: gives the model's server for the length of a block.
        http: a session to share; without it the brain makes its own, and ``close`` closes it.
    """

    def __init__(
        self,
        llm: LlmConfig,
        visual: VisualConfig,
        lease: LeaseService,
        *,
        http: aiohttp.ClientSession | None = None,
    ) -> None:
        self.model = llm.model
        self._llm = llm
        self._lease = lease
        self._schema = VisualSchema(visual.fields, max_tokens=llm.max_tokens, order=visual.order)
        self._prompts = PromptBuilder(llm, self._schema)
        self._http = http
        self._owns_http = http is None
        self._is_constrained = True
        self._preparing: asyncio.Task[None] | None = None
        self._language: str | None = None

    async def think(
        self, question: str, history: Sequence[Exchange], language: str | None = None
    ) -> AsyncGenerator[Thought, None]:
        """Stream the answer: tokens, sentences and fields as they complete, then one Answer.

        Raises: BrainError; RunnerError if the model cannot be started.
        """
        await self._stop_preparing()
        self._language = language
        prompt = self._prompts.build(question, history, language)
        answer = GrowingAnswer(self._schema)
        async with self._leased() as service:
            async with aclosing(self._deltas(service, prompt, self._llm.max_tokens)) as deltas:
                async for delta in deltas:
                    for thought in answer.take(delta):
                        yield thought
        for thought in answer.finish():
            yield thought

    async def prepare(self, history: Sequence[Exchange]) -> None:
        """Let llama.cpp read the prompt up to where the question will stand, so that only the question is left.

        The language is taken to be that of the last question. A question that comes meanwhile ends this at once;
        so does cancelling it. What was read until then stays in the server's cache. Other servers are not asked:
        each request to them may cost money, and no field of the protocol says what they keep.
        """
        if self._llm.backend != "llama.cpp":
            return
        await self._stop_preparing()
        self._preparing = asyncio.create_task(self._read_ahead(history), name="prepare")
        try:
            await asyncio.wait([self._preparing])
        finally:
            await self._stop_preparing()

    async def warm_up(self) -> None:
        """Start the server and let it read the part of the prompt that stays. Raises HeisenbergError."""
        prompt = self._prompts.build("Hello!")
        async with self._lease() as service, aclosing(self._deltas(service, prompt, 1)) as deltas:
            async for _ in deltas:
                pass

    async def close(self) -> None:
        """Close the HTTP session, if it is ours. May be called twice."""
        await self._stop_preparing()
        if self._owns_http and self._http is not None:
            await self._http.close()
            self._http = None

    async def _read_ahead(self, history: Sequence[Exchange]) -> None:
        prompt = self._prompts.build("", history, self._language)
        body = self._request(prompt, max_tokens=1)  # 0 is taken for 1
        try:
            async with self._leased() as service:
                url = address(service.url, prompt.path)
                async with aclosing(
                    stream(self._session(), url, service.api_key, body, self._limits(prompt))
                ) as deltas:
                    async for _ in deltas:
                        pass
        except HeisenbergError as exc:
            log.debug("The prompt was not read ahead: %s", exc)

    async def _stop_preparing(self) -> None:
        """End a preparation and wait until it gave the model back: that takes no time, its connection just closes."""
        task, self._preparing = self._preparing, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])

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

    async def _deltas(self, service: ServiceLease, prompt: Prompt, max_tokens: int) -> AsyncGenerator[Delta, None]:
        """The model's answer; asked again without the schema if the server does not know schemas."""
        url = address(service.url, prompt.path)
        while True:
            body = self._body(prompt, max_tokens)
            try:
                async with aclosing(
                    stream(self._session(), url, service.api_key, body, self._limits(prompt))
                ) as deltas:
                    async for delta in deltas:
                        yield delta
                return
            except Refused as exc:
                if not self._is_constrained or not _is_about_schemas(exc):
                    raise
                log.warning("%s does not take a JSON schema (%s); its answers are not constrained.", url, exc.reason)
                self._is_constrained = False

    def _limits(self, prompt: Prompt) -> Limits:
        llm = self._llm
        return Limits(llm.stall_seconds + prompt.tokens / PROMPT_TOKENS_PER_S, llm.stall_seconds, llm.timeout_seconds)

    def _request(self, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        """The body without the schema."""
        llm = self._llm
        body = {"model": llm.model, **prompt.fields, "stream": True, "max_tokens": max_tokens}
        body |= {"temperature": llm.temperature} | ({"seed": llm.seed} if llm.seed >= 0 else {})
        return body | (LLAMA_FIELDS if llm.backend == "llama.cpp" else {})

    def _body(self, prompt: Prompt, max_tokens: int) -> dict[str, Any]:
        body = self._request(prompt, max_tokens)
        if not self._is_constrained:
            return body
        is_llama, schema = self._llm.backend == "llama.cpp", self._schema.json_schema()
        if is_llama and "prompt" in prompt.fields:  # where llama.cpp ignores response_format
            return body | {"json_schema": schema}
        named = {"name": "answer", "strict": True, "schema": schema}
        return body | {"response_format": {"type": "json_schema", "json_schema": named}}

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            # One connection per request: a server that was restarted in between is simply asked anew.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
            self._http = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self._http


def _is_about_schemas(refusal: Refused) -> bool:
    return refusal.status in (400, 422, 501) and any(word in refusal.reason.lower() for word in _SCHEMA_WORDS)
