"""A brain, or an analyst, whose place another may take while the assistant runs: other words, same model.

What has begun goes on with whom it began; the next question goes to the new one. Who was replaced is closed when
nobody asks it any more. It knows nothing of why.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from typing import Generic, Protocol, TypeVar

from heisenberg.core.config import PresetConfig
from heisenberg.core.stages import Analyst, Answer, Brain, Exchange, Thought, VisualField


class Closable(Protocol):
    """It has connections of its own."""

    async def close(self) -> None:
        """Close them. May be called twice."""


class ClosableBrain(Brain, Closable, Protocol):
    """A brain with connections."""


class ClosableAnalyst(Analyst, Closable, Protocol):
    """An analyst with connections."""


T = TypeVar("T", bound=Closable)


class Place(Generic[T]):
    """Somebody who does the work, until another does."""

    def __init__(self, first: T) -> None:
        self.now = first
        self._users: dict[int, int] = {}
        self._left: dict[int, T] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def used(self) -> Iterator[T]:
        """Whoever is there now; not closed before the block is over."""
        who = self.now
        self._users[id(who)] = self._users.get(id(who), 0) + 1
        try:
            yield who
        finally:
            self._users[id(who)] -= 1
            self._close_unused()

    def replace(self, other: T) -> None:
        """*other* does the next work."""
        self._left[id(self.now)] = self.now
        self.now = other
        self._close_unused()

    async def close(self) -> None:
        """Close all of them."""
        left, self._left = list(self._left.values()), {}
        for who in (*left, self.now):
            await who.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def _close_unused(self) -> None:
        for key in [key for key in self._left if not self._users.get(key)]:
            self._users.pop(key, None)
            task = asyncio.create_task(self._left.pop(key).close(), name="close a replaced model client")
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class SwitchableBrain:
    """See :class:`~heisenberg.core.stages.Brain`."""

    def __init__(self, brain: ClosableBrain) -> None:
        self._place = Place(brain)

    @property
    def model(self) -> str:
        """Its name, for the events."""
        return self._place.now.model

    @model.setter
    def model(self, name: str) -> None:
        self._place.now.model = name

    def replace(self, brain: ClosableBrain) -> None:
        """*brain* answers the next question."""
        self._place.replace(brain)

    async def think(
        self, question: str, history: Sequence[Exchange], language: str | None = None
    ) -> AsyncGenerator[Thought, None]:
        """Stream the answer."""
        with self._place.used() as brain:
            async with aclosing(_generator(brain.think(question, history, language))) as thoughts:
                async for thought in thoughts:
                    yield thought

    async def prepare(self, history: Sequence[Exchange]) -> None:
        """A question is about to come."""
        with self._place.used() as brain:
            await brain.prepare(history)

    async def warm_up(self) -> None:
        """Start what is slow to start."""
        with self._place.used() as brain:
            await brain.warm_up()

    async def close(self) -> None:
        """Close whatever is open. May be called twice."""
        await self._place.close()


class SwitchableAnalyst:
    """See :class:`~heisenberg.core.stages.Analyst`."""

    def __init__(self, analyst: ClosableAnalyst) -> None:
        self._place = Place(analyst)

    @property
    def model(self) -> str:
        """Its name, for the events."""
        return self._place.now.model

    @model.setter
    def model(self, name: str) -> None:
        self._place.now.model = name

    def replace(self, analyst: ClosableAnalyst) -> None:
        """*analyst* does the next analysis."""
        self._place.replace(analyst)

    async def analyse(self, context: str, preset: PresetConfig) -> AsyncGenerator[VisualField | Answer, None]:
        """Stream what *context* looks like."""
        with self._place.used() as analyst:
            async with aclosing(_generator(analyst.analyse(context, preset))) as thoughts:
                async for thought in thoughts:
                    yield thought

    async def warm_up(self) -> None:
        """Start what is slow to start."""
        with self._place.used() as analyst:
            await analyst.warm_up()

    async def close(self) -> None:
        """Close whatever is open. May be called twice."""
        await self._place.close()


U = TypeVar("U")


async def _generator(thoughts: AsyncIterator[U]) -> AsyncGenerator[U, None]:
    """*thoughts* as something that can be closed; closing it closes them, if they can be."""
    try:
        async for thought in thoughts:
            yield thought
    finally:
        if isinstance(thoughts, AsyncGenerator):
            await thoughts.aclose()
