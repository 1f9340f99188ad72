"""What a service calls the configured words."""

import pytest

from heisenberg.wakeword.wyoming_words import Offered, known_words, word_called

OFFERED = (Offered("ok_nabu_v0.1", "ok nabu"), Offered("hey_jarvis_v0.1"), Offered("computer_v2", "Hey Computer"))


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("hey_jarvis", "hey_jarvis_v0.1"),
        ("hey_jarvis_v0.1", "hey_jarvis_v0.1"),
        ("Hey Jarvis", "hey_jarvis_v0.1"),
        ("ok-nabu", "ok_nabu_v0.1"),
        ("hey computer", "computer_v2"),
    ],
)
def test_a_word_is_found_by_name_or_phrase(word: str, name: str) -> None:
    assert {word: name} == known_words([word], OFFERED)


def test_a_word_that_the_service_lacks_is_left_out() -> None:
    assert {"ok_nabu": "ok_nabu_v0.1"} == known_words(["alexa", "ok_nabu"], OFFERED)


def test_of_two_versions_the_exact_name_goes_first() -> None:
    offered = (Offered("alexa_v0.1"), Offered("alexa_v0.2"))

    assert {"alexa_v0.2": "alexa_v0.2", "alexa": "alexa_v0.1"} == known_words(["alexa_v0.2", "alexa"], offered)


@pytest.mark.parametrize(
    ("name", "word"),
    [("hey_jarvis_v0.1", "hey_jarvis"), ("hey_jarvis", "hey_jarvis"), ("alexa", None), (None, "ok_nabu")],
)
def test_a_detection_is_told_in_the_configurations_words(name: str | None, word: str | None) -> None:
    """Services say their name of it, with the version or without, or none at all."""
    words = {"ok_nabu": "ok_nabu_v0.1", "hey_jarvis": "hey_jarvis_v0.1"}

    assert word == word_called(name, words)
