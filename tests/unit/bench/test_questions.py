"""What is asked, and where in it speech ends."""

import numpy as np
import pytest

from heisenberg.bench.questions import end_of_speech, questions
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples


def tone(seconds: float, loudness: float) -> Samples:
    times = np.arange(int(seconds * PIPELINE_RATE_HZ)) / PIPELINE_RATE_HZ
    return (np.sin(2 * np.pi * 200 * times) * loudness).astype(np.int16)


@pytest.mark.parametrize(
    ("tail", "expected"), [(0, 1.0), (3, 1.0), (800, 1.5)], ids=["silence after it", "a faint hiss", "a soft last word"]
)
def test_speech_ends_with_its_last_sound(tail: int, expected: float) -> None:
    sound = np.concatenate([tone(0.4, 0), tone(0.6, 8000), tone(0.5, tail), tone(0.5, 0)])

    assert pytest.approx(expected, abs=0.01) == end_of_speech(sound)


@pytest.mark.parametrize("seconds", [0.0, 0.005, 1.0])
def test_silence_holds_no_speech(seconds: float) -> None:
    assert 0.0 == end_of_speech(tone(seconds, 0))


@pytest.mark.parametrize(
    ("word", "language", "begins"),
    [
        ("hey_jarvis", "en", "Hey Jarvis, what"),
        ("okay_nabu", "fr", "Okay Nabu, quelle"),
        ("./words/alexa.json", "auto", "Alexa, what"),
    ],
)
def test_questions_begin_with_the_configured_wake_phrase(word: str, language: str, begins: str) -> None:
    assert questions(word, language)[0].startswith(begins)
