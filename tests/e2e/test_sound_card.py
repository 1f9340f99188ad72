"""`heisenberg run` with a virtual microphone and a virtual loudspeaker, in real time, through PortAudio."""

import wave
from pathlib import Path

import numpy as np
import pytest

from tests import speech
from tests.e2e.program import heisenberg, running
from tests.e2e.test_faults import events_in, wait_for
from tests.pulse import PulseServer, skip_if_missing
from tests.word_errors import word_error_rate

pytestmark = [pytest.mark.e2e, pytest.mark.audio]


def test_a_question_to_the_microphone_is_answered_by_the_loudspeaker(tmp_path: Path) -> None:
    """Given null sinks as sound card; a WAV played into the microphone; the loudspeaker says the reply."""
    skip_if_missing()
    parts = (speech.silence(0.5), speech.say("Hey Jarvis."), speech.silence(0.4))
    question = speech.join(*parts, speech.say("What is the capital of France?"), speech.silence(1.5))
    wav = speech.write_wav(tmp_path / "question.wav", question)
    events, reply = tmp_path / "events.jsonl", tmp_path / "reply.wav"

    with PulseServer(tmp_path) as pulse:
        arguments = ["run", "--once", "--events", str(events), "--set", 'osc.targets=["127.0.0.1:9"]']
        arguments += ["--set", "audio.input_device=virtual_microphone", "--set", "audio.output_device=virtual_speakers"]
        with running(*arguments, environment=pulse.env) as process, pulse.recording(reply):
            wait_for(lambda: events_in(events), "start")
            pulse.play(wav)
            wait_for(lambda: process.poll() is not None, "end of the turn")

    assert process.returncode == 0
    found = {event["type"]: event for event in events_in(events)}
    assert word_error_rate("What is the capital of France?", found["transcription_final"]["text"]) == 0
    said = heisenberg("transcribe", str(reply)).stdout
    assert word_error_rate(found["llm_complete"]["text"], said) <= 0.35, said
    with wave.open(str(reply)) as recorded:
        assert np.abs(np.frombuffer(recorded.readframes(recorded.getnframes()), dtype="<i2")).max() > 1000


def test_a_stop_over_the_reply_is_obeyed_by_the_loudspeaker(tmp_path: Path) -> None:
    """Given "Stop!" in the middle of a reply: it ends there, and the next question is answered."""
    skip_if_missing()
    question = speech.join(speech.say("Hey Jarvis, tell me a long story about the sea."), speech.silence(1.0))
    ask = speech.write_wav(tmp_path / "question.wav", question)
    insisting = (
        speech.silence(1.5),
        speech.say("Stop!"),
        speech.silence(0.8),
        speech.say("Stop!"),
        speech.silence(1.0),
    )
    stop = speech.write_wav(tmp_path / "stop.wav", speech.join(*insisting))
    events, reply = tmp_path / "events.jsonl", tmp_path / "reply.wav"

    def happened(kind: str, times: int = 1) -> bool:
        return sum(event["type"] == kind for event in events_in(events)) >= times

    with PulseServer(tmp_path) as pulse:
        arguments = [
            "run",
            "--events",
            str(events),
            "--set",
            'osc.targets=["127.0.0.1:9"]',
            "--set",
            "llm.max_tokens=200",
            "--set",
            "audio.echo_cancellation=false",  # no sound comes back through these wires
            "--set",
            "llm.seed=1",
        ]
        arguments += ["--set", "audio.input_device=virtual_microphone", "--set", "audio.output_device=virtual_speakers"]
        with running(*arguments, environment=pulse.env) as process, pulse.recording(reply):
            wait_for(lambda: events_in(events), "start")
            pulse.play(ask)
            wait_for(lambda: happened("speaking_started") or process.poll() is not None, "the reply")
            pulse.play(stop)
            wait_for(lambda: happened("turn_dropped") or happened("turn_completed"), "silence")
            pulse.play(ask)
            wait_for(lambda: happened("speaking_started", 2) or process.poll() is not None, "the next reply")
            process.terminate()
            process.wait(30)

    dropped = [event for event in events_in(events) if event["type"] == "turn_dropped"]
    assert "stopped" == dropped[0]["reason"]
    assert [True] == [event["interrupted"] for event in events_in(events) if event["type"] == "speaking_finished"][:1]
