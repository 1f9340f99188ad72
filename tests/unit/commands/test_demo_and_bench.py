"""What ``demo`` and ``bench`` do with arguments that cannot work, and which voice asks their questions."""

import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from heisenberg.bench.questions import speech_at_pipeline_rate, synthesise_question
from heisenberg.cli import main
from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound, SpeechError
from heisenberg.models import Runner
from heisenberg.tts.espeak import EspeakVoice
from heisenberg.tts.silent import SilentVoice
from heisenberg.tts.wyoming import WyomingVoice
from tests.fakes.stages import FakeVoice

NewRunner = Callable[..., Runner]


@pytest.fixture
async def new_runner(tmp_path: Path) -> AsyncIterator[NewRunner]:
    """Makes a runner without a single model, for settings of ``[tts]``."""
    runners: list[Runner] = []

    def made(**tts: str) -> Runner:
        config = Config.model_validate({"tts": tts, "models": {"folder": str(tmp_path / "models")}})
        runners.append(Runner(config))
        return runners[-1]

    yield made
    for runner in runners:
        await runner.__aexit__()


# ── which voice ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("tts", "kind"),
    [
        ({"engine": "espeak"}, EspeakVoice),
        ({"engine": "wyoming", "url": "tcp://host:1", "fallback": "none"}, WyomingVoice),
        ({"engine": "piper"}, EspeakVoice),
        ({"engine": "none"}, EspeakVoice),
    ],
)
async def test_questions_need_no_piper_where_something_else_can_speak(
    new_runner: NewRunner, tts: dict[str, str], kind: type
) -> None:
    assert kind is type(new_runner(**tts).plain_voice())


async def test_a_voice_that_is_not_installed_is_one_warning(
    new_runner: NewRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """The program goes on with espeak-ng; the line names the command that fetches Piper's voice."""
    runner = new_runner(engine="piper")

    assert {EspeakVoice} == {type(runner.voice()), type(runner.plain_voice()), type(runner.voice())}
    (warning,) = caplog.messages
    assert "espeak-ng speaks in place of Piper" in warning
    assert "heisenberg models pull piper-en_US-joe-medium" in warning


async def test_without_a_fallback_it_is_an_error(new_runner: NewRunner) -> None:
    runner = new_runner(engine="piper", fallback="none")

    for voice in (runner.voice, runner.plain_voice):
        with pytest.raises(ModelNotFound, match="heisenberg models pull"):
            voice()


async def test_a_silent_assistant_stays_silent(new_runner: NewRunner) -> None:
    assert SilentVoice is type(new_runner(engine="none").voice())


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
async def test_espeak_asks_a_question(new_runner: NewRunner, tmp_path: Path) -> None:
    await synthesise_question(new_runner(engine="espeak"), "Hey Jarvis.", tmp_path / "question.wav")

    sound, rate_hz = soundfile.read(tmp_path / "question.wav")
    assert len(sound) > 2.5 * rate_hz
    assert np.abs(sound).max() > 0.1


# ── nothing to say ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("text", ["...", ""])
async def test_text_without_sound_is_one_clear_error(
    new_runner: NewRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(Runner, "plain_voice", lambda runner: FakeVoice())
    runner = new_runner()

    with pytest.raises(SpeechError, match=f'no sound for "{text}"'):
        await speech_at_pipeline_rate(runner, text)
    with pytest.raises(SpeechError, match=f'no sound for "{text}"'):
        await synthesise_question(runner, text, tmp_path / "question.wav")
    assert not (tmp_path / "question.wav").exists()


@pytest.mark.parametrize("question", ["", " "])
def test_an_empty_question_is_one_line(
    question: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert 1 == main(["demo", "--question", question])
    assert capsys.readouterr().err.startswith("heisenberg: The question is empty. Example: heisenberg demo")
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments", [("--turns", "0"), ("--turns", "-1"), ("--turns", "x"), ("--seconds", "0"), ("--seconds", "nan")]
)
def test_nothing_to_measure_is_a_usage_error(arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["bench", "latency", *arguments])

    assert 2 == ended.value.code
    assert f'"{arguments[1]}" is not a number of' in capsys.readouterr().err
