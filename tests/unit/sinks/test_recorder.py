"""What is left on disk of each turn, and that a disk can never stop one."""

import errno
import json
import logging
import os
import shutil
import stat
import sys
import threading
import wave
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heisenberg.audio.recorded import ChunkFile
from heisenberg.core import events
from heisenberg.core.audio import AudioChunk, Samples
from heisenberg.core.config import Config
from heisenberg.core.drops import Drops
from heisenberg.core.errors import AudioError, ConfigError
from heisenberg.sinks import record_shelf, recorder
from heisenberg.sinks.record_shelf import RecordShelf
from heisenberg.sinks.recorder import TurnRecorder
from heisenberg.sinks.recordings import read_recording, turn_folders
from heisenberg.sinks.turn_folder import NewSoundFile

BEGAN = datetime(2031, 2, 3, 18, 45, 2)


def config(folder: Path, **settings: dict[str, Any]) -> Config:
    debug = {"record_dir": str(folder), **settings.pop("debug", {})}
    return Config.model_validate({"debug": debug, **settings})


def new_recorder(
    folder: Path,
    new_sound_file: NewSoundFile = ChunkFile,
    now: Callable[[], datetime] = lambda: BEGAN,
    drops: Drops | None = None,
    **settings: dict[str, Any],
) -> TurnRecorder:
    return TurnRecorder(config(folder, **settings), "1.2.3", new_sound_file, drops or Drops(), now)


def ramp(count: int, start: int = 0) -> Samples:
    return np.arange(start, start + count, dtype=np.int16)


def woke(turn: int) -> events.WakewordDetected:
    return events.WakewordDetected(turn=turn, at=1.0, name="hey_jarvis", score=0.97, audio_at=1.5)


def dropped(turn: int, reason: str = "no_speech") -> events.TurnDropped:
    return events.TurnDropped(turn=turn, at=9.0, reason=reason)


def samples_in(path: Path) -> tuple[int, list[int]]:
    with wave.open(str(path)) as file:
        return file.getframerate(), np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").tolist()


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────


async def test_a_turn_leaves_its_sound_its_events_and_how_it_went(tmp_path: Path) -> None:
    recording = new_recorder(tmp_path / "kept", stt={"model": "whisper-base"})
    recording.handle(events.StateChanged(turn=0, at=0.0, state="idle", previous="starting"))
    recording.handle(woke(7))
    recording.heard(7, "wake", ramp(100))
    recording.heard(7, "command", ramp(100, 100))
    recording.heard(7, "command", ramp(50, 200))
    recording.handle(
        events.TranscriptionFinal(turn=7, at=2.0, text="L'été", language="fr", audio_seconds=1.0, stt_seconds=0.1)
    )
    recording.spoken(7, AudioChunk(ramp(60), 22_050))
    recording.handle(events.TurnCompleted(turn=7, at=3.0, latency={"stt": 0.5}))
    await recording.close()
    await recording.close()

    (folder,) = (tmp_path / "kept").iterdir()
    assert "turn-20310203-184502-0007" == folder.name
    assert (16_000, ramp(100).tolist()) == samples_in(folder / "wake.wav")
    assert (16_000, ramp(150, 100).tolist()) == samples_in(folder / "command.wav")
    assert (22_050, ramp(60).tolist()) == samples_in(folder / "reply.wav")
    assert ["wakeword_detected", "transcription_final", "turn_completed"] == [event["type"] for event in told(folder)]
    summary = json.loads((folder / "turn.json").read_text("utf-8"))
    assert (7, "1.2.3", False, "2031-02-03T18:45:02") == tuple(
        summary[key] for key in ("turn", "version", "incomplete", "began")
    )
    assert {"wake_word": "hey_jarvis", "transcript": "L'été", "language": "fr", "ended": "completed"}.items() <= (
        summary["outcome"].items()
    )
    assert {"stt": 0.5} == summary["outcome"]["latency"]
    assert "whisper-base" == summary["config"]["stt.model"]
    assert 0.6 == summary["config"]["vad.silence_seconds"]


async def test_only_what_happened_is_there(tmp_path: Path) -> None:
    recording = new_recorder(tmp_path)
    recording.handle(dropped(1))
    await recording.close()

    (folder,) = turn_folders(tmp_path)
    assert {"events.jsonl", "turn.json"} == names_in(folder)


async def test_nothing_happened_nothing_is_there(tmp_path: Path) -> None:
    recording = new_recorder(tmp_path)
    recording.handle(events.StateChanged(turn=0, at=0.0, state="idle", previous="starting"))
    await recording.close()
    recording.handle(woke(1))

    assert set() == names_in(tmp_path)


async def test_the_last_words_of_an_interrupted_turn_stay_with_it(tmp_path: Path) -> None:
    recording = new_recorder(tmp_path)
    for event in (woke(1), woke(2), dropped(1, "interrupted"), dropped(2), woke(3), woke(4), woke(1)):
        recording.handle(event)
    await recording.close()

    first, second, *_ = turn_folders(tmp_path)
    assert ["wakeword_detected", "turn_dropped"] == [event["type"] for event in told(first)]
    assert ["wakeword_detected", "turn_dropped"] == [event["type"] for event in told(second)]
    assert "interrupted" == read_recording(first).outcome.reason


async def test_turns_of_one_second_and_number_do_not_mix(tmp_path: Path) -> None:
    """Two runs of the program within a second both begin with turn 1."""
    for _ in range(3):
        recording = new_recorder(tmp_path)
        recording.handle(woke(1))
        await recording.close()

    name = "turn-20310203-184502-0001"
    assert [name, f"{name}-2", f"{name}-3"] == [folder.name for folder in turn_folders(tmp_path)]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
async def test_nobody_else_may_look_into_it(tmp_path: Path) -> None:
    recording = new_recorder(tmp_path / "made")
    recording.handle(woke(1))
    await recording.close()

    folders = [tmp_path / "made", *(tmp_path / "made").iterdir()]
    assert [0o700, 0o700] == [stat.S_IMODE(folder.stat().st_mode) for folder in folders]


async def test_no_key_address_or_prompt_of_the_configuration_is_written(tmp_path: Path) -> None:
    secret = {"url": "http://user:hunter2@host:1/hunter2", "api_key": "hunter2", "system_prompt": "hunter2"}
    recording = new_recorder(tmp_path, llm=secret | {"server_args": ["hunter2"]})
    recording.handle(dropped(1))
    await recording.close()

    (folder,) = turn_folders(tmp_path)
    assert "llm.model" in (folder / "turn.json").read_text("utf-8")
    assert "hunter2" not in (folder / "turn.json").read_text("utf-8")


def test_a_killed_program_leaves_what_was_there_so_far(tmp_path: Path) -> None:
    """Nothing is finished or closed in good order: what was handed over can be read all the same."""
    shelf = RecordShelf(config(tmp_path).debug, {"version": "1", "config": {}}, ChunkFile, lambda: BEGAN)
    shelf.put(1, woke(1))
    shelf.put(1, AudioChunk(ramp(100), 16_000), "wake.wav")
    (folder,) = turn_folders(tmp_path)
    try:
        found = read_recording(folder)
        wav = samples_in(folder / "wake.wav")
    finally:
        shelf.abandon()

    assert (16_000, ramp(100).tolist()) == wav
    assert ("hey_jarvis", "unfinished") == (found.outcome.wake_word, found.outcome.ended)


# ── how much is kept ─────────────────────────────────────────────────────────────────────────────


async def test_the_oldest_turns_make_room_and_nothing_else_does(tmp_path: Path) -> None:
    """Given a bound of 1 MB and turns of 0.4 MB. Result: two are left, and every file that is not ours."""
    for name in ("notes", "turn-1", "turn-20200101-000000-0001x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "wake.wav").write_bytes(bytes(900_000))
    (tmp_path / "turn-20200101-000000-0002").write_bytes(bytes(900_000))  # a file
    with_a_note = tmp_path / "turn-20200101-000000-0003"
    with_a_note.mkdir()
    (with_a_note / "wake.wav").write_bytes(bytes(900_000))
    (with_a_note / "why.txt").write_text("the one from Tuesday")
    others = names_in(tmp_path)

    recording = new_recorder(tmp_path, debug={"max_megabytes": 1})
    for turn in range(1, 6):
        recording.handle(woke(turn))
        recording.heard(turn, "command", ramp(200_000 // 10).repeat(10))
        recording.handle(dropped(turn))
    await recording.close()

    left = names_in(tmp_path) - others
    assert {"turn-20310203-184502-0004", "turn-20310203-184502-0005"} == left
    assert others <= names_in(tmp_path)
    assert {"why.txt"} == names_in(with_a_note)
    assert (tmp_path / "notes" / "wake.wav").exists()


async def test_a_link_that_is_named_like_a_turn_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "wake.wav").write_bytes(bytes(2_000_000))
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "turn-20200101-000000-0001").symlink_to(elsewhere)
    recording = new_recorder(shelf, debug={"max_megabytes": 1})
    recording.handle(woke(1))
    await recording.close()

    assert (elsewhere / "wake.wav").exists()


async def test_the_current_turn_is_kept_even_if_it_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING_BYTES", 100_000_000)
    monkeypatch.setattr(record_shelf, "LOOK_EVERY_BYTES", 100_000)
    recording = new_recorder(tmp_path, debug={"max_megabytes": 1})
    recording.handle(woke(1))
    for _ in range(20):
        recording.heard(1, "command", np.zeros(50_000, dtype=np.int16))
    recording.handle(woke(2))
    recording.handle(woke(3))
    await recording.close()

    assert [2, 3] == [read_recording(folder).turn for folder in turn_folders(tmp_path)]


# ── a disk that does not want to ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["file/below", "file"])
def test_a_folder_that_cannot_be_used_is_one_line_with_its_key(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        ConfigError, match=r'^debug\.record_dir is "[^"]*", but nothing can be recorded there: '
    ) as failed:
        new_recorder(tmp_path / name)
    assert "\n" not in failed.value.message


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="needs a user whom permissions bind")
def test_a_folder_without_write_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(ConfigError, match="Permission denied"):
        new_recorder(tmp_path)


class SlowFile:
    """A disk that stands still until it is allowed to go on."""

    def __init__(self, path: Path, began: threading.Event, may_go_on: threading.Event) -> None:
        self._file = ChunkFile(path)
        began.set()
        may_go_on.wait(10)

    def write(self, chunk: AudioChunk) -> None:
        self._file.write(chunk)

    def close(self) -> None:
        self._file.close()


async def test_a_slow_disk_costs_sound_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a disk that stands still and room for 300 bytes. Result: nothing waits, the newest sound is lost and
    counted, the recording tells that it is incomplete, and the next one is not."""
    monkeypatch.setattr(recorder, "MAX_WAITING_BYTES", 300)
    began, may_go_on, drops = threading.Event(), threading.Event(), Drops()
    recording = new_recorder(tmp_path, lambda path: SlowFile(path, began, may_go_on), drops=drops)
    recording.heard(1, "command", ramp(100))
    assert began.wait(10)
    for start in (100, 200, 300):
        recording.heard(1, "command", ramp(100, start))
    recording.handle(dropped(1))
    may_go_on.set()
    recording.handle(woke(2))
    await recording.close()

    first, second = (read_recording(folder) for folder in turn_folders(tmp_path))
    assert ramp(200).tolist() == samples_in(first.folder / "command.wav")[1]
    assert (True, "dropped", False) == (first.is_incomplete, first.outcome.ended, second.is_incomplete)
    assert {"recorder": 2} == drops.totals()
    (warning,) = caplog.messages
    assert "recordings have gaps" in warning


async def test_events_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING_ITEMS", 5)
    began, may_go_on, drops = threading.Event(), threading.Event(), Drops()
    recording = new_recorder(tmp_path, lambda path: SlowFile(path, began, may_go_on), drops=drops)
    recording.heard(1, "wake", ramp(1))
    assert began.wait(10)
    for _ in range(8):
        recording.handle(woke(1))
    may_go_on.set()
    await recording.close()

    (folder,) = turn_folders(tmp_path)
    assert 5 == len(told(folder))
    assert {"recorder": 3} == drops.totals()


class FullFile:
    """A disk without room."""

    def __init__(self, path: Path) -> None: ...

    def write(self, chunk: AudioChunk) -> None:
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise AudioError("advice that does not fit", code="audio-file-unwritable") from full

    def close(self) -> None: ...


async def test_a_full_disk_ends_the_recording_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recording = new_recorder(tmp_path, FullFile)
    for turn in (1, 2, 3):
        recording.heard(turn, "wake", ramp(10))
        recording.handle(woke(turn))
    await recording.close()
    recording.handle(woke(4))

    (warning,) = caplog.messages
    assert f"debug.record_dir: {tmp_path}: recording has stopped: No space left on device." in warning
    assert not recording.is_recording


async def test_a_folder_that_vanishes_ends_the_recording_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "stick"

    def unplugged() -> datetime:
        shutil.rmtree(folder)
        return BEGAN

    recording = new_recorder(folder, now=unplugged)
    recording.handle(woke(1))
    recording.handle(woke(2))
    await recording.close()

    (warning,) = caplog.messages
    assert "recording has stopped: No such file or directory. Heisenberg goes on without it" in warning
    assert not folder.exists()


async def test_a_fault_of_ours_is_logged_and_stops_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> datetime:
        raise ZeroDivisionError

    recording = new_recorder(tmp_path, now=broken)
    recording.handle(woke(1))
    await recording.close()
    recording.handle(woke(2))
    recording.heard(2, "wake", ramp(10))

    (record,) = caplog.records
    assert (logging.ERROR, True) == (record.levelno, "ZeroDivisionError" in caplog.text)
    assert not recording.is_recording
