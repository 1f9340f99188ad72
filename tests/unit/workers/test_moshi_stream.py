"""Frames in, words out, around a model that hears marks instead of speech (``tests/fakes/moshi_stepper.py``)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.workers.moshi_stream import FRAME_S, FRAME_SAMPLES, KEPT_S, Frame, Heard, Listener, measured
from tests.fakes.moshi_stepper import FakeStepper, marked

WORDS = ("what", "time", "is", "it")
SPOKEN = {5: 1, 12: 2, 20: 3, 24: 4}
"""Frame → word."""


def hear(listener: Listener, frames: list[Frame]) -> list[Heard]:
    return [listener.hear(frame) for frame in frames]


def places(listener: Listener) -> dict[int, str]:
    """The frame in which each word begins, as its time says."""
    return {round(word.start_s / FRAME_S): word.text for word in listener.words}


def expected(marks: dict[int, int]) -> dict[int, str]:
    return {at: WORDS[word - 1] for at, word in marks.items()}


def notices(heard: list[Heard]) -> list[str]:
    return [notice for one in heard for notice in one.notices]


def test_words_come_while_they_are_said_with_the_times_of_the_sound() -> None:
    listener = Listener(FakeStepper(WORDS))
    heard = hear(listener, marked(60, SPOKEN))

    assert "what time is it" == "".join(one.text for one in heard) == listener.text
    assert expected(SPOKEN) == places(listener)
    assert [round((n + 1) * FRAME_S, 6) for n in range(60)] == [round(one.at_s, 6) for one in heard]


def test_a_flush_has_the_words_out_that_the_model_still_owes() -> None:
    listener = Listener(FakeStepper(WORDS))
    heard = hear(listener, marked(26, SPOKEN))
    flushed = listener.flush()

    assert "what time" == "".join(one.text for one in heard)
    assert " is it" == flushed.text
    assert "what time is it" == listener.text
    assert expected(SPOKEN) == places(listener)
    assert 26 * FRAME_S == pytest.approx(flushed.at_s)


def test_half_a_frame_is_heard_when_it_is_flushed() -> None:
    listener = Listener(FakeStepper(WORDS))
    rest = np.full(FRAME_SAMPLES // 2, 0.01, dtype=np.float32)
    flushed = listener.flush(rest)

    assert "what" == flushed.text
    assert 0.04 == pytest.approx(flushed.at_s)


@given(st.sets(st.integers(1, 40)), st.booleans())
def test_flushes_in_mid_sentence_change_neither_words_nor_times(flushes: set[int], has_prefix: bool) -> None:
    listener = Listener(FakeStepper(WORDS, prefix_s=1.0 if has_prefix else 0.0))
    for n, frame in enumerate(marked(45, SPOKEN)):
        if n in flushes:
            listener.flush()
        listener.hear(frame)
    listener.flush()

    assert "what time is it" == listener.text
    assert expected(SPOKEN) == places(listener)


@given(st.integers(1, FRAME_SAMPLES - 1))
def test_sound_after_a_flushed_half_frame_has_the_right_time(half: int) -> None:
    listener = Listener(FakeStepper(WORDS))
    hear(listener, marked(10, {2: 1}))
    listener.flush(np.zeros(half, dtype=np.float32))
    hear(listener, marked(10, {4: 2}))
    listener.flush()

    assert [2 * FRAME_S, 14 * FRAME_S + half / 24000] == pytest.approx([word.start_s for word in listener.words])


def test_each_utterance_begins_with_a_fresh_model_and_no_text() -> None:
    stepper = FakeStepper(WORDS)
    listener = Listener(stepper)
    hear(listener, marked(8, {3: 1}))
    listener.begin()
    heard = hear(listener, marked(30, {3: 2}))

    assert "time" == listener.text == "".join(one.text for one in heard)
    assert expected({3: 2}) == places(listener)


@pytest.mark.parametrize("fails_at", [1, 5, 17, 18, 25, 40])
def test_when_a_device_fails_the_next_one_goes_on_as_if_nothing_had_been(fails_at: int) -> None:
    listener = Listener(FakeStepper(WORDS, device="mps", fails_at=fails_at), lambda error: FakeStepper(WORDS))
    heard = hear(listener, marked(60, SPOKEN))

    assert ["mps failed while it listened (mps is lost); cpu goes on."] == notices(heard)
    assert "what time is it" == listener.text
    assert expected(SPOKEN) == places(listener)


def test_where_nothing_can_take_over_the_error_is_told() -> None:
    def nothing_else(error: Exception) -> FakeStepper:
        raise error

    listener = Listener(FakeStepper(WORDS, fails_at=3), nothing_else)
    with pytest.raises(RuntimeError, match="cpu is lost"):
        hear(listener, marked(3, {}))


def speech_like(frames: int) -> list[Frame]:
    """Loud and soft, so that the watchdog takes it for a voice; 1 in a hundred is no word."""
    return [np.full(FRAME_SAMPLES, 0.0 if n % 3 else -0.2, dtype=np.float32) for n in range(frames)]


def test_a_stuck_model_is_reset_and_hears_it_again() -> None:
    """It says nothing from the fifth frame on; the word in the 250th is understood after all."""
    listener = Listener(FakeStepper(WORDS, stuck_at=5))
    frames = speech_like(330)
    frames[250] = marked(1, {0: 3})[0]
    heard = hear(listener, frames)
    listener.flush()

    assert ["The recogniser was stuck and was reset; it has heard the last seconds again."] == notices(heard)
    assert expected({250: 3}) == places(listener)


def test_sound_that_is_no_speech_is_complained_about_once_in_a_long_while() -> None:
    heard = hear(Listener(FakeStepper(WORDS)), speech_like(4000))

    assert 1 == len(notices(heard))
    assert "finds no words" in notices(heard)[0]


def test_of_an_endless_stream_only_the_last_minutes_are_kept() -> None:
    listener = Listener(FakeStepper(WORDS))
    listener.begin(is_endless=True)
    frames = round(KEPT_S * 1.5 / FRAME_S)
    hear(listener, marked(frames, dict.fromkeys(range(0, frames, 50), 1)))

    assert KEPT_S / FRAME_S / 50 == pytest.approx(len(listener.words), abs=2)
    assert len(listener.words) == pytest.approx(len(listener.text.split()), abs=2)


def test_the_state_of_an_old_stream_is_renewed_in_a_pause_and_no_word_is_harmed() -> None:
    stepper = FakeStepper(WORDS)
    listener = Listener(stepper)
    resets = stepper.resets
    marks = {n: 1 + n % 4 for n in range(0, 24_000, 45)}
    hear(listener, marked(24_050, marks))

    assert 3 == stepper.resets - resets
    assert expected(marks) == places(listener)


def test_a_flush_renews_an_old_state_too_and_says_nothing_twice() -> None:
    stepper = FakeStepper(WORDS)
    listener = Listener(stepper)
    marks = {n: 1 + n % 4 for n in range(0, 16_000, 20)}
    for n, frame in enumerate(marked(16_000, marks)):
        listener.hear(frame)
        if n % 500 == 499:
            listener.flush()

    assert 3 == stepper.resets
    assert expected(marks) == places(listener)


def test_pauses_are_told_smoothed_or_not_at_all() -> None:
    (*_, without) = hear(Listener(FakeStepper(WORDS)), marked(30, {}))
    (*_, certain) = hear(Listener(FakeStepper(WORDS, pause=1.0)), marked(30, {}))

    assert without.pauses is None
    assert certain.pauses == pytest.approx((1.0,) * 4, abs=0.01)


def test_the_speed_is_measured_on_a_model_that_is_fresh_afterwards() -> None:
    stepper = FakeStepper(WORDS)

    assert measured(stepper, warm_up=2, frames=5) >= 0.0
    assert (7, 2) == (stepper.steps, stepper.resets)
