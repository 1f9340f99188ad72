"""Real wake word, real detector, real endpointer: what follows the phrase is heard, the phrase itself is not.

The rule and the measurements are in docs/decisions/0001-wake-word-tail.md.
"""

from collections.abc import Iterator

import pytest

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import VadConfig, WakewordConfig
from heisenberg.core.stages import CommandEnded, CommandStarted, EndReason
from heisenberg.vad.endpoint import CommandEndpointer
from heisenberg.vad.silero import SileroVad
from heisenberg.vad.webrtc import WebrtcVad
from heisenberg.wakeword.microwakeword import MicroWakeWordEngine
from tests import speech

CHUNK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ
LEAD_S = 1.0
VOICES = [("joe", 0.8), ("joe", 1.0), ("joe", 1.2), ("joe#2", 1.0), ("joe+2", 1.0), ("joe+4", 0.9), ("joe-2", 1.0)]


@pytest.fixture(params=["silero", "webrtc"])
def config(request: pytest.FixtureRequest) -> VadConfig:
    return VadConfig(engine=request.param)


def reports(sound: Samples, config: VadConfig) -> Iterator[tuple[float, CommandStarted | CommandEnded]]:
    """What the endpointer says after the wake word, with the time of its reset, as in the audio thread."""
    wakeword, endpointer = MicroWakeWordEngine(WakewordConfig()), CommandEndpointer(config)
    vad = SileroVad() if config.engine == "silero" else WebrtcVad()
    woken_s = None
    for number, chunk in enumerate(speech.chunks(sound), 1):
        probability = vad.process(chunk)
        if woken_s is not None:
            report = endpointer.process(CHUNK_S, probability)
            if isinstance(report, CommandStarted | CommandEnded):
                yield woken_s, report
        elif wakeword.process(chunk) is not None:
            woken_s = number * CHUNK_S
    wakeword.close()


@pytest.mark.parametrize(("voice", "speed"), VOICES)
def test_a_command_after_a_pause_is_cut_without_the_phrase(config: VadConfig, voice: str, speed: float) -> None:
    """ "Hey Jarvis" … two seconds … "What time is it?" """
    phrase, question = speech.say("Hey Jarvis", voice, speed), speech.say("What time is it?", voice, speed)
    sound = speech.join(speech.silence(LEAD_S), phrase, speech.silence(2.0), question, speech.silence(1.0))
    (woken_s, started), (_, end) = reports(sound, config)
    begins_s = LEAD_S + len(phrase) / PIPELINE_RATE_HZ + 2.0

    assert pytest.approx(begins_s, abs=0.25) == woken_s + started.at_seconds
    assert pytest.approx(begins_s + len(question) / PIPELINE_RATE_HZ, abs=0.2) == woken_s + end.end_seconds
    assert EndReason.SILENCE == end.reason


@pytest.mark.parametrize(("voice", "speed"), VOICES)
def test_the_phrase_alone_is_no_command(config: VadConfig, voice: str, speed: float) -> None:
    phrase = speech.say("Hey Jarvis", voice, speed)
    [(_, end)] = reports(speech.join(speech.silence(LEAD_S), phrase, speech.silence(6.0)), config)

    assert EndReason.NO_SPEECH == end.reason


@pytest.mark.parametrize("command", ["stop", "pause", "what time is it?"])
@pytest.mark.parametrize(("voice", "speed"), VOICES[:-1])
def test_a_command_in_the_same_breath_is_heard(config: VadConfig, voice: str, speed: float, command: str) -> None:
    """ "Hey Jarvis, stop": the command begins around the moment of the detection, or before it."""
    said = speech.say(f"Hey Jarvis, {command}", voice, speed)
    (woken_s, started), (_, end) = reports(speech.join(speech.silence(LEAD_S), said, speech.silence(1.0)), config)

    assert started.at_seconds < 0.5
    assert pytest.approx(LEAD_S + len(said) / PIPELINE_RATE_HZ, abs=0.2) == woken_s + end.end_seconds
    assert EndReason.SILENCE == end.reason


def test_a_command_in_the_same_breath_is_heard_in_noise() -> None:
    said = speech.join(speech.silence(LEAD_S), speech.say("Hey Jarvis, stop"), speech.silence(1.5))
    (woken_s, started), (_, end) = reports(speech.mix(said, speech.noise("pink", 5.0), 15), VadConfig())

    assert started.at_seconds < 0.5
    assert pytest.approx(len(said) / PIPELINE_RATE_HZ - 1.5, abs=0.3) == woken_s + end.end_seconds
