"""The second voice speaks where the first cannot, and nobody hears a beginning twice."""

import pytest

from heisenberg.core.errors import SpeechError
from heisenberg.tts.fallback import FallbackVoice
from tests.fakes.stages import FakeVoice

GONE = SpeechError("The voice is gone.")


@pytest.fixture
def first() -> FakeVoice:
    return FakeVoice()


@pytest.fixture
def second() -> FakeVoice:
    return FakeVoice()


@pytest.fixture
def voice(first: FakeVoice, second: FakeVoice) -> FallbackVoice:
    return FallbackVoice(first, {"en"}, second)


async def words(voice: FallbackVoice, text: str = "One two.", language: str | None = "en") -> int:
    """Speak; how many words were heard."""
    return len([chunk async for chunk in voice.speak(text, language)])


async def test_the_first_voice_is_preferred(voice: FallbackVoice, first: FakeVoice, second: FakeVoice) -> None:
    assert 2 == await words(voice)
    assert ([("One two.", "en")], []) == (first.spoken, second.spoken)


async def test_a_failure_is_tried_again(voice: FallbackVoice, first: FakeVoice, second: FakeVoice) -> None:
    first.enqueue(GONE)

    assert 2 == await words(voice)
    assert ([("One two.", "en")], []) == (first.spoken, second.spoken)


async def test_two_failures_make_the_second_voice_speak(
    voice: FallbackVoice, first: FakeVoice, second: FakeVoice
) -> None:
    first.enqueue(GONE, GONE)

    assert 2 == await words(voice)
    assert ([], [("One two.", "en")]) == (first.spoken, second.spoken)


async def test_the_second_voice_speaks_what_the_first_does_not_know(
    voice: FallbackVoice, first: FakeVoice, second: FakeVoice
) -> None:
    assert 2 == await words(voice, "Un deux.", "fr")
    assert ([], [("Un deux.", "fr")]) == (first.spoken, second.spoken)


async def test_an_unknown_language_is_the_first_voices_own(voice: FallbackVoice, first: FakeVoice) -> None:
    await words(voice, language=None)

    assert [("One two.", None)] == first.spoken


async def test_a_failure_after_the_first_word_is_not_hidden(
    voice: FallbackVoice, first: FakeVoice, second: FakeVoice
) -> None:
    """Saying it again from the start would be heard as a stutter."""
    first.enqueue(None, GONE)
    with pytest.raises(SpeechError, match="gone"):
        await words(voice)

    assert [] == second.spoken


async def test_two_voices_that_fail_are_an_error(voice: FallbackVoice, first: FakeVoice, second: FakeVoice) -> None:
    first.enqueue(GONE, GONE)
    second.enqueue(SpeechError("espeak-ng is not installed."))
    with pytest.raises(SpeechError, match="espeak-ng"):
        await words(voice)


@pytest.mark.parametrize("language", ["en", "fr"])
async def test_closing_closes_the_voice_that_speaks(
    voice: FallbackVoice, first: FakeVoice, second: FakeVoice, language: str
) -> None:
    stream = voice.speak("One two.", language)
    await anext(stream)

    assert 1 == first.open + second.open

    await stream.aclose()

    assert 0 == first.open + second.open
