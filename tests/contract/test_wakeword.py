"""What every wake-word engine must do: the fake, the real one, and the real one behind our own Wyoming service.

The fake's sound carries its meaning; the real engines hear synthesised speech, clean and in noise. Voices that the
models do not know (espeak-ng's are too unlike people) are not used; which ones those are is written in
docs/decisions/0001-wake-word-tail.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from heisenberg.core.audio import Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.stages import Wake, WakewordEngine
from heisenberg.wakeword.microwakeword import MicroWakeWordEngine
from tests import speech
from tests.fakes import stages as fakes
from tests.fakes.wake_service import InStep

VOICES = [
    *[("joe", speed) for speed in (0.8, 0.9, 1.0, 1.2, 1.4)],
    *[("joe#2", speed) for speed in (0.8, 1.0, 1.2)],
    *[("joe+2", speed) for speed in (0.8, 1.0, 1.2)],
    *[("joe+4", speed) for speed in (0.8, 1.0, 1.2)],
    *[("joe-2", speed) for speed in (0.8, 1.0, 1.2)],
]
SNRS_DB = (None, 15)
OTHER_SENTENCES = (
    "The weather is going to be nice tomorrow, I think.",
    "Have you seen my keys? They were on the table this morning.",
    "Hey James, are you coming to the party tonight?",
    "The garage is just around the corner, behind the church.",
    "OK, let us start with the first question.",
)
SOUNDS = ("white", "pink", "hum", "music", "typing")
LATEST_S = 0.4
"""How long after its end a phrase may be reported."""


def fake_say(text: str, voice: str, speed: float) -> Samples:
    """A sentence as the fake hears it: the phrase is found at its end."""
    meaning = fakes.WAKE if text == "Hey Jarvis" else fakes.SPEECH
    return np.concatenate([*fakes.chunks(fakes.SPEECH, 0.6 / speed), *fakes.chunks(meaning)])


def fake_noise(kind: str, seconds: float) -> Samples:
    return np.concatenate(fakes.chunks(fakes.QUIET, seconds))


def fake_mix(sound: Samples, background: Samples, snr_db: float) -> Samples:
    return sound


@dataclass(frozen=True)
class Case:
    """An engine for "Hey Jarvis" and the sound that it understands."""

    open: Callable[[], WakewordEngine]
    say: Callable[[str, str, float], Samples] = speech.say
    noise: Callable[[str, float], Samples] = speech.noise
    mix: Callable[[Samples, Samples, float], Samples] = speech.mix


CASES = {
    "fake": Case(fakes.FakeWakeword, fake_say, fake_noise, fake_mix),
    "microwakeword": Case(lambda: MicroWakeWordEngine(WakewordConfig())),
    "wyoming": Case(InStep),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def wakes(engine: WakewordEngine, sound: Samples) -> list[tuple[float, Wake]]:
    """When (seconds of sound, the end of the chunk) it reports what; then frees it."""
    heard = [
        (number * 512 / speech.RATE_HZ, engine.process(chunk)) for number, chunk in enumerate(speech.chunks(sound), 1)
    ]
    return [(at, wake) for at, wake in heard if wake is not None]


@pytest.mark.parametrize("snr_db", SNRS_DB, ids=("clean", "15dB"))
@pytest.mark.parametrize(("voice", "speed"), VOICES)
def test_the_phrase_is_reported_once_and_soon(case: Case, voice: str, speed: float, snr_db: int | None) -> None:
    phrase = case.say("Hey Jarvis", voice, speed)
    sound = speech.join(speech.silence(1.024), phrase, speech.silence(2.0))
    if snr_db is not None:
        sound = case.mix(sound, case.noise("pink", 3.0), snr_db)
    ended_s = 1.024 + len(phrase) / speech.RATE_HZ
    engine = case.open()
    [(at, wake)] = wakes(engine, sound)
    engine.close()

    assert "hey_jarvis" == wake.name
    assert 0.9 < wake.score <= 1.0
    assert -0.1 < at - ended_s <= LATEST_S


@pytest.mark.parametrize("command", ["what time is it?", "stop", "more energy", "tell me a story."])
@pytest.mark.parametrize("speed", [0.9, 1.2])
def test_the_phrase_is_found_before_a_command(case: Case, command: str, speed: float) -> None:
    """ "Hey Jarvis, stop": the command follows after a comma's pause."""
    joined = (
        case.say("Hey Jarvis", "joe", speed)
        if case.say is fake_say
        else case.say(f"Hey Jarvis, {command}", "joe", speed)
    )
    engine = case.open()
    found = wakes(engine, speech.join(speech.silence(1.024), joined, speech.silence(1.0)))
    engine.close()

    assert ["hey_jarvis"] == [wake.name for _, wake in found]


@pytest.mark.parametrize("sentence", OTHER_SENTENCES)
@pytest.mark.parametrize("voice", ["joe", "joe+4", "espeak:en-us", "espeak:en-gb+f3"])
def test_other_sentences_are_not_the_phrase(case: Case, sentence: str, voice: str) -> None:
    engine = case.open()
    found = wakes(engine, speech.join(speech.silence(1.024), case.say(sentence, voice, 1.0), speech.silence(1.0)))
    engine.close()

    assert [] == found


@pytest.mark.parametrize("kind", SOUNDS)
def test_noise_is_not_the_phrase(case: Case, kind: str) -> None:
    engine = case.open()
    found = wakes(engine, case.noise(kind, 30.0))
    engine.close()

    assert [] == found


def test_the_first_sound_after_the_start_is_not_the_phrase(case: Case) -> None:
    """An engine that opens in the middle of a loud room, and of a sentence."""
    for sound in (case.noise("white", 1.0), case.noise("music", 1.0), case.say(OTHER_SENTENCES[0], "joe", 1.0)[8000:]):
        engine = case.open()

        assert [] == wakes(engine, sound)
        engine.close()


def test_the_phrase_is_heard_after_a_long_silence(case: Case) -> None:
    engine = case.open()
    phrase = case.say("Hey Jarvis", "joe", 1.0)
    found = wakes(engine, speech.join(speech.silence(300.032), phrase, speech.silence(1.0)))
    engine.close()

    assert 1 == len(found)


def test_the_phrase_is_heard_again_and_again(case: Case) -> None:
    """Five times in a row, with a reset after each, as in five turns."""
    engine = case.open()
    sound = speech.join(speech.silence(0.512), case.say("Hey Jarvis", "joe", 1.0), speech.silence(0.5))
    found = []
    for _ in range(5):
        found.append(len(wakes(engine, sound)))
        engine.reset()
    engine.close()

    assert [1] * 5 == found


def test_closing_twice_is_harmless(case: Case) -> None:
    engine = case.open()
    engine.close()
    engine.close()
