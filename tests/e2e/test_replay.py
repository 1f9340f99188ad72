"""Yesterday's turns once more: recorded by the real program, replayed by the real program."""

import json
from pathlib import Path

import pytest
import soundfile

from tests import speech
from tests.e2e.program import Finished, heisenberg, run_file
from tests.word_errors import word_error_rate

pytestmark = pytest.mark.e2e

QUESTION = "What is the tallest mountain in the world?"


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    """A question, and a wake word after which nothing is said; the folder of both, and the run that left it."""
    folder = tmp_path_factory.mktemp("replay")
    phrase = speech.say("Hey Jarvis.")
    question = speech.join(phrase, speech.silence(0.3), speech.say(QUESTION))
    sound = speech.join(speech.silence(3.0), question, speech.silence(3.0), phrase, speech.silence(6.0))
    shelf = folder / "recordings"
    run = run_file(
        speech.write_wav(folder / "evening.wav", speech.mix(sound, speech.noise("pink", 5.0, seed=3), 25.0)),
        folder,
        settings=[f"debug.record_dir={shelf}", "llm.max_tokens=32", "llm.api_key=hunter2"],
    )
    assert run.status == 0, run.stderr
    return shelf, run


def replayed(folder: Path, *arguments: str) -> Finished:
    return heisenberg("replay", str(folder), "--set", "llm.max_tokens=32", *arguments)


def test_a_turn_leaves_what_the_microphone_heard_and_what_was_said(recorded: tuple[Path, Finished]) -> None:
    """The wake phrase, the command right after it, the reply, the events of that turn; and no key."""
    shelf, run = recorded
    question, nothing = sorted(shelf.iterdir())

    assert {"wake.wav", "command.wav", "reply.wav", "events.jsonl", "turn.json"} == {p.name for p in question.iterdir()}
    assert {"wake.wav", "command.wav", "events.jsonl", "turn.json"} == {p.name for p in nothing.iterdir()}
    assert 1.5 <= soundfile.info(question / "wake.wav").duration <= 3.0
    assert soundfile.info(nothing / "command.wav").duration == pytest.approx(5.0, abs=0.5)
    told = [json.loads(line) for line in (question / "events.jsonl").read_text("utf-8").splitlines()]
    assert [event for event in run.events if event["turn"] == 1] == told
    summary = json.loads((question / "turn.json").read_text("utf-8"))
    assert word_error_rate(QUESTION, summary["outcome"]["transcript"]) == 0
    assert ("completed", False) == (summary["outcome"]["ended"], summary["incomplete"])
    assert "hunter2" not in (question / "turn.json").read_text("utf-8")


def test_the_same_sound_is_heard_the_same_way(recorded: tuple[Path, Finished]) -> None:
    """In real time, today's program with the same configuration: woken, understood and ended as it was."""
    done = replayed(recorded[0])

    assert done.status == 0, done.stdout + done.stderr
    assert "2 of 2 heard the same, 0 not replayed" in done.stdout
    assert "mountain" in done.stdout
    assert "no_speech" in done.stdout


def test_other_settings_hear_something_else(recorded: tuple[Path, Finished], tmp_path: Path) -> None:
    """A threshold that nothing reaches; and a command that may only last a second."""
    question = sorted(recorded[0].iterdir())[0]

    deaf = replayed(question, "--fast", "--json", "--set", "wakeword.threshold=1")
    hasty = replayed(question, "--fast", "--set", "vad.max_command_seconds=1", "--output", str(tmp_path / "new.wav"))

    assert (1, 1) == (deaf.status, hasty.status), hasty.stdout + hasty.stderr
    told = json.loads(deaf.stdout)
    assert ["wake word"] == [difference["what"] for difference in told["differences"]]
    assert {"what": "wakeword.threshold", "recorded": 0.0, "replayed": 1.0}.items() <= told["settings"][0].items()
    assert "silence → timeout" in hasty.stdout or "semantic → timeout" in hasty.stdout
    assert soundfile.info(tmp_path / "new.wav").duration > 0.3
