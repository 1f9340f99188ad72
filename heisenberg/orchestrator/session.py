"""The async shell around the state machine: one loop owns all state and performs the commands.

Reports of the audio thread, typed questions and the results of a turn's work arrive in one bounded inbox
and are handled one after the other. A turn's work is one task (``work.py``); ending or interrupting a
turn cancels it, and whatever still carries its number is ignored.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg.core import logs
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import (
    Event,
    Failed,
    InputLost,
    InputRestored,
    OscSent,
    SpeechEnded,
    SpeechStarted,
    StateChanged,
    TurnCommitted,
    TurnCompleted,
    TurnDropped,
    WakewordDetected,
    WorkerFailed,
    WorkerStarted,
)
from heisenberg.core.stages import EndReason, Sink
from heisenberg.orchestrator import listener as heard
from heisenberg.orchestrator import states
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.states import Assistant, Message, State, advance
from heisenberg.orchestrator.work import Stages, TurnWork

log = logging.getLogger(__name__)

INBOX_SIZE = 512
"""Beyond this many waiting items, sound and typed questions are dropped; what ends or decides something never is."""

MAX_QUESTIONS = 32
"""Typed questions that may wait."""

CANCEL_BOUND_S = 3.0

Item = heard.Report | Message
"""What the inbox holds."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the assistant may stay in each state, in seconds of wall time."""

    listening: float
    thinking: float
    speaking: float

    def of(self, state: State) -> float | None:
        """The bound of *state*; idle has none."""
        return {State.LISTENING: self.listening, State.THINKING: self.thinking, State.SPEAKING: self.speaking}.get(
            state
        )


@dataclass(slots=True)
class Tally:
    """How the turns so far ended."""

    completed: int = 0
    dropped: int = 0
    failed: int = 0

    @property
    def turns(self) -> int:
        """All of them."""
        return self.completed + self.dropped + self.failed


class Session:
    """One run of the assistant.

    Args:
        stages: the brain, the recogniser, the voice and the output.
        sinks: told of every event.
        bounds: per state.
        once: end after the first turn.
    """

    def __init__(self, stages: Stages, sinks: Sequence[Sink], bounds: Bounds, *, once: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._stages = stages
        self._sinks = list(sinks)
        self._bounds = bounds
        self._once = once
        self._inbox: asyncio.Queue[Item] = asyncio.Queue()
        self._questions: deque[states.TextAsked] = deque()
        self._may_ask = asyncio.Event()
        self._may_ask.set()
        self._now = Assistant()
        self._listener: Listener | None = None
        self._work: TurnWork | None = None
        self._task: asyncio.Task[None] | None = None
        self._bound: asyncio.TimerHandle | None = None
        self._input_ended = False
        self._failure: HeisenbergError | None = None
        self.tally = Tally()

    # ── from outside ─────────────────────────────────────────────────────────────────────────────

    def hear_from(self, new_listener: Callable[[Callable[[heard.Report], None]], Listener]) -> None:
        """Listen through the listener that *new_listener* makes, given the callback for its reports."""
        self._listener = new_listener(lambda report: self._from_thread(report))

    def add_sink(self, sink: Sink) -> None:
        """Tell *sink*, too, from now on."""
        self._sinks.append(sink)

    def ask(self, text: str) -> None:
        """Answer a typed question, as soon as no turn is under way."""
        self._put(states.TextAsked(text))

    async def ask_in_turn(self, text: str) -> None:
        """Answer a typed question; returns when there is room for the next one."""
        await self._may_ask.wait()
        self.ask(text)

    def end_input(self) -> None:
        """No more questions come; the session ends after the current turn."""
        self._put(heard.InputEnded())

    def end(self) -> None:
        """End in good order: drop the current turn, take no more input."""
        self._questions.clear()
        self.end_input()
        self.stop_turn()

    def stop_turn(self) -> None:
        """Fall silent and drop the current turn."""
        self._put(states.StopAsked())

    def osc_sent(self, address: str) -> None:
        """For the OSC sink: a datagram left."""
        if self._work is not None and address.startswith("/visual/"):
            self._work.watch.mark("first_visual")
        self.emit(OscSent, address=address)

    def worker_changed(self, what: str, model: str, reason: str) -> None:
        """For the runner: a model's process started or failed."""
        self.emit(WorkerStarted if what == "started" else WorkerFailed, model=model, reason=reason)

    def emit(self, kind: type[Event], **fields: Any) -> None:
        """Tell the sinks."""
        event = kind(turn=self._now.turn, at=round(self._loop.time() - self._started_at, 4), **fields)
        for sink in self._sinks:
            try:
                sink.handle(event)
            except Exception:
                log.exception("%s failed on %s", type(sink).__name__, event.type)

    async def run(self) -> None:
        """Serve turns until the input ends (or after the first turn, with *once*).

        Raises: HeisenbergError if the audio thread fails.
        """
        self.emit(StateChanged, state=self._now.state.value, previous="starting")
        if self._listener is not None:
            self._listener.start()
        try:
            while not self._is_done():
                await self._handle_next()
            if self._failure is not None:
                raise self._failure
        finally:
            try:
                await self._abandon()
            finally:
                if self._listener is not None:
                    await asyncio.to_thread(self._listener.stop)

    # ── the inbox ────────────────────────────────────────────────────────────────────────────────

    def _from_thread(self, report: heard.Report) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            self._loop.call_soon_threadsafe(self._put, report)

    def _put(self, item: Item) -> None:
        is_lossy = isinstance(item, heard.CommandHeard | heard.CommandBegan | states.TextAsked)
        if is_lossy and self._inbox.qsize() >= INBOX_SIZE:
            log.error("the inbox is full; dropped %s", type(item).__name__)
            return
        self._inbox.put_nowait(item)

    def _is_done(self) -> bool:
        if self._failure is not None:
            return True
        if self._now.state is not State.IDLE:
            return False
        if self._once and self.tally.turns > 0:
            return True
        return self._input_ended and self._inbox.empty() and not self._questions

    async def _handle_next(self) -> None:
        if self._now.state is State.IDLE and self._inbox.empty() and self._questions:
            self._may_ask.set()
            await self._step(self._questions.popleft())
        else:
            await self._handle(await self._inbox.get())

    async def _handle(self, item: Item) -> None:
        match item:
            case states.TextAsked():
                self._questions.append(item)  # its turn comes when no other is under way
                if len(self._questions) >= MAX_QUESTIONS:
                    self._may_ask.clear()
            case heard.WakeHeard(name, score, audio_at):
                await self._step(states.Woke(name, score, audio_at))
            case heard.CommandBegan():
                if self._now.state is State.LISTENING:
                    self.emit(SpeechStarted)
            case heard.CommandHeard(samples):
                if self._work is not None and self._now.state is State.LISTENING:
                    self._work.hear(samples)
            case heard.CommandDone():
                await self._end_command(item)
            case heard.InputGone(error):
                log.warning("%s", error)
                self.emit(InputLost)
            case heard.InputBack():
                self.emit(InputRestored)
            case heard.InputEnded():
                self._input_ended = True
            case heard.ListenerDied(error):
                self._fail(error)
            case _:
                await self._step(item)

    async def _end_command(self, command: heard.CommandDone) -> None:
        if self._work is None or self._now.state is not State.LISTENING:
            return
        self.emit(SpeechEnded, audio_seconds=round(command.speech_seconds, 3), reason=command.reason.value)
        self._work.take_command(command)
        await self._step(states.CommandOver(command.reason, bool(len(command.samples))))

    def _fail(self, error: Exception) -> None:
        known = error if isinstance(error, HeisenbergError) else HeisenbergError(f"The audio thread failed: {error!r}.")
        self._failure = known
        if self._is_open():
            self.tally.failed += 1
        self.emit(Failed, code=known.code, message=known.message)

    # ── the state machine ────────────────────────────────────────────────────────────────────────

    async def _step(self, message: Message) -> None:
        before = self._now
        self._now, commands = advance(before, message)
        if self._now.turn != before.turn:
            self._open_turn(message)
        if self._now.state is not before.state:
            self._enter(before.state)
        for command in commands:
            await self._perform(command)

    def _open_turn(self, message: Message) -> None:
        logs.bind_turn(self._now.turn)
        phrase = ""
        if isinstance(message, states.Woke):
            phrase, score, at = message.name, round(message.score, 4), round(message.audio_at, 3)
            self.emit(WakewordDetected, name=phrase, score=score, audio_at=at)
        self._work = TurnWork(self._now.turn, self._stages, self.emit, self._put, wake_phrase=phrase)

    def _enter(self, previous: State) -> None:
        """The state changed: bound the new one, and say so."""
        if self._bound is not None:
            self._bound.cancel()
            self._bound = None
        state, seconds = self._now.state, self._bounds.of(self._now.state)
        if seconds is not None:
            self._bound = self._loop.call_later(seconds, self._put, states.BoundReached(self._now.turn, state, seconds))
        if self._listener is not None and state is State.THINKING:
            self._listener.hold()
        self.emit(StateChanged, state=state.value, previous=previous.value)

    async def _perform(self, command: states.Command) -> None:
        work = self._work
        assert work is not None, "a turn began without its work"
        match command:
            case states.Transcribe():
                await self._begin(work.transcribe())
            case states.Listen():
                await work.reopen()
                if self._input_ended:
                    self._put(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))
                elif self._listener is not None:
                    self._listener.capture()
            case states.Commit(reason):
                self.emit(TurnCommitted, reason=reason)
            case states.Answer(text):
                await self._begin(work.answer(text))
            case states.Apologise(code, message):
                self.tally.failed += 1
                log.warning("failed (%s): %s", code, message)
                self.emit(Failed, code=code, message=message)
                await self._begin(work.apologise())
            case states.Complete():
                self.tally.completed += 1
                latency = work.watch.marks()
                log.info("answered; seconds after the end of speech: %s", latency)
                self.emit(TurnCompleted, latency=latency)
            case states.Drop(reason):
                self.tally.dropped += 1
                log.info("dropped: %s", reason)
                self.emit(TurnDropped, reason=reason)
            case states.Rest():
                await self._rest()

    async def _begin(self, work: Coroutine[None, None, None]) -> None:
        """Make *work* the turn's task, in place of what it did before."""
        await self._cancel_task()
        self._task = asyncio.create_task(work, name=f"turn {self._now.turn}")
        self._task.add_done_callback(self._work_ended)

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        """A fault of ours in a turn must not leave it open until its bound."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        log.error("turn %d failed", self._now.turn, exc_info=error)
        if task is not self._task:
            return  # it was being replaced anyway
        fault = states.StageFailed(self._now.turn, states.Stage.TTS, "internal", f"A fault in Heisenberg: {error!r}.")
        self._put(fault)

    async def _cancel_task(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_BOUND_S)

    def _is_open(self) -> bool:
        """Whether the turn's fate is still to be told."""
        return self._now.state is not State.IDLE and not self._now.is_apologising

    async def _abandon(self) -> None:
        """The session ends; a turn that is under way is not lost silently."""
        if self._is_open() and self._failure is None:
            self.tally.dropped += 1
            self.emit(TurnDropped, reason="interrupted")
        if self._bound is not None:
            self._bound.cancel()
        await self._rest()

    async def _rest(self) -> None:
        """Nothing of the turn goes on; hear the wake word again."""
        await self._cancel_task()
        if self._work is not None:
            await self._work.close()
        if self._listener is not None:
            self._listener.arm()
