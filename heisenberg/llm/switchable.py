"""A brain, or an analyst, whose place another may take while the assistant runs: other words, same model.

What has begun goes on with whom it began; the next question goes to the new one. Who was replaced is closed when
nobody asks it any more. It knows nothing of why.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from heisenberg.core.config import PresetConfig
from heisenberg.core.stages import Analyst, Answer, Brain, Exchange, Thought, VisualField


class ModelClient(Protocol):
    """It asks a language model, over connections of its own."""

    model: str
    """Its name, for the events."""

    async def warm_up(self) -> None:
        """Start what is slow to start."""

    async def close(self) -> None:
        """Close the connections. May be called twice."""


class ClosableBrain(Brain, ModelClient, Protocol):
    """A brain with connections."""


class ClosableAnalyst(Analyst, ModelClient, Protocol):
    """An analyst with connections."""


T = TypeVar("T", bound=ModelClient)
U = TypeVar("U")


class Switchable(Generic[T]):
    """Somebody who does the work, until another does."""

    def __init__(self, first: T) -> None:
        self._now = first
        self._users: dict[int, int] = {}
        self._left: dict[int, T] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def model(self) -> str:
        """Its name, for the events."""
        return self._now.model

    @model.setter
    def model(self, name: str) -> None:
        self._now.model = name

    def replace(self, other: T) -> None:
        """*other* does the next work."""
        self._left[id(self._now)] = self._now
        self._now = other
        self._close_unused()

    async def warm_up(self) -> None:
        """Start what is slow to start."""
        with self._used() as who:
            await who.warm_up()

    async def close(self) -> None:
        """Close all of them. May be called twice."""
        left, self._left = list(self._left.values()), {}
        for who in (*left, self._now):
            await who.close()
        if self._closing:
            await asyncio.wait(self._closing)

    async def _streamed(self, ask: Callable[[T], AsyncIterator[U]]) -> AsyncGenerator[U, None]:
        """What whoever is there now gives; closing it closes that."""
        with self._used() as who:
            async with aclosing(_generator(ask(who))) as thoughts:
                async for thought in thoughts:
                    yield thought

    @contextlib.contextmanager
    def _used(self) -> Iterator[T]:
        """Whoever is there now; not closed before the block is over."""
        who = self._now
        self._users[id(who)] = self._users.get(id(who), 0) + 1
        try:
            yield who
        finally:
            self._users[id(who)] -= 1
            self._close_unused()

    def _close_unused(self) -> None:
        for key in [key for key in self._left if not self._users.get(key)]:
            self._users.pop(key, None)
            task = asyncio.create_task(self._left.pop(key).close(), name="close a replaced model client")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class SwitchableBrain(Switchable[ClosableBrain]):
    """See :class:`~heisenberg.core.stages.Brain`."""

    def think(
        self, question: str, history: Sequence[Exchange], language: str | None = None
    ) -> AsyncGenerator[Thought, None]:
        """Stream the answer."""
        return self._streamed(lambda brain: brain.think(question, history, language))

    async def prepare(self, history: Sequence[Exchange]) -> None:
        """A question is about to come."""
        with self._used() as brain:
            await brain.prepare(history)


class SwitchableAnalyst(Switchable[ClosableAnalyst]):
    """See :class:`~heisenberg.core.stages.Analyst`."""

    def analyse(self, context: str, preset: PresetConfig) -> AsyncGenerator[VisualField | Answer, None]:
        """Stream what *context* looks like."""
        return self._streamed(lambda analyst: analyst.analyse(context, preset))


async def _generator(thoughts: AsyncIterator[U]) -> AsyncGenerator[U, None]:
    """*thoughts* as something that can be closed; closing it closes them, if they can be."""
    try:
        async for thought in thoughts:
            yield thought
    finally:
        if isinstance(thoughts, AsyncGenerator):
            await thoughts.aclose()
