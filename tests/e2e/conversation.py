"""The whole assistant in a simulated room: real wake word, VAD, Whisper and Piper, a scripted language model.

Time is real, as in a room: the user speaks, the loudspeaker's sound comes back into the microphone, and the test
waits for events. What the loudspeaker really gave off is kept, by the room's clock.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from heisenberg.audio.played import PlayedSound
from heisenberg.core.audio import Samples
from heisenberg.core.events import Event
from heisenberg.core.settings import load
from heisenberg.main import run_session
from heisenberg.models import Runner
from heisenberg.orchestrator.manners import Tally
from heisenberg.wiring.options import RunOptions
from tests import speech
from tests.fakes.llama_server import FakeLlamaServer
from tests.room import Acoustics, Room, RoomOutput, RoomSource

PATIENCE_S = 60.0
"""Of the test, for one event; a loaded machine is slow."""


def question(text: str = "what time is it?") -> Samples:
    """The wake phrase and *text* in one breath. Slow the first time, so not for the middle of a conversation."""
    return speech.say(f"Hey Jarvis, {text}")


class Told:
    """A sink that remembers, and notes the room's time of each event."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.events: list[tuple[float, Event]] = []
        self._more = asyncio.Event()

    def handle(self, event: Event) -> None:
        self.events.append((self._room.seconds, event))
        self._more.set()

    async def close(self) -> None:
        """Nothing to flush."""

    def of(self, kind: str) -> list[Any]:
        """All events of *kind*."""
        return [event for _, event in self.events if event.type == kind]

    async def until(self, kind: str, times: int = 1, **fields: Any) -> Any:
        """Wait for the *times*-th event of *kind* with these fields; the event."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [e for e in self.of(kind) if all(getattr(e, name) == value for name, value in fields.items())]
                if len(found) >= times:
                    return found[times - 1]
                self._more.clear()
                await self._more.wait()

    async def until_idle(self) -> None:
        """Wait until no turn is under way."""
        async with asyncio.timeout(PATIENCE_S):
            while self.of("state_changed")[-1].state != "idle":
                self._more.clear()
                await self._more.wait()

    def at(self, event: Event) -> float:
        """The room's time at which *event* was told."""
        return next(seconds for seconds, told in self.events if told is event)


class Conversation:
    """What a test does in the room."""

    def __init__(self, room: Room, told: Told, llm: FakeLlamaServer) -> None:
        self.room, self.told, self.llm = room, told, llm
        self._question = question()

    def will_answer(self, reply: str, **visual: str | float) -> None:
        """The language model's next answer."""
        self.llm.forget()
        text = json.dumps({"mood": "calm", "intensity": 0.5, "reply": reply, "prompt": "a quiet sea"} | visual)
        self.llm.enqueue(*[text[at : at + 4] for at in range(0, len(text), 4)])

    def say(self, sound: Samples, after_s: float = 0.0) -> None:
        """The user speaks, or something else is heard: *sound* from ``tests/speech.py``, made before."""
        self.room.say(sound, after_s)

    async def ask(self) -> None:
        """Wake, ask for the time, and wait until the reply can be heard."""
        turns = len(self.told.of("speaking_started"))
        self.say(self._question)
        await self.told.until("speaking_started", turns + 1)

    async def still_works(self) -> None:
        """Another question is asked and answered."""
        await self.told.until_idle()
        await self.pass_time(0.5)
        self.will_answer("Noon.")
        done = len(self.told.of("turn_completed"))
        await self.ask()
        await self.told.until("turn_completed", done + 1)

    async def pass_time(self, seconds: float) -> None:
        """Let *seconds* of the room's time pass."""
        until = self.room.seconds + seconds
        async with asyncio.timeout(PATIENCE_S):
            while self.room.seconds < until:  # noqa: ASYNC110  the clock of a room can only be read
                await asyncio.sleep(0.01)


@asynccontextmanager
async def conversation(
    acoustics: Acoustics | None = None, *, settings: dict[str, Any] | None = None
) -> AsyncIterator[Conversation]:
    """A running assistant in a room, ready to be spoken to; ended with the block."""
    played = PlayedSound()
    room = Room(acoustics or Acoustics(), played)
    async with FakeLlamaServer() as llm:
        told = Told(room)
        talk = Conversation(room, told, llm)
        llm.enqueue("{}")
        quiet = {
            "llm.url": llm.url,
            "llm.backend": "openai",
            "osc.targets": "[]",
            "runner.start_timeout_seconds": 120.0,
        }
        config = load(None, quiet | (settings or {})).config
        options = RunOptions(
            source=RoomSource(room), sound_output=RoomOutput(room), played=played, is_quiet=True, sinks=(told,)
        )
        async with Runner(config) as runner:
            running = asyncio.create_task(run_session(config, runner, options), name="assistant")
            try:
                await _ready(told, running)
                yield talk
            finally:
                await _end(running)


async def _ready(told: Told, running: "asyncio.Task[Tally]") -> None:
    ready = asyncio.create_task(told.until("state_changed", previous="starting"))
    await asyncio.wait({ready, running}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        ready.cancel()
        running.result()
    await ready


async def _end(running: "asyncio.Task[Tally]") -> None:
    running.cancel()
    await asyncio.wait({running}, timeout=PATIENCE_S)
    if not running.cancelled() and (error := running.exception()) is not None:
        raise error
