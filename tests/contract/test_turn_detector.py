"""What every turn detector must do: the fake and Smart Turn; and what the words say of what Whisper really heard.

The sound is synthesised, and ends as a synthetic voice ends: always as if the sentence were over. So only phrases
that are beyond doubt are asked about; what the detectors make of others is in docs/decisions/0007-endpoint.md.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import SttConfig
from heisenberg.core.errors import VadError
from heisenberg.core.stages import Recogniser, TurnDetector
from heisenberg.runner import engines
from heisenberg.stt.buffered import BufferedRecogniser
from heisenberg.vad.phrase_end import sounds_complete
from heisenberg.vad.smart_turn import SmartTurn
from tests import speech
from tests.contract.conftest import StartWorker
from tests.fakes.turn_detector import FakeTurnDetector, utterance

VOICES = ("joe", "joe+4")
OVER = ("What is the weather like in Paris?", "Paint me a quiet forest.", "How old is the universe?", "Tell me a joke.")
OPEN = ("What is the weather like in",)


# ── by their sound ───────────────────────────────────────────────────────────────────────────────


def fake_say(text: str, voice: str) -> Samples:
    return utterance(1.0, is_over=text.endswith((".", "?")))


@dataclass(frozen=True)
class Case:
    """A detector and the sound that it understands."""

    detector: TurnDetector
    say: Callable[[str, str], Samples] = speech.say


@pytest.fixture(scope="module")
def smart_turn(models: Path) -> Path:
    model = models / "smart-turn" / "smart-turn-v3.2-cpu.onnx"
    if not model.is_file():
        pytest.skip("needs the turn detector: heisenberg models pull smart-turn")
    return model


@pytest.fixture(params=["fake", pytest.param("smart_turn", marks=pytest.mark.e2e)])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    if request.param == "fake":
        made = Case(FakeTurnDetector(), fake_say)
    else:
        made = Case(SmartTurn(request.getfixturevalue("smart_turn")))
    yield made
    made.detector.close()
    made.detector.close()


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("text", OVER)
def test_a_whole_sentence_is_over(case: Case, text: str, voice: str) -> None:
    assert case.detector.is_complete(case.say(text, voice)) > 0.5


@pytest.mark.parametrize("voice", VOICES)
@pytest.mark.parametrize("text", OPEN)
def test_more_is_expected_in_mid_phrase(case: Case, text: str, voice: str) -> None:
    assert case.detector.is_complete(case.say(text, voice)) < 0.5


@pytest.mark.parametrize("samples", [0, 1, 160, 16_000, 30 * PIPELINE_RATE_HZ])
def test_any_length_has_a_probability(case: Case, samples: int) -> None:
    sound = np.resize(speech.noise("pink", 1.0), samples)

    assert 0.0 <= case.detector.is_complete(sound) <= 1.0


def test_silence_and_full_scale_have_a_probability(case: Case) -> None:
    for value in (0, -32768, 32767):
        assert 0.0 <= case.detector.is_complete(np.full(PIPELINE_RATE_HZ, value, dtype=np.int16)) <= 1.0


def test_nothing_is_remembered(case: Case) -> None:
    """Each pause is judged by itself: the same sound twice, with another in between, has the same probability."""
    over, more = case.say(OVER[0], "joe"), case.say(OPEN[0], "joe")
    first = case.detector.is_complete(over)
    case.detector.is_complete(more)

    assert first == case.detector.is_complete(over)


def test_the_command_is_left_as_it_was(case: Case) -> None:
    sound = case.say(OVER[0], "joe")
    before = sound.copy()
    case.detector.is_complete(sound)

    assert np.array_equal(before, sound)


async def test_it_may_be_asked_from_one_thread_after_the_other(case: Case) -> None:
    sound = case.say(OVER[0], "joe")
    here = case.detector.is_complete(sound)

    assert here == await asyncio.to_thread(case.detector.is_complete, sound)


@pytest.mark.e2e
@pytest.mark.parametrize("voice", VOICES)
def test_only_the_last_eight_seconds_count(smart_turn: Path, voice: str) -> None:
    """What was said long before changes nothing, however loud it was."""
    detector = SmartTurn(smart_turn)
    recent = speech.join(speech.silence(8.0), speech.say(OVER[0], voice))
    earlier = speech.join(speech.noise("white", 20.0), recent)

    assert detector.is_complete(recent) == detector.is_complete(earlier)


@pytest.mark.e2e
def test_a_closed_detector_says_so(smart_turn: Path) -> None:
    detector = SmartTurn(smart_turn)
    detector.close()
    with pytest.raises(VadError, match="after it had been closed"):
        detector.is_complete(speech.silence(1.0))


# ── by their words, as Whisper hears them ────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def recogniser(models: Path, start_worker: StartWorker) -> Recogniser:
    path, config = models / "whisper-tiny.en", SttConfig(device="cpu", threads=2)
    service = start_worker(lambda sockets: engines.whisper("whisper-tiny.en", str(path), config, sockets))
    return BufferedRecogniser(service.lease, language="en", partials=False, timeout_s=60)


async def verdicts(recogniser: Recogniser, texts: Sequence[str]) -> list[bool | None]:
    """Of each of *texts* by each voice, cut as at a soft end: some silence before, and 0.2 s after it."""
    found = []
    for text in texts:
        for voice in VOICES:
            command = speech.join(speech.silence(0.3), speech.say(text, voice), speech.silence(0.2))
            async with asyncio.timeout(60):
                heard = await recogniser.open(lambda partial: None).finish(command)
            print(text, voice, "→", heard.text)
            found.append(sounds_complete(heard.text, heard.language))
    return found


@pytest.mark.e2e
async def test_no_whole_sentence_is_waited_for(recogniser: Recogniser) -> None:
    texts = ("Paint me a quiet forest.", "What time is it?", "Turn it on.", "Stop.", "Who are you?", *OVER)

    assert {True} == set(await verdicts(recogniser, texts))


@pytest.mark.e2e
async def test_what_breaks_off_is_waited_for(recogniser: Recogniser) -> None:
    """Given Whisper, which ends each of these with a full stop or an ellipsis as it likes."""
    texts = ("Paint me a", "I want to", "What is the weather like in", "Make it blue and", "Can you please")

    assert {False} == set(await verdicts(recogniser, texts))
