"""Ambient mode: everything that is said is understood, and looked at again and again for what it looks like.

    audio thread ──segments──▶ understanding ──sentences──▶ window ──when the schedule says so──▶ analyses ──▶ visuals

It rests while a turn is under way: a spoken command needs the same models, and goes first. It is told of turns by the
session, and never begins one.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from heisenberg.core.config import BrainConfig, PresetConfig
from heisenberg.core.events import (
    Event,
    ModeChanged,
    PresetChanged,
    SentenceHeard,
    TranscriptionPartial,
    VisualUpdated,
)
from heisenberg.core.stages import Analyst, Recogniser
from heisenberg.orchestrator.ambient.analyses import Analyses, Outcome
from heisenberg.orchestrator.ambient.schedule import Schedule
from heisenberg.orchestrator.ambient.segments import STREAMED, WHOLE
from heisenberg.orchestrator.ambient.sentences import Sentence
from heisenberg.orchestrator.ambient.understanding import Understanding
from heisenberg.orchestrator.ambient.window import Window
from heisenberg.orchestrator.gate import Emit
from heisenberg.orchestrator.hearing import Hearing
from heisenberg.orchestrator.reports import SegmentDone, SegmentHeard, SegmentReport, TimePassed

log = logging.getLogger(__name__)

TELL_LOSSES_EVERY_S = 10.0
"""A recogniser that is too slow loses one segment after the other; that is not told of each."""


@dataclass(frozen=True, slots=True)
class AmbientStages:
    """What ambient mode needs."""

    recogniser: Recogniser
    analyst: Analyst
    brain: BrainConfig
    timeout_s: float
    """Longest wait for an analysis."""
    preset: str = ""
    """The name of the style at start."""
    style: PresetConfig = field(default_factory=PresetConfig)
    is_on: bool = False
    """Whether the program starts in ambient mode."""


class Ambience:
    """Ambient mode, on or off.

    Args:
        stages: who does the work.
        hearing: the audio thread that overhears.
        emit: tells the world.
        lost: called when a segment was lost.
        tell_losses: says what was lost; called now and then.
        at_rest: called when the input is over and all of it was looked at.
    """

    def __init__(
        self,
        stages: AmbientStages,
        hearing: Hearing,
        emit: Emit,
        *,
        lost: Callable[[], None],
        tell_losses: Callable[[], None],
        at_rest: Callable[[], None],
    ) -> None:
        self._brain = stages.brain
        self._shape = STREAMED if stages.recogniser.is_streaming else WHOLE
        self._preset, self._style = stages.preset, stages.style
        self._hearing = hearing
        self._emit = emit
        self._count_loss = lost
        self._tell_losses = tell_losses
        self._at_rest = at_rest
        self._clock = asyncio.get_running_loop().time
        self._losses_told_at = -TELL_LOSSES_EVERY_S
        self.is_on = stages.is_on
        self._is_held = self._has_ended = self._is_closed = False
        self._origin_s = self._now_s = 0.0
        self._window = Window(stages.brain.window_seconds)
        self._schedule = Schedule(stages.brain.analysis_interval)
        self._analyses = Analyses(stages.analyst, stages.timeout_s, emit, self._analysed)
        self._understanding = Understanding(
            stages.recogniser,
            stages.brain.sentence_timeout,
            is_live=self._is_live,
            tell=self._heard,
            tell_partial=lambda text: emit(TranscriptionPartial, text=text),
            lost=self._lost,
            understood=self._understood,
        )

    def start(self) -> None:
        """The audio thread is about to begin."""
        if self.is_on:
            self._tell_mode()
            self._order()

    @property
    def is_at_rest(self) -> bool:
        """Whether all that was heard has been looked at."""
        return not self.is_on or (self._understanding.is_idle and self._schedule.is_at_rest)

    @property
    def waiting(self) -> int:
        """What waits to be understood."""
        return self._understanding.waiting

    def take(self, report: SegmentReport) -> None:
        """What the audio thread overheard."""
        if not self.is_on:
            return
        shifted = self._shifted(report)
        self._schedule.pass_time(self._now_s)
        self._understanding.take(shifted)
        self._look()

    def hold(self, is_held: bool) -> None:
        """A turn is under way, or over."""
        if is_held == self._is_held:
            return
        self._is_held = is_held
        if is_held:
            self._understanding.hold()
            self._analyses.interrupt()
        else:
            self._understanding.go_on()
            self._look()

    def told(self, event: Event) -> None:
        """The world was told of *event*: visuals of an answer take the place of those of ambient mode."""
        if self._is_held and isinstance(event, VisualUpdated):
            self._analyses.forget()

    async def set_mode(self, mode: str) -> None:
        """``ambient`` or ``assistant``, from now on."""
        if (mode == "ambient") == self.is_on:
            return
        self.is_on = mode == "ambient"
        self._analyses.forget()  # what receivers show when it comes back is not known
        self._tell_mode()
        self._order()
        if not self.is_on:
            self._analyses.interrupt()
            self._schedule.forget()
            self._window.forget()
            await self._understanding.forget()

    def set_preset(self, name: str, style: PresetConfig) -> None:
        """Another style, at once; what is being looked at is looked at again."""
        if (name, style) == (self._preset, self._style):
            return
        self._preset, self._style = name, style
        self._emit(PresetChanged, preset=name)
        self._analyses.forget()
        if self._window.text:
            self._schedule.want_now()
            self._analyses.interrupt()
            self._look()

    def tune(self, brain: BrainConfig) -> None:
        """Other times, from now on; ``brain.commands`` stays as it was."""
        self._schedule.interval_s = brain.analysis_interval
        self._window.seconds = brain.window_seconds
        self._understanding.set_timeout(brain.sentence_timeout)

    def end_input(self) -> None:
        """Nothing more will be heard."""
        if self.is_on and not self._has_ended:
            self._has_ended = True
            self._understanding.end()

    def lose_input(self) -> None:
        """The microphone is gone; its last segment was taken already."""
        if self.is_on:
            self._understanding.break_off()

    def begin_anew(self) -> None:
        """Another audio thread listens, and counts from the beginning."""
        self._origin_s = self._now_s
        self._understanding.give_up_open_segment()
        self.lose_input()
        if self.is_on:
            self._order()

    async def close(self) -> None:
        """Nothing of it goes on."""
        self._is_closed = True
        await self._analyses.close()
        await self._understanding.forget()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _tell_mode(self) -> None:
        self._emit(ModeChanged, mode="ambient" if self.is_on else "assistant")
        if self.is_on and self._preset:
            self._emit(PresetChanged, preset=self._preset)

    def _order(self) -> None:
        """Tell the audio thread what to listen for."""
        if self._hearing.listener is not None:
            minds_wake_word = self._brain.commands or not self.is_on
            self._hearing.listener.overhear(self._shape if self.is_on else None, minds_wake_word=minds_wake_word)

    def _is_live(self) -> bool:
        return self._hearing.listener is None or self._hearing.listener.is_live

    def _shifted(self, report: SegmentReport) -> SegmentReport:
        """*report* with times that go on counting when another audio thread begins anew."""
        by = self._origin_s
        match report:
            case SegmentHeard(from_s=from_s):
                self._now_s = max(self._now_s, by + from_s)
                return replace(report, from_s=by + from_s) if by else report
            case SegmentDone(from_s=from_s, start_s=start_s, end_s=end_s, at_s=at_s):
                self._now_s = max(self._now_s, by + at_s)
                if not by:
                    return report
                return replace(report, from_s=by + from_s, start_s=by + start_s, end_s=by + end_s, at_s=by + at_s)
            case TimePassed(at_s):
                self._now_s = max(self._now_s, by + at_s)
                return TimePassed(by + at_s)

    def _understood(self, at_s: float) -> None:
        if self._hearing.listener is not None:
            self._hearing.listener.understood(at_s - self._origin_s)
        if self._has_ended and self._understanding.is_idle:
            self._schedule.end()
            self._look()
            self._tell_rest()

    def _heard(self, sentence: Sentence) -> None:
        start, end = round(sentence.start, 3), round(sentence.end, 3)
        self._emit(SentenceHeard, text=sentence.text, start=start, end=end, reason=sentence.reason)
        self._window.add(sentence)
        self._schedule.sentence_ended()
        self._look()

    def _look(self) -> None:
        """Analyse, if it is time."""
        may_begin = not (self._is_held or self._is_closed or self._analyses.is_busy)
        if may_begin and self._schedule.is_due and self._window.text:
            self._schedule.started()
            self._analyses.begin(self._window.text, self._preset, self._style, self._window.until_s)

    def _analysed(self, outcome: Outcome) -> None:
        match outcome:
            case Outcome.COMPLETED:
                self._schedule.finished()
            case Outcome.FAILED:
                self._schedule.failed()
            case Outcome.INTERRUPTED:
                self._schedule.interrupted()
        if not self.is_on:
            self._schedule.forget()
        self._look()
        self._tell_rest()

    def _tell_rest(self) -> None:
        if self._has_ended and self.is_at_rest:
            self._at_rest()

    def _lost(self) -> None:
        self._count_loss()
        now = self._clock()
        if now - self._losses_told_at >= TELL_LOSSES_EVERY_S:
            self._losses_told_at = now
            self._tell_losses()
