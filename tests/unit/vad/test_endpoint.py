"""The endpointer, told of probabilities alone: an hour of audio takes it a moment."""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.config import VadConfig
from heisenberg.core.stages import CommandEnded, CommandStarted, EndReason, Resumed, SoftEnded
from heisenberg.vad.endpoint import TAIL_SECONDS, UNDECIDED_SECONDS, CommandEndpointer

CHUNK_S = 0.032
CONFIG = VadConfig()
SPEECH, UNSURE, QUIET = 0.9, 0.42, 0.05

Stretch = tuple[float, float]
"""Seconds and the speech probability in them."""


def said(stretches: Iterable[Stretch], config: VadConfig = CONFIG, chunk_s: float = CHUNK_S) -> list[Any]:
    """Everything the endpointer reports; each probability is repeated in chunks for about its seconds."""
    endpointer = CommandEndpointer(config)
    reports = (endpointer.process(chunk_s, probability) for probability in in_chunks(stretches, chunk_s))
    return [report for report in reports if isinstance(report, CommandStarted | CommandEnded)]


def pauses(stretches: Iterable[Stretch], config: VadConfig = CONFIG, wait_for: float | None = None) -> list[Any]:
    """What it reports between the start and the end, and the end; *wait_for* is what it is told in each pause."""
    endpointer = CommandEndpointer(config)
    reports = []
    for probability in in_chunks(stretches, CHUNK_S):
        report = endpointer.process(CHUNK_S, probability)
        if isinstance(report, SoftEnded) and wait_for is not None:
            endpointer.wait_for(wait_for)
        if report is not None and not isinstance(report, CommandStarted):
            reports.append(report)
    return reports


def in_chunks(stretches: Iterable[Stretch], chunk_s: float) -> Iterator[float]:
    for seconds, probability in stretches:
        yield from [probability] * round(seconds / chunk_s)


def ended(stretches: Iterable[Stretch], config: VadConfig = CONFIG) -> CommandEnded:
    """The one end that is reported."""
    (end,) = [report for report in said(stretches, config) if isinstance(report, CommandEnded)]
    return end


# ── a command ────────────────────────────────────────────────────────────────────────────────────


def test_a_command_begins_with_its_first_speech_and_ends_with_its_last() -> None:
    """The silence that was waited for is not part of it."""
    started, end = said([(0.64, QUIET), (1.28, SPEECH), (2.0, QUIET)])

    assert started == CommandStarted(pytest.approx(0.64))
    assert end == CommandEnded(EndReason.SILENCE, pytest.approx(0.64), pytest.approx(1.92))


def test_the_end_is_reported_after_the_configured_silence() -> None:
    endpointer = CommandEndpointer(VadConfig(silence_seconds=0.5, soft_end_seconds=0.5))
    for _ in range(10):
        endpointer.process(0.1, SPEECH)
    quiet = [endpointer.process(0.1, QUIET) for _ in range(5)]

    assert [None] * 4 == quiet[:4]
    assert CommandEnded(EndReason.SILENCE, 0.0, pytest.approx(1.0)) == quiet[4]


def test_a_brief_dip_does_not_end_a_command() -> None:
    end = ended([(0.64, QUIET), (0.48, SPEECH), (0.48, QUIET), (0.48, SPEECH), (0.8, QUIET)])

    assert CommandEnded(EndReason.SILENCE, pytest.approx(0.64), pytest.approx(2.08)) == end


def test_unsure_chunks_hold_a_command_open_but_never_start_one() -> None:
    end = ended([(0.64, QUIET), (0.64, SPEECH), (1.6, UNSURE), (0.8, QUIET)])
    never = ended([(6.0, UNSURE)])

    assert pytest.approx(2.88) == end.end_seconds
    assert EndReason.NO_SPEECH == never.reason


@pytest.mark.parametrize("seconds", [0.128, 0.16, 0.25])
def test_a_command_of_one_short_word_is_heard(seconds: float) -> None:
    """ "Stop" holds a quarter of a second of speech, "up" less."""
    end = ended([(0.64, QUIET), (seconds, SPEECH), (0.8, QUIET)])

    assert EndReason.SILENCE == end.reason
    assert pytest.approx(seconds, abs=CHUNK_S) == end.end_seconds - end.start_seconds


def test_single_clicks_never_start_a_command() -> None:
    """One or two chunks of noise, several times a second, for as long as the endpointer waits."""
    end = ended([(0.064, SPEECH), (0.128, QUIET)] * 40)

    assert EndReason.NO_SPEECH == end.reason


def test_speech_with_gaps_starts_a_command() -> None:
    """A word of which two of three chunks sound like speech."""
    started, *_ = said([(0.32, QUIET), *[(0.064, SPEECH), (0.032, QUIET)] * 8])

    assert CommandStarted(pytest.approx(0.32)) == started


# ── right after the wake word ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
def test_the_end_of_the_wake_phrase_is_not_a_command(engine: str) -> None:
    """Given the phrase's last sound lasts a little beyond its detection, and a command comes 2 s later,
    Result: the command alone is reported.
    """
    config = VadConfig(engine=engine)
    tail_s = TAIL_SECONDS[engine] - CHUNK_S / 2
    started, end = said([(tail_s, SPEECH), (2.0, QUIET), (0.96, SPEECH), (0.8, QUIET)], config)

    assert CommandStarted(pytest.approx(2.0, abs=0.3)) == started
    assert EndReason.SILENCE == end.reason
    assert pytest.approx(0.96, abs=0.01) == end.end_seconds - started.at_seconds


def test_a_tail_counts_as_waiting_for_a_command() -> None:
    """Nobody says anything after the phrase: the wait is no longer than without its tail."""
    end = ended([(0.064, SPEECH), (6.0, QUIET)])

    assert EndReason.NO_SPEECH == end.reason
    assert pytest.approx(CONFIG.no_speech_seconds, abs=CHUNK_S) == end.end_seconds


def test_a_command_that_was_under_way_at_the_reset_is_heard_from_the_reset_on() -> None:
    """ "Hey Jarvis stop" in one breath: a tenth of a second of "stop" is left when the phrase is detected."""
    started, end = said([(0.096, SPEECH), (0.8, QUIET)])

    assert CommandStarted(0.0) == started
    assert CommandEnded(EndReason.SILENCE, 0.0, pytest.approx(0.096)) == end


# ── bounds ───────────────────────────────────────────────────────────────────────────────────────


def test_silence_is_waited_for_as_long_as_configured() -> None:
    end = ended([(10.0, QUIET)], VadConfig(no_speech_seconds=3.0))

    assert EndReason.NO_SPEECH == end.reason
    assert pytest.approx(3.0, abs=CHUNK_S) == end.start_seconds == end.end_seconds


def test_noise_that_sounds_like_speech_is_bounded() -> None:
    """A radio plays: the command ends at its longest, with all that was heard."""
    end = ended([(1.0, QUIET), (30.0, SPEECH)], VadConfig(max_command_seconds=4.0))

    assert EndReason.TIMEOUT == end.reason
    assert pytest.approx(4.0, abs=CHUNK_S) == end.end_seconds - end.start_seconds


def test_speech_that_begins_at_the_last_moment_is_heard_out() -> None:
    end = ended([(CONFIG.no_speech_seconds - CHUNK_S, QUIET), (0.64, SPEECH), (1.0, QUIET)])

    assert EndReason.SILENCE == end.reason


def test_after_the_end_nothing_is_reported_until_reset() -> None:
    endpointer = CommandEndpointer(CONFIG)
    sound = list(in_chunks([(1.0, SPEECH), (1.0, QUIET)], CHUNK_S))
    first = [report for p in sound * 3 if (report := endpointer.process(CHUNK_S, p))]
    endpointer.reset()
    second = [report for p in sound if (report := endpointer.process(CHUNK_S, p))]

    assert [CommandStarted, SoftEnded, CommandEnded] == [type(report) for report in first]
    assert first == second


# ── the input ends ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("reason", [EndReason.END_OF_INPUT, EndReason.INPUT_LOST])
def test_input_that_ends_during_a_command_leaves_what_was_said(reason: EndReason) -> None:
    endpointer = CommandEndpointer(CONFIG)
    for probability in in_chunks([(0.32, QUIET), (0.96, SPEECH), (0.32, QUIET)], CHUNK_S):
        endpointer.process(CHUNK_S, probability)

    assert CommandEnded(reason, pytest.approx(0.32), pytest.approx(1.28)) == endpointer.finish(reason)


def test_a_file_that_ends_without_a_command_had_none() -> None:
    endpointer = CommandEndpointer(CONFIG)
    endpointer.process(1.0, QUIET)

    assert CommandEnded(EndReason.NO_SPEECH, 1.0, 1.0) == endpointer.finish(EndReason.END_OF_INPUT)


def test_input_that_is_lost_before_a_command_says_so() -> None:
    endpointer = CommandEndpointer(CONFIG)
    endpointer.process(1.0, QUIET)

    assert CommandEnded(EndReason.INPUT_LOST, 1.0, 1.0) == endpointer.finish(EndReason.INPUT_LOST)


def test_finishing_twice_says_the_same() -> None:
    endpointer = CommandEndpointer(CONFIG)
    for probability in in_chunks([(0.96, SPEECH), (0.8, QUIET)], CHUNK_S):
        endpointer.process(CHUNK_S, probability)

    assert EndReason.SILENCE == endpointer.finish(EndReason.END_OF_INPUT).reason


# ── whatever the room sounds like ────────────────────────────────────────────────────────────────

PROBABILITIES = st.floats(0, 1)
LENGTHS_S = st.sampled_from([0.01, 0.02, 0.032, 0.1])
CONFIGS = st.builds(
    VadConfig,
    engine=st.sampled_from(["silero", "webrtc"]),
    min_speech_seconds=st.floats(0.03, 0.5),
    silence_seconds=st.floats(0.2, 2),
    max_command_seconds=st.floats(1, 5),
    no_speech_seconds=st.floats(0.5, 5),
)


@given(CONFIGS, LENGTHS_S, st.lists(PROBABILITIES, min_size=1, max_size=40))
def test_a_command_always_ends_within_its_bound(config: VadConfig, chunk_s: float, room: list[float]) -> None:
    """Any sequence of probabilities, repeated for ever."""
    bound_s = config.no_speech_seconds + UNDECIDED_SECONDS + config.max_command_seconds + 2 * chunk_s
    endpointer = CommandEndpointer(config)
    passed_s = 0.0
    for probability in itertools.cycle(room):
        passed_s += chunk_s
        report = endpointer.process(chunk_s, probability)
        if isinstance(report, CommandEnded) or passed_s > bound_s:
            break

    assert isinstance(report, CommandEnded)
    assert 0 <= report.start_seconds <= report.end_seconds <= passed_s + 1e-6


@given(CONFIGS, st.lists(PROBABILITIES, max_size=200), st.sampled_from(list(EndReason)))
def test_finish_always_gives_a_valid_range(config: VadConfig, room: list[float], reason: EndReason) -> None:
    endpointer = CommandEndpointer(config)
    for probability in room:
        endpointer.process(CHUNK_S, probability)
    end = endpointer.finish(reason)

    assert 0 <= end.start_seconds <= end.end_seconds <= len(room) * CHUNK_S + 1e-6


STRETCHES = st.lists(
    st.tuples(st.sampled_from([0.32, 0.64, 0.96, 1.6, 3.2]), st.sampled_from([SPEECH, QUIET, UNSURE])), max_size=12
)


@given(STRETCHES, st.sampled_from([0.008, 0.016, 0.064]))
def test_the_length_of_the_chunks_does_not_matter(stretches: Sequence[Stretch], chunk_s: float) -> None:
    """The same sound in other chunks gives the same reports, within one chunk."""
    usual, other = said(stretches), said(stretches, chunk_s=chunk_s)

    assert [kind(report) for report in usual] == [kind(report) for report in other]
    for one, two in zip(usual, other, strict=True):
        assert times(one) == pytest.approx(times(two), abs=max(chunk_s, CHUNK_S) + 1e-6)


def kind(report: CommandStarted | CommandEnded) -> object:
    return report.reason if isinstance(report, CommandEnded) else CommandStarted


def times(report: CommandStarted | CommandEnded) -> list[float]:
    """Its seconds."""
    return [value for value in dataclasses.astuple(report) if isinstance(value, float)]


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────


def test_a_pause_is_reported_before_the_end() -> None:
    paused, end = pauses([(0.96, SPEECH), (2.0, QUIET)])

    assert SoftEnded(0.0, pytest.approx(0.96)) == paused
    assert CommandEnded(EndReason.SILENCE, 0.0, pytest.approx(0.96)) == end


def test_speech_that_goes_on_is_reported_and_may_pause_again() -> None:
    kinds = [type(report) for report in pauses([(0.96, SPEECH), (0.32, QUIET), (0.96, SPEECH), (2.0, QUIET)])]

    assert [SoftEnded, Resumed, SoftEnded, CommandEnded] == kinds


def test_a_click_in_a_pause_is_not_speech_that_goes_on() -> None:
    reports = pauses([(0.96, SPEECH), (0.32, QUIET), (CHUNK_S, SPEECH), (2.0, QUIET)])

    assert [SoftEnded, CommandEnded] == [type(report) for report in reports]
    assert pytest.approx(0.96) == reports[-1].end_seconds


@pytest.mark.parametrize(("seconds", "reason"), [(0.3, EndReason.SEMANTIC), (1.2, EndReason.SILENCE)], ids=str)
def test_a_pause_lasts_as_long_as_it_is_told_to(seconds: float, reason: EndReason) -> None:
    endpointer = CommandEndpointer(CONFIG)
    waited = 0.0
    for probability in in_chunks([(0.96, SPEECH), (3.0, QUIET)], CHUNK_S):
        report = endpointer.process(CHUNK_S, probability)
        waited += CHUNK_S
        if isinstance(report, SoftEnded):
            endpointer.wait_for(seconds)
        if isinstance(report, CommandEnded):
            break

    assert CommandEnded(reason, 0.0, pytest.approx(0.96)) == report
    assert pytest.approx(0.96 + seconds, abs=1.5 * CHUNK_S) == waited


def test_patience_is_for_one_pause_only() -> None:
    """Given a long wait in the first pause, the second one lasts as long as configured."""
    reports = pauses([(0.96, SPEECH), (0.9, QUIET), (0.96, SPEECH), (0.65, QUIET)], wait_for=None)
    patient = CommandEndpointer(CONFIG)
    seen = []
    for probability in in_chunks([(0.96, SPEECH), (0.9, QUIET), (0.96, SPEECH), (0.65, QUIET)], CHUNK_S):
        report = patient.process(CHUNK_S, probability)
        if isinstance(report, SoftEnded) and not seen:
            patient.wait_for(2.0)
        seen += [type(report)] if report is not None and not isinstance(report, CommandStarted) else []

    assert [SoftEnded, CommandEnded] == [type(report) for report in reports]
    assert [SoftEnded, Resumed, SoftEnded, CommandEnded] == seen


def test_nobody_can_make_it_wait_without_a_pause_or_for_ever() -> None:
    endpointer = CommandEndpointer(VadConfig(max_command_seconds=2.0))
    reports = []
    for probability in in_chunks([(0.96, SPEECH), (10.0, QUIET)], CHUNK_S):
        endpointer.wait_for(3600.0)
        reports.append(endpointer.process(CHUNK_S, probability))
    (end,) = [report for report in reports if isinstance(report, CommandEnded)]

    assert EndReason.TIMEOUT is end.reason


def test_how_long_to_wait_for_a_command_may_be_said_at_the_reset() -> None:
    endpointer = CommandEndpointer(CONFIG)
    endpointer.reset(1.0)
    reports = [endpointer.process(0.1, QUIET) for _ in range(10)]

    assert CommandEnded(EndReason.NO_SPEECH, pytest.approx(1.0), pytest.approx(1.0)) == reports[-1]
    assert [None] * 9 == reports[:-1]
