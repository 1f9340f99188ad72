"""Devices are pulled out and plugged in under the whole program, which is never deaf for longer than they are away."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heisenberg.audio.wavfile import read_all
from tests import speech
from tests.e2e.program import running
from tests.e2e.test_faults import events_in, wait_for
from tests.pulse import PulseServer, skip_if_missing
from tests.word_errors import word_error_rate

pytestmark = [pytest.mark.e2e, pytest.mark.audio]

QUESTION = "What is the capital of France?"
SETTINGS = [
    'osc.targets=["127.0.0.1:9"]',
    "audio.input_device=virtual_microphone",
    "audio.output_device=virtual_speakers",
]
ENDS = ("turn_completed", "turn_dropped", "failed")


def question(folder: Path) -> Path:
    parts = (speech.silence(0.3), speech.say("Hey Jarvis."), speech.silence(0.4), speech.say(QUESTION))
    return speech.write_wav(folder / "question.wav", speech.join(*parts, speech.silence(1.5)))


def arguments(events: Path) -> list[str]:
    return ["run", "--events", str(events), *(part for setting in SETTINGS for part in ("--set", setting))]


def counts(events: Path, *types: str) -> Callable[[], int]:
    return lambda: sum(event["type"] in types for event in events_in(events))


def expect(condition: Callable[[], Any], what: str, process: "subprocess.Popen[str]") -> None:
    """Wait for *condition*, but not for a program that has ended."""
    wait_for(lambda: condition() or process.poll() is not None, what)

    assert condition(), f"the program ended with status {process.returncode}"


def is_idle(events: Path) -> bool:
    """An apology may still be tried after a turn has failed."""
    return [event["state"] for event in events_in(events) if event["type"] == "state_changed"][-1] == "idle"


def one(events: Path, kind: str, turn: int) -> dict[str, Any]:
    return next(event for event in events_in(events) if event["type"] == kind and event["turn"] == turn)


def test_a_microphone_that_comes_and_goes_loses_no_question_after_it(tmp_path: Path) -> None:
    """It is pulled out twice while nobody speaks, then in mid-sentence, and in the end somebody asks again.

    Each loss and each return is an event. In silence no turn begins; in mid-sentence nothing waits for the rest.
    """
    skip_if_missing()
    events, wav = tmp_path / "events.jsonl", question(tmp_path)

    with PulseServer(tmp_path) as pulse, running(*arguments(events), environment=pulse.env) as process:
        expect(lambda: events_in(events), "start", process)
        for times in (1, 2):
            pulse.unplug_microphone()
            expect(lambda times=times: counts(events, "input_lost")() == times, "input_lost", process)
            pulse.plug_in_microphone()
            expect(lambda times=times: counts(events, "input_restored")() == times, "input_restored", process)
        playing = pulse.start_playing(wav)
        expect(counts(events, "speech_started"), "speech_started", process)
        pulse.unplug_microphone()
        playing.kill()
        playing.wait()
        expect(counts(events, *ENDS), "end of the first turn", process)
        pulse.plug_in_microphone()
        expect(lambda: counts(events, "input_restored")() == 3, "input_restored", process)
        pulse.play(wav)
        expect(lambda: counts(events, *ENDS)() >= 2, "end of the second turn", process)

    assert [event["type"] for event in events_in(events) if event["type"] in ENDS][-1] == "turn_completed"
    assert word_error_rate(QUESTION, one(events, "transcription_final", 2)["text"]) == 0


def test_loudspeakers_that_vanish_while_they_speak_cost_no_hearing(tmp_path: Path) -> None:
    """The turn ends one way or the other, the microphone is never lost, and the next reply is heard."""
    skip_if_missing()
    events, wav, reply = tmp_path / "events.jsonl", question(tmp_path), tmp_path / "reply.wav"

    with PulseServer(tmp_path) as pulse, running(*arguments(events), environment=pulse.env) as process:
        expect(lambda: events_in(events), "start", process)
        pulse.play(wav)
        expect(counts(events, "speaking_started"), "speaking_started", process)
        pulse.unplug_speakers()
        expect(lambda: counts(events, *ENDS)() and is_idle(events), "end of the first turn", process)
        pulse.plug_in_speakers()
        with pulse.recording(reply):
            pulse.play(wav)
            expect(lambda: counts(events, *ENDS)() == 2, "end of the second turn", process)

    assert counts(events, "input_lost")() == 0
    assert one(events, "turn_completed", 2)
    loud = np.flatnonzero(np.abs(read_all(reply).astype(int)) > 500)
    assert (loud[-1] - loud[0]) / 16_000 == pytest.approx(
        one(events, "speaking_finished", 2)["played_seconds"], abs=0.5
    )
