"""microWakeWord's own matters: several words, thresholds, reset. What it recognises is in tests/contract."""

import subprocess
import sys

import numpy as np
import pytest

from heisenberg.core.audio import Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.errors import WakewordError
from heisenberg.core.stages import Wake
from heisenberg.wakeword import phrases
from heisenberg.wakeword.microwakeword import MicroWakeWordEngine
from tests import speech

FOUR_WORDS = {"hey_jarvis": "Hey Jarvis", "alexa": "Alexa", "okay_nabu": "Okay Nabu", "hey_mycroft": "Hey Mycroft"}


def heard(sound: Samples, chunk: int = 512, **config: object) -> list[Wake]:
    """What an engine with *config* reports."""
    engine = MicroWakeWordEngine(WakewordConfig(**config))
    found = [wake for part in speech.chunks(sound, chunk) if (wake := engine.process(part))]
    engine.close()
    return found


def spoken(*texts: str, gap_s: float = 2.0) -> Samples:
    """Each text, with silence before and after."""
    parts = [speech.silence(gap_s)]
    for text in texts:
        parts += [speech.say(text), speech.silence(gap_s)]
    return speech.join(*parts)


def names(found: list[Wake]) -> list[str]:
    return [wake.name for wake in found]


# ── several words ────────────────────────────────────────────────────────────────────────────────


def test_each_of_several_words_is_told_apart() -> None:
    found = heard(spoken(*FOUR_WORDS.values()), words=list(FOUR_WORDS))

    assert list(FOUR_WORDS) == names(found)


def test_only_the_configured_words_are_heard() -> None:
    found = heard(spoken(*FOUR_WORDS.values()), words=["alexa", "hey_mycroft"])

    assert ["alexa", "hey_mycroft"] == names(found)


def test_another_word_is_heard_while_one_is_refractory() -> None:
    found = heard(spoken("Hey Jarvis", "Alexa", gap_s=0.6), words=["hey_jarvis", "alexa"], refractory_seconds=10.0)

    assert ["hey_jarvis", "alexa"] == names(found)


def test_a_word_that_is_listed_twice_is_reported_once() -> None:
    assert ["alexa"] == names(heard(spoken("Alexa"), words=["alexa", "alexa"]))


# ── when it counts ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("refractory_seconds", "reports"), [(10.0, 1), (0.5, 3)])
def test_the_same_word_is_not_reported_again_while_refractory(refractory_seconds: float, reports: int) -> None:
    found = heard(spoken("Hey Jarvis", "Hey Jarvis", "Hey Jarvis", gap_s=1.0), refractory_seconds=refractory_seconds)

    assert reports == len(found)


def test_one_utterance_is_one_report_even_without_a_refractory_time() -> None:
    assert 1 == len(heard(spoken("Hey Jarvis"), refractory_seconds=0.0, threshold=0.3))


def test_the_threshold_of_a_word_goes_before_the_common_one() -> None:
    sound = spoken("Hey Jarvis", "Alexa")
    both = {"words": ["hey_jarvis", "alexa"]}

    assert ["hey_jarvis", "alexa"] == names(heard(sound, threshold=0.8, **both))
    assert ["alexa"] == names(heard(sound, threshold=0.8, thresholds={"hey_jarvis": 1.0}, **both))
    assert ["hey_jarvis"] == names(heard(sound, threshold=1.0, thresholds={"hey_jarvis": 0.8}, **both))


def test_without_a_threshold_the_model_s_own_counts() -> None:
    (wake,) = heard(spoken("Hey Jarvis"))

    assert 0.97 <= wake.score <= 1.0


@pytest.mark.parametrize("samples", [1, 100, 160, 2_048, 100_000])
def test_chunks_may_have_any_length(samples: int) -> None:
    assert ["hey_jarvis"] == names(heard(spoken("Hey Jarvis"), chunk=samples))


def test_clipped_sound_does_not_wrap_around() -> None:
    """The hiss that is added must not turn the loudest samples into their opposites."""
    loud = np.clip(spoken("Hey Jarvis").astype(np.int32) * 8, -32768, 32767).astype(np.int16)

    assert 32767 == loud.max()
    assert ["hey_jarvis"] == names(heard(loud))


# ── reset and close ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("voice", ["joe", "joe+2", "joe+4"])
def test_a_phrase_just_before_the_reset_is_not_heard_after_it(voice: str) -> None:
    """The reset falls at any moment from the phrase's last third to just before it would be reported."""
    phrase = speech.say("Hey Jarvis", voice)
    sound = speech.chunks(speech.join(speech.silence(1.0), phrase, speech.silence(1.0)))
    engine = MicroWakeWordEngine(WakewordConfig())
    reported_at = next(number for number, chunk in enumerate(sound) if engine.process(chunk))
    after = []
    for reset_at in range(reported_at - 8, reported_at + 1):
        engine.reset()
        for chunk in sound[:reset_at]:
            engine.process(chunk)
        engine.reset()
        after += [engine.process(chunk) for chunk in sound[reset_at:]]
    engine.close()

    assert set(after) == {None}


@pytest.mark.parametrize("gap_s", [0.0, 0.1, 0.3])
def test_a_phrase_right_after_the_reset_is_heard(gap_s: float) -> None:
    """In a noisy room, in which the models have to find their feet first."""
    said = speech.join(speech.silence(gap_s), speech.say("Hey Jarvis"), speech.silence(1.0))
    engine = MicroWakeWordEngine(WakewordConfig())
    for chunk in speech.chunks(speech.noise("pink", 2.0)):
        engine.process(chunk)
    engine.reset()
    found = [
        wake
        for chunk in speech.chunks(speech.mix(said, speech.noise("pink", 2.0), 15))
        if (wake := engine.process(chunk))
    ]
    engine.close()

    assert ["hey_jarvis"] == names(found)


def test_reset_forgets_the_refractory_time() -> None:
    """A new turn begins: what was reported in the last one does not matter."""
    engine = MicroWakeWordEngine(WakewordConfig(refractory_seconds=10.0))
    found = []
    for _ in range(2):
        found += [wake for chunk in speech.chunks(spoken("Hey Jarvis", gap_s=0.5)) if (wake := engine.process(chunk))]
        engine.reset()
    engine.close()

    assert 2 == len(found)


def test_a_model_that_vanishes_while_running_is_an_error_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is upgraded or removed under a running kiosk."""
    engine = MicroWakeWordEngine(WakewordConfig())
    monkeypatch.setattr(engine._words[0].model, "tflite_model", "/nowhere/hey_jarvis.tflite")
    with pytest.raises(WakewordError, match=r"hey_jarvis\.tflite is missing") as caught:
        engine.reset()
    engine.close()

    assert "wakeword-failed" == caught.value.code


def test_nothing_is_heard_after_closing() -> None:
    engine = MicroWakeWordEngine(WakewordConfig())
    engine.close()

    assert {None} == {engine.process(chunk) for chunk in speech.chunks(spoken("Hey Jarvis"))}


def test_the_interpreter_ends_cleanly_with_an_engine_that_nobody_closed() -> None:
    script = (
        "import numpy as np\n"
        "from heisenberg.core.config import WakewordConfig\n"
        "from heisenberg.wakeword.microwakeword import MicroWakeWordEngine\n"
        f"engine = MicroWakeWordEngine(WakewordConfig(words={list(phrases.AVAILABLE)!r}))\n"
        "engine.process(np.zeros(16_000, dtype=np.int16))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
