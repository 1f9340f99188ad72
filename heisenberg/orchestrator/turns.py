"""One turn after the other: performs what the state machine commands.

    session.py ──messages, reports──▶ turns ──message──▶ machine.py
                                        ▲                    │
                                        └────── commands ────┘──▶ work.py, captures.py, telling.py

A turn's work is one task (``work.py``); ending or interrupting a turn cancels it, and whatever still carries its number
is ignored. What the turn is told of its command is the affair of ``spoken_command.py``, what is spoken over a reply
that of ``interruptions.py``. Where messages wait, and when the session is over, is not known here.
"""

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Callable, Coroutine, Sequence

from heisenberg.core import logs
from heisenberg.core.events import MuteChanged, SpeechStarted, StateChanged, WakewordDetected
from heisenberg.core.stages import EndReason, Recognition, Recorder
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator import states
from heisenberg.orchestrator.captures import Captures
from heisenberg.orchestrator.interruptions import Interruptions
from heisenberg.orchestrator.machine import advance
from heisenberg.orchestrator.manners import Bounds, Manners
from heisenberg.orchestrator.mute import Mute
from heisenberg.orchestrator.patience import Patience
from heisenberg.orchestrator.spoken_command import SpokenCommand
from heisenberg.orchestrator.states import Assistant, Message, State
from heisenberg.orchestrator.stop_words import says
from heisenberg.orchestrator.telling import Telling
from heisenberg.orchestrator.turn_task import TurnTask
from heisenberg.orchestrator.work import Stages, TurnWork

log = logging.getLogger(__name__)


class Turns:
    """The turns of one session.

    Args:
        stages: the brain, the recogniser, the voice and the output.
        bounds: per state.
        manners: how it takes turns.
        captures: what the audio thread is asked to capture.
        telling: tells the world.
        post: lets a message wait until its turn comes.
        hold: told, with every change of state, whether a turn is under way.
        follows_up: whether the assistant listens on after an answer.
        mute: obeyed by whoever reads the microphone.
        patience: see :class:`~heisenberg.orchestrator.spoken_command.SpokenCommand`, as for the next.
        recorder: keeps what was heard.
    """

    def __init__(
        self,
        stages: Stages,
        bounds: Bounds,
        manners: Manners,
        captures: Captures,
        telling: Telling,
        post: Callable[[Message], None],
        hold: Callable[[bool], None],
        *,
        follows_up: bool,
        mute: Mute,
        patience: Patience | None,
        recorder: Recorder | None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._stages = stages
        self._bounds = bounds
        self._manners = manners
        self._captures = captures
        self._telling = telling
        self._post = post
        self._hold = hold
        self._mute = mute
        self._recorder = recorder
        self._now = Assistant(follows_up=follows_up)
        self._spoken = SpokenCommand(captures, telling, recorder, patience)
        self._interruptions = Interruptions(
            stages.recogniser, captures, post, self._reply, stages.stop_words, manners.resume_seconds
        )
        self._work: TurnWork | None = None
        self._task = TurnTask(self._work_failed)
        self._bound: asyncio.TimerHandle | None = None

    @property
    def turn(self) -> int:
        """The number of the current turn, or of the last one while idle."""
        return self._now.turn

    @property
    def state(self) -> State:
        """What the assistant is doing."""
        return self._now.state

    @property
    def is_open(self) -> bool:
        """Whether a turn is under way whose fate is still to be told."""
        return self._now.state is not State.IDLE and not self._now.is_apologising

    def set_stop_words(self, stop_words: Sequence[str]) -> None:
        """From the next turn on, these silence the assistant."""
        self._stages = dataclasses.replace(self._stages, stop_words=stop_words)
        self._interruptions.set_stop_words(stop_words)

    def visual_sent(self) -> None:
        """The first of the turn's visuals (or a later one) left."""
        if self._work is not None:
            self._work.watch.mark("first_visual")

    # ── what happened ────────────────────────────────────────────────────────────────────────────

    async def take(self, message: Message) -> None:
        """Do what follows from *message*."""
        match message:
            case states.WordsHeard() | states.NoWordsHeard() if not self._interruptions.is_spoken_over:
                return  # nobody waits for that any more
            case states.Transcribed() if self._work is not None and self._is_awaited(message):
                self._work.tell_transcript()
        await self._step(message)

    async def hear(self, report: heard.TurnReport) -> None:
        """Do what follows from what the audio thread heard."""
        match report:
            case heard.WakeHeard():
                await self._hear_wake_word(report)
            case heard.SpokenOver(capture):
                await self._hear_interjection(capture)
            case heard.Overheard():
                if self._work is not None and self._has_the_word:
                    self._interruptions.look(self._now.turn, report)
            case _:
                await self._hear_command(report)

    async def lose_input(self) -> None:
        """The audio thread failed: what was being said is not heard to its end."""
        self._interruptions.lose_input()
        await self._step(states.CommandOver(EndReason.INPUT_LOST, has_speech=False))

    def hear_anew(self) -> None:
        """Another audio thread listens."""
        self._captures.begin_anew()
        if self._now.state is State.LISTENING:
            self._post(states.CommandOver(EndReason.INPUT_LOST, has_speech=False))
        if self._has_the_word:
            self._captures.guard()

    async def end(self, *, has_failed: bool) -> None:
        """The session ends; a turn that is under way is not lost silently, unless its failure was told."""
        if self.is_open and not has_failed and self._work is not None:
            self._drop(self._work, "interrupted")
        if self._bound is not None:
            self._bound.cancel()
        await self._rest()

    def _is_awaited(self, transcribed: states.Transcribed) -> bool:
        now = self._now
        return now.state is State.THINKING and transcribed.attempt == now.attempt and not now.is_apologising

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
        if not self._has_the_word or self._now.is_apologising or self._interruptions.is_spoken_over:
            self._decline(capture)
            return
        self._interruptions.begin(self._now.turn, capture)
        await self._step(states.SpokenOver())

    async def _hear_command(self, report: heard.CommandReport) -> None:
        if self._interruptions.take(report):
            return
        is_ours = self._captures.is_followed(report.capture) and self._now.state is State.LISTENING
        if self._work is not None and is_ours:
            message = await self._spoken.follow(report, self._work, self._now)
            if message is not None:
                await self._step(message)

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
            reached = states.BoundReached(self._now.turn, state, seconds)
            self._bound = self._loop.call_later(seconds, self._post, reached)
        if self._has_the_word:
            self._captures.guard(is_sounding=state is State.SPEAKING)
        self._telling.emit(StateChanged, state=state.value, previous=previous.value)
        self._hold(state is not State.IDLE)

    async def _perform(self, command: states.Command, before: Assistant) -> None:
        if isinstance(command, states.Begin):
            await self._begin_turn(command.message, before.state)
            return
        if isinstance(command, states.Mute):
            self._mute.is_on = command.is_muted
            self._telling.emit(MuteChanged, is_muted=command.is_muted)
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
                self._spoken.judge(text, work.language)
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
                await self._interruptions.end()
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
            self._telling.emit(WakewordDetected, name=message.name, score=score, audio_at=at)
        recognition, pending = None, None
        if isinstance(message, states.WordsHeard):  # the turn begins with what was spoken over the one before
            self._work = None
            recognition, pending = await self._interruptions.hand_over(self._tell_partial)
        await self._interruptions.end()
        work = self._work = self._new_work(message, recognition)
        self._enter(previous)
        if self._now.state is State.LISTENING:
            work.prepare()
        if recognition is not None:
            self._telling.emit(SpeechStarted)
        if pending is not None:
            await self._hear_command(pending)

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
        emit = functools.partial(self._telling.emit, turn=self._now.turn)
        return TurnWork(
            self._now.turn, self._stages, emit, self._post, wake_phrase=phrase, typed=typed, recognition=recognition
        )

    async def _listen(self, work: TurnWork, *, is_followup: bool) -> None:
        """Wait for the command once more, or for the next one."""
        if not is_followup:
            await work.reopen()
            if await self._interruptions.end():
                await work.go_on()
        seconds = self._manners.followup_seconds
        if not (self._captures.listen_on(seconds) if is_followup else self._captures.listen()):
            self._post(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))

    async def _apologise(self, work: TurnWork, code: str, message: str) -> None:
        work.tell_transcript()
        self._telling.failed(code, message)
        await self._task.cancel()
        if await self._interruptions.end():
            await work.go_on()
        await self._begin(work.apologise(self._now.attempt))

    async def _begin(self, work: Coroutine[None, None, None]) -> None:
        """Make *work* what the turn does, in place of what it did before."""
        await self._task.begin(work, f"turn {self._now.turn}")

    def _work_failed(self, error: BaseException) -> None:
        """A fault of ours in a turn must not leave it open until its bound."""
        text = f"A fault in Heisenberg: {error!r}."
        self._post(states.StageFailed(self._now.turn, self._now.attempt, states.Stage.TTS, "internal", text))

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

    # ── the end of a turn ────────────────────────────────────────────────────────────────────────

    def _drop(self, work: TurnWork, reason: str) -> None:
        work.tell_transcript()
        self._telling.dropped(work.turn, reason)

    async def _cancel(self, work: TurnWork) -> None:
        """Nothing of the turn goes on. Its voice first: that is what people notice."""
        await work.fall_silent()
        await self._task.cancel()
        await work.close()
        work.shut()
        await self._interruptions.stop_looking()
        await self._spoken.close()
        self._telling.losses()

    async def _rest(self) -> None:
        """Nothing of the turn goes on; hear the wake word again."""
        await self._interruptions.end()
        if self._work is not None:
            await self._cancel(self._work)
        self._captures.arm()
