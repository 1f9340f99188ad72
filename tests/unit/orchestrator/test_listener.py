"""The audio thread cuts out the command, obeys the session, and never goes deaf quietly.

The source is a script; the thread runs through it and ends, and then the test reads its reports.
"""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import AudioError, WakewordError
from heisenberg.core.stages import EndReason, Wake
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.guard import LEAD_S, OUTBURST_END_S, SETTLE_S, SPOKEN_OVER_S, BargeIn
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.reports import (
    CommandBegan,
    CommandDone,
    CommandHeard,
    CommandPaused,
    CommandResumed,
    InputBack,
    InputEnded,
    InputGone,
    ListenerDied,
    Overheard,
    Report,
    SpokenOver,
    WakeHeard,
)
from tests.fakes.stages import (
    CHUNK_S,
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

Script = list[Samples | Exception | Callable[[], None]]

PREROLL_S = 0.48
LOST = AudioError("The microphone is gone.", code="audio-input-lost")


class Ear:
    """A listener over a script, and what it reported."""

    def __init__(
        self,
        script: Script,
        *,
        live: bool = False,
        wakeword: FakeWakeword | None = None,
        barge_in: BargeIn = BargeIn.WAKE_WORD,
        soft_end_s: float = 10.0,
        follows_pauses: bool = False,
    ) -> None:
        self.source = FakeSource(script, live=live)
        self.wakeword = wakeword or FakeWakeword()
        self.ring = FakeRing()
        self.endpointer = FakeEndpointer(soft_end_s=soft_end_s)
        ears = Ears(
            self.source,
            self.wakeword,
            FakeVad(),
            self.endpointer,
            self.ring,
            barge_in=barge_in,
            follows_pauses=follows_pauses,
        )
        self.reports: list[Report] = []
        self.ends_with_command = not live
        """A held file would wait for a session that is not there: the end of the command ends the thread."""
        self.on_report: Callable[[Report], None] = lambda report: None
        self.listener = Listener(ears, self._take, preroll_s=PREROLL_S)

    def _take(self, report: Report) -> None:
        self.reports.append(report)
        self.on_report(report)
        if self.ends_with_command and isinstance(report, CommandDone):
            self.listener._orders.put(None)

    def hear(self) -> list[Report]:
        """Run through the whole script."""
        self.listener.start()
        self.listener._thread.join(5)

        assert not self.listener.is_alive
        return self.reports

    def of(self, kind: type[Report]) -> list[Report]:
        return [report for report in self.reports if isinstance(report, kind)]

    @property
    def command(self) -> CommandDone:
        (done,) = self.of(CommandDone)
        assert isinstance(done, CommandDone)
        return done


def meanings(samples: Samples) -> list[int]:
    """What the chunks in *samples* mean, without repeats."""
    values = samples[:: CHUNK_SAMPLES // 4]
    return [int(value) for index, value in enumerate(values) if not index or value != values[index - 1]]


def spoken(*, pause_s: float = 0.0, command_s: float = 0.96) -> Script:
    """Quiet, the wake phrase, perhaps a pause, a command, silence."""
    pause = chunks(QUIET, pause_s) if pause_s else []
    phrase = [*chunks(SPEECH, 0.64), *chunks(WAKE)]
    return [*chunks(QUIET, 2), *phrase, *pause, *chunks(SPEECH, command_s), *chunks(QUIET, 1)]


def test_a_turn_is_reported_in_order() -> None:
    scene = Ear(spoken())
    kinds = [type(report) for report in scene.hear() if not isinstance(report, CommandHeard)]

    assert [WakeHeard, CommandBegan, CommandDone] == kinds


def test_the_wake_word_is_placed_in_audio_time() -> None:
    scene = Ear(spoken())
    scene.hear()

    (wake,) = scene.of(WakeHeard)
    assert isinstance(wake, WakeHeard)
    assert ("hey_jarvis", 0.97, 1) == (wake.name, wake.score, wake.capture)
    assert pytest.approx(2 + 0.64 + CHUNK_S, abs=CHUNK_S) == wake.audio_at
    assert [QUIET, SPEECH, WAKE] == meanings(wake.samples)


def test_a_command_in_the_same_breath_keeps_the_wake_phrase() -> None:
    """Whisper needs the words' beginnings; the phrase is cut off on text."""
    scene = Ear(spoken())
    scene.hear()

    assert scene.command.has_wake_phrase
    assert [QUIET, SPEECH, WAKE, SPEECH, QUIET] == meanings(scene.command.samples)
    assert EndReason.SILENCE is scene.command.reason


class LateWakeword(FakeWakeword):
    """Reports *late* chunks after the phrase, as a service on another machine does."""

    def __init__(self, late: int) -> None:
        super().__init__()
        self._late = late
        self._since: int | None = None

    def process(self, samples: Samples) -> Wake | None:
        if super().process(samples) is not None:
            self._since = 0
        elif self._since is not None:
            self._since += 1
        if self._since != self._late:
            return None
        self._since = None
        return Wake("hey_jarvis", 1.0, self._late * CHUNK_S)


@pytest.mark.parametrize("late", [1, 5, 20, 40])
@pytest.mark.parametrize("pause_s", [0.0, 0.096, 0.64])
@pytest.mark.parametrize("command_s", [0.32, 0.96])
def test_a_late_report_changes_nothing_of_what_is_cut_out(late: int, pause_s: float, command_s: float) -> None:
    """Up to 1.3 s; a short command is over by then."""
    prompt, belated = (
        Ear(spoken(pause_s=pause_s, command_s=command_s), wakeword=wakeword)
        for wakeword in (FakeWakeword(), LateWakeword(late))
    )
    prompt.hear()
    belated.hear()

    assert meanings(prompt.command.samples) == meanings(belated.command.samples)
    assert len(prompt.command.samples) == len(belated.command.samples)
    assert prompt.command.has_wake_phrase is belated.command.has_wake_phrase
    assert (prompt.command.reason, prompt.command.speech_seconds) == (
        belated.command.reason,
        belated.command.speech_seconds,
    )
    (soon,), (later,) = prompt.of(WakeHeard), belated.of(WakeHeard)
    assert isinstance(soon, WakeHeard)
    assert isinstance(later, WakeHeard)
    assert soon.audio_at == later.audio_at
    assert meanings(soon.samples) == meanings(later.samples)


@pytest.mark.parametrize("late", [1, 5, 20])
def test_a_command_is_fed_whole_after_a_late_report(late: int) -> None:
    scene = Ear(spoken(), wakeword=LateWakeword(late))
    scene.hear()

    fed = np.concatenate([report.samples for report in scene.of(CommandHeard) if isinstance(report, CommandHeard)])
    both = min(len(fed), len(scene.command.samples))
    assert both > 0.96 * PIPELINE_RATE_HZ
    assert np.array_equal(fed[:both], scene.command.samples[:both])


def test_a_report_that_is_later_than_what_is_remembered_begins_there() -> None:
    """Three seconds: the command is looked for in the last two."""
    script = [*chunks(WAKE), *chunks(QUIET, 0.96), *chunks(SPEECH, 1.6), *chunks(QUIET, 2)]
    scene = Ear(script, wakeword=LateWakeword(94))
    scene.hear()

    assert EndReason.SILENCE is scene.command.reason
    assert SPEECH in meanings(scene.command.samples)


def test_a_later_command_does_not_reach_over_the_wake_phrase() -> None:
    """Given a pause that is longer than a breath, the pre-roll holds quiet only."""
    scene = Ear(spoken(pause_s=0.64))
    scene.hear()

    assert not scene.command.has_wake_phrase
    assert [QUIET, SPEECH, QUIET] == meanings(scene.command.samples)


@pytest.mark.parametrize("pause_s", [0.096, 0.32])
def test_a_command_that_was_under_way_at_the_detection_is_cut_at_the_pause_before_it(pause_s: float) -> None:
    """Given a detector that notices the phrase late, the pause behind the phrase is where the command begins."""
    phrase, under_way = chunks(SPEECH, 0.64), [*chunks(SPEECH, 0.096), *chunks(WAKE), *chunks(SPEECH, 0.96)]
    scene = Ear([*chunks(QUIET, 2), *phrase, *chunks(QUIET, pause_s), *under_way, *chunks(QUIET, 1)])
    scene.hear()
    lead = int(np.argmax(scene.command.samples == SPEECH)) / PIPELINE_RATE_HZ

    assert not scene.command.has_wake_phrase
    assert [QUIET, SPEECH, WAKE, SPEECH, QUIET] == meanings(scene.command.samples)
    assert 0.05 < lead <= pause_s


def test_the_preroll_ends_at_the_wake_phrase() -> None:
    """Given a pre-roll of nearly the pause's length, not a sample of the phrase is in it."""
    scene = Ear(spoken(pause_s=0.512))
    scene.hear()
    lead = int(np.argmax(scene.command.samples == SPEECH))

    assert WAKE not in scene.command.samples
    assert pytest.approx(PREROLL_S, abs=1e-3) == lead / PIPELINE_RATE_HZ


def test_lengths_and_waiting_are_told_in_audio_seconds() -> None:
    scene = Ear(spoken(pause_s=0.64, command_s=0.96))
    scene.hear()

    assert pytest.approx(0.96, abs=CHUNK_S) == scene.command.speech_seconds
    assert pytest.approx(0.32, abs=2 * CHUNK_S) == scene.command.waited_seconds


def test_what_is_fed_while_it_is_spoken_is_the_command_without_gaps() -> None:
    scene = Ear(spoken(pause_s=0.64, command_s=2.0))
    scene.hear()
    fed = np.concatenate([report.samples for report in scene.of(CommandHeard)])  # type: ignore[union-attr]

    assert len(scene.of(CommandHeard)) > 3
    assert np.array_equal(fed, scene.command.samples[: len(fed)])


def test_nothing_said_is_no_command() -> None:
    scene = Ear([*chunks(WAKE), *chunks(QUIET, 3)])
    scene.hear()

    assert EndReason.NO_SPEECH is scene.command.reason
    assert 0 == len(scene.command.samples)
    assert not scene.command.has_wake_phrase
    assert [] == scene.of(CommandBegan)


def test_the_last_short_chunk_of_a_file_is_heard() -> None:
    scene = Ear([*chunks(WAKE), *chunks(SPEECH, 0.5), np.full(100, SPEECH, dtype=np.int16)])
    scene.ends_with_command = False
    scene.hear()

    assert EndReason.END_OF_INPUT is scene.command.reason
    assert SPEECH == scene.command.samples[-1]


def test_the_end_of_the_file_ends_the_command_and_then_the_input() -> None:
    scene = Ear([*chunks(WAKE), *chunks(SPEECH, 1)])
    scene.ends_with_command = False
    kinds = [type(report) for report in scene.hear()]

    assert [CommandDone, InputEnded] == kinds[-2:]
    assert EndReason.END_OF_INPUT is scene.command.reason
    assert scene.source.is_closed
    assert scene.wakeword.is_closed


def test_the_end_of_the_file_while_idle_is_only_an_end() -> None:
    assert [InputEnded()] == Ear(list(chunks(QUIET, 1))).hear()


def test_a_live_source_is_read_and_ignored_where_nothing_may_interrupt() -> None:
    """Half-duplex: what the assistant says, and who says the wake word meanwhile, is not heard."""
    scene = Ear([], live=True, barge_in=BargeIn.OFF)
    scene.source = FakeSource(
        [
            *chunks(QUIET),
            lambda: scene.listener.guard(9),
            *chunks(SPEECH),
            *chunks(WAKE),
            *chunks(SPEECH, 1),
            *chunks(QUIET, 1),
        ],
        live=True,
    )
    scene.listener._ears.source = scene.source
    scene.hear()

    assert [] == scene.of(WakeHeard)
    assert scene.source.reads > 60
    assert scene.ring.written > PIPELINE_RATE_HZ * 2


def test_a_held_file_waits() -> None:
    """Given a file of two turns, when the first is under way, not a chunk of the second is read before ``arm``."""
    scene = Ear([*spoken(), *spoken()])
    scene.ends_with_command = False
    done, reads = threading.Event(), []
    scene.on_report = lambda report: done.set() if isinstance(report, CommandDone) else None
    scene.listener.start()

    assert done.wait(5)

    done.clear()
    reads.append(scene.source.reads)
    scene.listener.guard(9)  # no matter how often
    scene.listener.guard(9)
    reads.append(scene.source.reads)
    scene.listener.arm(9)

    assert done.wait(5)

    scene.listener.stop()

    assert reads[0] == reads[1]
    assert 2 == len(scene.of(WakeHeard))
    assert 2 == len(scene.of(CommandDone))


def test_a_command_can_be_captured_without_a_wake_word() -> None:
    scene = Ear([*chunks(QUIET, 1), *chunks(SPEECH, 1), *chunks(QUIET, 1)])
    scene.listener.capture()
    scene.hear()

    assert [] == scene.of(WakeHeard)
    assert not scene.command.has_wake_phrase
    assert [QUIET, SPEECH, QUIET] == meanings(scene.command.samples)


def test_input_that_is_lost_in_mid_command_ends_it_with_what_was_heard() -> None:
    scene = Ear([*chunks(WAKE), *chunks(SPEECH, 1), LOST, LOST, *chunks(QUIET, 1)], live=True)
    kinds = [type(report) for report in scene.hear() if not isinstance(report, CommandHeard)]

    assert [WakeHeard, CommandBegan, CommandDone, InputGone, InputBack, InputEnded] == kinds
    assert EndReason.INPUT_LOST is scene.command.reason
    assert len(scene.command.samples) > 0
    assert 0.0 == scene.listener._ears.meters.vad


def test_input_that_is_lost_while_idle_is_said_once() -> None:
    scene = Ear([*chunks(QUIET, 1), LOST, LOST, LOST, *chunks(QUIET, 1), LOST, *chunks(QUIET, 1)], live=True)

    assert [InputGone(LOST), InputBack(), InputGone(LOST), InputBack(), InputEnded()] == scene.hear()


def test_the_wake_word_works_again_after_the_input_came_back() -> None:
    scene = Ear([*chunks(QUIET, 1), LOST, *chunks(QUIET), *chunks(WAKE), *chunks(QUIET)], live=True)
    scene.hear()

    assert 1 == len(scene.of(WakeHeard))


def test_a_wake_word_engine_that_fails_is_reported() -> None:
    error = WakewordError("The model is broken.")
    scene = Ear([*chunks(QUIET), *chunks(WAKE), *chunks(QUIET)], wakeword=FakeWakeword(error))

    assert [ListenerDied(error)] == scene.hear()
    assert scene.source.is_closed


def test_arming_forgets_what_the_wake_word_engine_heard() -> None:
    scene = Ear(list(chunks(QUIET, 1)))
    scene.listener.guard(9)
    scene.listener.arm(9)
    scene.hear()

    assert 1 == scene.wakeword.resets


def test_a_listener_that_waits_can_be_stopped() -> None:
    scene = Ear(list(chunks(QUIET, 1)))
    scene.listener.guard(9)
    scene.listener.start()
    scene.listener.stop()

    assert not scene.listener.is_alive
    assert scene.source.is_closed
    assert scene.wakeword.is_closed


def test_a_listener_that_never_started_can_be_stopped() -> None:
    scene = Ear([])
    scene.listener.stop()

    assert scene.source.is_closed


def test_the_meters_follow_the_sound() -> None:
    scene = Ear(list(chunks(SPEECH)))
    scene.hear()
    meters = scene.listener._ears.meters

    assert (pytest.approx(SPEECH / 32768, rel=0.01), 1.0) == (meters.level, meters.vad)


def test_the_vad_rests_while_the_room_is_alone() -> None:
    """A hum as loud as speech, but always the same: after a second it is the room."""
    scene = Ear([*chunks(SPEECH, 2.0)])
    scene.hear()

    assert 0.0 == scene.listener._ears.meters.vad


def test_a_pipe_that_is_no_sound_ends_the_listener() -> None:
    """Unlike a microphone, it will not come back."""
    unreadable = AudioError("It is not sound.", code="audio-file-unreadable")
    scene = Ear([unreadable, *chunks(QUIET)])
    reports = scene.hear()

    assert [unreadable] == [report.error for report in reports if isinstance(report, ListenerDied)]
    assert not [report for report in reports if isinstance(report, InputGone)]


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_is_reported_with_the_command_so_far_and_its_end_with_the_same() -> None:
    scene = Ear([*chunks(WAKE), *chunks(QUIET, 0.5), *chunks(SPEECH, 1), *chunks(QUIET, 1)], soft_end_s=0.192)
    scene.hear()
    (paused,) = scene.of(CommandPaused)
    assert isinstance(paused, CommandPaused)

    assert scene.command.was_paused
    assert np.array_equal(paused.samples, scene.command.samples[: len(paused.samples)])
    assert paused.speech_seconds == scene.command.speech_seconds
    assert pytest.approx(0.192, abs=2 * CHUNK_S) == paused.waited_seconds


def test_speech_that_goes_on_after_a_pause_says_so() -> None:
    speech = [*chunks(SPEECH, 1), *chunks(QUIET, 0.256), *chunks(SPEECH, 1), *chunks(QUIET, 1)]
    scene = Ear([*chunks(WAKE), *chunks(QUIET, 0.5), *speech], soft_end_s=0.192)
    kinds = [type(report) for report in scene.hear() if not isinstance(report, CommandHeard)]
    pauses = [report.number for report in scene.of(CommandPaused)]  # type: ignore[union-attr]

    assert [WakeHeard, CommandBegan, CommandPaused, CommandResumed, CommandPaused, CommandDone] == kinds
    assert [1, 2] == pauses


@pytest.mark.parametrize("follows_pauses", [False, True])
def test_a_pause_is_handed_on_while_it_lasts_only_to_whom_that_means_something(follows_pauses: bool) -> None:
    """A recogniser that hears how long a pause will be has to hear it; each sample once, and in order."""
    speech = [*chunks(SPEECH, 1), *chunks(QUIET, 0.288), *chunks(SPEECH, 1), *chunks(QUIET, 1)]
    scene = Ear([*chunks(WAKE), *chunks(QUIET, 0.5), *speech], soft_end_s=0.192, follows_pauses=follows_pauses)
    reports = scene.hear()
    kinds = [type(report) for report in reports]
    first, second = kinds.index(CommandPaused), kinds.index(CommandResumed)
    heard = np.concatenate([report.samples for report in reports if isinstance(report, CommandHeard)])

    assert follows_pauses == any(isinstance(report, CommandHeard) for report in reports[first:second])
    assert np.array_equal(heard[: len(scene.command.samples)], scene.command.samples[: len(heard)])


def test_a_pause_may_be_waited_for_longer() -> None:
    """Given an end after 0.32 s of silence, when somebody says to wait for 0.8 s, what comes by then is heard."""
    speech = [*chunks(SPEECH, 1), *chunks(QUIET, 0.64), *chunks(SPEECH, 1), *chunks(QUIET, 1)]
    scene = Ear([*chunks(WAKE), *chunks(QUIET, 0.5), *speech], soft_end_s=0.192)

    def ask_for_patience(report: Report) -> None:
        if isinstance(report, CommandPaused) and report.number == 1:
            scene.listener.wait_for(report.capture, report.number, 0.8)
            scene.listener.wait_for(report.capture - 1, report.number, 0.1)  # an earlier command's
            scene.listener.wait_for(report.capture, report.number + 1, 0.1)  # a later pause's

    scene.on_report = ask_for_patience
    scene.hear()

    assert [SPEECH, QUIET, SPEECH] == meanings(scene.command.samples)[1:4]


def test_a_recording_of_the_turn_has_no_gap() -> None:
    """What was heard before the detection and after it is what the microphone delivered."""
    scene = Ear([*chunks(QUIET, 2), *spoken(pause_s=0.64)])
    scene.hear()
    (wake,) = scene.of(WakeHeard)
    assert isinstance(wake, WakeHeard)
    whole = np.concatenate([wake.samples, scene.command.heard])
    at = scene.ring.written - len(whole)

    assert np.array_equal(scene.ring.samples[at:], whole)


# ── on guard ─────────────────────────────────────────────────────────────────────────────────────


def on_guard(script: Script, barge_in: BargeIn) -> Ear:
    """The assistant has the word, and then *script* is heard."""
    scene = Ear(script, live=True, barge_in=barge_in)
    scene.listener.guard(0)
    scene.hear()
    return scene


def test_the_wake_word_is_heard_on_guard_and_its_command_captured() -> None:
    scene = on_guard(spoken(pause_s=0.64), BargeIn.WAKE_WORD)

    assert 1 == len(scene.of(WakeHeard))
    assert [QUIET, SPEECH, QUIET] == meanings(scene.command.samples)


@pytest.mark.parametrize("barge_in", [BargeIn.OFF, BargeIn.STOP_WORD])
def test_the_wake_word_means_nothing_where_it_may_not_interrupt(barge_in: BargeIn) -> None:
    assert [] == on_guard(spoken(pause_s=0.64), barge_in).of(WakeHeard)


def test_an_outburst_on_guard_is_handed_on_for_stop_words() -> None:
    scene = on_guard([*chunks(QUIET, 2), *chunks(SPEECH, 0.48), *chunks(QUIET, 1)], BargeIn.STOP_WORD)
    (look,) = scene.of(Overheard)
    assert isinstance(look, Overheard)

    assert [QUIET, SPEECH, QUIET] == meanings(look.samples)
    assert pytest.approx(LEAD_S + 0.48 + OUTBURST_END_S, abs=2 * CHUNK_S) == len(look.samples) / PIPELINE_RATE_HZ


def test_speech_that_is_as_loud_as_the_reply_is_the_reply() -> None:
    """Given three seconds of it, in which the first words were looked at, nothing more is."""
    scene = on_guard([*chunks(SPEECH, 6)], BargeIn.STOP_WORD)

    assert 1 == len(scene.of(Overheard))


def test_quiet_on_guard_is_nobodys_business() -> None:
    assert [InputEnded()] == on_guard(list(chunks(QUIET, 5)), BargeIn.SPEECH).reports


@pytest.mark.parametrize("barge_in", [BargeIn.OFF, BargeIn.STOP_WORD, BargeIn.WAKE_WORD])
def test_speech_does_not_interrupt_unless_it_may(barge_in: BargeIn) -> None:
    assert [] == on_guard([*chunks(SPEECH, 2)], barge_in).of(SpokenOver)


def test_speech_on_guard_is_captured_from_its_beginning() -> None:
    speech = [*chunks(QUIET, 1), *chunks(SPEECH, 0.96), *chunks(QUIET, 1)]
    scene = on_guard(speech, BargeIn.SPEECH)
    kinds = [type(report) for report in scene.reports if not isinstance(report, CommandHeard | Overheard)]

    assert [SpokenOver, CommandBegan, CommandDone, InputEnded] == kinds
    assert [QUIET, SPEECH, QUIET] == meanings(scene.command.samples)
    assert pytest.approx(0.96, abs=2 * CHUNK_S) == scene.command.speech_seconds


def test_a_cough_on_guard_is_no_speech() -> None:
    cough = [*chunks(QUIET, 1), *chunks(SPEECH, SPOKEN_OVER_S / 2), *chunks(QUIET, 1)]

    assert [] == on_guard(cough, BargeIn.SPEECH).of(SpokenOver)


def test_speech_does_not_interrupt_while_the_echo_canceller_learns() -> None:
    class Canceller:
        def process(self, samples: Samples) -> Samples:
            return samples

        def reset(self) -> None:
            """Nothing was learned."""

    for lasts_s, interruptions in ((SETTLE_S - 0.2, 0), (SETTLE_S + 1, 1)):
        scene = Ear([*chunks(SPEECH, lasts_s)], live=True, barge_in=BargeIn.SPEECH)
        scene.listener._ears.echo, scene.listener._ears.background = Canceller(), Background(is_used=False)
        scene.listener.guard(0, is_sounding=True)
        scene.hear()

        assert interruptions == len(scene.of(SpokenOver))


def test_an_old_order_does_not_give_up_a_new_command() -> None:
    """The session ends a turn in the moment in which the wake word is heard: its order comes too late."""
    scene = Ear(spoken(pause_s=0.64), live=True)
    scene.on_report = lambda report: scene.listener.arm(0) if isinstance(report, WakeHeard) else None
    scene.hear()

    assert EndReason.SILENCE is scene.command.reason


def test_the_echo_of_a_reply_is_not_the_beginning_of_a_follow_up() -> None:
    scene = Ear([*chunks(SPEECH, 0.256), *chunks(QUIET, 3)], live=True)
    scene.listener.capture(no_speech_s=1.0, after_reply=True)
    scene.hear()

    assert EndReason.NO_SPEECH is scene.command.reason


def test_progress_is_expected_while_a_device_delivers_and_only_then() -> None:
    scene = Ear([*chunks(QUIET, 1), LOST], live=True)
    seen: list[int | None] = []
    scene.on_report = lambda report: seen.append(scene.listener.progress)
    first = scene.listener.progress
    scene.hear()

    assert 0 == first
    assert seen[0] is None
    assert scene.listener.progress is None


def test_a_wake_phrase_that_is_spoken_across_the_end_of_a_turn_is_heard() -> None:
    """Given an engine that needs the whole phrase and forgets at a reset, when the order to arm comes in its middle."""

    class ThreeChunks(FakeWakeword):
        """Wakes at the third WAKE chunk in a row."""

        in_a_row = 0

        def process(self, samples: Samples) -> Wake | None:
            self.in_a_row = self.in_a_row + 1 if samples[0] == WAKE else 0
            return super().process(samples) if self.in_a_row == 3 else None

        def reset(self) -> None:
            super().reset()
            self.in_a_row = 0

    phrase: Script = [*chunks(WAKE), lambda: scene.listener.arm(0), *chunks(WAKE, 2 * CHUNK_S)]
    script = [lambda: scene.listener.guard(0), *chunks(QUIET, 0.5), *phrase, *chunks(QUIET, 0.5)]
    scene = Ear(script, live=True, wakeword=ThreeChunks())
    scene.hear()

    assert 1 == len(scene.of(WakeHeard))
