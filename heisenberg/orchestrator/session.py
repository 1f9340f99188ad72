"""The async shell around the state machine: one loop owns all state and performs the commands.

Reports of the audio thread, typed questions and the results of a turn's work arrive in one bounded inbox
and are handled one after the other. A turn's work is one task (``work.py``); ending or interrupting a
turn cancels it, and whatever still carries its number is ignored. The audio thread itself is the affair of
``hearing.py``, what is spoken over a reply that of ``interjection.py``.
"""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any

from heisenberg.core import logs
from heisenberg.core.drops import Drops
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import (
    Event,
    Failed,
    InputLost,
    InputRestored,
    ItemsDropped,
    OscSent,
    SpeechEnded,
    SpeechStarted,
    Stalled,
    StateChanged,
    TurnCompleted,
    TurnDropped,
    WakewordDetected,
    WorkerFailed,
    WorkerStarted,
)
from heisenberg.core.stages import EndReason, Recorder, Sink
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator import states
from heisenberg.orchestrator.ending import end
from heisenberg.orchestrator.hearing import Hearing, NewListener
from heisenberg.orchestrator.interjection import Interjection, StopSpotter
from heisenberg.orchestrator.manners import Bounds, Manners, Tally
from heisenberg.orchestrator.patience import Patience
from heisenberg.orchestrator.states import Assistant, Message, State, advance
from heisenberg.orchestrator.stop_words import says
from heisenberg.orchestrator.work import Stages, TurnWork

log = logging.getLogger(__name__)

INBOX_SIZE = 512
"""Beyond this many waiting items, sound and typed questions are dropped; what ends or decides something never is."""

MAX_QUESTIONS = 32
"""Typed questions that may wait."""

Item = heard.Report | Message
"""What the inbox holds."""


class Session:
    """One run of the assistant.

    Args:
        stages: the brain, the recogniser, the voice and the output.
        sinks: told of every event.
        bounds: per state.
        manners: how it takes turns.
        patience: says how long to wait in a pause of the command; without it always as long as configured.
        drops: what queues anywhere lost; reported as events.
        recorder: keeps what was heard.
        once: end after the first turn.
    """

    def __init__(
        self,
        stages: Stages,
        sinks: Sequence[Sink],
        bounds: Bounds,
        *,
        manners: Manners | None = None,
        patience: Patience | None = None,
        drops: Drops | None = None,
        recorder: Recorder | None = None,
        once: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._started_at = self._loop.time()
        self._stages = stages
        self._sinks = list(sinks)
        self._bounds = bounds
        self._patience = patience
        self._drops = drops or Drops()
        self._drops_told: dict[str, int] = {}
        self._recorder = recorder
        self._once = once
        self._inbox: asyncio.Queue[Item] = asyncio.Queue()
        self._questions: deque[states.TextAsked] = deque()
        self._may_ask = asyncio.Event()
        self._may_ask.set()
        self._manners = manners or Manners()
        self._now = Assistant(follows_up=self._manners.followup_seconds > 0 and not once)
        self._hearing = Hearing(self._put)
        self._capture = 0
        self._spotter = StopSpotter(stages.recogniser, self._put, stages.stop_words)
        self._interjection: Interjection | None = None
        self._work: TurnWork | None = None
        self._task: asyncio.Task[None] | None = None
        self._bound: asyncio.TimerHandle | None = None
        self._input_ended = False
        self._is_ending = False
        self._failure: HeisenbergError | None = None
        self.tally = Tally()

    # ── from outside ─────────────────────────────────────────────────────────────────────────────

    def hear_from(self, new_listener: NewListener) -> None:
        """Listen through the listener that *new_listener* makes, given the callback for its reports.

        It is asked for another one if the first one dies.
        """
        self._hearing.hear_from(new_listener)

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
        self._put(heard.NoMoreQuestions())

    def end(self) -> None:
        """End in good order: drop the current turn, take no more input."""
        self._is_ending = True
        self._questions.clear()
        self.end_input()
        self.stop_turn()

    def stop_turn(self) -> None:
        """Fall silent and drop the current turn."""
        self._put(states.StopAsked())

    @property
    def audio_progress(self) -> int | None:
        """Grows while the audio thread works; None while it may rightly stand still. From any thread."""
        return self._hearing.progress

    def audio_stalled(self, error: HeisenbergError) -> bool:
        """The audio thread stands still; whether another one is started. From any thread."""
        if not self._hearing.can_heal:
            return False
        self._loop.call_soon_threadsafe(self._put, heard.ListenerDied(error))
        return True

    def stalled(self, what: str, seconds: float) -> None:
        """*what* stood still for *seconds*. From any thread."""
        self._loop.call_soon_threadsafe(lambda: self.emit(Stalled, what=what, seconds=round(seconds, 3)))

    def osc_sent(self, address: str) -> None:
        """For the OSC sink: a datagram left."""
        if self._work is not None and address.startswith("/visual/"):
            self._work.watch.mark("first_visual")
        self.emit(OscSent, address=address)

    def worker_changed(self, what: str, model: str, reason: str) -> None:
        """For the runner: a model's process started or failed."""
        self.emit(WorkerStarted if what == "started" else WorkerFailed, model=model, reason=reason)

    def emit(self, kind: type[Event], *, turn: int | None = None, **fields: Any) -> None:
        """Tell the sinks, in the name of *turn* (the current one if not given)."""
        at = round(self._loop.time() - self._started_at, 4)
        event = kind(turn=self._now.turn if turn is None else turn, at=at, **fields)
        for sink in self._sinks:
            try:
                sink.handle(event)
            except Exception:
                log.exception("%s failed on %s", type(sink).__name__, event.type)

    async def run(self) -> None:
        """Serve turns until the input ends (or after the first turn, with *once*).

        Raises: HeisenbergError if the audio thread fails and cannot be started anew.
        """
        self.emit(StateChanged, state=self._now.state.value, previous="starting")
        self._hearing.start()
        try:
            while not self._is_done():
                await self._handle_next()
            if self._failure is not None:
                raise self._failure
        finally:
            try:
                await self._abandon()
            finally:
                await self._hearing.close()

    # ── the inbox ────────────────────────────────────────────────────────────────────────────────

    def _put(self, item: Item) -> None:
        is_lossy = isinstance(item, heard.CommandHeard | heard.CommandBegan | heard.Overheard | states.TextAsked)
        if is_lossy and self._inbox.qsize() >= INBOX_SIZE:
            self._drops.count("inbox")
            return
        self._inbox.put_nowait(item)

    def _is_done(self) -> bool:
        if self._failure is not None:
            return True
        if self._now.state is not State.IDLE:
            return False
        if self._is_ending:
            return True
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
            case heard.WakeHeard():
                await self._hear_wake_word(item)
            case heard.SpokenOver(capture):
                await self._hear_interjection(capture)
            case heard.Overheard():
                if self._work is not None and self._has_the_word:
                    self._spotter.look(self._now.turn, item, self._reply)
            case (
                heard.CommandBegan()
                | heard.CommandHeard()
                | heard.CommandPaused()
                | heard.CommandResumed()
                | heard.CommandDone()
            ):
                await self._hear_command(item)
            case heard.InputGone(error):
                log.warning("%s", error)
                self.emit(InputLost)
            case heard.InputBack():
                self.emit(InputRestored)
            case heard.InputEnded():
                self._input_ended = True
                if self._now.state is State.LISTENING:  # nobody is left who could end the command
                    self._put(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))
            case heard.NoMoreQuestions():
                self._input_ended = True
            case heard.ListenerDied(error):
                await self._heal(error)
            case states.Transcribed() if self._work is not None and self._is_awaited(item):
                self._work.tell_transcript()
                await self._step(item)
            case _:
                await self._step(item)

    def _is_awaited(self, transcribed: states.Transcribed) -> bool:
        now = self._now
        return now.state is State.THINKING and transcribed.attempt == now.attempt and not now.is_apologising

    async def _hear_wake_word(self, wake: heard.WakeHeard) -> None:
        if self._has_the_word and says(self._reply(), wake.name):
            log.info("the assistant said its own wake word")
            self._arm_or_guard(wake.capture)
            return
        if self._now.state is State.LISTENING:
            return  # too late: a command is being captured already
        self._capture = wake.capture
        await self._step(states.Woke(wake.name, wake.score, wake.audio_at))
        if self._recorder is not None:
            self._recorder.heard(self._now.turn, "wake", wake.samples)

    async def _hear_interjection(self, capture: int) -> None:
        if not self._has_the_word or self._now.is_apologising or self._interjection is not None:
            self._arm_or_guard(capture)
            return
        stages, resume_s = self._stages, self._manners.resume_seconds
        self._interjection = Interjection(
            self._now.turn, capture, stages.recogniser, self._put, self._reply, stages.stop_words, resume_s
        )
        await self._step(states.SpokenOver())

    async def _hear_command(self, report: heard.CommandReport) -> None:
        interjection = self._interjection
        if interjection is not None and report.capture == interjection.capture:
            if isinstance(report, heard.CommandHeard):
                interjection.hear(report.samples)
            elif not isinstance(report, heard.CommandBegan):
                interjection.take(report)
        elif self._work is not None and report.capture == self._capture and self._now.state is State.LISTENING:
            await self._follow_command(report, self._work)

    async def _follow_command(self, report: heard.CommandReport, work: TurnWork) -> None:
        match report:
            case heard.CommandBegan():
                self.emit(SpeechStarted)
            case heard.CommandHeard(_, samples):
                work.hear(samples)
            case heard.CommandPaused():
                work.take_command(report)
                if self._patience is not None:
                    await self._patience.begin(report.samples, functools.partial(self._wait_for, report))
                await self._step(states.Paused())
            case heard.CommandResumed():
                await self._step(states.Resumed())
            case heard.CommandDone():
                await self._end_command(report, work)

    async def _end_command(self, command: heard.CommandDone, work: TurnWork) -> None:
        self.emit(SpeechEnded, audio_seconds=round(command.speech_seconds, 3), reason=command.reason.value)
        if self._recorder is not None:
            self._recorder.heard(self._now.turn, "command", command.heard)
        if not (self._now.has_draft and command.was_paused):
            work.take_command(command)
        elif self._now.draft is not None:
            work.tell_transcript()
        work.watch.mark("endpoint")
        await self._step(states.CommandOver(command.reason, bool(len(command.samples)), command.was_paused))

    async def _heal(self, error: Exception) -> None:
        known = error if isinstance(error, HeisenbergError) else HeisenbergError(f"The audio thread failed: {error!r}.")
        if not self._hearing.can_heal:
            self._fail(known)
            return
        log.error("%s Starting it again.", known)
        self.emit(InputLost)
        self._hearing.heal(self._hear_again)
        if self._interjection is not None:
            self._put(states.NoWordsHeard(self._now.turn))
        await self._step(states.CommandOver(EndReason.INPUT_LOST, has_speech=False))

    def _hear_again(self) -> None:
        """Another audio thread listens; it counts its captures anew."""
        self._capture = 0
        if self._now.state is State.LISTENING:
            self._put(states.CommandOver(EndReason.INPUT_LOST, has_speech=False))
        self.emit(InputRestored)
        if self._has_the_word:
            self._guard(0)

    def _fail(self, known: HeisenbergError) -> None:
        self._failure = known
        if self._is_open():
            self.tally.failed += 1
        self.emit(Failed, code=known.code, message=known.message)

    # ── the state machine ────────────────────────────────────────────────────────────────────────

    async def _step(self, message: Message) -> None:
        before = self._now
        self._now, commands = advance(before, message)
        is_new_turn = self._now.turn != before.turn
        if self._now.state is not before.state and not is_new_turn:
            self._enter(before.state)
        for command in commands:
            await self._perform(command, before)

    def _enter(self, previous: State) -> None:
        """The state changed (or a turn began): bound it, and say so."""
        if self._bound is not None:
            self._bound.cancel()
            self._bound = None
        state, seconds = self._now.state, self._bounds.of(self._now.state)
        if seconds is not None:
            self._bound = self._loop.call_later(seconds, self._put, states.BoundReached(self._now.turn, state, seconds))
        if self._has_the_word:
            self._guard(self._capture, is_sounding=state is State.SPEAKING)
        self.emit(StateChanged, state=state.value, previous=previous.value)

    async def _perform(self, command: states.Command, before: Assistant) -> None:
        if isinstance(command, states.Begin):
            await self._begin_turn(command.message, before.state)
            return
        work, attempt = self._work, self._now.attempt
        assert work is not None, "a turn began without its work"
        match command:
            case states.Draft():
                await self._begin(work.transcribe(attempt))
            case states.DropDraft():
                await self._cancel_task()
                work.drop_draft()
            case states.Judge(text):
                if self._patience is not None:
                    self._patience.judge(text, work.language)
            case states.Transcribe():
                await self._begin(work.transcribe(attempt))
            case states.Listen(is_followup):
                await self._listen(work, is_followup=is_followup)
            case states.Commit(reason):
                work.commit(reason)
            case states.Answer(text):
                await self._begin(work.answer(text, attempt))
            case states.Apologise(code, message):
                await self._apologise(work, code, message)
            case states.Hush():
                await work.hold()
            case states.SpeakOn():
                await self._end_interjection()
                await work.go_on()
                self._guard(self._capture)
            case states.Complete():
                self.tally.completed += 1
                latency = work.watch.marks()
                log.info("answered; seconds after the end of speech: %s", latency)
                self.emit(TurnCompleted, turn=work.turn, latency=latency)
            case states.Drop(reason):
                self._drop(work, reason)
            case states.Cancel():
                await self._cancel(work)
            case states.Rest():
                await self._rest()

    async def _begin_turn(self, message: Message | None, previous: State) -> None:
        turn, phrase, recognition = self._now.turn, "", None
        logs.bind_turn(turn)
        interjection, pending = self._interjection, None
        if isinstance(message, states.Woke):
            phrase, score, at = message.name, round(message.score, 4), round(message.audio_at, 3)
            self.emit(WakewordDetected, name=phrase, score=score, audio_at=at)
        elif not isinstance(message, states.TextAsked):
            phrase = self._manners.wake_phrase
        if isinstance(message, states.WordsHeard) and interjection is not None:
            self._capture, pending = interjection.capture, interjection.pending
            recognition = await interjection.hand_over(lambda text: work.tell_partial(text))
            self._interjection = None
        await self._end_interjection()

        def emit(kind: type[Event], **fields: Any) -> None:
            self.emit(kind, turn=turn, **fields)

        typed = message.text if isinstance(message, states.TextAsked) else ""
        work = TurnWork(turn, self._stages, emit, self._put, wake_phrase=phrase, typed=typed, recognition=recognition)
        self._work = work
        self._enter(previous)
        if self._now.state is State.LISTENING:
            work.prepare()
        if recognition is not None:
            self.emit(SpeechStarted)
        if pending is not None:
            await self._hear_command(pending)

    async def _listen(self, work: TurnWork, *, is_followup: bool) -> None:
        """Wait for the command once more, or for the next one."""
        if not is_followup:
            await work.reopen()
            if self._interjection is not None:
                await self._end_interjection()
                await work.go_on()
        if self._input_ended or self._hearing.listener is None:
            self._put(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))
        elif is_followup:
            seconds = self._manners.followup_seconds
            self._capture = self._hearing.listener.capture(no_speech_s=seconds, after_reply=True)
        else:
            self._capture = self._hearing.listener.capture()

    async def _apologise(self, work: TurnWork, code: str, message: str) -> None:
        self.tally.failed += 1
        log.warning("failed (%s): %s", code, message)
        work.tell_transcript()
        self.emit(Failed, code=code, message=message)
        await self._cancel_task()
        if self._interjection is not None:
            await self._end_interjection()
            await work.go_on()
        await self._begin(work.apologise(self._now.attempt))

    def _drop(self, work: TurnWork, reason: str) -> None:
        self.tally.dropped += 1
        log.info("dropped: %s", reason)
        work.tell_transcript()
        self.emit(TurnDropped, turn=work.turn, reason=reason)

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
        text = f"A fault in Heisenberg: {error!r}."
        self._put(states.StageFailed(self._now.turn, self._now.attempt, states.Stage.TTS, "internal", text))

    async def _cancel_task(self) -> None:
        task, self._task = self._task, None
        await end(task)

    # ── who has the word ─────────────────────────────────────────────────────────────────────────

    @property
    def _has_the_word(self) -> bool:
        return self._now.state in (State.THINKING, State.SPEAKING)

    def _reply(self) -> str:
        """What the assistant is saying, as far as it is known."""
        return "" if self._work is None else self._work.reply

    def _guard(self, capture: int, *, is_sounding: bool = False) -> None:
        if self._hearing.listener is not None:
            self._hearing.listener.guard(capture, is_sounding=is_sounding)

    def _wait_for(self, pause: heard.CommandPaused, seconds: float) -> None:
        if self._hearing.listener is not None:
            self._hearing.listener.wait_for(pause.capture, pause.number, seconds)

    def _arm_or_guard(self, capture: int) -> None:
        """What began as *capture* is not wanted."""
        if self._now.state is State.LISTENING:
            return  # another command is being waited for, and its order is on the way
        self._capture = max(capture, self._capture)
        listener = self._hearing.listener
        if listener is not None:
            (listener.guard if self._has_the_word else listener.arm)(self._capture)

    async def _end_interjection(self) -> None:
        interjection, self._interjection = self._interjection, None
        if interjection is not None:
            self._capture = max(self._capture, interjection.capture)
            await interjection.close()

    # ── the end of a turn ────────────────────────────────────────────────────────────────────────

    def _is_open(self) -> bool:
        """Whether the turn's fate is still to be told."""
        return self._now.state is not State.IDLE and not self._now.is_apologising

    async def _abandon(self) -> None:
        """The session ends; a turn that is under way is not lost silently."""
        if self._is_open() and self._failure is None and self._work is not None:
            self._drop(self._work, "interrupted")
        if self._bound is not None:
            self._bound.cancel()
        await self._rest()

    async def _cancel(self, work: TurnWork) -> None:
        """Nothing of the turn goes on. Its voice first: that is what people notice."""
        await work.fall_silent()
        await self._cancel_task()
        await work.close()
        work.shut()
        await self._spotter.close()
        if self._patience is not None:
            await self._patience.close()
        self._tell_drops()

    async def _rest(self) -> None:
        """Nothing of the turn goes on; hear the wake word again."""
        await self._end_interjection()
        if self._work is not None:
            await self._cancel(self._work)
        if self._hearing.listener is not None:
            self._hearing.listener.arm(self._capture)

    def _tell_drops(self) -> None:
        for where, count in self._drops.totals().items():
            if count > self._drops_told.get(where, 0):
                self._drops_told[where] = count
                self.emit(ItemsDropped, where=where, count=count)
