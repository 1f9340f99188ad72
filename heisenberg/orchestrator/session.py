"""One run of the assistant: one loop owns all state, and takes one thing after the other.

Reports of the audio thread, typed questions, commands from outside and the results of a turn's work arrive in one inbox
(``inbox.py``). What concerns a turn goes to ``turns.py``, what ambient mode overheard to ``ambient/ambience.py``; the
audio thread itself is the affair of ``hearing.py``, and what the world is told goes through ``telling.py``. Here stands
who may ask for what, what an input that is lost or over means, and when all of it ends.
"""

import asyncio
import functools
import logging
from collections.abc import Sequence
from typing import Any

from heisenberg.core.config import BrainConfig, PresetConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.events import (
    ConfigurationChanged,
    Event,
    Failed,
    InputLost,
    InputRestored,
    OscSent,
    PersonalityChanged,
    Stalled,
    StateChanged,
    WorkerFailed,
    WorkerStarted,
)
from heisenberg.core.stages import EndReason, Recorder, Sink
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator import states
from heisenberg.orchestrator.ambient.ambience import Ambience, AmbientStages
from heisenberg.orchestrator.captures import Captures
from heisenberg.orchestrator.hearing import Hearing, NewListener
from heisenberg.orchestrator.inbox import Inbox, Item
from heisenberg.orchestrator.manners import Bounds, Manners, Tally
from heisenberg.orchestrator.mute import Mute
from heisenberg.orchestrator.patience import Patience
from heisenberg.orchestrator.states import State
from heisenberg.orchestrator.telling import Telling
from heisenberg.orchestrator.turns import Turns
from heisenberg.orchestrator.work import Stages

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
        self._once = once
        manners, drops = manners or Manners(), drops or Drops()
        self._telling = Telling(sinks, drops, lambda: self._turns.turn, self._told)
        self._inbox = Inbox(drops)
        self._hearing = Hearing(self._inbox.put)
        self._captures = Captures(self._hearing)
        self.ambience = None if ambient is None else self._new_ambience(ambient, drops)
        self._turns = Turns(
            stages,
            bounds,
            manners,
            self._captures,
            self._telling,
            self._inbox.put,
            self._hold_ambience,
            follows_up=manners.followup_seconds > 0 and not once,
            mute=mute or Mute(),
            patience=patience,
            recorder=recorder,
        )
        self._is_ending = self._has_said_it_is_deaf = False
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
        self._turns.set_stop_words(stop_words)

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

    def configuration_changed(self, keys: Sequence[str]) -> None:
        """Other values of *keys* are in force."""
        self.emit(ConfigurationChanged, keys=list(keys))

    def personality_changed(self, name: str) -> None:
        """The prompts have another personality."""
        self.emit(PersonalityChanged, personality=name)

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
        if not address.startswith("/heisenberg/"):  # a preset may have other names
            self._turns.visual_sent()
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
        self.emit(StateChanged, state=self._turns.state.value, previous="starting")
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
                await self._turns.end(has_failed=self._failure is not None)
                if self.ambience is not None:
                    await self.ambience.close()
            finally:
                await self._hearing.close()

    # ── the inbox ────────────────────────────────────────────────────────────────────────────────

    def _is_done(self) -> bool:
        if self._failure is not None:
            return True
        if self._turns.state is not State.IDLE:
            return False
        if self._is_ending:
            return True
        if self._once and self.tally.turns > 0:
            return True
        if self.ambience is not None and not self.ambience.is_at_rest:
            return False
        return self._captures.is_over and self._inbox.is_empty and not self._inbox.has_questions

    async def _handle_next(self) -> None:
        question = self._inbox.next_question() if self._turns.state is State.IDLE else None
        if question is not None:
            await self._turns.take(question)
        else:
            await self._handle(await self._inbox.take())

    async def _handle(self, item: Item) -> None:
        match item:
            case states.TextAsked() | states.SayAsked():
                self._inbox.put_off(item)
            case heard.EverythingStopped():
                self._inbox.forget_questions()
                await self._turns.take(states.StopAsked())
            case states.ListenAsked() if not self._captures.can_listen:
                # Once: a button may be held down, and what it wants will not come back.
                level = logging.DEBUG if self._has_said_it_is_deaf else logging.WARNING
                log.log(level, "Nobody listens: there is no microphone, or its input has ended.")
                self._has_said_it_is_deaf = True
            case (
                heard.WakeHeard()
                | heard.SpokenOver()
                | heard.Overheard()
                | heard.CommandBegan()
                | heard.CommandHeard()
                | heard.CommandPaused()
                | heard.CommandResumed()
                | heard.CommandDone()
            ):
                await self._turns.hear(item)
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
                if self.ambience is not None:
                    self.ambience.lose_input()
            case heard.InputBack():
                self.emit(InputRestored)
            case heard.InputEnded():
                self._end_input()
                if self._turns.state is State.LISTENING:  # nobody is left who could end the command
                    self._inbox.put(states.CommandOver(EndReason.END_OF_INPUT, has_speech=False))
            case heard.NoMoreQuestions():
                self._end_input()
            case heard.ListenerDied(error):
                await self._heal(error)
            case _:
                await self._turns.take(item)

    def _new_ambience(self, ambient: AmbientStages, drops: Drops) -> Ambience:
        return Ambience(
            ambient,
            self._hearing,
            self.emit,
            lost=functools.partial(drops.count, "ambient"),
            tell_losses=self.tell_losses,
            at_rest=functools.partial(self._inbox.put, heard.AllUnderstood()),
        )

    def _told(self, event: Event) -> None:
        if self.ambience is not None:
            self.ambience.told(event)

    def _hold_ambience(self, is_held: bool) -> None:
        if self.ambience is not None:
            self.ambience.hold(is_held)

    # ── the input ────────────────────────────────────────────────────────────────────────────────

    def _end_input(self) -> None:
        """Nothing more will be said, or typed."""
        self._captures.is_over = True
        if self.ambience is not None:
            self.ambience.end_input()

    async def _heal(self, error: Exception) -> None:
        known = error if isinstance(error, HeisenbergError) else HeisenbergError(f"The audio thread failed: {error!r}.")
        if not self._hearing.can_heal:
            self._fail(known)
            return
        log.error("%s Starting it again.", known)
        self.emit(InputLost)
        self._hearing.heal(self._hear_again)
        await self._turns.lose_input()

    def _hear_again(self) -> None:
        """Another audio thread listens."""
        if self.ambience is not None:
            self.ambience.begin_anew()
        self.emit(InputRestored)
        self._turns.hear_anew()

    def _fail(self, known: HeisenbergError) -> None:
        self._failure = known
        if self._turns.is_open:
            self.tally.failed += 1
        self.emit(Failed, code=known.code, message=known.message)
