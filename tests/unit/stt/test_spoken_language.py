"""Telling English from French by the words."""

from collections.abc import AsyncGenerator

import pytest

from heisenberg.core.recordings import Passage
from heisenberg.stt.spoken_language import guessed_language, with_guessed_language


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What is the capital of France?", "en"),
        ("Paint me a quiet forest in the morning.", "en"),
        ("Tell me about the café on the corner.", "en"),
        ("It's what they said.", "en"),
        ("Quelle est la capitale de la France ?", "fr"),
        ("Parle-moi de la mer, la nuit.", "fr"),
        ("Montre-moi une forêt calme, le matin.", "fr"),
        ("C’est l’eau qu’il voit.", "fr"),
        ("Allume la lumière.", "fr"),
        ("Bonjour tout le monde.", "fr"),
    ],
)
@pytest.mark.parametrize("default", ["en", "fr"])
def test_a_sentence_is_recognised_whatever_came_before(text: str, expected: str, default: str) -> None:
    assert expected == guessed_language(text, ("en", "fr"), default)


@pytest.mark.parametrize("text", ["", "42", "Paris", "…"])
@pytest.mark.parametrize("default", ["en", "fr"])
def test_where_nothing_can_be_told_it_is_as_before(text: str, default: str) -> None:
    assert default == guessed_language(text, ("en", "fr"), default)


def test_only_what_is_configured_is_guessed() -> None:
    assert "en" == guessed_language("Bonjour tout le monde.", ("en",), "en")
    assert "de" == guessed_language("Bonjour tout le monde.", ("de",), "de")


async def test_passages_of_a_recording_get_the_language_of_their_words() -> None:
    async def told() -> AsyncGenerator[Passage, None]:
        for at, text in enumerate(("Bonjour tout le monde.", "Paris.", "What is the time?")):
            yield Passage(float(at), at + 1.0, text, "en")

    found = [passage.language async for passage in with_guessed_language(told(), ("en", "fr"))]

    assert ["fr", "fr", "en"] == found
