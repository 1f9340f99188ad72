"""The async shell around the state machine: one loop owns all state and performs the commands.

Reports of the audio thread, typed questions and the results of a turn's work arrive in one inbox (``inbox.py``)
and are handled one after the other. A turn's work is one task (``work.py``); ending or interrupting a
turn cancels it, and whatever still carries its number is ignored. The audio thread itself is the affair of
``hearing.py``, what it is asked to capture that of ``captures.py``, what is spoken over a reply that of
``interjection.py``, and what the world is told goes through ``telling.py``.
"""

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Coroutine, Sequence
from typing import Any

from heisenberg.core import logs
from heisenberg.core.config import BrainConfig, PresetConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import (
    Event,
    Failed,
    InputLost,
    InputRestored,
    MuteChanged,
    OscSent,
    SpeechEnded,
    SpeechStarted,
    Stalled,
    StateChanged,
    WakewordDetected,
    WorkerFailed,
    WorkerStarted,
)
from heisenberg.core.stages import EndReason, Recognition, Recorder, Sink
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator import states
from heisenberg.orchestrator.ambient.ambience import Ambience, AmbientStages
from heisenberg.orchestrator.captures import Captures
from heisenberg.orchestrator.hearing import Hearing, NewListener
from heisenberg.orchestrator.inbox import Inbox, Item
from heisenberg.orchestrator.interjection import Interjection, StopSpotter
from heisenberg.orchestrator.machine import advance
from heisenberg.orchestrator.manners import Bounds, Manners, Tally
from heisenberg.orchestrator.mute import Mute
from heisenberg.orchestrator.patience import Patience
from heisenberg.orchestrator.states import Assistant, Message, State
from heisenberg.orchestrator.stop_words import says
from heisenberg.orchestrator.telling import Telling
from heisenberg.orchestrator.turn_task import TurnTask
from heisenberg.orchestrator.work import Stages, TurnWork

log = logging.getLogger(__name__)


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
        mute: obeyed by whoever reads the microphone.
        ambient: what ambient mode needs; without it there is none.
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
        mute: Mute | None = None,
        ambient: AmbientStages | None = None,
        once: bool = False,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stages = stages
        self._bounds = bounds
        self._patience = patience
        self._recorder = recorder
        self._mute = mute or Mute()
        self._once = once
        self._manners = manners or Manners()
        self._now = Assistant(follows_up=self._manners.followup_seconds > 0 and not once)
        drops = drops or Drops()
        self._telling = Telling(sinks, drops, lambda: self._now.turn)
        self._inbox = Inbox(drops)
        self._hearing = Hearing(self._inbox.put)
        self._captures = Captures(self._hearing)
        self.ambience = None if ambient is None else self._new_ambience(ambient, drops)
        self._spotter = StopSpotter(stages.recogniser, self._inbox.put, stages.stop_words)
        self._interjection: Interjection | None = None
        self._work: TurnWork | None = None
        self._task = TurnTask(self._work_failed)
        self._bound: asyncio.TimerHandle | None = None
        self._input_ended = False
        self._is_ending = False
        self._failure: HeisenbergError | None = None

    # ── from outside ─────────────────────────────────────────────────────────────────────────────

    def hear_from(self, new_listener: NewListener) -> None:
        """Listen through the listener that *new_listener* makes, given the callback for its reports.

        It is asked for another one if the first one dies.
        """
        self._hearing.hear_from(new_listener)

    def add_sink(self, sink: Sink) -> None:
        """Tell *sink*, too, from now on."""
        self._telling.add_sink(sink)

    def ask(self, text: str) -> None:
        """Answer a typed question, as soon as no turn is under way."""
        self._inbox.put(states.TextAsked(text))

    async def ask_in_turn(self, text: str) -> None:
        """Answer a typed question; returns when there is room for the next one."""
        await self._inbox.room()
        self.ask(text)

    def say(self, text: str) -> None:
        """Say *text* as it is, as soon as no turn is under way."""
        self._inbox.put(states.SayAsked(text))

    def listen(self) -> None:
        """Listen for a command, as after the wake word; unless a turn is under way or the microphone is muted."""
        self._inbox.put(states.ListenAsked())

    def stop(self) -> None:
        """Fall silent and drop the current turn; what was to be said or answered after it is forgotten, too."""
        self._inbox.put(heard.EverythingStopped())

    def mute(self, is_muted: bool | None) -> None:
        """Ignore the microphone, or hear it again (None: the other way round). What is being said goes on."""
        self._inbox.put(states.MuteAsked(is_muted))

    def set_stop_words(self, stop_words: Sequence[str]) -> None:
        """From the next turn on, these silence the assistant."""
        self._stages = dataclasses.replace(self._stages, stop_words=stop_words)
        self._spotter.stop_words = stop_words

    def set_mode(self, mode: str) -> None:
        """Go on in ``assistant`` or ``ambient`` mode."""
        self._inbox.put(heard.ModeAsked(mode))

    def set_preset(self, name: str, preset: PresetConfig) -> None:
        """Let ambient mode go on in another style, from the next analysis on, which begins at once."""
        self._inbox.put(heard.PresetAsked(name, preset))

    def tune_ambience(self, brain: BrainConfig) -> None:
        """Let ambient mode go on with other times."""
        if self.ambience is not None:
            self.ambience.tune(brain)

    def end_input(self) -> None:
        """No more questions come; the session ends after the current turn."""
        self._inbox.put(heard.NoMoreQuestions())

    def end(self) -> None:
        """End in good order: drop the current turn, take no more input."""
        self._is_ending = True
        self._inbox.forget_questions()
        self.end_input()
        self.stop_turn()

    def stop_turn(self) -> None:
        """Fall silent and drop the current turn."""
        self._inbox.put(states.StopAsked())

    @property
    def tally(self) -> Tally:
        """How the turns so far ended."""
        return self._telling.tally

    @property
    def inbox_progress(self) -> int | None:
        """Grows while the session takes what waits for it; None while nothing does. From any thread."""
        return self._inbox.progress

    @property
    def audio_progress(self) -> int | None:
        """Grows while the audio thread works; None while it may rightly stand still. From any thread."""
        return self._hearing.progress

    def audio_stalled(self, error: HeisenbergError) -> bool:
        """The audio thread stands still; whether another one is started. From any thread."""
        if not self._hearing.can_heal:
            return False
        self._loop.call_soon_threadsafe(self._inbox.put, heard.ListenerDied(error))
        return True

    def stalled(self, what: str, seconds: float) -> None:
        """*what* stood still for *seconds*. From any thread."""
        self._loop.call_soon_threadsafe(lambda: self.emit(Stalled, what=what, seconds=round(seconds, 3)))

    def tell_losses(self) -> None:
        """Say what full queues lost since the last time."""
        self._telling.losses()

    def osc_sent(self, address: str) -> None:
        """For the OSC sink: a datagram left."""
        if self._work is not None and not address.startswith("/heisenberg/"):  # a preset may have other names
            self._work.watch.mark("first_visual")
        self.emit(OscSent, address=address)

    def worker_changed(self, what: str, model: str, reason: str) -> None:
        """For the runner: a model's process started or failed."""
        self.emit(WorkerStarted if what == "started" else WorkerFailed, model=model, reason=reason)

    def emit(self, kind: type[Event], *, turn: int | None = None, **fields: Any) -> None:
        """Tell the sinks, in the name of *turn* (the current one if not given)."""
        self._telling.emit(kind, turn=turn, **fields)

    async def run(self) -> None:
        """Serve turns until the input ends (or after the first turn, with *once*).

        Raises: HeisenbergError if the audio thread fails and cannot be started anew.
        """
        self.emit(StateChanged, state=self._now.state.value, previous="starting")
        if self.ambience is not None:
            self.ambience.start()
        self._hearing.start()
        self._inbox.is_read = True
        try:
            while not self._is_done():
                await self._handle_next()
            if self._failure is not None:
                raise self._failure
        finally:
            self._inbox.is_read = False
            try:
                await self._abandon()
                if self.ambience is not None:
                    await self.ambience.close()
            finally:
                await self._hearing.close()

    # ── the inbox ────────────────────────────────────────────────────────────────────────────────

    def _is_done(self) -> bool:
        if self._failure is not None:
            return True
        if self._now.state is not State.IDLE:
            return False
        if self._is_ending:
            return True
        if self._once and self.tally.turns > 0:
            return True
        if self.ambience is not None and not self.ambience.is_at_rest:
            return False
        return self._input_ended and self._inbox.is_empty and not self._inbox.has_questions

    async def _handle_next(self) -> None:
        question = self._inbox.next_question() if self._now.state is State.IDLE else None
        if question is not None:
            await self._step(question)
        else:
            await self._handle(await self._inbox.take())

    async def _handle(self, item: Item) -> None:
        match item:
            case states.TextAsked() | states.SayAsked():
                self._inbox.put_off(item)
            case heard.EverythingStopped():
                self._inbox.forget_questions()
                await self._step(states.StopAsked())
            case states.ListenAsked() if self._hearing.listener is None or self._input_ended:
                log.warning("Nobody listens: there is no microphone, or its input has ended.")
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
            case heard.SegmentHeard() | heard.SegmentDone() | heard.TimePassed():
                if self.ambience is not None:
                    self.ambience.take(item)
            case heard.AllUnderstood():
                pass  # whether the session is over is asked after each item
            case heard.ModeAsked(mode):
                if self.ambience is not None:
                    await self.ambience.set_mode(mode)
            case heard.PresetAsked(name, style):
                if self.ambience is not None:
                    self.ambience.set_preset(name, style)
            case heard.InputGone(error):
                log.warning("%s", error)
                self.emit(InputLost)
            case heard.InputBack():
                self.emit(InputRestored)
            case heard.InputEnded():
                self._input_ended = True
                self._end_overhearing()
                if self._now.state is State.LISTENING:  # nobody is left who could end the command
                    self._inbox.put(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))
            case heard.NoMoreQuestions():
                self._input_ended = True
                self._end_overhearing()
            case heard.ListenerDied(error):
                await self._heal(error)
            case states.WordsHeard() | states.NoWordsHeard() if self._interjection is None:
                pass  # nobody waits for that any more
            case states.Transcribed() if self._work is not None and self._is_awaited(item):
                self._work.tell_transcript()
                await self._step(item)
            case _:
                await self._step(item)

    def _is_awaited(self, transcribed: states.Transcribed) -> bool:
        now = self._now
        return now.state is State.THINKING and transcribed.attempt == now.attempt and not now.is_apologising

    def _new_ambience(self, ambient: AmbientStages, drops: Drops) -> Ambience:
        return Ambience(
            ambient,
            self._hearing,
            self.emit,
            lost=functools.partial(drops.count, "ambient"),
            tell_losses=self.tell_losses,
            at_rest=functools.partial(self._inbox.put, heard.AllUnderstood()),
        )

    def _end_overhearing(self) -> None:
        if self.ambience is not None:
            self.ambience.end_input()

    async def _hear_wake_word(self, wake: heard.WakeHeard) -> None:
        if self._has_the_word and says(self._reply(), wake.name):
            log.info("the assistant said its own wake word")
            self._decline(wake.capture)
            return
        if self._now.state is State.LISTENING:
            return  # too late: a command is being captured already
        if self._now.is_muted:
            self._decline(wake.capture)
            return
        self._captures.follow(wake.capture)
        await self._step(states.Woke(wake.name, wake.score, wake.audio_at))
        if self._recorder is not None:
            self._recorder.heard(self._now.turn, "wake", wake.samples)

    async def _hear_interjection(self, capture: int) -> None:
        if not self._has_the_word or self._now.is_apologising or self._interjection is not None:
            self._decline(capture)
            return
        stages, resume_s = self._stages, self._manners.resume_seconds
        self._interjection = Interjection(
            self._now.turn, capture, stages.recogniser, self._inbox.put, self._reply, stages.stop_words, resume_s
        )
        await self._step(states.SpokenOver())

    async def _hear_command(self, report: heard.CommandReport) -> None:
        interjection, work = self._interjection, self._work
        if interjection is not None and report.capture == interjection.capture:
            interjection.take(report)
        elif work is not None and self._captures.is_followed(report.capture) and self._now.state is State.LISTENING:
            await self._follow_command(report, work)

    async def _follow_command(self, report: heard.CommandReport, work: TurnWork) -> None:
        match report:
            case heard.CommandBegan():
                self.emit(SpeechStarted)
            case heard.CommandHeard(_, samples):
                work.hear(samples)
            case heard.CommandPaused():
                work.take_command(report)
                if self._patience is not None:
                    await self._patience.begin(report.samples, functools.partial(self._captures.wait_for, report))
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
            self._inbox.put(states.NoWordsHeard(self._now.turn))
        await self._step(states.CommandOver(EndReason.INPUT_LOST, has_speech=False))

    def _hear_again(self) -> None:
        """Another audio thread listens."""
        self._captures.begin_anew()
        if self.ambience is not None:
            self.ambience.begin_anew()
        if self._now.state is State.LISTENING:
            self._inbox.put(states.CommandOver(EndReason.INPUT_LOST, has_speech=False))
        self.emit(InputRestored)
        if self._has_the_word:
            self._captures.guard()

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
            self._bound = self._loop.call_later(
                seconds, self._inbox.put, states.BoundReached(self._now.turn, state, seconds)
            )
        if self._has_the_word:
            self._captures.guard(is_sounding=state is State.SPEAKING)
        self.emit(StateChanged, state=state.value, previous=previous.value)
        if self.ambience is not None:
            self.ambience.hold(state is not State.IDLE)

    async def _perform(self, command: states.Command, before: Assistant) -> None:
        if isinstance(command, states.Begin):
            await self._begin_turn(command.message, before.state)
            return
        if isinstance(command, states.Mute):
            self._mute.is_on = command.is_muted
            self.emit(MuteChanged, is_muted=command.is_muted)
            return
        work, attempt = self._work, self._now.attempt
        assert work is not None, "a turn began without its work"
        match command:
            case states.Draft():
                await self._begin(work.transcribe(attempt))
            case states.DropDraft():
                await self._task.cancel()
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
            case states.Say(text):
                await self._begin(work.say(text, attempt))
            case states.Apologise(code, message):
                await self._apologise(work, code, message)
            case states.Hush():
                await work.hold()
            case states.SpeakOn():
                await self._end_interjection()
                await work.go_on()
                self._captures.guard()
            case states.Complete():
                self._telling.completed(work.turn, work.watch.marks())
            case states.Drop(reason):
                self._drop(work, reason)
            case states.Cancel():
                await self._cancel(work)
            case states.Rest():
                await self._rest()

    async def _begin_turn(self, message: Message | None, previous: State) -> None:
        logs.bind_turn(self._now.turn)
        if isinstance(message, states.Woke):
            score, at = round(message.score, 4), round(message.audio_at, 3)
            self.emit(WakewordDetected, name=message.name, score=score, audio_at=at)
        interjection = self._interjection if isinstance(message, states.WordsHeard) else None
        recognition = None if interjection is None else await self._take_over(interjection)
        await self._end_interjection()
        work = self._work = self._new_work(message, recognition)
        self._enter(previous)
        if self._now.state is State.LISTENING:
            work.prepare()
        if recognition is not None:
            self.emit(SpeechStarted)
        if interjection is not None and interjection.pending is not None:
            await self._hear_command(interjection.pending)

    async def _take_over(self, interjection: Interjection) -> Recognition:
        """The turn begins with what was spoken over the one before."""
        self._interjection = self._work = None
        self._captures.follow(interjection.capture)
        return await interjection.hand_over(self._tell_partial)

    def _tell_partial(self, text: str) -> None:
        if self._work is not None:
            self._work.tell_partial(text)

    def _new_work(self, message: Message | None, recognition: Recognition | None) -> TurnWork:
        phrase, typed = self._manners.wake_phrase, ""
        match message:
            case states.Woke(name):
                phrase = name
            case states.TextAsked(text):
                phrase, typed = "", text
            case states.SayAsked():
                phrase = ""
        emit = functools.partial(self.emit, turn=self._now.turn)
        put = self._inbox.put
        return TurnWork(
            self._now.turn, self._stages, emit, put, wake_phrase=phrase, typed=typed, recognition=recognition
        )

    async def _listen(self, work: TurnWork, *, is_followup: bool) -> None:
        """Wait for the command once more, or for the next one."""
        if not is_followup:
            await work.reopen()
            if self._interjection is not None:
                await self._end_interjection()
                await work.go_on()
        seconds = self._manners.followup_seconds
        if self._input_ended or not (self._captures.listen_on(seconds) if is_followup else self._captures.listen()):
            self._inbox.put(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))

    async def _apologise(self, work: TurnWork, code: str, message: str) -> None:
        work.tell_transcript()
        self._telling.failed(code, message)
        await self._task.cancel()
        if self._interjection is not None:
            await self._end_interjection()
            await work.go_on()
        await self._begin(work.apologise(self._now.attempt))

    def _drop(self, work: TurnWork, reason: str) -> None:
        work.tell_transcript()
        self._telling.dropped(work.turn, reason)

    async def _begin(self, work: Coroutine[None, None, None]) -> None:
        """Make *work* what the turn does, in place of what it did before."""
        await self._task.begin(work, f"turn {self._now.turn}")

    def _work_failed(self, error: BaseException) -> None:
        """A fault of ours in a turn must not leave it open until its bound."""
        text = f"A fault in Heisenberg: {error!r}."
        self._inbox.put(states.StageFailed(self._now.turn, self._now.attempt, states.Stage.TTS, "internal", text))

    # ── who has the word ─────────────────────────────────────────────────────────────────────────

    @property
    def _has_the_word(self) -> bool:
        return self._now.state in (State.THINKING, State.SPEAKING)

    def _reply(self) -> str:
        """What the assistant is saying, as far as it is known."""
        return "" if self._work is None else self._work.reply

    def _decline(self, capture: int) -> None:
        """What began as *capture* is not wanted."""
        if self._now.state is State.LISTENING:
            return  # another command is being waited for, and its order is on the way
        self._captures.learn(capture)
        if self._has_the_word:
            self._captures.guard()
        else:
            self._captures.arm()

    async def _end_interjection(self) -> None:
        interjection, self._interjection = self._interjection, None
        if interjection is not None:
            self._captures.learn(interjection.capture)
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
        await self._task.cancel()
        await work.close()
        work.shut()
        await self._spotter.close()
        if self._patience is not None:
            await self._patience.close()
        self._telling.losses()

    async def _rest(self) -> None:
        """Nothing of the turn goes on; hear the wake word again."""
        await self._end_interjection()
        if self._work is not None:
            await self._cancel(self._work)
        self._captures.arm()
