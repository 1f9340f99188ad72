"""Logs: who reads what."""

import asyncio
import io
import json
import logging
import os
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heisenberg.core import logs

log = logging.getLogger("heisenberg.audio.microphone")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_elsewhere_than_on_a_terminal_each_record_is_one_json_line() -> None:
    stream = io.StringIO()
    logs.configure("info", "none", stream)

    log.info("opened %s", "Yeti\nX")

    (record,) = records(stream)
    assert record.pop("at")
    assert {"level": "info", "logger": "audio.microphone", "message": "opened Yeti\nX"} == record


def test_on_a_terminal_a_record_is_a_readable_line() -> None:
    stream = Terminal()
    logs.configure("info", "none", stream)

    log.info("opened %s", "Yeti")

    time, rest = stream.getvalue().split(" ", 1)
    assert (12, "INFO    audio.microphone: opened Yeti\n") == (len(time), rest)


def test_colours_are_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    coloured, plain = Terminal(), Terminal()
    logs.configure("info", "none", coloured)
    log.warning("look")
    monkeypatch.setenv("NO_COLOR", "1")
    logs.configure("info", "none", plain)
    log.warning("look")

    assert coloured.getvalue().startswith("\x1b[33m")
    assert "\x1b" not in plain.getvalue()


@pytest.mark.parametrize(("level", "seen"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")])
def test_the_level_is_the_least_that_is_shown(level: str, seen: str) -> None:
    stream = io.StringIO()
    logs.configure(level, "none", stream)

    for write, message in ((log.debug, "d"), (log.info, "i"), (log.warning, "w"), (log.error, "e")):
        write(message)

    assert list(seen) == [record["message"] for record in records(stream)]


@pytest.mark.parametrize("name", ["asyncio", "aiohttp.client", "faster_whisper", "huggingface_hub", "httpx"])
def test_of_others_only_warnings_are_shown(name: str) -> None:
    stream = io.StringIO()
    logs.configure("debug", "none", stream)

    logging.getLogger(name).info("chatter")
    logging.getLogger(name).warning("trouble")

    assert ["trouble"] == [record["message"] for record in records(stream)]


async def test_records_carry_the_turn_of_their_task() -> None:
    """Two turns at the same time; each record has its own, also from a thread of the task."""
    stream = io.StringIO()
    logs.configure("info", "none", stream)

    async def work(turn: int) -> None:
        logs.bind_turn(turn)
        await asyncio.sleep(0)
        await asyncio.to_thread(log.info, "turn %d", turn)

    await asyncio.gather(work(1), work(2))
    with logs.in_turn(3):
        log.info("turn 3")
    log.info("none")

    found = {record["message"]: record.get("turn") for record in records(stream)}
    assert {"turn 1": 1, "turn 2": 2, "turn 3": 3, "none": None} == found


def test_the_file_gets_json_even_when_a_terminal_is_watching(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "our.log"
    logs.configure("info", str(path), Terminal())

    log.info("grüße")

    assert "grüße" == json.loads(path.read_text(encoding="utf-8"))["message"]


def test_the_file_rotates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "FILE_BYTES", 300)
    logs.configure("info", str(tmp_path / "our.log"), io.StringIO())

    for number in range(30):
        log.info("line %d", number)

    assert ["our.log", "our.log.1", "our.log.2", "our.log.3", "our.log.4"] == sorted(p.name for p in tmp_path.iterdir())


def test_by_default_the_file_is_in_the_users_log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    logs.configure("info", "", io.StringIO())

    log.info("hello")

    assert "hello" in logs.default_file().read_text(encoding="utf-8")


def test_a_file_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    stream = io.StringIO()
    (tmp_path / "file").write_text("")
    logs.configure("info", str(tmp_path / "file" / "our.log"), stream)

    log.info("going on")

    warning, after = records(stream)
    assert warning["message"].startswith(f"No log file: {tmp_path / 'file' / 'our.log'}: ")
    assert "going on" == after["message"]


def test_configuring_twice_logs_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("debug", "none", first)
    logs.configure("info", "none", second)

    log.info("once")

    assert ([], ["once"]) == (records(first), [record["message"] for record in records(second)])


def test_reset_puts_everything_back() -> None:
    root = logging.getLogger()

    def state() -> tuple[object, ...]:
        hooks = threading.excepthook, sys.unraisablehook, warnings.showwarning
        return list(root.handlers), root.level, logging.getLogger("heisenberg").level, hooks

    before = state()
    logs.configure("debug", "none", io.StringIO())
    assert before != state()
    logs.reset()

    assert before == state()


def test_warnings_go_into_the_log() -> None:
    stream = io.StringIO()
    logs.configure("info", "none", stream)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)  # catch_warnings put Python's own function back
        logging.captureWarnings(True)
        warnings.warn("beware", stacklevel=1)

    assert "UserWarning: beware" in records(stream)[0]["message"]


def test_a_thread_that_fails_goes_into_the_log() -> None:
    stream = io.StringIO()
    logs.configure("info", "none", stream)

    def fail() -> None:
        raise ValueError("no more audio")

    thread = threading.Thread(target=fail, name="audio")
    thread.start()
    thread.join()

    (record,) = records(stream)
    assert ("critical", "Thread audio ended: ValueError('no more audio')") == (record["level"], record["message"])
    assert "in fail" in record["traceback"]


def test_what_could_not_be_raised_goes_into_the_log() -> None:
    stream = io.StringIO()
    logs.configure("info", "none", stream)
    exc = ValueError("in a callback")

    failure: Any = SimpleNamespace(err_msg="Exception ignored in", object="callback", exc_value=exc)
    sys.unraisablehook(failure)

    (record,) = records(stream)
    assert ("error", "Exception ignored in 'callback': ValueError('in a callback')") == (
        record["level"],
        record["message"],
    )


def test_a_full_disk_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The stream of the log file refuses to be written; the program goes on and says so once."""
    logs.configure("info", str(tmp_path / "our.log"), io.StringIO())
    (handler,) = [found for found in logging.getLogger().handlers if found.name == "heisenberg: file"]
    assert isinstance(handler, logging.FileHandler)
    handler.stream.close()
    handler.stream = (tmp_path / "our.log").open(encoding="utf-8")  # for reading only

    log.info("one")
    log.info("two")

    assert 1 == capsys.readouterr().err.count("Cannot write the log file")


def test_a_reader_that_does_not_read_blocks_nobody() -> None:
    """Given a pipe that is full; result: logging returns, and when the reader is back, it hears of the loss."""
    reading, writing = os.pipe()
    received: list[bytes] = []
    with os.fdopen(writing, "w") as pipe, os.fdopen(reading, "rb") as reader:
        logs.configure("info", "none", pipe)
        for _ in range(3 * logs.WAITING_RECORDS):
            logging.getLogger("heisenberg.test").info("x" * 200)
        has_read_some = threading.Event()

        def read() -> None:
            for line in reader:
                received.append(line)
                if len(received) == logs.WAITING_RECORDS:
                    has_read_some.set()

        drain = threading.Thread(target=read)
        drain.start()
        assert has_read_some.wait(10)
        logging.getLogger("heisenberg.test").info("is anybody there?")
        logs.reset()
        pipe.close()
        drain.join()

    assert b"records were dropped" in received[-2]
    assert b"is anybody there?" in received[-1]
