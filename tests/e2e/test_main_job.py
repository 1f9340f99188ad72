"""The main job on real models and real audio: a spoken wake word becomes speech and OSC."""

import json
import re
import wave
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage

from tests import speech
from tests.e2e.program import Finished, heisenberg, osc_receiver, run_file
from tests.osc_decoder import decode_message
from tests.word_errors import mistakes, word_error_rate

pytestmark = pytest.mark.e2e

WAKE_WITHIN_S = 0.4


SPOKEN = [
    ("joe", 1.0, "What is the tallest mountain in the world?", None),
    ("joe+3", 1.05, "Tell me a short story about a fox.", 15.0),
    ("joe-2", 0.95, "Show me a city in the rain.", None),
    ("joe#5", 1.1, "How many legs does a spider have?", 15.0),
    ("joe+2#3", 0.9, "Paint me a forest in the morning.", None),
    ("joe-1#2", 1.0, "Which planet is closest to the sun?", 15.0),
    ("joe+1#7", 1.15, "Play something slow and dark.", None),
    ("joe#4", 0.85, "Who wrote the first computer program?", 15.0),
]
"""Voice, speed, command, and signal-to-noise ratio in dB (None is clean)."""


def scene(*parts: speech.Sound) -> speech.Sound:
    """Sounds in a quiet room: a second of silence before, two after."""
    return speech.join(speech.silence(1.0), *parts, speech.silence(2.0))


def transcripts(*files: Path) -> list[str]:
    """What the same Whisper model hears in *files*."""
    done = heisenberg("transcribe", *map(str, files), "--format", "json")
    assert done.status == 0, done.stderr
    return [json.loads(line)["text"] for line in done.stdout.splitlines()]


def answered(run: Finished) -> dict[str, object]:
    """The answer of a run with exactly one completed turn."""
    assert run.of("failed") == [], run.stderr
    assert len(run.of("turn_completed")) == 1, run.stderr
    assert run.values("state_changed", "state")[-1] == "idle"
    return run.of("llm_complete")[0]


@pytest.mark.parametrize(("voice", "speed", "command", "snr_db"), SPOKEN[:4])
def test_a_spoken_question_becomes_speech_and_osc(
    tmp_path: Path, voice: str, speed: float, command: str, snr_db: float | None
) -> None:
    """Given a WAV with the wake phrase and a command, clean or noisy; result: speech, OSC, IDLE, exit 0."""
    phrase, question = speech.say("Hey Jarvis.", voice, speed), speech.say(command, voice, speed)
    sound = scene(phrase, speech.silence(0.25), question)
    if snr_db is not None:
        sound = speech.mix(sound, speech.noise("pink", 5.0, seed=3), snr_db)

    with osc_receiver() as osc:
        run = run_file(speech.write_wav(tmp_path / "question.wav", sound), tmp_path, "--once", osc_port=osc.port)

    assert run.status == 0, run.stderr
    answer = answered(run)
    # The wake word, in time.
    phrase_end = 1.0 + len(phrase) / speech.RATE_HZ
    assert phrase_end - 0.3 <= run.values("wakeword_detected", "audio_at")[0] <= phrase_end + WAKE_WITHIN_S
    # Visuals at a real socket.
    received = [decode_message(datagram) for datagram in osc.datagrams]
    theirs = [OscMessage(datagram) for datagram in osc.datagrams]
    assert [(address, values) for address, _, values in received] == [(m.address, m.params) for m in theirs]
    by_address = {address: values for address, _, values in received}
    visual = json.loads(by_address["/visual/json"][0])
    assert set(visual) == {"prompt", "mood", "intensity"}
    assert by_address["/visual/prompt"] == [visual["prompt"]]
    assert by_address["/visual/mood"] == [visual["mood"]]
    assert by_address["/visual/intensity"][0] == pytest.approx(visual["intensity"])
    # Audible speech that says the reply.
    (said,) = transcripts(tmp_path / "answer.wav")
    assert word_error_rate(str(answer["text"]), said) <= 0.35, (answer["text"], said)
    with wave.open(str(tmp_path / "answer.wav")) as reply:
        samples = np.frombuffer(reply.readframes(reply.getnframes()), dtype="<i2")
    assert np.abs(samples).max() > 3000


def test_transcripts_are_as_good_as_of_perfectly_cut_commands(tmp_path: Path) -> None:
    """Eight questions in one file; Whisper makes no more mistakes than when it gets each command cut by hand.

    Two words of slack in 58: in noise, single words flip with the hundredths of a second of silence around them.
    """
    room, turns = [speech.silence(1.0)], []
    for number, (voice, speed, command, snr_db) in enumerate(SPOKEN):
        phrase, question = speech.say("Hey Jarvis.", voice, speed), speech.say(command, voice, speed)
        pause = speech.silence(0.1 * number)
        turn = speech.join(phrase, pause, question, speech.silence(1.5))
        if snr_db is not None:
            turn = speech.mix(turn, speech.noise("pink", 5.0, seed=number), snr_db)
        room += [turn, speech.silence(1.5)]
        begin = len(phrase) + max(0, len(pause) - speech.RATE_HZ // 5)
        end = len(phrase) + len(pause) + len(question) + speech.RATE_HZ // 5
        turns.append(speech.write_wav(tmp_path / f"{number}.wav", turn[begin:end]))

    wav = speech.write_wav(tmp_path / "all.wav", speech.join(*room))
    run = run_file(wav, tmp_path, settings=["tts.engine=none", "llm.max_tokens=16"])

    assert run.status == 0, run.stderr
    commands = [command for _, _, command, _ in SPOKEN]
    heard = run.values("transcription_final", "text")
    assert len(heard) == len(commands), heard
    perfect = transcripts(*turns)
    assert mistakes(commands, heard) <= mistakes(commands, perfect) + 2, (heard, perfect)


def test_speech_without_the_wake_word_noise_and_silence_are_no_turn(tmp_path: Path) -> None:
    """Ordinary talk, music-like noise and silence never wake it; with --once that is said and exits 1."""
    talk = speech.say("I think the weather will be nice tomorrow, and we should go out.")
    sound = scene(talk, speech.silence(1.0), speech.noise("music", 6.0, seed=1), speech.noise("white", 3.0, seed=2))

    run = run_file(speech.write_wav(tmp_path / "talk.wav", sound), tmp_path, "--once")

    assert run.of("wakeword_detected", "turn_completed", "turn_dropped", "failed") == []
    assert run.status == 1
    assert '"Hey Jarvis" was not heard in' in run.stderr


def test_the_wake_word_and_then_nothing_is_no_speech(tmp_path: Path) -> None:
    """Nothing said within the bound (5 s): dropped with its reason; idle again, it hears the next wake word."""
    phrase = speech.say("Hey Jarvis.")
    sound = speech.join(speech.silence(1.0), phrase, speech.silence(5.7), phrase, speech.silence(6.0))

    run = run_file(speech.write_wav(tmp_path / "nothing.wav", sound), tmp_path)

    assert run.values("turn_dropped", "reason") == ["no_speech", "no_speech"]
    assert run.values("state_changed", "state") == ["idle", "listening", "idle", "listening", "idle"]
    assert run.of("transcription_final") == []
    assert run.status == 0


def test_a_one_word_command_is_heard(tmp_path: Path) -> None:
    """ "Stop", in the same breath as the wake phrase."""
    sound = scene(speech.say("Hey Jarvis."), speech.silence(0.2), speech.say("Stop!"))

    run = run_file(speech.write_wav(tmp_path / "stop.wav", sound), tmp_path, "--once")

    assert re.sub(r"\W", "", run.values("transcription_final", "text")[-1]).lower() == "stop"
    assert run.status == 0


@pytest.mark.parametrize("pause_s", [0.0, 0.6, 2.0])
def test_a_command_is_heard_whole_after_any_pause(tmp_path: Path, pause_s: float) -> None:
    """Right after the wake word, after a moment, and after two seconds."""
    command = "What is the capital of France?"
    if pause_s:
        sound = scene(speech.say("Hey Jarvis."), speech.silence(pause_s), speech.say(command))
    else:
        sound = scene(speech.say("Hey Jarvis what is the capital of France?"))

    run = run_file(speech.write_wav(tmp_path / "pause.wav", sound), tmp_path, "--once")

    assert word_error_rate(command, run.values("transcription_final", "text")[-1]) == 0
    assert run.status == 0


@pytest.mark.parametrize(("remembered_turns", "knows"), [(6, True), (0, False)])
def test_two_commands_are_two_turns_and_the_second_knows_the_first(
    tmp_path: Path, remembered_turns: int, knows: bool
) -> None:
    """Both in one file, read as fast as possible: the file waits while the first answer is spoken.

    The name can only come from the first turn: without a history, the same question is answered without it.
    """
    first = speech.join(speech.say("Hey Jarvis."), speech.silence(0.3), speech.say("My name is Robert."))
    second = speech.join(speech.say("Hey Jarvis."), speech.silence(0.3), speech.say("What is my name?"))
    sound = scene(first, speech.silence(2.0), second)
    settings = ["llm.temperature=0", f"llm.history_turns={remembered_turns}"]

    run = run_file(speech.write_wav(tmp_path / "two.wav", sound), tmp_path, settings=settings)

    assert run.values("turn_completed", "turn") == [1, 2]
    assert run.status == 0
    assert run.values("transcription_final", "text") == ["My name is Robert.", "What is my name?"]
    assert ("Robert" in run.values("llm_complete", "text")[1]) == knows
