"""Ambient mode through the real audio thread and Kyutai's real library: words become sentences while they are spoken.

The model knows tone words only (``tests/tiny_moshi``), which are no speech to a voice-activity detector: loudness
stands in for it. Its words have no capitals, so sentences are told from each other by the pauses between them.
"""

import asyncio
from pathlib import Path

import numpy as np
import psutil
import pytest

from heisenberg.audio.ring import SampleRing
from heisenberg.audio.wavfile import WavSource
from heisenberg.core.config import Config
from heisenberg.core.events import AnalysisCompleted, SentenceHeard, TranscriptionPartial
from heisenberg.models import Runner
from heisenberg.orchestrator.ambient.ambience import AmbientStages
from heisenberg.orchestrator.ambient.no_wake_word import NoWakeWord
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.listener import Ears, Listener
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.work import Stages
from heisenberg.sinks.speech import Performance
from heisenberg.vad.endpoint import CommandEndpointer
from tests import speech, tiny_moshi
from tests.e2e.test_moshi_turn import Loudness
from tests.fakes.ambient import FakeAnalyst
from tests.fakes.stages import FakeBrain, FakeOutput, FakeVoice, RecordingSink
from tests.integration.scene import BOUNDS
from tests.tiny_moshi import tone_speech

pytestmark = pytest.mark.e2e

SENTENCES = ["hello world.", "turn on the kitchen light.", "what time is it now?", "bonjour le monde.", "blue sea"]


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_moshi.trained_tones(tmp_path_factory)


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    sounds = [tone_speech(sentence, lead_s=0.6, gap_s=0.16, tail_s=1.6) for sentence in SENTENCES]
    return speech.write_wav(tmp_path / "talk.wav", np.concatenate(sounds))


async def heard(model: Path, wav: Path, *, is_paced: bool, kills: bool = False) -> RecordingSink:
    """What ambient mode makes of *wav*; *kills*: the recogniser is killed after the first sentence."""
    config = Config.model_validate({"stt": {"engine": "moshi", "model": str(model), "device": "cpu", "threads": 1}})
    output, voice, sink = FakeOutput(), FakeVoice(), RecordingSink()
    async with Runner(config) as runner:
        recogniser = runner.recogniser()
        await recogniser.warm_up()
        history = History(6, 300.0, asyncio.get_running_loop().time)
        stages = Stages(recogniser, FakeBrain(), lambda on: Performance(voice, output, on), output, history, "en")
        ambient = AmbientStages(recogniser, FakeAnalyst(), config.brain, 60.0, is_on=True)
        session = Session(stages, (sink,), BOUNDS, ambient=ambient)
        ring = SampleRing(16_000 * 70)
        ears = Ears(WavSource(wav, is_paced), NoWakeWord(), Loudness(), CommandEndpointer(config.vad), ring)
        session.hear_from(lambda report: Listener(ears, report, preroll_s=0.3))
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(session.run())
            if kills:
                await sink.until("sentence_heard")
                for child in psutil.Process().children(recursive=True):
                    if "workers.moshi" in " ".join(child.cmdline()):
                        child.kill()
            await running
    return sink


def sentences(sink: RecordingSink) -> list[str]:
    return [event.text for event in sink.events if isinstance(event, SentenceHeard)]


async def test_what_is_said_becomes_sentences_while_it_is_said(tones: Path, talk: Path) -> None:
    sink = await heard(tones, talk, is_paced=True)

    assert SENTENCES == sentences(sink)
    assert [event for event in sink.events if isinstance(event, TranscriptionPartial)]
    assert [event for event in sink.events if isinstance(event, AnalysisCompleted)]


async def test_a_file_as_fast_as_can_be_gives_the_same_sentences(tones: Path, talk: Path) -> None:
    sink = await heard(tones, talk, is_paced=False)

    assert SENTENCES == sentences(sink)


async def test_a_recogniser_that_is_killed_hears_on(tones: Path, talk: Path) -> None:
    sink = await heard(tones, talk, is_paced=True, kills=True)

    assert SENTENCES[0] == sentences(sink)[0]
    assert SENTENCES[-1] == sentences(sink)[-1]
    assert len(sentences(sink)) >= len(SENTENCES) - 1
