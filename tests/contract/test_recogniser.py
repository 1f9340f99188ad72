"""What every recogniser does: the fake that the other tests rely on, the real Whisper worker, an OpenAI-compatible
server, and Kyutai's library in its worker.

No weights of Kyutai's are needed: a tiny model of the same kind was taught tone words (``tests/tiny_moshi``).
"""

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
from heisenberg.core.recordings import Passage, TimedWord, Wanted
from heisenberg.core.stages import Recogniser, Recognition
from heisenberg.runner import engines
from heisenberg.runner.engines import NewSpec
from heisenberg.stt.buffered import BufferedRecogniser
from heisenberg.stt.moshi import StreamingRecogniser
from heisenberg.stt.openai import OpenAiRecogniser
from heisenberg.stt.recordings import RecordingTranscriber
from heisenberg.stt.wyoming import passages
from tests import speech
from tests.contract.conftest import PooledLane, StartWorker
from tests.fakes.stages import FakeRecogniser
from tests.tiny_moshi.tones import tone_speech

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

TONES = (
    "Turn on the kitchen light.",
    "What time is it now?",
    "Blue sea calm stars!",
    "Hello world.",
    "The sea is calm now?",
    "Turn the blue light.",
)
"""What can be said in the words that the tiny model was taught."""

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
    sentences: Sequence[str] = SENTENCES
    """What it knows the words of."""
    word: str = "Stop!"
    is_taught_all: bool = True
    """Whether it ever met noise, and minutes of speech; the tiny model knows 22 tones, and 20 s of them."""
    partials: list[str] = field(default_factory=list)
    partial: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, text: str) -> None:
        self.partials.append(text)
        self.partial.set()

    async def hear(self, sound: Samples, words: str) -> str:
        """What is understood of *sound*, in which *words* are said."""
        self.expect(words)
        recognition = self.recogniser.open(self.take)
        try:
            async with asyncio.timeout(60):
                return (await recognition.finish(sound)).text
        finally:
            await recognition.cancel()


def tones(text: str) -> Samples:
    """*text* in tone words."""
    return tone_speech(text.lower(), lead_s=0.24)


def moshi(model: Path) -> Callable[[Path], NewSpec]:
    return lambda sockets: engines.moshi(
        model.name, str(model), SttConfig(engine="moshi", device="cpu", threads=1), sockets
    )


def whisper(model: Path) -> Callable[[Path], NewSpec]:
    return lambda sockets: engines.whisper(MODEL, str(model), CONFIG, sockets)


@pytest.fixture(
    scope="module",
    params=["fake", *(pytest.param(name, marks=pytest.mark.e2e) for name in ("whisper", "openai", "moshi"))],
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
    if request.param == "moshi":
        service = start_worker(moshi(request.getfixturevalue("tone_model")))
        return lambda: Case(
            StreamingRecogniser(service.lease, language="en", timeout_s=60),
            lambda words: None,
            tones,
            sentences=TONES,
            word="Light.",
            is_taught_all=False,
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
    for sentence in case.sentences:
        heard = await case.hear(case.say(sentence), sentence)
        wrong += wrong_words(words_of(heard), words_of(sentence))
        total += len(words_of(sentence))

    assert 1 - wrong / total >= LEAST_RIGHT


async def test_a_single_short_word_is_understood(case: Case) -> None:
    sound = case.say(case.word)
    padded = np.pad(sound, (4000, max(0, PIPELINE_RATE_HZ - 4000 - len(sound))))

    assert words_of(case.word) == words_of(await case.hear(padded, case.word))


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
    if np.any(sound) and not case.is_taught_all:
        pytest.skip("a model of 22 tones takes any sound for one of them")
    assert "" == await case.hear(sound, "")


@pytest.mark.parametrize("sentences", [12, 18])
async def test_a_very_long_command_is_understood_to_its_end(case: Case, sentences: int) -> None:
    """More than one and nearly two of Whisper's windows of 30 s; a command may last a minute."""
    if not case.is_taught_all:
        pytest.skip("a model of 20 s")
    said = STORY[:sentences]
    sound = speech.join(*[speech.join(case.say(sentence), speech.silence(0.3)) for sentence in said])
    heard, expected = words_of(await case.hear(sound, " ".join(said))), words_of(" ".join(said))

    assert len(sound) > 2.5 * sentences * PIPELINE_RATE_HZ
    assert 1 - wrong_words(heard, expected) / len(expected) >= LEAST_RIGHT


async def test_partials_arrive_while_it_is_spoken(case: Case) -> None:
    sentence = case.sentences[2]
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
    partials: list[str] = []
    recognition = case.recogniser.open(partials.append)
    sound = case.say(case.sentences[0])
    recognition.feed(sound)
    await recognition.cancel()
    partials.clear()
    recognition.feed(sound)
    await case.hear(sound, case.sentences[0])  # by when an earlier request would have been answered, too

    assert [] == partials


async def test_finish_can_be_repeated(case: Case) -> None:
    sound = case.say(case.sentences[0])
    recognition = case.recogniser.open(case.take)
    texts = []
    for _ in range(2):
        case.expect(case.sentences[0])
        texts.append((await recognition.finish(sound)).text)
    await recognition.cancel()

    assert texts[0] == texts[1] != ""


@pytest.mark.parametrize("after_s", [0.0, 0.1], ids=["at once", "in mid decode"])
async def test_finish_may_be_cancelled_and_asked_anew(case: Case, after_s: float) -> None:
    """The speaker paused twice and went on: only the whole command counts, and no answer is mistaken for its."""
    first, second = case.say(case.sentences[0]), case.say(case.sentences[1])
    recognition = case.recogniser.open(case.take)
    for part in (first, speech.join(first, second)):
        case.hold()
        recognition.feed(part)
        attempt = asyncio.create_task(recognition.finish(part))
        await asyncio.wait([attempt], timeout=after_s)
        attempt.cancel()
        await asyncio.wait([attempt])
    whole = speech.join(second, speech.silence(0.3), first)
    said = f"{case.sentences[1]} {case.sentences[0]}"
    case.expect(said)
    async with asyncio.timeout(60):
        heard = (await recognition.finish(whole)).text
    await recognition.cancel()

    assert wrong_words(words_of(heard), words_of(said)) <= 2


async def test_a_pause_may_be_followed_by_more(case: Case) -> None:
    """A transcript of what was there at the pause, and then one of everything."""
    first = case.say(case.sentences[2])
    whole = speech.join(first, speech.silence(0.3), case.say(case.sentences[3]))
    recognition = case.recogniser.open(case.take)
    recognition.feed(first)
    case.expect(case.sentences[2])
    at_pause = (await recognition.finish(first)).text
    recognition.feed(whole[len(first) :])
    case.expect(f"{case.sentences[2]} {case.sentences[3]}")
    in_the_end = (await recognition.finish(whole)).text
    await recognition.cancel()

    assert wrong_words(words_of(at_pause), words_of(case.sentences[2])) <= 1
    assert wrong_words(words_of(in_the_end), words_of(f"{case.sentences[2]} {case.sentences[3]}")) <= 2


async def test_the_language_is_told(case: Case) -> None:
    case.expect(case.sentences[0])
    recognition = case.recogniser.open(case.take)
    transcript = await recognition.finish(case.say(case.sentences[0]))
    await recognition.cancel()

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
@pytest.mark.parametrize("engine", ["whisper", "moshi"])
async def test_a_recording_is_transcribed_with_its_times(
    engine: str, request: pytest.FixtureRequest, pooled_lane: PooledLane
) -> None:
    say, sentences = (speech.say, SENTENCES) if engine == "whisper" else (tones, TONES[:3])
    sound = speech.join(*[speech.join(say(sentence), speech.silence(1.0)) for sentence in sentences])
    folder = request.getfixturevalue("models" if engine == "whisper" else "tone_model")
    spec = whisper(folder / MODEL) if engine == "whisper" else moshi(folder)
    async with pooled_lane(spec) as lane:
        transcriber = RecordingTranscriber(lane.lease, partial(passages, stall_s=60), wait_s=60)
        wanted = Wanted(words=True)
        found = [part async for part in transcriber.listen(in_blocks(sound), wanted) if isinstance(part, Passage)]
    heard, said = words_of(" ".join(segment.text for segment in found)), words_of(" ".join(sentences))

    assert [segment.start for segment in found] == sorted(segment.start for segment in found)
    assert all(0 <= s.start < s.end <= len(sound) / PIPELINE_RATE_HZ + 1 for s in found)
    assert 1 - wrong_words(heard, said) / len(said) >= LEAST_RIGHT
    assert len(heard) == sum(len(segment.words) for segment in found)


# ── what only a streaming one can do ─────────────────────────────────────────────────────────────


def fed(case: Case, sound: Samples, words: list[TimedWord]) -> Recognition:
    """An utterance that was fed *sound* as the audio thread does."""
    recognition = case.recogniser.open(case.take, words.extend)
    for chunk in speech.chunks(sound, 1536):
        recognition.feed(chunk)
    return recognition


async def test_words_are_told_once_with_their_times(case: Case) -> None:
    if not case.recogniser.is_streaming:
        pytest.skip("its words are certain at the end only")
    sentence = case.sentences[0]
    words: list[TimedWord] = []
    recognition = fed(case, case.say(sentence), words)
    final = await recognition.finish(case.say(sentence))
    await recognition.cancel()
    distances = [abs(word.start - (0.24 + 0.6 * number)) for number, word in enumerate(words)]

    assert final.text.split() == [word.word for word in words]
    assert max(distances) < 0.3
    assert case.partials == sorted(case.partials, key=len)


@pytest.mark.e2e
async def test_a_streaming_worker_that_is_killed_costs_nothing_but_time(
    tone_model: Path, pooled_lane: PooledLane
) -> None:
    """In mid-utterance: its successor hears what was said from the beginning, and each word is told once."""
    said = " ".join(TONES[:3])
    sound = tones(said)
    async with pooled_lane(moshi(tone_model)) as lane:
        case = Case(StreamingRecogniser(lane.lease, language="en", timeout_s=60), lambda words: None)
        await case.recogniser.warm_up()
        child = lane.keeper.child
        assert child is not None
        words: list[TimedWord] = []
        recognition = fed(case, sound[: len(sound) // 2], words)
        async with asyncio.timeout(60):
            await case.partial.wait()
            os.kill(child.pid, signal.SIGKILL)
            recognition.feed(sound[len(sound) // 2 :])
            heard = (await recognition.finish(sound)).text
        await recognition.cancel()

    assert wrong_words(words_of(heard), words_of(said)) <= 1
    assert words_of(heard) == words_of(" ".join(word.word for word in words))


@pytest.mark.e2e
async def test_a_streaming_worker_that_stands_still_costs_one_attempt(
    tone_model: Path, pooled_lane: PooledLane
) -> None:
    sentence = TONES[0]
    async with pooled_lane(moshi(tone_model)) as lane:
        recogniser = StreamingRecogniser(lane.lease, language="en", timeout_s=4)
        await recogniser.warm_up()
        child = lane.keeper.child
        assert child is not None
        os.kill(child.pid, signal.SIGSTOP)
        recognition = recogniser.open(print)
        with pytest.raises(TranscriptionError) as caught:
            await recognition.finish(tones(sentence))
        await recogniser.warm_up()  # the new worker may take its time
        heard = (await recognition.finish(tones(sentence))).text
        await recognition.cancel()

    assert "stt-timeout" == caught.value.code
    assert words_of(sentence) == words_of(heard)
