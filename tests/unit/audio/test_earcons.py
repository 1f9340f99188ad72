"""The short sounds, by what is heard of them, and by whom they must not be heard."""

import numpy as np
import pytest

from heisenberg.audio import earcons
from heisenberg.audio.resample import Resampler
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Samples, level
from heisenberg.core.config import AudioConfig, VadConfig, WakewordConfig
from heisenberg.vad.silero import SileroVad
from heisenberg.wakeword.microwakeword import MicroWakeWordEngine
from tests import speech
from tests.unit.audio.tones import pitch

ALL = pytest.mark.parametrize("name", earcons.EARCONS)


def at_the_microphone(sound: AudioChunk) -> Samples:
    resampler = Resampler(sound.rate_hz, PIPELINE_RATE_HZ)
    return np.concatenate([resampler.process(sound.samples), resampler.flush()])


def pitches(sound: AudioChunk) -> tuple[float, float]:
    """Of the first and of the last 50 ms, in Hz."""
    samples = round(0.05 * sound.rate_hz)
    return pitch(sound.samples[:samples], sound.rate_hz), pitch(sound.samples[-samples:], sound.rate_hz)


def test_there_is_a_sound_for_each_that_can_be_configured() -> None:
    assert list(earcons.EARCONS) == AudioConfig(earcons=["wake", "end", "error"]).earcons


def test_waking_rises_ending_falls_and_a_failure_stays() -> None:
    wake, end, error = (pitches(earcons.EARCONS[name]()) for name in ("wake", "end", "error"))

    assert wake[1] - wake[0] > 100
    assert end[0] - end[1] > 100
    assert error[0] == pytest.approx(error[1], abs=5)
    assert error[0] < min(*wake, *end)


def test_waking_is_over_before_a_command_begins() -> None:
    assert earcons.wake().seconds <= 0.15


@ALL
def test_a_sound_is_short_and_as_loud_as_a_voice(name: earcons.Name) -> None:
    sound = earcons.EARCONS[name]()

    assert sound.seconds < 0.3
    assert 20 * np.log10(level(sound.samples)) == pytest.approx(-18, abs=0.1)
    assert np.abs(sound.samples).max() < 0.3 * 32767


@ALL
def test_a_sound_does_not_click(name: earcons.Name) -> None:
    """It begins and ends in silence, and never moves faster than its loudest sine does."""
    sound = earcons.EARCONS[name]()
    fastest = 2 * np.pi * 1.3 * earcons.A5_HZ / sound.rate_hz * np.abs(sound.samples).max()

    assert np.int16 == sound.samples.dtype
    assert abs(int(sound.samples[0])) < 30
    assert abs(int(sound.samples[-1])) < 30
    assert np.abs(np.diff(sound.samples.astype(np.int32))).max() < fastest


@ALL
@pytest.mark.parametrize("quieter_db", [-10, 0, 10, 25])
def test_a_sound_is_no_speech(name: earcons.Name, quieter_db: float) -> None:
    """Given a loudspeaker near the microphone, and some seconds in which it sounds again and again."""
    heard = speech.quieter(at_the_microphone(earcons.EARCONS[name]()), quieter_db)
    again = speech.join(speech.silence(0.5), *[speech.join(heard, speech.silence(gap)) for gap in (0.2, 0.31, 0.47)])
    vad = SileroVad()

    assert max(vad.process(chunk) for chunk in speech.chunks(again)) < VadConfig().end_threshold


@ALL
def test_a_sound_wakes_nobody(name: earcons.Name) -> None:
    heard = at_the_microphone(earcons.EARCONS[name]())
    again = speech.join(speech.silence(2.0), *[speech.join(heard, speech.silence(0.3 + 0.1 * n)) for n in range(10)])
    engine = MicroWakeWordEngine(WakewordConfig(words=["hey_jarvis", "okay_nabu", "hey_mycroft", "alexa"]))

    assert [None] == list({engine.process(chunk) for chunk in speech.chunks(again)})
    engine.close()


def test_a_command_right_after_the_sound_is_heard() -> None:
    """Given a user who speaks as soon as it sounds. Then the command's first chunks count as speech, as ever."""
    vad = SileroVad()
    for chunk in speech.chunks(at_the_microphone(earcons.wake())):
        vad.process(chunk)
    command = speech.say("Turn all the lights blue and make them move slowly.")
    heard = [vad.process(chunk) for chunk in speech.chunks(command)]

    assert next(number for number, probability in enumerate(heard) if probability > 0.5) <= 4
    assert np.mean(np.array(heard) > 0.5) > 0.8
