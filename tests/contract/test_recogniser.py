"""What every recogniser does: the fake that the other tests rely on, and the real Whisper worker."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import SttConfig
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.recordings import Passage, Wanted
from heisenberg.core.stages import Recogniser
from heisenberg.runner import engines
from heisenberg.runner.engines import NewSpec
from heisenberg.stt.buffered import BufferedRecogniser
from heisenberg.stt.openai import OpenAiRecogniser
from heisenberg.stt.recordings import RecordingTranscriber
from heisenberg.stt.wyoming import passages
from tests import speech
from tests.contract.conftest import PooledLane, StartWorker
from tests.fakes.stages import FakeRecogniser

CONFIG = SttConfig(device="cpu", threads=2)
MODEL = "whisper-tiny.en"
SENTENCES = (
    "What time is it in Paris right now?",
    "Turn all the lights blue and make them move slowly.",
    "Tell me a short story about the sea.",
    "Please remember that my sister arrives on Thursday.",
)
STORY = (
    "The old harbour lies quiet under a pale morning sky.",
    "A fisherman carries two baskets of silver herring up the hill.",
    "His daughter has painted their kitchen door bright yellow.",
    "Nobody in the village remembers who built the crooked tower.",
    "Some people say it was a giant, others blame the wind.",
    "On Sundays the baker rings a bell when the bread is ready.",
    "Children run down the narrow street with coins in their hands.",
    "Last winter a storm broke the windows of the school.",
    "For three weeks every lesson was held in the museum.",
    "They learned about dinosaurs, volcanoes and ancient music.",
    "My grandmother still keeps a letter from that time.",
    "It smells of smoke, and the ink has turned brown.",
    "If you visit us in August, bring a warm jacket anyway.",
    "The nights are cold, but you can see a thousand stars.",
    "A train leaves for the capital at half past nine.",
    "Please tell the driver that you want to get off at the bridge.",
    "From there it is only a short walk through the orange garden.",
    "We will wait for you with hot soup and good news.",
)
"""About a minute, and nothing in it is said twice: a loop would be taken for an invention."""

LEAST_RIGHT = 0.85
"""Of all words; tiny.en gets a clean synthetic voice nearly right."""


@dataclass
class Case:
    """A recogniser, and how to let it hear something."""

    recogniser: Recogniser
    expect: Callable[[str], None]
    """Tells a fake what it is about to hear."""
    say: Callable[[str], Samples] = speech.say
    """Makes the sound of words; a fake does not mind which."""
    hold: Callable[[], None] = lambda: None
    """Lets a fake take for ever over what it hears next."""
    partials: list[str] = field(default_factory=list)
    partial: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, text: str) -> None:
        self.partials.append(text)
        self.partial.set()

    async def hear(self, sound: Samples, words: str) -> str:
        """What is understood of *sound*, in which *words* are said."""
        self.expect(words)
        async with asyncio.timeout(60):
            return (await self.recogniser.open(self.take).finish(sound)).text


def whisper(model: Path) -> Callable[[Path], NewSpec]:
    return lambda sockets: engines.whisper(MODEL, str(model), CONFIG, sockets)


@pytest.fixture(
    scope="module",
    params=["fake", pytest.param("whisper", marks=pytest.mark.e2e), pytest.param("openai", marks=pytest.mark.e2e)],
)
def new_case(request: pytest.FixtureRequest, start_worker: StartWorker) -> Callable[[], Case]:
    if request.param == "fake":

        def fake() -> Case:
            recogniser = FakeRecogniser()
            return Case(
                recogniser,
                recogniser.enqueue,
                lambda words: np.ones(1600 * len(words), dtype=np.int16),
                lambda: recogniser.enqueue(asyncio.Event()),
            )

        return fake
    if request.param == "openai":
        server = request.getfixturevalue("model_server")
        ask = OpenAiRecogniser(MODEL, "en", 60).command
        return lambda: Case(
            BufferedRecogniser(server.lease, language="en", partials=True, timeout_s=60, ask=ask), lambda words: None
        )
    service = start_worker(whisper(request.getfixturevalue("models") / MODEL))
    return lambda: Case(
        BufferedRecogniser(service.lease, language="en", partials=True, timeout_s=60), lambda words: None
    )


@pytest.fixture
def case(new_case: Callable[[], Case]) -> Case:
    return new_case()


def words_of(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def wrong_words(heard: Sequence[str], said: Sequence[str]) -> int:
    """How many words must be changed, dropped or added."""
    row = list(range(len(said) + 1))
    for i, word in enumerate(heard, 1):
        last, row[0] = row[0], i
        for j, wanted in enumerate(said, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (word != wanted))
    return row[-1]


async def test_known_sentences_are_understood(case: Case) -> None:
    wrong = total = 0
    for sentence in SENTENCES:
        heard = await case.hear(case.say(sentence), sentence)
        wrong += wrong_words(words_of(heard), words_of(sentence))
        total += len(words_of(sentence))

    assert 1 - wrong / total >= LEAST_RIGHT


async def test_a_single_short_word_is_understood(case: Case) -> None:
    sound = case.say("Stop!")
    padded = np.pad(sound, (4000, max(0, PIPELINE_RATE_HZ - 4000 - len(sound))))

    assert ["stop"] == words_of(await case.hear(padded, "Stop!"))


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0, dtype=np.int16),
        np.zeros(1, dtype=np.int16),
        speech.silence(0.3),
        speech.silence(2.0),
        speech.silence(60.0),
        speech.quieter(speech.noise("white", 2.0), 30),
        speech.quieter(speech.noise("pink", 3.0), 12),
        speech.noise("hum", 2.0),
        speech.noise("typing", 3.0),
        speech.noise("hum", 12.0),
        speech.noise("music", 4.0),
        speech.noise("music", 25.0),
    ],
    ids=[
        "nothing",
        "one sample",
        "short silence",
        "silence",
        "a minute of silence",
        "hiss",
        "pink noise",
        "hum",
        "typing",
        "a long hum",
        "music",
        "much music",
    ],
)
async def test_where_nobody_speaks_nothing_is_understood(case: Case, sound: Samples) -> None:
    """Whisper is known to invent text here."""
    assert "" == await case.hear(sound, "")


@pytest.mark.parametrize("sentences", [12, 18])
async def test_a_very_long_command_is_understood_to_its_end(case: Case, sentences: int) -> None:
    """More than one and nearly two of Whisper's windows of 30 s; a command may last a minute."""
    said = STORY[:sentences]
    sound = speech.join(*[speech.join(case.say(sentence), speech.silence(0.3)) for sentence in said])
    heard, expected = words_of(await case.hear(sound, " ".join(said))), words_of(" ".join(said))

    assert len(sound) > 2.5 * sentences * PIPELINE_RATE_HZ
    assert 1 - wrong_words(heard, expected) / len(expected) >= LEAST_RIGHT


async def test_partials_arrive_while_it_is_spoken(case: Case) -> None:
    sentence = "Tell me a short story about the sea."
    recognition = case.recogniser.open(case.take)
    for chunk in speech.chunks(case.say(sentence), 4096):
        recognition.feed(chunk)
    async with asyncio.timeout(60):
        await case.partial.wait()
    case.expect(sentence)
    final = await recognition.finish(case.say(sentence))
    await recognition.cancel()

    assert case.partials[0]
    assert final.text


async def test_after_cancel_no_partial_arrives(case: Case) -> None:
    recognition = case.recogniser.open(case.take)
    sound = case.say(SENTENCES[0])
    recognition.feed(sound)
    await recognition.cancel()
    case.partials.clear()
    recognition.feed(sound)
    await case.hear(sound, SENTENCES[0])  # by when an earlier request would have been answered, too

    assert [] == case.partials


async def test_finish_can_be_repeated(case: Case) -> None:
    sound = case.say(SENTENCES[0])
    recognition = case.recogniser.open(case.take)
    texts = []
    for _ in range(2):
        case.expect(SENTENCES[0])
        texts.append((await recognition.finish(sound)).text)

    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("after_s", [0.0, 0.1], ids=["at once", "in mid decode"])
async def test_finish_may_be_cancelled_and_asked_anew(case: Case, after_s: float) -> None:
    """The speaker paused twice and went on: only the whole command counts, and no answer is mistaken for its."""
    first, second = case.say(SENTENCES[0]), case.say(SENTENCES[1])
    recognition = case.recogniser.open(case.take)
    for part in (first, speech.join(first, second)):
        case.hold()
        recognition.feed(part)
        attempt = asyncio.create_task(recognition.finish(part))
        await asyncio.wait([attempt], timeout=after_s)
        attempt.cancel()
        await asyncio.wait([attempt])
    whole = speech.join(second, speech.silence(0.3), first)
    said = f"{SENTENCES[1]} {SENTENCES[0]}"
    case.expect(said)
    async with asyncio.timeout(60):
        heard = (await recognition.finish(whole)).text
    await recognition.cancel()

    assert wrong_words(words_of(heard), words_of(said)) <= 2


async def test_a_pause_may_be_followed_by_more(case: Case) -> None:
    """A transcript of what was there at the pause, and then one of everything."""
    first = case.say(SENTENCES[2])
    whole = speech.join(first, speech.silence(0.3), case.say(SENTENCES[3]))
    recognition = case.recogniser.open(case.take)
    recognition.feed(first)
    case.expect(SENTENCES[2])
    at_pause = (await recognition.finish(first)).text
    recognition.feed(whole[len(first) :])
    case.expect(f"{SENTENCES[2]} {SENTENCES[3]}")
    in_the_end = (await recognition.finish(whole)).text
    await recognition.cancel()

    assert wrong_words(words_of(at_pause), words_of(SENTENCES[2])) <= 1
    assert wrong_words(words_of(in_the_end), words_of(f"{SENTENCES[2]} {SENTENCES[3]}")) <= 2


async def test_the_language_is_told(case: Case) -> None:
    case.expect(SENTENCES[0])
    transcript = await case.recogniser.open(case.take).finish(case.say(SENTENCES[0]))

    assert "en" == transcript.language


# ── what only a real worker can suffer ───────────────────────────────────────────────────────────


async def while_it_decodes(pid: int, act: Callable[[], None]) -> None:
    """Do *act* once process *pid* has worked for a while."""
    process = psutil.Process(pid)
    began = process.cpu_times().user
    async with asyncio.timeout(60):
        while process.cpu_times().user - began < 0.3:  # noqa: ASYNC110 - another process is watched
            await asyncio.sleep(0.01)
    act()


@pytest.mark.e2e
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=lambda how: how.name)
async def test_a_worker_that_is_lost_in_mid_decode_costs_one_attempt(
    how: signal.Signals, models: Path, pooled_lane: PooledLane
) -> None:
    """Killed, or stopped for good: the attempt fails in bounded time, the next one has a new worker."""
    sentence = SENTENCES[0]
    long_command = np.tile(speech.join(speech.say(sentence), speech.silence(0.3)), 10)
    async with pooled_lane(whisper(models / MODEL)) as lane:
        recogniser = BufferedRecogniser(lane.lease, language="en", partials=False, timeout_s=8)
        await recogniser.warm_up()
        child = lane.keeper.child
        assert child is not None
        recognition = recogniser.open(print)
        attempt: Awaitable[object] = asyncio.create_task(recognition.finish(long_command))
        await while_it_decodes(child.pid, lambda: os.kill(child.pid, how))
        async with asyncio.timeout(30):
            with pytest.raises(TranscriptionError):
                await attempt
        await recogniser.warm_up()  # the new worker may take its time
        heard = (await recognition.finish(speech.say(sentence))).text

        assert wrong_words(words_of(heard), words_of(sentence)) <= 1
        assert child is not lane.keeper.child


async def in_blocks(sound: Samples) -> AsyncIterator[Samples]:
    for block in speech.chunks(sound, 16_000):
        yield block


@pytest.mark.e2e
async def test_a_recording_is_transcribed_with_its_times(models: Path, pooled_lane: PooledLane) -> None:
    sound = speech.join(*[speech.join(speech.say(sentence), speech.silence(1.0)) for sentence in SENTENCES])
    async with pooled_lane(whisper(models / MODEL)) as lane:
        transcriber = RecordingTranscriber(lane.lease, partial(passages, stall_s=60), wait_s=60)
        found = [part async for part in transcriber.listen(in_blocks(sound), Wanted()) if isinstance(part, Passage)]
    heard, said = words_of(" ".join(segment.text for segment in found)), words_of(" ".join(SENTENCES))

    assert [segment.start for segment in found] == sorted(segment.start for segment in found)
    assert all(0 <= s.start < s.end <= len(sound) / PIPELINE_RATE_HZ + 1 for s in found)
    assert 1 - wrong_words(heard, said) / len(said) >= LEAST_RIGHT
