"""``heisenberg say``: what arrives is spoken as it arrives, and nothing is left behind however it ends."""

import argparse
import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress

import pytest

from heisenberg.commands import say
from heisenberg.core.audio import AudioChunk
from heisenberg.core.config import Config
from heisenberg.core.errors import SpeechError
from tests.fakes.stages import FakeOutput, FakeVoice

FIRST = "Good evening to you all."


class HeardVoice(FakeVoice):
    """Lets a test wait for its first sentence."""

    def __init__(self) -> None:
        super().__init__()
        self.has_spoken = asyncio.Event()

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        async with aclosing(super().speak(text, language)) as sound:
            async for chunk in sound:
                yield chunk
        self.has_spoken.set()


class Stage:
    """Stands where the models and the loudspeaker are."""

    def __init__(self) -> None:
        self.voice = HeardVoice()
        self.output = FakeOutput()

    async def say(self, text: str) -> None:
        """Run the command."""
        await say._say(argparse.Namespace(text=text, language=None, output="none"), Config())


class Pipe:
    """A pipe whose reading end stands where standard input is."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        self._is_open = True

    def write(self, data: bytes) -> None:
        os.write(self._writing, data)

    def close(self) -> None:
        """End of input. May be called twice."""
        if self._is_open:
            self._is_open = False
            os.close(self._writing)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()

    class Runner:
        def __init__(self, config: Config) -> None:
            """Nothing to start."""

        async def __aenter__(self) -> "Runner":
            return self

        async def __aexit__(self, *failure: object) -> None:
            """Nothing to end."""

        def voice(self) -> FakeVoice:
            return stage.voice

    @asynccontextmanager
    async def open_output(config: Config, output: str) -> AsyncIterator[FakeOutput]:
        yield stage.output

    monkeypatch.setattr("heisenberg.models.Runner", Runner)
    monkeypatch.setattr("heisenberg.wiring.outputs.open_output", open_output)
    return stage


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipe]:
    pipe = Pipe()
    monkeypatch.setattr(say, "STANDARD_INPUT", pipe.reading)
    yield pipe
    pipe.close()  # whoever still reads has come to the end


async def test_a_sentence_is_spoken_before_its_line_ends(stage: Stage, pipe: Pipe) -> None:
    """`heisenberg ask` prints its only newline at the end."""
    saying = asyncio.create_task(stage.say("-"))
    pipe.write(FIRST.encode() + b" And h")
    async with asyncio.timeout(10):
        await stage.voice.has_spoken.wait()

    assert [FIRST] == [text for text, _ in stage.voice.spoken]

    pipe.write(b"ow are you?")
    pipe.close()
    await saying

    assert [FIRST, "And how are you?"] == [text for text, _ in stage.voice.spoken]


async def test_a_letter_may_arrive_in_two_parts(stage: Stage, pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(say, "BLOCK_BYTES", 1)
    pipe.write("Bonne soirée à vous, déjà 🙂 là.".encode())
    pipe.close()
    await stage.say("-")

    assert ["Bonne soirée à vous,", "déjà 🙂 là."] == [text for text, _ in stage.voice.spoken]


async def test_bytes_that_are_no_text_do_not_stop_it(stage: Stage, pipe: Pipe) -> None:
    pipe.write(b"Caf\xe9 is open, \xc3")
    pipe.close()
    await stage.say("-")

    assert "Caf\ufffd is open, \ufffd" == " ".join(text for text, _ in stage.voice.spoken)


async def test_more_than_a_pipe_holds_arrives_whole_and_in_order(stage: Stage, pipe: Pipe) -> None:
    sentences = [f"This is sentence number {n} of a long story." for n in range(5000)]
    writing = asyncio.create_task(asyncio.to_thread(pipe.write, " ".join(sentences).encode()))
    saying = asyncio.create_task(stage.say("-"))
    await writing
    pipe.close()
    await saying

    assert sentences == [text for text, _ in stage.voice.spoken]


async def test_a_failure_is_told_at_once_while_input_is_still_open(stage: Stage, pipe: Pipe) -> None:
    stage.voice.enqueue(SpeechError("The voice is gone."))
    pipe.write(FIRST.encode() + b" And ")

    async with asyncio.timeout(10):
        with pytest.raises(SpeechError, match="The voice is gone"):
            await stage.say("-")


async def test_a_failure_is_told_while_more_waits_than_is_kept(stage: Stage, pipe: Pipe) -> None:
    """Everybody who waits for room is let go."""
    held = asyncio.Event()
    stage.voice.enqueue(held, SpeechError("The voice is gone."))
    writing = asyncio.create_task(asyncio.to_thread(_write_until_closed, pipe, f"{FIRST} ".encode() * 40_000))
    saying = asyncio.create_task(stage.say("-"))
    await asyncio.wait({saying}, timeout=0.3)
    held.set()

    async with asyncio.timeout(10):
        with pytest.raises(SpeechError, match="The voice is gone"):
            await saying
    os.close(pipe.reading)
    await writing


async def test_ctrl_c_ends_it_in_a_silent_pipe(stage: Stage, pipe: Pipe) -> None:
    """As asyncio does it: by cancelling."""
    saying = asyncio.create_task(stage.say("-"))
    pipe.write(FIRST.encode() + b" And ")
    async with asyncio.timeout(10):
        await stage.voice.has_spoken.wait()
    saying.cancel()

    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await saying
    assert 0 == stage.voice.open


async def test_input_that_cannot_be_read_is_one_line(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(say, "STANDARD_INPUT", 987_654)  # nobody has opened it

    with pytest.raises(SpeechError, match="Standard input cannot be read: Bad file descriptor"):
        await stage.say("-")


async def test_a_text_that_is_given_is_spoken(stage: Stage) -> None:
    await stage.say("Good evening.")

    assert [("Good evening.", None)] == stage.voice.spoken


def _write_until_closed(pipe: Pipe, data: bytes) -> None:
    with suppress(BrokenPipeError):
        pipe.write(data)
