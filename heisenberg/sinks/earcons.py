"""Plays a short sound when the assistant wakes, stops listening, or fails.

In: events; out: the same AudioOutput that replies go to, so that echo cancellation knows of these sounds as well. It
never speaks over a reply: from the moment a turn is certain until it is over, a sound waits (so that of a failure
comes after the spoken apology, or in place of it). The sounds themselves are in ``audio/earcons.py``; stages never
meet, so they are handed in.
"""

import asyncio
import logging
from collections.abc import Mapping

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import Event, Failed, StateChanged, TurnCommitted, TurnDropped, WakewordDetected
from heisenberg.core.stages import AudioOutput

log = logging.getLogger(__name__)

LONGEST_S = 5.0
"""A loudspeaker that needs longer (a Bluetooth one may sleep) is not waited for."""

POLITE_ENDS = frozenset({"no_speech", "no_followup", "stt_empty", "stopped"})
"""Reasons of TurnDropped after which the user should know that nobody listens any more."""


class EarconSink:
    """A Sink that is heard.

    Args:
        output: where replies are played. It is drained after each sound, so that no reply's seconds count it.
        sounds: by the names ``wake``, ``end`` and ``error``; those that are not there are not played.
    """

    def __init__(self, output: AudioOutput, sounds: Mapping[str, AudioChunk]) -> None:
        self._output = output
        self._sounds = dict(sounds)
        self._is_reply_due = False
        self._waiting: str | None = None
        self._playing: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def handle(self, event: Event) -> None:
        """Play what *event* calls for, now or after the reply. Needs the event loop."""
        match event:
            case TurnCommitted() | StateChanged(state="thinking" | "speaking"):
                self._make_way()
            case StateChanged():
                self._is_reply_due = False
                self._play_waiting()
            case WakewordDetected():
                self._ask_for("wake")
            case TurnDropped(reason=reason) if reason in POLITE_ENDS:
                self._ask_for("end")
            case Failed():
                self._ask_for("error")

    async def close(self) -> None:
        """Fall silent. May be called twice."""
        self._is_closed = True
        self._replace(None)
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _ask_for(self, name: str) -> None:
        """One sound waits at most: the newest, but a failure is not hidden by the end that it causes."""
        if name not in self._sounds or self._is_closed:
            return
        if not (name == "end" and self._waiting == "error"):
            self._waiting = name
        if not self._is_reply_due:
            self._play_waiting()

    def _play_waiting(self) -> None:
        name, self._waiting = self._waiting, None
        if name is not None and not self._is_closed:
            self._replace(asyncio.create_task(self._play(name), name=f"earcon {name}"))

    def _make_way(self) -> None:
        """A reply is about to be played. What was queued of a sound is heard before it; nothing waits for that."""
        self._is_reply_due = True
        self._replace(None)

    def _replace(self, task: asyncio.Task[None] | None) -> None:
        before, self._playing = self._playing, task
        if before is not None:
            before.cancel()
        if task is not None:
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _play(self, name: str) -> None:
        try:
            async with asyncio.timeout(LONGEST_S):
                await self._output.play(self._sounds[name])
                await self._output.drain()
        except (HeisenbergError, TimeoutError) as exc:
            log.debug("the sound for %s was not heard: %s", name, exc or "the loudspeaker takes too long")
