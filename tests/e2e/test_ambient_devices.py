"""``heisenberg run --mode ambient`` with a microphone whose cable is pulled while somebody talks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import speech
from tests.e2e.program import OscReceiver, osc_receiver, running
from tests.e2e.test_devices import counts, expect
from tests.e2e.test_faults import events_in
from tests.osc_decoder import decode_message
from tests.pulse import PulseServer, skip_if_missing
from tests.word_errors import word_error_rate

pytestmark = [pytest.mark.e2e, pytest.mark.audio]

BEFORE = "Tonight we walk along the sea."
CUT = "The waves are silver under the moon, and the old boats lie in the harbour until somebody comes for them."
AFTER = "In the morning, everything is quiet again."
HEARTBEATS_AWAY = 3


def said(folder: Path, name: str, text: str) -> Path:
    sound = speech.join(speech.silence(0.5), speech.say(text), speech.silence(1.0))
    return speech.write_wav(folder / f"{name}.wav", sound)


def of(events: Path, kind: str, key: str) -> list[Any]:
    return [event[key] for event in events_in(events) if event["type"] == kind]


def received(osc: OscReceiver, address: str) -> list[Any]:
    return [value for found, _, (value, *_) in map(decode_message, list(osc.datagrams)) if found == address]


def looked_at(events: Path, sentence: int) -> Callable[[], bool]:
    """Whether an analysis was completed that saw the sentence of that number, and none is under way."""

    def is_looked_at() -> bool:
        ends, seen = of(events, "sentence_heard", "end"), of(events, "analysis_started", "audio_at")
        all_done = len(seen) == len(of(events, "analysis_completed", "analysis"))
        return len(ends) >= sentence and bool(seen) and seen[-1] >= ends[sentence - 1] and all_done

    return is_looked_at


def test_a_microphone_that_is_pulled_out_in_mid_sentence_is_heard_again(tmp_path: Path) -> None:
    """Given visuals of a first sentence / When the microphone goes in the middle of the second one and comes back /
    Then both are events, the heartbeat and the prompt go on while it is away, and the next sentence becomes visuals."""
    skip_if_missing()
    events = tmp_path / "events.jsonl"
    before, cut, after = (said(tmp_path, name, text) for name, text in (("1", BEFORE), ("2", CUT), ("3", AFTER)))

    with osc_receiver() as osc, PulseServer(tmp_path) as pulse:
        settings = [f'osc.targets=["127.0.0.1:{osc.port}"]', "audio.input_device=virtual_microphone"]
        settings += ["brain.commands=false", "llm.seed=1"]
        arguments = ["--mode", "ambient", "--output", "none", "--events", str(events)]
        arguments += [part for setting in settings for part in ("--set", setting)]
        with running("run", *arguments, environment=pulse.env) as process:
            expect(lambda: events_in(events), "start", process)
            pulse.play(before)
            expect(looked_at(events, 1), "analysis of the first sentence", process)
            guesses = len(of(events, "transcription_partial", "text"))
            playing = pulse.start_playing(cut)
            expect(lambda: of(events, "transcription_partial", "text")[guesses:], "partial transcript", process)
            pulse.unplug_microphone()
            playing.kill()
            playing.wait()
            expect(counts(events, "input_lost"), "input_lost", process)
            expect(looked_at(events, 2), "analysis of what was heard of the second sentence", process)
            beats, prompts = received(osc, "/heisenberg/heartbeat"), received(osc, "/visual/prompt")
            expect(
                lambda: len(received(osc, "/heisenberg/heartbeat")) >= len(beats) + HEARTBEATS_AWAY,
                "heartbeats without a microphone",
                process,
            )
            prompts_away = received(osc, "/visual/prompt")[len(prompts) :]
            pulse.plug_in_microphone()
            expect(counts(events, "input_restored"), "input_restored", process)
            heard = len(of(events, "sentence_heard", "text"))
            pulse.play(after)
            expect(looked_at(events, heard + 1), "analysis of the last sentence", process)

    texts = of(events, "sentence_heard", "text")
    assert word_error_rate(BEFORE, texts[0]) < 0.2, texts
    assert word_error_rate(AFTER, texts[-1]) < 0.2, texts
    assert (1, 1) == (counts(events, "input_lost")(), counts(events, "input_restored")())
    assert {prompts[-1]} == set(prompts_away)
    all_beats = received(osc, "/heisenberg/heartbeat")
    assert list(range(1, len(all_beats) + 1)) == all_beats
    ends = of(events, "sentence_heard", "end")
    assert sorted(ends) == ends
