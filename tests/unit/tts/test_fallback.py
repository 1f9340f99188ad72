"""The second voice speaks where the first cannot, and nobody hears a beginning twice."""

import pytest

from heisenberg.core.errors import HeisenbergError, ModelFailedToStart, SpeechError
from heisenberg.tts.fallback import FallbackVoice
from tests.fakes.stages import FakeVoice

GONE = SpeechError("The voice is gone.")
NOT_STARTED = ModelFailedToStart("joe ended while starting.")


class ColdVoice(FakeVoice):
    """Cannot be started while there is an error in :attr:`start`."""

    start: HeisenbergError | None = None

    async def warm_up(self) -> None:
        if self.start is not None:
            raise self.start


class Ending:
    """Counts how often it was given up."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1


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


# ── a voice that cannot be started ───────────────────────────────────────────────────────────────


async def test_a_voice_that_cannot_be_started_is_one_warning_and_the_other_speaks(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Given up for good: a child that is restarted for every sentence would delay each of them."""
    first, second, give_up = ColdVoice(), ColdVoice(), Ending()
    first.start = NOT_STARTED
    voice = FallbackVoice(first, {"en"}, second, give_up)

    await voice.warm_up()

    assert 2 == await words(voice)
    assert ([], [("One two.", "en")], 1) == (first.spoken, second.spoken, give_up.calls)
    (warning,) = caplog.messages
    assert "joe ended while starting." in warning
    assert "heisenberg doctor" in warning
    assert 1 == len(warning.splitlines())


async def test_without_warming_up_the_first_sentence_finds_out(caplog: pytest.LogCaptureFixture) -> None:
    first, second, give_up = FakeVoice(), FakeVoice(), Ending()
    first.enqueue(NOT_STARTED)
    voice = FallbackVoice(first, {"en"}, second, give_up)

    assert 2 == await words(voice)
    assert 2 == await words(voice)
    assert ([], 2, 1, 1) == (first.spoken, len(second.spoken), give_up.calls, len(caplog.messages))


async def test_a_voice_that_has_spoken_is_not_given_up(voice: FallbackVoice, first: FakeVoice) -> None:
    """It died and could not be restarted this time; a later sentence may find it again."""
    await words(voice)
    first.enqueue(NOT_STARTED, NOT_STARTED)
    await words(voice)
    await words(voice)

    assert 2 == len(first.spoken)


async def test_where_neither_can_be_started_it_is_an_error() -> None:
    first, second = ColdVoice(), ColdVoice()
    first.start, second.start = NOT_STARTED, SpeechError("espeak-ng is not installed.")

    with pytest.raises(SpeechError, match="espeak-ng is not installed"):
        await FallbackVoice(first, {"en"}, second).warm_up()


async def test_a_voice_that_starts_needs_no_other() -> None:
    """espeak-ng may be missing as long as nobody needs it."""
    first, second = ColdVoice(), ColdVoice()
    second.start = SpeechError("espeak-ng is not installed.")

    await FallbackVoice(first, {"en"}, second).warm_up()
