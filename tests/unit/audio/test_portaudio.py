import builtins
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest

from heisenberg.audio import portaudio
from heisenberg.core.errors import AudioError


class PortAudioError(Exception):
    """As sounddevice has it."""


class FakeStream:
    """A raw stream that opens and closes as it is told."""

    samplerate, channels, latency = 48_000.0, 1, 0.03

    def __init__(self, opened: list["FakeStream"], **options: Any) -> None:
        self.is_open = True
        self.finished = options["finished_callback"]
        opened.append(self)

    def start(self) -> None:
        assert portaudio._lock.locked(), "PortAudio is not thread safe"

    def abort(self) -> None:
        assert portaudio._lock.locked(), "PortAudio is not thread safe"

    def close(self) -> None:
        assert portaudio._lock.locked(), "PortAudio is not thread safe"
        self.is_open = False


class FakeSounddevice(ModuleType):
    """Counts how often PortAudio was initialised."""

    def __init__(self) -> None:
        super().__init__("sounddevice")
        self.PortAudioError = PortAudioError
        self.opened: list[FakeStream] = []
        self._initialized = 1
        self.initialisations = 0
        self.RawInputStream = self.RawOutputStream = lambda **options: FakeStream(self.opened, **options)

    def _terminate(self) -> None:
        assert portaudio._lock.locked(), "PortAudio is not thread safe"
        assert not any(stream.is_open for stream in self.opened), "a stream would be torn down under its owner"
        self._initialized -= 1

    def _initialize(self) -> None:
        self._initialized += 1
        self.initialisations += 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> FakeSounddevice:
    fake = FakeSounddevice()
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    monkeypatch.setattr(portaudio, "_open", set())
    monkeypatch.setattr(portaudio, "_inside", set())
    return fake


def open_stream(*, may_interrupt: bool, ended: list[str] | None = None) -> portaudio.Stream:
    ended = [] if ended is None else ended
    return portaudio.open_stream(
        "input", 0, 48_000, 1, 0, lambda *_: None, lambda: may_interrupt, lambda: ended.append("ended")
    )


@pytest.mark.parametrize(
    ("platform", "remedy"),
    [
        ("linux", "sudo apt install libportaudio2"),
        ("darwin", "pip install --force-reinstall sounddevice, or brew install portaudio"),
        ("win32", "pip install --force-reinstall sounddevice"),
    ],
)
def test_without_portaudio_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch, platform: str, remedy: str) -> None:
    really_import = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "sounddevice":
            raise OSError("PortAudio library not found")
        return really_import(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(AudioError) as caught:
        portaudio.library()

    assert caught.value.code == "audio-unavailable"
    assert caught.value.message.startswith("The PortAudio library cannot be loaded: PortAudio library not found. ")
    assert remedy in caught.value.message


def test_files_work_without_portaudio() -> None:
    code = "import sys; sys.modules['sounddevice'] = None; import heisenberg.audio.wavfile, heisenberg.audio.speakers"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_looking_for_devices_closes_streams_that_may_be_closed(library: FakeSounddevice) -> None:
    stream = open_stream(may_interrupt=True)

    assert portaudio.refresh()
    assert library.initialisations == 1
    assert not stream.is_open


def test_a_speaking_loudspeaker_is_not_interrupted(library: FakeSounddevice) -> None:
    """Given a microphone that was lost while the assistant speaks. Then looking for it waits."""
    speaking = open_stream(may_interrupt=False)
    open_stream(may_interrupt=True)

    assert not portaudio.refresh()
    assert library.initialisations == 0
    assert speaking.is_open
    speaking.close()
    assert portaudio.refresh()


def test_a_stream_that_refuses_to_open_is_said_in_one_line(library: FakeSounddevice) -> None:
    def refuse(**_: Any) -> FakeStream:
        raise PortAudioError("Error opening RawInputStream: Device unavailable", -9985, (0, -16, "busy"))

    library.RawInputStream = refuse
    with pytest.raises(AudioError) as caught:
        open_stream(may_interrupt=True)

    assert caught.value.code == "audio-unavailable"
    assert "Device unavailable (busy)" in caught.value.message


def test_a_driver_that_hangs_does_not_hang_us(library: FakeSounddevice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a driver that never finishes closing. Then closing gives up, and PortAudio is not ended under it."""
    released = threading.Event()
    library._exit_handler = lambda: None
    monkeypatch.setattr(portaudio, "CLOSE_TIMEOUT_S", 0.05)
    stream = open_stream(may_interrupt=True)
    monkeypatch.setattr(library.opened[0], "close", released.wait)
    stream.close()

    assert not stream.is_open
    assert portaudio.is_stuck()
    assert not portaudio.refresh()
    released.set()


def test_a_stream_whose_device_is_gone_says_so_once(library: FakeSounddevice) -> None:
    """PortAudio says the same of a stream that we close ourselves."""
    ended: list[str] = []
    stream = open_stream(may_interrupt=True, ended=ended)

    assert not stream.has_died
    library.opened[0].finished()
    assert stream.has_died
    stream.close()
    library.opened[0].finished()
    assert not stream.has_died
    assert ended == ["ended"]


def test_a_device_that_vanishes_while_it_starts_does_not_hang_us(
    library: FakeSounddevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PortAudio then waits for ever, and ending it would abort the program. Should it come back, it is closed."""
    released, closed, really_close = threading.Event(), threading.Event(), FakeStream.close
    library._exit_handler = lambda: None
    monkeypatch.setattr(portaudio, "START_TIMEOUT_S", 0.05)
    monkeypatch.setattr(FakeStream, "start", lambda _: released.wait())
    monkeypatch.setattr(FakeStream, "close", lambda stream: (really_close(stream), closed.set()))
    with pytest.raises(AudioError, match="did not start a stream in time"):
        open_stream(may_interrupt=True)

    assert portaudio.is_stuck()
    assert not portaudio.refresh()
    released.set()
    assert closed.wait(5)
    _until(lambda: not portaudio.is_stuck())
    assert portaudio.refresh()


def test_a_driver_that_comes_back_is_tidied_up_in_turn(
    library: FakeSounddevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one that was left behind while it silenced a stream. Then that waits for its turn to be closed."""
    released, came_back = threading.Event(), threading.Event()
    library._exit_handler = lambda: None
    monkeypatch.setattr(portaudio, "CLOSE_TIMEOUT_S", 0.05)
    stream = open_stream(may_interrupt=True)
    monkeypatch.setattr(library.opened[0], "abort", lambda: (released.wait(), came_back.set()))
    stream.close()
    monkeypatch.setattr(portaudio, "CLOSE_TIMEOUT_S", 5.0)
    with portaudio._one_at_a_time():
        released.set()
        assert came_back.wait(5)
        assert library.opened[0].is_open
        assert portaudio.is_stuck()

    _until(lambda: not portaudio.is_stuck())
    assert not library.opened[0].is_open
    assert portaudio.refresh()


def test_a_stream_that_refuses_to_start_is_closed(library: FakeSounddevice, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: FakeStream) -> None:
        raise PortAudioError("Error starting stream: Device unavailable", -9985)

    monkeypatch.setattr(FakeStream, "start", refuse)
    with pytest.raises(AudioError, match="Device unavailable"):
        open_stream(may_interrupt=True)

    assert not library.opened[0].is_open
    assert portaudio.refresh()


def test_streams_come_and_go_in_many_threads_while_devices_are_looked_for(library: FakeSounddevice) -> None:
    """Then PortAudio never has two callers, and is never ended under a stream; the fakes assert both."""

    def come_and_go() -> None:
        for _ in range(20):
            open_stream(may_interrupt=True).close()
            portaudio.refresh()

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(come_and_go) for _ in range(4)]:
            done.result(30)

    assert not any(stream.is_open for stream in library.opened)
    assert library.initialisations > 0


def _until(condition: Callable[[], bool]) -> None:
    """What another thread does on its own is polled for."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)
