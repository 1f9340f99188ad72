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
