"""Every command but ``run``, as a user types it, with the real models."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import wave
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from tests import speech
from tests.e2e.program import TIMEOUT_S, heisenberg, running
from tests.e2e.test_faults import wait_for
from tests.word_errors import word_error_rate

pytestmark = pytest.mark.e2e

QUIET_TARGET = ("--set", 'osc.targets=["127.0.0.1:9"]')
SENTENCE = "The old garden is quiet in the morning."


def heard(path: Path) -> np.ndarray:
    """The samples of a WAV."""
    with wave.open(str(path)) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), dtype="<i2")


def is_sound(path: Path) -> bool:
    """Whether it lasts and is loud enough to be speech."""
    samples = heard(path)
    return len(samples) > 8000 and int(np.abs(samples).max()) > 1000


def written_down(path: Path, *arguments: str) -> str:
    """What Whisper hears in *path*."""
    return heisenberg("transcribe", str(path), *arguments).stdout


# ── demo ─────────────────────────────────────────────────────────────────────────────────────────


def test_the_demo_leaves_its_four_files_every_time(tmp_path: Path) -> None:
    """Two runs into one folder: question, answer, events and picture are there after each."""
    folder = tmp_path / "a new" / "folder"
    for _ in range(2):
        run = heisenberg("demo", "--folder", str(folder), "--set", "llm.max_tokens=64", *QUIET_TARGET)

        assert run.status == 0, run.stderr
        names = ("question.wav", "answer.wav", "events.jsonl", "timeline.svg")
        assert [str(folder / name) for name in names] == run.stdout.split("\n")[1:5]
        assert {path.name for path in folder.iterdir()} == set(names)
        assert is_sound(folder / "question.wav")
        assert is_sound(folder / "answer.wav")
        assert ElementTree.parse(folder / "timeline.svg").getroot().tag.endswith("svg")
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
        assert [event["type"] for event in events].count("turn_completed") == 1


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_the_wake_word_is_measured_without_piper(tmp_path: Path) -> None:
    """The configured engine asks; figures come as JSON."""
    run = heisenberg("bench", "wakeword", "--json", "--set", "tts.engine=espeak", "--set", f"models.folder={tmp_path}")

    assert run.status == 0, run.stderr
    assert json.loads(run.stdout)["wakeword"]["other_seconds"] > 20


def test_the_wake_word_figures_are_json() -> None:
    run = heisenberg("bench", "wakeword", "--json")

    assert run.status == 0, run.stderr
    figures = json.loads(run.stdout)
    assert figures["machine"]
    assert figures["wakeword"]["heard"]["clean"] == [4, 4]


def test_idle_is_measured_as_configured() -> None:
    """The assistant that is watched gets our settings, too: without a voice there is no Piper."""
    run = heisenberg("bench", "idle", "--seconds", "1", "--json", "--set", "tts.engine=none", *QUIET_TARGET)

    assert run.status == 0, run.stderr
    assert json.loads(run.stdout)["idle"]["memory_mb"] > 10
    assert "whisper" in run.stderr
    assert "piper" not in run.stderr


def test_a_demo_question_without_sound_is_one_line(tmp_path: Path) -> None:
    run = heisenberg("demo", "--question", "...", "--folder", str(tmp_path))

    assert run.status == 1
    assert 'heisenberg: The voice has no sound for "..."' in run.stderr
    assert "Traceback" not in run.stderr


# ── ask and say ──────────────────────────────────────────────────────────────────────────────────


def test_an_answer_as_json_has_the_fields_of_the_schema() -> None:
    run = heisenberg("ask", "Describe the sea at night.", "--json", "--set", "llm.seed=1")

    assert run.status == 0, run.stderr
    answer = json.loads(run.stdout)
    assert answer["reply"].strip()
    assert {"prompt", "mood", "intensity"} == set(answer["visual"])
    assert answer["visual"]["mood"] in ("calm", "joyful", "dreamy", "tense", "dark")
    assert 0 <= answer["visual"]["intensity"] <= 1


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
def test_an_answer_can_be_piped_into_the_voice(tmp_path: Path) -> None:
    """What `tee` saw of the reply is what the voice said."""
    program, wav, text = f"{shlex.quote(sys.executable)} -m heisenberg", tmp_path / "said.wav", tmp_path / "said.txt"
    pipe = f"{program} ask 'What is the sea?' --set llm.seed=1 --set llm.max_tokens=60"
    pipe += f" | tee {shlex.quote(str(text))} | {program} say - --output {shlex.quote(str(wav))}"

    done = subprocess.run(["sh", "-c", pipe], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)

    assert done.returncode == 0, done.stderr
    assert is_sound(wav)
    assert word_error_rate(text.read_text(encoding="utf-8"), written_down(wav)) <= 0.35


@pytest.mark.skipif(os.name == "nt", reason="a file that grows is looked at")
def test_the_voice_begins_before_the_text_ends_and_ctrl_c_ends_it(tmp_path: Path) -> None:
    """A sentence, no newline, and a pipe that stays open; then Ctrl-C."""
    wav = tmp_path / "said.wav"
    with running("say", "-", "--output", str(wav)) as process:
        assert process.stdin is not None
        process.stdin.write(f"{SENTENCE} And in the")
        process.stdin.flush()
        wait_for(lambda: wav.exists() and wav.stat().st_size > 60_000, "sound")
        process.send_signal(signal.SIGINT)
        process.wait(20)

    assert process.returncode == 130
    assert "the old" in written_down(wav).lower()


def test_a_voice_that_cannot_speak_says_so_while_the_pipe_is_open(tmp_path: Path) -> None:
    """One line, at once: nobody has to close the pipe first."""
    nowhere = ["--set", "tts.engine=wyoming", "--set", f"tts.url=unix://{tmp_path}/none", "--set", "tts.fallback=none"]
    with running("say", "-", "--output", "none", *nowhere) as process:
        assert process.stdin is not None
        process.stdin.write(f"{SENTENCE} And in the")
        process.stdin.flush()
        process.wait(60)
        assert process.stderr is not None
        said = process.stderr.read()

    assert process.returncode == 1
    assert said.splitlines()[-1].startswith("heisenberg: The voice at unix://")
    assert 1 == said.count("heisenberg: ")
    assert "Traceback" not in said


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_french_is_spoken_by_espeak(tmp_path: Path) -> None:
    """The English Piper voice leaves it to espeak-ng; Whisper understands it as French."""
    wav, sentence = tmp_path / "fr.wav", "Quelle est la capitale de la France ?"

    run = heisenberg("say", sentence, "--language", "fr", "--output", str(wav))

    assert run.status == 0, run.stderr
    text = written_down(wav, "--language", "fr", "--set", "stt.model=whisper-base")
    assert word_error_rate(sentence, text) <= 0.35, text


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
@pytest.mark.parametrize("fault", ["missing", "broken"])
def test_without_piper_the_fallback_speaks(tmp_path: Path, fault: str) -> None:
    """No weights at all; weights that no Piper can load. A warning with a remedy, and speech."""
    settings = ["--set", f"models.folder={tmp_path}"]
    if fault == "broken":
        (tmp_path / "bad.onnx").write_bytes(b"This is no network.")
        (tmp_path / "bad.onnx.json").write_text('{"audio": {"sample_rate": 22050}, "espeak": {"voice": "en-us"}}')
        settings += ["--set", f"tts.voice={tmp_path / 'bad.onnx'}"]

    run = heisenberg("say", SENTENCE, "--output", str(tmp_path / "said.wav"), *settings)

    assert run.status == 0, run.stderr
    assert is_sound(tmp_path / "said.wav")
    remedy = "heisenberg models pull piper-en_US-joe-medium" if fault == "missing" else "heisenberg doctor"
    assert 1 == len([line for line in run.stderr.splitlines() if remedy in line]), run.stderr
    assert "Traceback" not in run.stderr


# ── transcribe and doctor ────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("form", ["text", "json", "srt", "vtt"])
def test_every_transcript_format(tmp_path: Path, form: str) -> None:
    wav = speech.write_wav(tmp_path / "said.wav", speech.join(speech.say(SENTENCE), speech.silence(0.5)))

    run = heisenberg("transcribe", str(wav), "--format", form)

    assert run.status == 0, run.stderr
    lines = run.stdout.splitlines()
    match form:
        case "text":
            text = run.stdout
        case "json":
            found = json.loads(run.stdout)
            text = found["text"]
            assert (str(wav), "en", text) == (found["file"], found["language"], found["segments"][0]["text"])
            assert 0 <= found["segments"][0]["start"] < found["segments"][0]["end"] < 6
        case "srt":
            text = lines[2]
            assert "1" == lines[0]
            assert lines[1].startswith("00:00:0")
            assert " --> 00:00:0" in lines[1]
            assert "," in lines[1]
        case _:
            text = lines[3]
            assert ["WEBVTT", ""] == lines[:2]
            assert lines[2].startswith("00:00:0")
            assert " --> 00:00:0" in lines[2]
    assert 0 == word_error_rate(SENTENCE, text)


def test_doctor_is_content_with_the_starter_kit() -> None:
    run = heisenberg("doctor", "--json")

    failed = [finding for finding in json.loads(run.stdout) if finding["status"] == "failed"]
    assert (0, []) == (run.status, failed)


def test_doctor_names_the_remedy_where_models_are_missing(tmp_path: Path) -> None:
    run = heisenberg("doctor", "--set", f"models.folder={tmp_path}")

    assert run.status == 1
    assert "heisenberg models pull" in run.stdout
    assert "Traceback" not in run.stderr
