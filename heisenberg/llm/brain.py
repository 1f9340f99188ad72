"""The brain: asks the language model and gives its thoughts while they grow.

Ties the package together: prompt → model → parser → sentences. It decides what is asked; how the server is reached
and how long it may take is ``model.py``'s affair.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import aiohttp

from heisenberg.core.config import LlmConfig, VisualConfig
from heisenberg.core.stages import Exchange, LeaseService, Thought
from heisenberg.llm.answer import GrowingAnswer
from heisenberg.llm.model import LanguageModel
from heisenberg.llm.prompts import PromptBuilder
from heisenberg.llm.visuals import VisualSchema


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
        self._model = LanguageModel(llm, lease, http=http)
        self._max_tokens = llm.max_tokens
        self._schema = VisualSchema(visual.fields, max_tokens=llm.max_tokens, order=visual.order)
        self._prompts = PromptBuilder(llm, self._schema)
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
        async with aclosing(self._model.answer(prompt, self._schema.json_schema(), self._max_tokens)) as deltas:
            async for delta in deltas:
                for thought in answer.take(delta):
                    yield thought
        for thought in answer.finish():
            yield thought

    async def prepare(self, history: Sequence[Exchange]) -> None:
        """Let the server read the prompt up to where the question will stand, so that only the question is left.

        The language is taken to be that of the last question. A question that comes meanwhile ends this at once;
        so does cancelling it. What was read until then stays in the server's cache. Servers where each request may
        cost money are not asked.
        """
        if not self._model.reads_ahead:
            return
        await self._stop_preparing()
        prompt = self._prompts.build("", history, self._language)
        self._preparing = asyncio.create_task(self._model.read_ahead(prompt), name="prepare")
        try:
            await asyncio.wait([self._preparing])
        finally:
            await self._stop_preparing()

    async def warm_up(self) -> None:
        """Start the server and let it read the part of the prompt that stays. Raises HeisenbergError."""
        await self._model.warm_up(self._prompts.build("Hello!"), self._schema.json_schema())

    async def close(self) -> None:
        """Close the connections that are ours. May be called twice."""
        await self._stop_preparing()
        await self._model.close()

    async def _stop_preparing(self) -> None:
        """End a preparation and wait until it gave the model back: that takes no time, its connection just closes."""
        task, self._preparing = self._preparing, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task])
