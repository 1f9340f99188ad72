"""What ``heisenberg replay`` says of recordings, good and bad ones."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from heisenberg.cli import main
from heisenberg.commands import replay_turn
from heisenberg.commands.differences import differences, word_diff
from heisenberg.core.config import Config
from heisenberg.core.errors import BrainError
from heisenberg.core.events import (
    Event,
    Failed,
    LlmComplete,
    SpeechEnded,
    TranscriptionFinal,
    TurnCommitted,
    TurnCompleted,
    TurnDropped,
    WakewordDetected,
)
from heisenberg.core.stages import Answer, ReplyToken
from heisenberg.models import Runner
from heisenberg.orchestrator.manners import Tally
from heisenberg.sinks.outcome import Outcome
from heisenberg.sinks.recordings import settings_that_matter
from heisenberg.wiring.options import RunOptions

WOKE = WakewordDetected(turn=4, at=1.0, name="hey_jarvis", score=0.98, audio_at=2.0)
SPOKE = SpeechEnded(turn=4, at=3.0, audio_seconds=1.5, reason="silence")
HEARD = TranscriptionFinal(turn=4, at=4.0, text="What time is it?", language="en", audio_seconds=1.7, stt_seconds=0.2)
ANSWERED = LlmComplete(turn=4, at=5.0, text="Noon.", visual={"mood": "calm"}, tokens=9)
COMPLETED = TurnCompleted(turn=4, at=6.0, latency={"stt": 0.5})
TOLD = (WOKE, SPOKE, HEARD, ANSWERED, COMPLETED)
TYPED = TurnCommitted(turn=4, at=1.0, reason="text", text="What time is it?")


def recorded(folder: Path, *told: Event, **summary: Any) -> Path:
    """The folder of a turn: two seconds and a bit of noise, one second more, and these events."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(1).integers(-99, 99, 48_100, dtype=np.int16)
    soundfile.write(folder / "wake.wav", noise[:32_100], 16_000)
    soundfile.write(folder / "command.wav", noise[32_100:], 16_000)
    lines = [json.dumps(event.as_dict()) for event in told or TOLD]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    about = {"turn": 4, "version": "0.9", "incomplete": False, "config": settings_that_matter(Config())}
    (folder / "turn.json").write_text(json.dumps(about | summary))
    return folder


def shelf_of(folder: Path, turns: int) -> Path:
    for turn in range(turns):
        recorded(folder / f"turn-20310203-184502-{turn:04}")
    return folder


class Today:
    """A pipeline that tells what it is given to tell, and notes what it was asked."""

    def __init__(self) -> None:
        self.told: list[Event] = list(TOLD)
        self.configs: list[Config] = []
        self.options: list[RunOptions] = []
        self.heard: list[Any] = []

    async def run_session(self, config: Config, runner: Runner, options: RunOptions) -> Tally:
        self.configs.append(config)
        self.options.append(options)
        self.heard.append(soundfile.read(options.input, dtype="int16")[0])
        for event in self.told:
            for sink in options.sinks:
                sink.handle(replace(event, turn=1))
        return Tally(completed=1)


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Today:
    """Standard error is captured by ``capsys``, for which the logs need no thread."""
    replaced = Today()
    monkeypatch.setattr(replay_turn, "run_session", replaced.run_session)
    return replaced


# ── the same again ───────────────────────────────────────────────────────────────────────────────


def test_a_turn_that_is_heard_as_it_was_is_success(
    tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recorded(tmp_path / "turn-20310203-184502-0004")
    today.told[-1] = replace(COMPLETED, latency={"stt": 0.25})

    assert 0 == main(["replay", str(folder)])
    out = capsys.readouterr().out
    assert "turn-20310203-184502-0004, recorded by Heisenberg 0.9" in out
    assert "hey_jarvis 0.98 → hey_jarvis 0.98" in out
    assert "What time is it?" in out
    assert "0.50 → 0.25" in out
    assert "hearing: same  answer: same  ending: same" in out


def test_it_hears_what_the_microphone_heard_and_then_silence(tmp_path: Path, today: Today) -> None:
    """In real time, whole chunks before the detection, and silence for longer than any command waits."""
    folder = recorded(tmp_path / "turn")
    main(["replay", str(folder)])

    wake, _ = soundfile.read(folder / "wake.wav", dtype="int16")
    command, _ = soundfile.read(folder / "command.wav", dtype="int16")
    expected = np.concatenate([wake[32_100 % 512 :], command])
    np.testing.assert_array_equal(expected, today.heard[0][: len(expected)])
    assert not today.heard[0][len(expected) :].any()
    assert 16_000 * (Config().vad.no_speech_seconds + 1.5) == len(today.heard[0]) - len(expected)
    assert (True, True, "none") == (today.options[0].is_paced, today.options[0].once, today.options[0].output)


@pytest.mark.parametrize("reason", ["input_lost", "end_of_input"])
def test_a_microphone_that_was_lost_stays_lost(
    tmp_path: Path, today: Today, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dropped = TurnDropped(turn=4, at=4.0, reason="input_lost")
    folder = recorded(tmp_path / "turn", WOKE, replace(SPOKE, reason=reason), dropped)
    today.told = [WOKE, replace(SPOKE, reason="end_of_input"), dropped]

    assert 0 == main(["replay", str(folder)])
    assert 32_100 - 32_100 % 512 + 16_000 == len(today.heard[0])
    assert "hearing: same  answer: same  ending: same" in capsys.readouterr().out


def test_nothing_leaves_and_nothing_is_recorded_again(tmp_path: Path, today: Today) -> None:
    folder = recorded(tmp_path / "turn")
    main(["replay", str(folder), "--set", f"debug.record_dir={tmp_path}", "--set", 'osc.targets=["127.0.0.1:7000"]'])

    assert ([], "") == (today.configs[0].osc.targets, today.configs[0].debug.record_dir)


def test_fast_and_output_are_passed_on(tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]) -> None:
    """And what was read faster than real time is not compared in seconds."""
    main(["replay", str(recorded(tmp_path / "turn")), "--fast", "--output", "new.wav"])

    assert (False, "new.wav") == (today.options[0].is_paced, today.options[0].output)
    assert "latency" not in capsys.readouterr().out


# ── what differs ─────────────────────────────────────────────────────────────────────────────────


def outcome(*told: Event) -> Outcome:
    went = Outcome()
    for event in told:
        went.take(event.as_dict())
    return went


@pytest.mark.parametrize(
    ("changed", "part", "what"),
    [
        (replace(WOKE, name="alexa"), "hearing", "wake word"),
        (replace(SPOKE, reason="timeout"), "hearing", "endpoint"),
        (replace(SPOKE, audio_seconds=1.1), "hearing", "speech seconds"),
        (replace(HEARD, text="What mime is it?"), "hearing", "transcript"),
        (replace(HEARD, language="fr"), "hearing", "language"),
        (replace(ANSWERED, text="Midnight."), "answer", "reply"),
        (replace(ANSWERED, visual={"mood": "dark"}), "answer", "visual mood"),
        (Failed(turn=4, at=6.0, code="tts-failed", message="No voice."), "ending", "end"),
    ],
)
def test_each_difference_is_told_as_what_it_is(changed: Event, part: str, what: str) -> None:
    now = [changed if event.type == changed.type else event for event in TOLD]
    if changed.type == "failed":
        now[-1] = changed

    assert [(part, what)] == [(found.part, found.what) for found in differences(outcome(*TOLD), outcome(*now))]


@pytest.mark.parametrize(
    "changed",
    [
        replace(WOKE, score=0.91),
        replace(SPOKE, audio_seconds=1.6),
        replace(SPOKE, reason="semantic"),
        replace(HEARD, text="what time — is it"),
    ],
)
def test_what_hangs_on_chance_is_no_difference(changed: Event) -> None:
    """A score, three chunks of speech, how busy the machine was, and punctuation."""
    now = [changed if event.type == changed.type else event for event in TOLD]

    assert [] == differences(outcome(*TOLD), outcome(*now))


def test_words_are_compared_one_by_one() -> None:
    assert "what [-time-] {+mime+} is it {+now+}" == word_diff("What time is it?", "What mime is it now?")
    assert "{+stop+}" == word_diff(None, "Stop!")


def test_other_words_are_shown_and_fail(tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]) -> None:
    today.told[2] = replace(HEARD, text="What mime is it?")

    assert 1 == main(["replay", str(recorded(tmp_path / "turn"))])
    out = capsys.readouterr().out
    assert "what [-time-] {+mime+} is it" in out
    assert "hearing: differs  answer: same" in out


def test_another_answer_is_no_failure(tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]) -> None:
    """The language model samples its words; the line says so."""
    today.told[3] = replace(ANSWERED, text="Midnight.", visual={"mood": "dark"})

    assert 0 == main(["replay", str(recorded(tmp_path / "turn"))])
    out = capsys.readouterr().out
    assert "calm → dark" in out
    assert "→ Midnight." in out
    assert "hearing: same  answer: differs  ending: same  (the model samples its words" in out


def test_a_wake_word_that_is_not_heard_any_more_is_all_that_is_told(
    tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]
) -> None:
    today.told = []

    assert 1 == main(["replay", str(recorded(tmp_path / "turn"))])
    out = capsys.readouterr().out
    assert "hey_jarvis 0.98 → not heard" in out
    assert "hearing: differs  answer: –  ending: –" in out
    assert "reply" not in out


def test_settings_that_changed_since_are_named(
    tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["replay", str(recorded(tmp_path / "turn")), "--set", "vad.silence_seconds=0.9"])

    assert "vad.silence_seconds: 0.6 → 0.9" in capsys.readouterr().out


def test_json_is_one_object_a_turn(tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = shelf_of(tmp_path, 2)
    today.told[2] = replace(HEARD, text="Quelle heure est-il ?", language="fr")

    assert 1 == main(["replay", str(shelf), "--json"])
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert ("turn-20310203-184502-0000", False) == (Path(first["folder"]).name, first["heard_the_same"])
    assert ["transcript", "language"] == [found["what"] for found in second["differences"]]
    assert "What time is it?" == second["recorded"]["transcript"]
    assert "Quelle heure est-il ?" == second["replayed"]["transcript"]


def test_a_folder_of_turns_ends_with_a_table(tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]) -> None:
    """Oldest first; a damaged one is a line, and the others are replayed."""
    shelf = shelf_of(tmp_path, 3)
    (shelf / "turn-20310203-184502-0001" / "wake.wav").write_bytes(b"no sound")
    (shelf / "notes").mkdir()

    assert 1 == main(["replay", str(shelf)])
    captured = capsys.readouterr()
    table = captured.out[captured.out.rindex("turn ") :].splitlines()
    assert [
        "turn                       hearing   answer    ending",
        "turn-20310203-184502-0000  same      same      same",
        "turn-20310203-184502-0001  –         –         –",
        "turn-20310203-184502-0002  same      same      same",
        "",
        "2 of 3 heard the same, 1 not replayed",
    ] == table
    (line,) = captured.err.splitlines()
    assert "turn-20310203-184502-0001 cannot be replayed: Cannot read" in line


# ── typed questions ──────────────────────────────────────────────────────────────────────────────


class FakeBrain:
    """Answers everything alike, or not at all."""

    model = "fake"

    def __init__(self, failure: BrainError | None = None) -> None:
        self.asked: list[str] = []
        self._failure = failure

    async def think(self, question: str, history: object, language: str | None = None) -> AsyncIterator[object]:
        self.asked.append(question)
        if self._failure is not None:
            raise self._failure
        yield ReplyToken("Noon.")
        yield Answer("Noon.", {"mood": "calm"}, 9)

    async def close(self) -> None: ...


def test_a_typed_question_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    brain = FakeBrain()
    monkeypatch.setattr(Runner, "brain", lambda runner: brain)

    assert 0 == main(["replay", str(recorded(tmp_path / "turn", TYPED, ANSWERED, COMPLETED))])
    assert ["What time is it?"] == brain.asked
    assert "hearing: same  answer: same  ending: same" in capsys.readouterr().out


def test_a_typed_question_that_fails_today_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Runner, "brain", lambda runner: FakeBrain(BrainError("It is asleep.", code="llm-timeout")))
    main(["replay", str(recorded(tmp_path / "turn", TYPED, ANSWERED, COMPLETED))])

    out = capsys.readouterr().out
    assert "completed → failed (llm-timeout)" in out
    assert "It is asleep." in out


# ── what cannot be replayed ──────────────────────────────────────────────────────────────────────


def said_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error of a replay that fails."""
    assert 1 == main(["replay", str(folder)])
    captured = capsys.readouterr()
    assert "" == captured.out
    (line,) = captured.err.splitlines()
    return line


def test_a_follow_up_is_said_to_be_one(tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recorded(tmp_path / "turn", SPOKE, HEARD, ANSWERED, COMPLETED)

    assert "turn cannot be replayed: it began without the wake word" in said_of(folder, capsys)
    assert [] == today.heard


def test_typed_words_that_were_not_recorded_cannot_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = recorded(tmp_path / "turn", replace(TYPED, text=""), COMPLETED)

    assert "its question was typed" in said_of(folder, capsys)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda turn: (turn / "wake.wav").unlink(), "there is no wake.wav"),
        (lambda turn: (turn / "command.wav").write_bytes(b"RIFF"), "Cannot read"),
        (lambda turn: (turn / "turn.json").write_text("{"), "The recording is damaged"),
        (lambda turn: (turn / "turn.json").write_text("[]"), "it holds no JSON object"),
        (lambda turn: (turn / "turn.json").write_text("{}"), "it lacks or misstates 'turn'"),
        (lambda turn: (turn / "turn.json").write_bytes(b"\xff"), "The recording is damaged"),
        (lambda turn: (turn / "events.jsonl").write_text("{}\n[]\n"), "line 1 is no event"),
        (lambda turn: (turn / "events.jsonl").write_text("[1]\n{}"), "line 1 is no event"),
        (lambda turn: (turn / "events.jsonl").unlink(), "without the wake word"),
        (lambda turn: (turn / "turn.json").unlink(), "No recorded turn in"),
    ],
)
def test_a_damaged_recording_is_one_line(
    tmp_path: Path, today: Today, capsys: pytest.CaptureFixture[str], damage: Any, message: str
) -> None:
    folder = recorded(tmp_path / "turn")
    damage(folder)

    assert message in said_of(folder, capsys)


def test_the_line_at_which_the_program_was_killed_does_no_harm(tmp_path: Path, today: Today) -> None:
    folder = recorded(tmp_path / "turn")
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"type": "llm_tok')

    assert 0 == main(["replay", str(folder)])


@pytest.mark.parametrize(
    ("name", "message"), [("missing", "No such file"), ("file", "Not a directory"), ("", "No recorded turn")]
)
def test_a_folder_that_holds_no_recording_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (tmp_path / "file").touch()

    assert message in said_of(tmp_path / name, capsys)


def test_one_file_cannot_take_the_replies_of_two_turns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shelf = shelf_of(tmp_path, 2)

    assert 1 == main(["replay", str(shelf), "--output", "reply.wav"])
    assert "holds 2. Name one of them." in capsys.readouterr().err
