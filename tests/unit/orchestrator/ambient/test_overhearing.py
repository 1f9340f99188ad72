"""The audio thread hands on everything that is said, beside the wake word, but nothing of commands and replies."""

from collections.abc import Callable, Sequence

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, Samples
from heisenberg.core.errors import AudioError
from heisenberg.orchestrator.ambient.overhearing import FEED_SAMPLES, MOST_AHEAD_S
from heisenberg.orchestrator.ambient.segments import WHOLE
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.reports import (
    CommandDone,
    InputEnded,
    InputGone,
    Report,
    SegmentDone,
    SegmentHeard,
    TimePassed,
    WakeHeard,
)
from tests.fakes.stages import (
    QUIET,
    SPEECH,
    WAKE,
    FakeEndpointer,
    FakeRing,
    FakeSource,
    FakeVad,
    FakeWakeword,
    chunks,
)

Script = Sequence[Samples | Exception | Callable[[], None]]


class Ear:
    """A listener over a script, in ambient mode, and what it reported."""

    def __init__(self, script: Script, *, live: bool = True, minds_wake_word: bool = True) -> None:
        self.source, self.wakeword = FakeSource(script, live=live), FakeWakeword()
        ears = Ears(self.source, self.wakeword, FakeVad(), FakeEndpointer(), FakeRing())
        ears.background.is_used = False
        self.reports: list[Report] = []
        self.on_report: Callable[[Report], None] = lambda report: None
        self.listener = Listener(ears, self._take, preroll_s=0.5)
        self.listener.overhear(WHOLE, minds_wake_word=minds_wake_word)

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        self.on_report(report)

    def run(self) -> None:
        self.listener.start()
        self.listener._thread.join(10)
        assert not self.listener.is_alive

    @property
    def segments(self) -> list[SegmentDone]:
        return [report for report in self.reports if isinstance(report, SegmentDone)]

    @property
    def kinds(self) -> list[type[Report]]:
        return [type(report) for report in self.reports if not isinstance(report, SegmentHeard | TimePassed)]


def test_what_is_said_is_handed_on_while_it_is_said_and_whole_at_its_end() -> None:
    ear = Ear([*chunks(QUIET, 2), *chunks(SPEECH, 3), *chunks(QUIET, 2)])
    ear.run()
    blocks = [report for report in ear.reports if isinstance(report, SegmentHeard)]

    (segment,) = ear.segments
    assert (2.0, 5.0) == (round(segment.start_s, 1), round(segment.end_s, 1))
    assert np.count_nonzero(segment.samples == SPEECH) == 3 * 16_000 // CHUNK_SAMPLES * CHUNK_SAMPLES + CHUNK_SAMPLES
    assert all(len(block.samples) >= FEED_SAMPLES for block in blocks)
    assert len(blocks) <= 5.2 * 16_000 / FEED_SAMPLES
    assert blocks[0].from_s == segment.from_s


def test_in_silence_only_the_time_is_told() -> None:
    ear = Ear(chunks(QUIET, 60))
    ear.run()

    assert {TimePassed, InputEnded} == {type(report) for report in ear.reports}
    assert len(ear.reports) <= 2 * 60 + 1


def test_the_wake_word_starts_a_command_and_what_was_said_before_is_not_lost() -> None:
    script: Script = [*chunks(SPEECH, 3), *chunks(QUIET, 0.3), *chunks(SPEECH, 0.6), *chunks(WAKE)]
    ear = Ear([*script, *chunks(SPEECH, 1), *chunks(QUIET, 1)])
    ear.run()

    assert [SegmentDone, WakeHeard, CommandDone] == [
        kind for kind in ear.kinds if kind in (SegmentDone, WakeHeard, CommandDone)
    ]
    assert 3.0 <= ear.segments[0].end_s <= 3.3


def test_the_wake_phrase_itself_is_no_sentence() -> None:
    ear = Ear([*chunks(QUIET, 3), *chunks(SPEECH, 0.6), *chunks(WAKE), *chunks(SPEECH, 1), *chunks(QUIET, 1)])
    ear.run()

    assert WakeHeard in ear.kinds
    assert all(not len(segment.samples) for segment in ear.segments)


def test_without_commands_the_wake_word_is_not_listened_for() -> None:
    ear = Ear([*chunks(SPEECH, 2), *chunks(WAKE), *chunks(SPEECH, 2), *chunks(QUIET, 1)], minds_wake_word=False)
    ear.run()

    assert WakeHeard not in ear.kinds
    assert 1 == len(ear.segments)


def test_its_own_voice_is_not_overheard() -> None:
    """It speaks (on guard) while there is speech; the room sounds on for a moment after it."""
    ear = Ear([])
    ear.source._script.extend([
        *chunks(QUIET, 1), lambda: ear.listener.guard(0), *chunks(SPEECH, 5),
        lambda: ear.listener.arm(99), *chunks(SPEECH, 0.25), *chunks(QUIET, 2),
    ])  # fmt: skip
    ear.run()

    assert [] == ear.segments


def test_what_is_said_before_a_typed_question_is_handed_on() -> None:
    ear = Ear([])
    ear.source._script.extend([*chunks(SPEECH, 2), lambda: ear.listener.guard(0), *chunks(SPEECH, 5)])
    ear.run()

    (segment,) = ear.segments
    assert 2.0 == round(segment.end_s, 1)


def test_a_microphone_that_is_lost_ends_what_was_being_said() -> None:
    lost = AudioError("The microphone is gone.", code="audio-input-lost")
    ear = Ear([*chunks(SPEECH, 2), lost, *chunks(SPEECH, 2), *chunks(QUIET, 1)])
    ear.run()

    before, after = ear.segments
    assert (0.0, 2.0) == (before.start_s, round(before.end_s, 1))
    assert 2.0 < after.start_s < after.end_s
    assert ear.kinds.index(SegmentDone) < ear.kinds.index(InputGone)


def test_a_file_that_is_read_as_fast_as_can_be_waits_until_it_is_understood() -> None:
    ear = Ear(chunks(QUIET, 3 * MOST_AHEAD_S), live=False)
    furthest = understood = 0.0

    def on_report(report: Report) -> None:
        nonlocal furthest, understood
        if isinstance(report, TimePassed):
            furthest = max(furthest, report.at_s - understood)
            if report.at_s - understood > MOST_AHEAD_S:
                assert report.at_s - understood < MOST_AHEAD_S + 1
                understood = report.at_s
                ear.listener.understood(understood)

    ear.on_report = on_report
    ear.run()

    assert MOST_AHEAD_S < furthest < MOST_AHEAD_S + 1
    assert isinstance(ear.reports[-1], InputEnded)


def test_a_microphone_waits_for_nobody() -> None:
    ear = Ear(chunks(QUIET, 3 * MOST_AHEAD_S))
    ear.run()

    assert isinstance(ear.reports[-1], InputEnded)


def test_ambient_mode_may_end_in_the_middle_of_a_sentence() -> None:
    ear = Ear([])
    ear.source._script.extend([*chunks(SPEECH, 2), lambda: ear.listener.overhear(None), *chunks(SPEECH, 5)])
    ear.run()

    assert [SegmentDone, InputEnded] == ear.kinds


def test_a_command_is_captured_however_much_is_still_to_be_understood() -> None:
    """A file as fast as can be: nothing is understood before the command is over, so it must not wait for that."""
    before = [*chunks(QUIET, MOST_AHEAD_S - 1), *chunks(SPEECH, 5), *chunks(WAKE)]
    ear = Ear([*before, *chunks(SPEECH, 1), *chunks(QUIET, 1)], live=False)
    ear.on_report = lambda report: ear.listener.abandon() if isinstance(report, CommandDone) else None
    ear.run()

    assert isinstance(ear.reports[-1], CommandDone)
