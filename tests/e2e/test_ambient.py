"""``heisenberg run --mode ambient`` on real models and synthesised speech: what is said becomes OSC."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests import speech
from tests.e2e.program import Finished, heisenberg, osc_receiver, run_file, running
from tests.e2e.test_faults import child_running, events_in, wait_for
from tests.osc_decoder import decode_message
from tests.word_errors import word_error_rate

pytestmark = pytest.mark.e2e

SENTENCES = [
    "Tonight we walk along the sea.",
    "The waves are silver under the moon.",
    "A lighthouse turns slowly above the rocks.",
    "Then a storm comes up.",
    "Lightning breaks over the black water!",
    "In the morning, everything is quiet again.",
    "A small red boat drifts into the harbor.",
]
MOODS = {"calm", "joyful", "dreamy", "tense", "dark"}


def talk(folder: Path, *more: speech.Sound) -> Path:
    parts = [speech.silence(1.0)]
    for sentence in SENTENCES:
        parts += [speech.say(sentence), speech.silence(0.9)]
    return speech.write_wav(folder / "talk.wav", speech.join(*parts, *more, speech.silence(1.5)))


def spoken(run: Finished) -> list[str]:
    return run.values("sentence_heard", "text")


def test_what_is_said_becomes_visuals(tmp_path: Path) -> None:
    with osc_receiver() as osc:
        run = run_file(talk(tmp_path), tmp_path, "--mode", "ambient", osc_port=osc.port)

    assert 0 == run.status, run.stderr
    assert len(SENTENCES) == len(spoken(run)), spoken(run)
    assert word_error_rate(" ".join(SENTENCES), " ".join(spoken(run))) < 0.15
    assert [] == run.of("failed", "analysis_failed", "items_dropped")
    visuals = run.values("analysis_completed", "visual")
    assert visuals
    for visual in visuals:
        assert {"prompt", "mood", "intensity"} == set(visual)
        assert visual["mood"] in MOODS
        assert 0 <= visual["intensity"] <= 1
    assert run.values("analysis_started", "audio_at")[-1] == run.values("sentence_heard", "end")[-1]
    assert expected_datagrams(run) == visual_datagrams(osc.datagrams)


def expected_datagrams(run: Finished) -> list[tuple[str, object]]:
    """What the event log says must have left, in order."""
    expected: list[tuple[str, object]] = []
    for event in run.of("visual_updated", "analysis_completed", "sentence_heard"):
        match event:
            case {"type": "visual_updated", "field": field, "value": value}:
                expected.append((f"/visual/{field}", value if isinstance(value, str) else pytest.approx(value)))
            case {"type": "analysis_completed", "visual": visual}:
                expected.append(("/visual/json", visual))
            case {"text": text}:
                expected.append(("/heisenberg/transcript/final", text))
    return expected


def visual_datagrams(datagrams: list[bytes]) -> list[tuple[str, object]]:
    """What arrived of it; without the prompt that heartbeats repeat."""
    found: list[tuple[str, object]] = []
    prompt: object = None
    for address, _, (value, *_) in map(decode_message, datagrams):
        if address == "/visual/prompt" and value == prompt:
            continue
        if address == "/visual/prompt":
            prompt = value
        if address == "/visual/json":
            found.append((address, json.loads(str(value))))
        elif address.startswith("/visual/") or address == "/heisenberg/transcript/final":
            found.append((address, value))
    return found


def test_a_recording_as_fast_as_can_be_gives_the_same_sentences(tmp_path: Path) -> None:
    parts = [speech.say(SENTENCES[0]), speech.silence(0.4), speech.say(SENTENCES[4]), speech.silence(0.9)]
    wav = speech.write_wav(tmp_path / "short.wav", speech.join(*parts, speech.say(SENTENCES[6]), speech.silence(0.3)))
    events = tmp_path / "paced.jsonl"
    arguments = ["--mode", "ambient", "--input", str(wav), "--output", "none", "--events", str(events)]
    paced = heisenberg("run", *arguments, "--set", "osc.targets=[]", "--set", "brain.commands=false")
    fast = run_file(wav, tmp_path, "--mode", "ambient", settings=["brain.commands=false"])

    def sentences(found: list[dict[str, Any]]) -> list[tuple[object, ...]]:
        heard = [event for event in found if event["type"] == "sentence_heard"]
        return [(event["text"], event["start"], event["end"], event["reason"]) for event in heard]

    assert (0, 0) == (paced.status, fast.status)
    assert sentences(events_in(events)) == sentences(fast.events)
    assert len(sentences(fast.events)) >= 2


def test_a_command_is_answered_in_ambient_mode_too(tmp_path: Path) -> None:
    question = speech.join(speech.say("Hey Jarvis."), speech.silence(0.3), speech.say("What time is it?"))
    run = run_file(talk(tmp_path, question, speech.silence(1.5)), tmp_path, "--mode", "ambient")

    assert 0 == run.status, run.stderr
    assert 1 == len(run.of("turn_completed")), run.stderr
    assert len(SENTENCES) == len(spoken(run)), spoken(run)
    assert "jarvis" not in " ".join(spoken(run)).lower()
    assert run.of("analysis_completed")


def test_without_commands_the_wake_word_is_part_of_what_is_said(tmp_path: Path) -> None:
    said = speech.join(speech.say("Hey Jarvis, what time is it?"), speech.silence(1.0))
    run = run_file(
        speech.write_wav(tmp_path / "said.wav", speech.join(speech.silence(1.0), said)),
        tmp_path, "--mode", "ambient", settings=["brain.commands=false", 'wakeword.words=["no_such_word.json"]'],
    )  # fmt: skip

    assert 0 == run.status, run.stderr
    assert [] == run.of("wakeword_detected")
    assert "time" in " ".join(spoken(run)).lower()


def test_models_that_are_killed_come_back_and_the_visuals_stand(tmp_path: Path) -> None:
    """In real time: Whisper and the language model are killed in the middle; the heartbeat goes on."""
    events = tmp_path / "events.jsonl"
    with osc_receiver() as osc:
        arguments = ["--mode", "ambient", "--input", str(talk(tmp_path)), "--output", "none", "--events", str(events)]
        with running("run", *arguments, "--set", f'osc.targets=["127.0.0.1:{osc.port}"]') as process:
            wait_for(lambda: [e for e in events_in(events) if e["type"] == "analysis_completed"], "analysis")
            victims = [child_running(process.pid, program) for program in ("workers.whisper", "workers.llama")]
            for victim in victims:
                assert victim is not None
                victim.kill()
            status = process.wait(120)
    run = Finished(status, "", "", events_in(events))

    assert 0 == run.status
    assert 2 == len(run.of("worker_failed"))
    assert 2 <= len([event for event in run.of("worker_started") if event["reason"] == "restart"])
    failed_at = run.of("worker_failed")[0]["at"]
    assert [event for event in run.of("analysis_completed") if event["at"] > failed_at]
    assert len(spoken(run)) >= len(SENTENCES) - 1
    beats = [value for address, _, (value, *_) in map(decode_message, osc.datagrams) if address.endswith("heartbeat")]
    assert list(range(1, len(beats) + 1)) == beats
    assert len(beats) >= 15


def test_it_can_be_measured(tmp_path: Path) -> None:
    done = heisenberg("bench", "ambient", "--seconds", "15", "--fast", "--json", cwd=tmp_path)
    figures = json.loads(done.stdout)["ambient"]

    assert 0 == done.status, done.stderr
    assert figures["osc_matches"]
    assert figures["sentences_heard"] >= 3
    assert figures["completed"] >= 1


def test_recordings_in_two_languages_can_be_measured(tmp_path: Path) -> None:
    """Each language is found, understood and judged by itself."""
    french = ["Tout le village est à la fenêtre.", "Il n'y a personne à bord."]
    for name, sentences, say in (("1", SENTENCES[:2], speech.say), ("2", french, speech.say_french)):
        parts = [part for sentence in sentences for part in (say(sentence), speech.silence(1.0))]
        speech.write_wav(tmp_path / f"{name}.wav", speech.join(speech.silence(0.5), *parts))
        (tmp_path / f"{name}.txt").write_text("\n".join(sentences), encoding="utf-8")
    arguments = ["--recordings", str(tmp_path), "--fast", "--json", "--set", "stt.language=auto"]
    done = heisenberg("bench", "ambient", *arguments, "--set", "stt.model=whisper-base")
    figures = json.loads(done.stdout)["ambient"]

    assert 0 == done.status, done.stderr
    assert ["en", "fr"] == [each["language"] for each in figures["understood"]]
    assert all(each["wrong"] < 0.2 for each in figures["understood"]), figures
    assert 4 == figures["sentences_heard"]
