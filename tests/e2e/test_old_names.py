"""The names of the environment from before Heisenberg had sections start the assistant, all of them together."""

import asyncio
from pathlib import Path

import pytest

from tests import speech
from tests.e2e.program import Finished, run_file
from tests.fakes.ollama_server import FakeOllama

pytestmark = pytest.mark.e2e

ANSWER = '{"mood":"calm","intensity":0.5,"reply":"It is noon.","visual":{"prompt":"a bright sun"}}'

OLD_NAMES = {
    "AUDIO_SAMPLE_RATE": "24000",
    "AUDIO_CHANNELS": "1",
    "AUDIO_CHUNK_SIZE": "1920",
    "MOSHI_DEVICE": "cpu",
    "OLLAMA_MODEL": "llama3.2",
    "BRAIN_ANALYSIS_INTERVAL": "6.0",
}


async def test_the_old_names_together_start_the_assistant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wav = speech.write_wav(
        tmp_path / "question.wav",
        speech.join(
            speech.silence(1.0),
            speech.say("Hey Jarvis"),
            speech.silence(0.3),
            speech.say("What time is it?"),
            speech.silence(2.0),
        ),
    )
    async with FakeOllama(models={"llama3.2"}) as ollama:
        ollama.enqueue(ANSWER)
        for name, value in {**OLD_NAMES, "OLLAMA_HOST": ollama.url}.items():
            monkeypatch.setenv(name, value)
        run: Finished = await asyncio.to_thread(run_file, wav, tmp_path)

    assert 0 == run.status, run.stderr
    assert ["llama3.2"] == run.values("llm_started", "model")
    assert ["It is noon."] == run.values("llm_complete", "text")
