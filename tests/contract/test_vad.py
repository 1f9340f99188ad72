"""What every voice-activity detector and every endpointer must do: the fakes and the real ones.

The fake's sound carries its meaning; the real ones hear synthesised speech and noise. Where an engine is known to
be weak (WebRTC in music, typing and loud noise) it is not asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from heisenberg.core.audio import Samples
from heisenberg.core.config import VadConfig
from heisenberg.core.stages import CommandEnded, CommandStarted, Endpointer, EndReason, Resumed, SoftEnded, VadEngine
from heisenberg.vad.endpoint import CommandEndpointer
from heisenberg.vad.silero import SileroVad
from heisenberg.vad.webrtc import WebrtcVad
from tests import speech
from tests.fakes import stages as fakes

THRESHOLD = VadConfig().start_threshold
VOICES = ("joe", "joe+4", "joe-4", "espeak:en-us", "espeak:en-gb+f3", "espeak:fr")
SENTENCE = "Could you tell me what the weather will be like tomorrow?"


def fake_noise(kind: str, seconds: float) -> Samples:
    return np.concatenate(fakes.chunks(fakes.QUIET, seconds))


def fake_say(text: str, voice: str) -> Samples:
    return np.concatenate(fakes.chunks(fakes.SPEECH, 3.0))


@dataclass(frozen=True)
class Case:
    """A detector and the sound that it understands."""

    open: Callable[[], VadEngine]
    say: Callable[[str, str], Samples] = speech.say
    noise: Callable[[str, float], Samples] = speech.noise
    ignores: tuple[str, ...] = ()
    """Kinds of noise that it tells from speech at any level."""

    def heard(self, vad: VadEngine, sound: Samples) -> float:
        """The fraction of chunks that count as speech."""
        return float(np.mean([vad.process(chunk) >= THRESHOLD for chunk in speech.chunks(sound)]))


ALL_NOISE = ("white", "pink", "hum", "music", "typing")
CASES = {
    "fake": Case(fakes.FakeVad, fake_say, fake_noise, ALL_NOISE),
    "silero": Case(SileroVad, ignores=ALL_NOISE),
    "webrtc": Case(WebrtcVad, ignores=("hum",)),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.mark.parametrize("voice", VOICES)
def test_speech_is_heard(case: Case, voice: str) -> None:
    assert case.heard(case.open(), case.say(SENTENCE, voice)) > 0.8


def test_silence_is_not_speech(case: Case) -> None:
    assert case.heard(case.open(), speech.silence(30.0)) == 0.0


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name, case in CASES.items() for kind in case.ignores])
def test_noise_is_not_speech(name: str, kind: str) -> None:
    case = CASES[name]

    assert case.heard(case.open(), case.noise(kind, 20.0)) < 0.01


def test_probabilities_are_probabilities(case: Case) -> None:
    vad = case.open()
    sound = speech.join(case.say(SENTENCE, "joe"), case.noise("pink", 1.0), speech.silence(1.0))

    assert all(0.0 <= vad.process(chunk) <= 1.0 for chunk in speech.chunks(sound))


def test_speech_is_heard_after_a_long_silence(case: Case) -> None:
    """Nobody spoke for five minutes; whatever the detector remembers, the first sentence is heard."""
    vad = case.open()
    for chunk in speech.chunks(speech.silence(300.0)):
        vad.process(chunk)

    assert case.heard(vad, case.say(SENTENCE, "joe")) > 0.8


def test_reset_forgets(case: Case) -> None:
    """The same sound gives the same answers after it, whatever was heard before."""
    vad = case.open()
    sound = speech.chunks(case.say(SENTENCE, "joe"))
    first = [vad.process(chunk) for chunk in sound]
    vad.reset()

    assert first == [vad.process(chunk) for chunk in sound]


@pytest.mark.parametrize("engine", ["silero", "webrtc"])
@pytest.mark.parametrize("word", ["stop", "yes", "no", "next"])
def test_one_word_is_a_whole_command(engine: str, word: str) -> None:
    """Real detector and real endpointer: the word is found where it is, and nothing else."""
    vad = CASES[engine].open()
    endpointer = CommandEndpointer(VadConfig(engine=engine))
    spoken = speech.say(word)
    sound = speech.join(speech.silence(1.0), spoken, speech.silence(1.0))
    reports = [endpointer.process(0.032, vad.process(chunk)) for chunk in speech.chunks(sound)]
    started, paused, end = [report for report in reports if report is not None]

    assert SoftEnded(started.at_seconds, end.end_seconds) == paused
    assert EndReason.SILENCE == end.reason
    assert pytest.approx(1.0, abs=0.15) == started.at_seconds
    assert pytest.approx(1.0 + len(spoken) / speech.RATE_HZ, abs=0.2) == end.end_seconds


# ── endpointers ──────────────────────────────────────────────────────────────────────────────────

CHUNK_S = 0.032


@pytest.fixture(params=["fake", "real"])
def endpointer(request: pytest.FixtureRequest) -> Endpointer:
    if request.param == "fake":
        return fakes.FakeEndpointer(silence_s=0.6, no_speech_s=5.0, soft_end_s=0.2)
    return CommandEndpointer(VadConfig())


Said = CommandStarted | SoftEnded | Resumed | CommandEnded


def reports(endpointer: Endpointer, *stretches: tuple[float, float]) -> list[Said]:
    """What it says until it reports the end; after that nobody asks."""
    said: list[Said] = []
    for probability in (p for seconds, p in stretches for _ in range(round(seconds / CHUNK_S))):
        report = endpointer.process(CHUNK_S, probability)
        said += [report] if report else []
        if isinstance(report, CommandEnded):
            break
    return said


def test_an_endpointer_reports_the_range_of_the_speech(endpointer: Endpointer) -> None:
    started, paused, end = reports(endpointer, (0.96, 0.0), (1.6, 1.0), (0.64, 0.0))

    assert CommandStarted(pytest.approx(0.96)) == started
    assert SoftEnded(pytest.approx(0.96), pytest.approx(2.56)) == paused
    assert CommandEnded(EndReason.SILENCE, pytest.approx(0.96), pytest.approx(2.56)) == end


def test_an_endpointer_reports_that_the_user_speaks_on(endpointer: Endpointer) -> None:
    kinds = [type(said) for said in reports(endpointer, (0.96, 1.0), (0.32, 0.0), (0.96, 1.0), (0.64, 0.0))]

    assert [CommandStarted, SoftEnded, Resumed, SoftEnded, CommandEnded] == kinds


def test_an_endpointer_waits_in_a_pause_as_long_as_it_is_told(endpointer: Endpointer) -> None:
    reports(endpointer, (0.96, 1.0), (0.256, 0.0))
    endpointer.wait_for(1.2)

    assert [] == reports(endpointer, (0.64, 0.0))
    assert [CommandEnded] == [type(said) for said in reports(endpointer, (0.64, 0.0))]


def test_an_endpointer_waits_for_a_command_as_long_as_it_is_told(endpointer: Endpointer) -> None:
    endpointer.reset(1.0)
    (end,) = reports(endpointer, (1.1, 0.0))

    assert EndReason.NO_SPEECH == end.reason


def test_an_endpointer_gives_up_waiting(endpointer: Endpointer) -> None:
    (end,) = reports(endpointer, (5.05, 0.0))

    assert EndReason.NO_SPEECH == end.reason
    assert end.start_seconds == end.end_seconds


def test_an_endpointer_says_what_was_there_when_the_input_ends(endpointer: Endpointer) -> None:
    reports(endpointer, (0.96, 0.0), (1.6, 1.0), (0.32, 0.0))

    assert CommandEnded(EndReason.END_OF_INPUT, pytest.approx(0.96), pytest.approx(2.56)) == endpointer.finish(
        EndReason.END_OF_INPUT
    )


def test_an_endpointer_begins_anew_after_reset(endpointer: Endpointer) -> None:
    once = reports(endpointer, (0.96, 0.0), (1.6, 1.0), (0.64, 0.0))
    endpointer.reset()

    assert once == reports(endpointer, (0.96, 0.0), (1.6, 1.0), (0.64, 0.0))
