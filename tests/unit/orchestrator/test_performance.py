"""A reply is spoken in order while it is written, and a voice that fails leaves nobody waiting.

(The class lives in ``sinks/speech.py``; it is tested here with the turn that uses it.)
"""

import asyncio

import pytest

from heisenberg.core.errors import AudioError, SpeechError
from heisenberg.sinks.speech import MAX_WAITING_SENTENCES, Performance
from tests.fakes.stages import FakeOutput, FakeVoice
from tests.fakes.virtual_time import in_virtual_time


class Stage:
    """A performance with its voice, its output and its audience."""

    def __init__(self) -> None:
        self.voice, self.output, self.progress = FakeVoice(), FakeOutput(), list[str]()
        self.performance = Performance(self.voice, self.output, self.progress.append)
        self.performance.release()


@in_virtual_time
async def test_sentences_are_spoken_in_order() -> None:
    stage = Stage()
    async with asyncio.TaskGroup() as tasks:
        speaking = tasks.create_task(stage.performance.run("en"))
        for sentence in ("One two.", "Three.", "Four five six."):
            await stage.performance.say(sentence)
        await stage.performance.end()

    assert [("One two.", "en"), ("Three.", "en"), ("Four five six.", "en")] == stage.voice.spoken
    assert pytest.approx(0.6) == speaking.result()
    assert ["synthesised", "sounded"] == stage.progress


@in_virtual_time
async def test_the_first_sentence_is_heard_before_the_second_is_written() -> None:
    stage = Stage()
    speaking = asyncio.create_task(stage.performance.run())
    await stage.performance.say("One two.")
    await asyncio.sleep(1)

    assert 2 == len(stage.output.played)
    assert not speaking.done()

    await stage.performance.end()
    await speaking


@in_virtual_time
async def test_nothing_to_say_is_silence() -> None:
    stage = Stage()
    await stage.performance.end()

    assert 0.0 == await stage.performance.run()
    assert [] == stage.progress


@in_virtual_time
async def test_a_sentence_without_sound_is_not_a_start() -> None:
    stage = Stage()
    await stage.performance.say("… !")
    await stage.performance.end()

    assert 0.0 == await stage.performance.run()
    assert [] == stage.progress


@in_virtual_time
async def test_a_voice_that_fails_says_so_after_what_it_said() -> None:
    stage = Stage()
    stage.voice.enqueue(None, SpeechError("The voice ended in mid-sentence."))
    await stage.performance.say("One two.")
    with pytest.raises(SpeechError, match="mid-sentence"):
        await stage.performance.run()

    assert 1 == len(stage.output.played)
    assert 0 == stage.voice.open


@in_virtual_time
async def test_who_brings_sentences_does_not_wait_for_a_voice_that_is_gone() -> None:
    """Given a voice that fails at once, when hundreds of sentences follow, nobody blocks."""
    stage = Stage()
    stage.voice.enqueue(SpeechError("gone"))
    speaking = asyncio.create_task(stage.performance.run())
    async with asyncio.timeout(60):
        for number in range(3 * MAX_WAITING_SENTENCES):
            await stage.performance.say(f"Sentence {number}.")
        await stage.performance.end()
    with pytest.raises(SpeechError):
        await speaking


@in_virtual_time
async def test_an_interrupted_sentence_is_closed_at_once() -> None:
    """The voice's lease must not wait for the garbage collector."""
    stage = Stage()
    playing = asyncio.Event()
    stage.output.play = lambda chunk: playing.wait()  # type: ignore[assignment,return-value,method-assign]
    speaking = asyncio.create_task(stage.performance.run())
    await stage.performance.say("One two.")
    await asyncio.sleep(1)

    assert 1 == stage.voice.open

    speaking.cancel()
    await asyncio.wait({speaking})

    assert 0 == stage.voice.open


@in_virtual_time
async def test_an_output_that_fails_closes_the_voice() -> None:
    stage = Stage()
    stage.output.error = AudioError("The speakers are gone.")
    await stage.performance.say("One two.")
    with pytest.raises(AudioError):
        await stage.performance.run()

    assert 0 == stage.voice.open


@in_virtual_time
async def test_a_reply_that_is_not_released_is_made_but_not_heard() -> None:
    stage = Stage()
    stage.performance = Performance(stage.voice, stage.output, stage.progress.append)
    speaking = asyncio.create_task(stage.performance.run())
    await stage.performance.say("One two.")
    await stage.performance.end()
    await asyncio.sleep(1)

    assert ["synthesised"] == stage.progress
    assert [] == stage.output.played

    stage.performance.release()

    assert pytest.approx(0.2) == await speaking


@in_virtual_time
async def test_a_reply_that_is_halted_gives_the_output_nothing_more() -> None:
    stage, more = Stage(), asyncio.Event()
    stage.voice.enqueue(None, more)
    speaking = asyncio.create_task(stage.performance.run())
    await stage.performance.say("One two three.")
    await stage.performance.end()
    await asyncio.sleep(1)
    stage.performance.halt()
    more.set()
    await speaking

    assert 1 == len(stage.output.played)


@in_virtual_time
async def test_what_was_heard_of_a_reply_is_told_in_words() -> None:
    """A tenth of a second for each word: after 0.3 s, three words were heard."""
    stage = Stage()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(stage.performance.run())
        for sentence in ("One two.", "Three four five."):
            await stage.performance.say(sentence)
        await stage.performance.end()

    assert ["", "One two.", "One two. Three", "One two. Three four five."] == [
        stage.performance.heard(seconds) for seconds in (0.0, 0.2, 0.3, 9.0)
    ]
