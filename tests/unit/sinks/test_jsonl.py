"""Every event is one line that a program can read."""

import errno
import io
import json
import math
import os
import sys
import threading
from pathlib import Path

import pytest

from heisenberg.core import events
from heisenberg.core.drops import Drops
from heisenberg.core.errors import SinkError
from heisenberg.sinks.jsonl import JsonLinesSink
from heisenberg.sinks.writer import QUEUE_SIZE


def final(text: str, turn: int = 1) -> events.TranscriptionFinal:
    return events.TranscriptionFinal(turn=turn, at=1.5, text=text, language="fr", audio_seconds=2, stt_seconds=0.5)


async def test_each_event_is_one_line_of_utf8_json(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("what was there before\n")
    sink = JsonLinesSink(path)
    sink.handle(final("L'été\nà la mer"))
    sink.handle(events.VisualUpdated(turn=1, at=2.0, field="mood", value="calm"))
    await sink.close()
    await sink.close()

    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [
        {"type": "transcription_final", "turn": 1, "at": 1.5, "text": "L'été\nà la mer", "language": "fr"}
        | {"audio_seconds": 2, "stt_seconds": 0.5},
        {"type": "visual_updated", "turn": 1, "at": 2.0, "field": "mood", "value": "calm"},
    ]
    assert "été" in lines[0]


async def test_values_that_json_does_not_know_stay_readable(tmp_path: Path) -> None:
    sink = JsonLinesSink(tmp_path / "events.jsonl")
    sink.handle(events.TurnCompleted(turn=1, at=math.nan, latency={"stt": math.inf}))
    sink.handle(final("\ud800"))
    await sink.close()

    first, second = map(json.loads, (tmp_path / "events.jsonl").read_text("utf-8").splitlines())
    assert first["latency"] == {"stt": 0.0}
    assert second["text"] == "\ufffd"


async def test_a_dash_is_standard_output(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    sink = JsonLinesSink("-")
    sink.handle(final("Bonjour"))
    await sink.close()

    assert json.loads(capsysbinary.readouterr().out)["text"] == "Bonjour"


@pytest.mark.parametrize("path", ["missing/events.jsonl", "."])
def test_an_unwritable_path_is_one_line_with_the_path_and_a_remedy(path: str, tmp_path: Path) -> None:
    with pytest.raises(SinkError) as caught:
        JsonLinesSink(tmp_path / path)

    assert caught.value.code == "sink-unwritable"
    assert str(tmp_path) in caught.value.message
    assert "\n" not in caught.value.message


class FullDisk(io.RawIOBase):
    """Takes *room* bytes, then none until *room* grows."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        taken = bytes(data)[: self.room]  # type: ignore[call-overload]
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(taken)
        self.data += taken
        return len(taken)


async def test_a_full_disk_is_said_once_and_writing_goes_on_when_there_is_room(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Given a disk that is full in the middle of a line, then empty again, later lines are whole."""
    sink = JsonLinesSink(tmp_path / "events.jsonl")
    sink._file.close()
    disk = FullDisk(room=50)
    sink._file = disk  # type: ignore[assignment]
    for _ in range(3):
        sink._write(json.dumps({"text": "x" * 100}))
    disk.room = 10_000
    sink._write('{"text": "back"}')
    sink._write('{"text": "again"}')
    await sink.close()

    assert len(caplog.messages) == 1
    assert "No space left" in caplog.messages[0]
    assert disk.data.decode().splitlines()[-2:] == ['{"text": "back"}', '{"text": "again"}']


async def test_a_file_that_is_too_slow_loses_the_oldest_events_and_counts_them(tmp_path: Path) -> None:
    """Given a disk that takes nothing for a while, the queue does not grow beyond its size."""
    drops, is_stuck, may_go = Drops(), threading.Event(), threading.Event()

    class SlowDisk(FullDisk):
        def write(self, data: object) -> int:
            is_stuck.set()
            may_go.wait(10)
            return super().write(data)

    sink = JsonLinesSink(tmp_path / "events.jsonl", drops=drops)
    sink._file.close()
    disk = sink._file = SlowDisk(room=1 << 30)  # type: ignore[assignment]
    sink.handle(final("first"))
    is_stuck.wait(10)
    for number in range(QUEUE_SIZE + 7):
        sink.handle(final(str(number)))
    may_go.set()
    await sink.close()
    written = [json.loads(line)["text"] for line in disk.data.splitlines()]  # type: ignore[attr-defined]

    assert {"events": 7} == drops.totals()
    assert ["first", "7", "8"] == written[:3]
    assert str(QUEUE_SIZE + 6) == written[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe is no path there")
async def test_a_reader_that_leaves_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    sink = JsonLinesSink(f"/dev/fd/{writer}")
    sink.handle(final("one"))
    sink.handle(final("two"))
    await sink.close()
    os.close(writer)

    assert caplog.messages == []
