"""What waits for the session: reports of the audio thread, results of a turn's work, typed questions.

One bounded queue, on the event loop. It counts what is taken, so that the watchdog sees when messages wait and nobody
takes them; what they mean is ``session.py``'s affair.
"""

import asyncio
from collections import deque

from heisenberg.core.drops import Drops
from heisenberg.orchestrator.reports import CommandBegan, CommandHeard, Overheard, Report, SegmentHeard, TimePassed
from heisenberg.orchestrator.states import ListenAsked, Message, SayAsked, TextAsked

INBOX_SIZE = 512
"""Beyond this many waiting items, sound and typed questions are dropped; what ends or decides something never is."""

MAX_QUESTIONS = 32
"""Typed questions, and texts to say, that may wait."""

Typed = TextAsked | SayAsked
"""What begins a turn without a sound, as soon as no other is under way."""

Item = Report | Message
"""What the inbox holds."""

LOSSY = (CommandHeard, CommandBegan, Overheard, SegmentHeard, TimePassed, TextAsked, SayAsked, ListenAsked)
"""What is dropped when too much waits."""


class Inbox:
    """Items in the order in which they came; typed questions may be put off until there is time for them.

    Args:
        drops: is told, as ``inbox``, what was lost because too much waited.
    """

    def __init__(self, drops: Drops) -> None:
        self._drops = drops
        self._items: asyncio.Queue[Item] = asyncio.Queue()
        self._questions: deque[Typed] = deque()
        self._may_ask = asyncio.Event()
        self._may_ask.set()
        self._taken = 0
        self.is_read = False
        """Whether somebody means to take what waits."""

    def put(self, item: Item) -> None:
        """Let *item* wait."""
        is_lossy = isinstance(item, LOSSY)
        if is_lossy and self._items.qsize() >= INBOX_SIZE:
            self._drops.count("inbox")
            return
        self._items.put_nowait(item)

    async def take(self) -> Item:
        """The next item, when there is one."""
        item = await self._items.get()
        self._taken += 1
        return item

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits but questions that were put off."""
        return self._items.empty()

    @property
    def progress(self) -> int | None:
        """Grows with each item taken; None while none waits, or nobody is to take it. From any thread."""
        return self._taken if self.is_read and not self._items.empty() else None

    # ── typed questions ──────────────────────────────────────────────────────────────────────────

    def put_off(self, question: Typed) -> None:
        """Its turn comes when no other is under way; unless too many wait already."""
        if len(self._questions) >= 2 * MAX_QUESTIONS:  # somebody does not wait for room
            self._drops.count("inbox")
            return
        self._questions.append(question)
        if len(self._questions) >= MAX_QUESTIONS:
            self._may_ask.clear()

    def next_question(self) -> Typed | None:
        """The first that was put off, unless something else waits or there is none."""
        if not self.is_empty or not self._questions:
            return None
        self._may_ask.set()
        return self._questions.popleft()

    @property
    def has_questions(self) -> bool:
        """Whether any was put off."""
        return bool(self._questions)

    def forget_questions(self) -> None:
        """None of those that were put off is answered any more."""
        self._questions.clear()
        self._may_ask.set()

    async def room(self) -> None:
        """Wait until one more question may be asked."""
        await self._may_ask.wait()
