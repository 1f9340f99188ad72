"""A session over scripted stages, and what a test does to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from heisenberg.core.audio import Samples
from heisenberg.core.stages import Answer, EndReason, ReplySentence, ReplyToken, Sink, Transcript
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.manners import Bounds
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.work import Stages
from heisenberg.sinks.speech import Performance
from tests.fakes.stages import FakeBrain, FakeListener, FakeOutput, FakeRecogniser, FakeVoice, RecordingSink, reply

BOUNDS = Bounds(listening=30.0, thinking=60.0, speaking=90.0)

TIME = "What time is it?"
NOON = "It is noon. Time for lunch."

LONG = [
    ReplyToken("It is noon in Paris. "),
    ReplySentence("It is noon in Paris."),
    ReplyToken("Time for lunch."),
    ReplySentence("Time for lunch."),
    Answer("It is noon in Paris. Time for lunch.", {}, 8),
]


class Scene:
    """A session over fakes, and what a test does to it."""

    def __init__(self, *more_sinks: Sink, once: bool = False, language: str = "auto", **how: Any) -> None:
        self.recogniser, self.brain, self.voice = FakeRecogniser(), FakeBrain(), FakeVoice()
        self.output, self.sink = FakeOutput(), RecordingSink()
        loop = asyncio.get_running_loop()
        self.history = History(6, 300.0, loop.time)
        stages = Stages(
            self.recogniser,
            self.brain,
            lambda on_progress: Performance(self.voice, self.output, on_progress),
            self.output,
            self.history,
            language,
            ("stop", "never mind"),
        )
        self.session = Session(stages, (*more_sinks, self.sink), BOUNDS, once=once, **how)
        self.session.hear_from(self._new_listener)  # type: ignore[arg-type]

    def _new_listener(self, report: Any) -> FakeListener:
        self.listener = FakeListener(report)
        return self.listener

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Serve for the length of the block, then end the input and wait for the session."""
        serving = asyncio.create_task(self.session.run(), name="session")
        try:
            yield
            self.session.end_input()
            await serving  # no timer: the audio thread is ended on a real thread, which virtual time does not wait for
        finally:
            serving.cancel()
            await asyncio.wait({serving})

    def wake(self) -> None:
        self.listener.captures += 1
        before = np.full(32_000, 7, dtype=np.int16)
        self.listener.report(heard.WakeHeard("hey_jarvis", 0.97, 12.3456, self.listener.captures, before))

    def command(
        self, reason: EndReason = EndReason.SILENCE, *, seconds: float = 1.0, has_wake_phrase: bool = False
    ) -> None:
        samples = np.full(int(16_000 * seconds), 100, dtype=np.int16)
        if seconds:
            self.listener.report(heard.CommandBegan(self.listener.captures))
            self.listener.report(heard.CommandHeard(self.listener.captures, samples[:4096]))
        waited = 0.6 if reason is EndReason.SILENCE else 0.0
        capture = self.listener.captures
        self.listener.report(
            heard.CommandDone(capture, samples, seconds, waited, has_wake_phrase, reason, False, samples)
        )

    def pause(self, number: int = 1, *, seconds: float = 1.0) -> None:
        """The user pauses after *seconds* of a command."""
        samples = np.full(int(16_000 * seconds), 100, dtype=np.int16)
        self.listener.report(heard.CommandPaused(self.listener.captures, samples, seconds, 0.2, False, number))

    def resume(self) -> None:
        """And speaks on."""
        self.listener.report(heard.CommandResumed(self.listener.captures))

    def end_in_pause(self, reason: EndReason = EndReason.SILENCE, *, seconds: float = 1.0) -> None:
        """The pause was the end."""
        samples = np.full(int(16_000 * seconds), 100, dtype=np.int16)
        done = heard.CommandDone(self.listener.captures, samples, seconds, 0.6, False, reason, True, samples)
        self.listener.report(done)

    def speak_over(self) -> None:
        """Somebody speaks while the assistant does."""
        self.listener.captures += 1
        self.listener.report(heard.SpokenOver(self.listener.captures))
        self.listener.report(heard.CommandBegan(self.listener.captures))

    def overhear(self, samples: Samples | None = None) -> None:
        """There is something that may be a stop word."""
        self.listener.report(heard.Overheard(np.zeros(100, dtype=np.int16) if samples is None else samples))

    async def until(self, shown: str, times: int = 1) -> None:
        """Wait until *shown* happened, and the session has nothing more to do."""
        await self.sink.until(shown, times)
        await asyncio.sleep(0.01)

    def say(self, *transcript: str | Transcript | Exception | asyncio.Event, **how: Any) -> None:
        """Wake, then a command that is understood as *transcript*."""
        self.recogniser.enqueue(*transcript)
        self.wake()
        self.command(**how)

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.sink.events if event.type == kind]

    @property
    def failures(self) -> list[tuple[int, str]]:
        return [(event.turn, event.code) for event in self.of("failed")]

    @property
    def words(self) -> list[str]:
        """What was spoken to the end."""
        return [text for text, _ in self.voice.spoken]

    async def speaking(self) -> None:
        """A turn in which the reply is being heard, and does not end by itself."""
        self.output.heard.clear()
        self.brain.enqueue(*LONG)
        self.say(TIME)
        await self.until("state_changed:speaking", times=self.session.tally.turns + 1)

    async def drafting(self) -> None:
        """A command that pauses for long enough to be answered, unseen."""
        self.wake()
        self.pause()
        await asyncio.sleep(0.1)

    async def interrupted(self) -> None:
        """Somebody speaks over the reply, which waits."""
        self.speak_over()
        await self.until("speaking_paused")

    async def hear_out(self, shown: str = "turn_completed", times: int = 1) -> None:
        """Let what is being said be heard, until *shown* happened."""
        self.output.heard.set()
        await self.until(shown, times)

    async def still_works(self) -> None:
        """The wake word is heard, and the command behind it answered aloud."""
        self.brain.enqueue(*reply("All is well."))
        self.say(TIME)
        await self.hear_out(times=len(self.of("turn_completed")) + 1)

        assert "All is well." == self.words[-1]

    async def a_good_turn(self, number: int) -> None:
        """The assistant still works, and this is its turn *number*."""
        await self.still_works()

        assert number == self.of("turn_completed")[-1].turn
