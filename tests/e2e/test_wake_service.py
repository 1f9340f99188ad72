"""The wake word by a service elsewhere: the real program, our own service, and a command in the same breath."""

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from heisenberg.core.audio import Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.stages import Wake, WakewordEngine
from heisenberg.wakeword.offered import OfferedPhrases
from tests import speech
from tests.e2e.program import heisenberg
from tests.fakes.wake_service import OwnService
from tests.word_errors import word_error_rate

pytestmark = pytest.mark.e2e

SLOW_S = 0.7


class _SlowWords(OfferedPhrases):
    """A machine that thinks for a while before it says what it has heard."""

    slow_s = 0.0

    def open(self, names: Sequence[str]) -> WakewordEngine:
        return _Slow(super().open(names), self.slow_s)


class _Slow:
    def __init__(self, engine: WakewordEngine, slow_s: float) -> None:
        self._engine = engine
        self._slow_s = slow_s
        self.reset, self.close = engine.reset, engine.close

    def process(self, samples: Samples) -> Wake | None:
        wake = self._engine.process(samples)
        if wake is not None:
            threading.Event().wait(self._slow_s)
        return wake


@pytest.fixture(params=[0.0, SLOW_S], ids=["prompt", "slow"])
def service(request: pytest.FixtureRequest) -> Iterator[OwnService]:
    words = _SlowWords(WakewordConfig())
    words.slow_s = request.param
    started = OwnService(words)
    yield started
    started.close()


def run_with(url: str, folder: Path, *sounds: speech.Sound) -> list[dict[str, Any]]:
    """The events of ``heisenberg run`` on a file in real time, with the wake words of the service at *url*."""
    wav = speech.write_wav(folder / "said.wav", speech.join(speech.silence(2.0), *sounds, speech.silence(3.0)))
    events = folder / "events.jsonl"
    done = heisenberg(
        "run", "--input", str(wav), "--output", "none", "--events", str(events), "--once",
        "--set", "wakeword.engine=wyoming", "--set", f"wakeword.url={url}",
        "--set", "llm.max_tokens=16", "--set", "tts.engine=none",
    )  # fmt: skip
    assert 0 == done.status, done.stderr
    return [json.loads(line) for line in events.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("text", ["Hey Jarvis, what time is it?", "Hey Jarvis tell me a short story about a fox."])
def test_a_command_in_the_same_breath_is_whole(service: OwnService, tmp_path: Path, text: str) -> None:
    """However late the service is: the command begins where it heard the phrase, not where its answer came."""
    events = run_with(service.url, tmp_path, speech.say(text))

    (wake,) = [event for event in events if event["type"] == "wakeword_detected"]
    assert "hey_jarvis" == wake["name"]
    heard = [event["text"] for event in events if event["type"] == "transcription_final"][-1]
    assert 0 == word_error_rate(text.removeprefix("Hey Jarvis").lstrip(", "), heard)


def test_a_service_that_knows_other_words_ends_the_program_with_what_it_knows(tmp_path: Path) -> None:
    service = OwnService(OfferedPhrases(WakewordConfig()))
    try:
        done = heisenberg(
            "run", "--input", str(speech.write_wav(tmp_path / "said.wav", speech.silence(1.0))), "--output", "none",
            "--set", "wakeword.engine=wyoming", "--set", f"wakeword.url={service.url}",
            "--set", 'wakeword.words=["computer"]',
        )  # fmt: skip
    finally:
        service.close()

    assert 1 == done.status
    assert 'knows none of wakeword.words ("computer"). It has ' in done.stderr
    assert "Traceback" not in done.stderr
