import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from heisenberg.audio import microphone, portaudio
from heisenberg.audio.devices import Device
from heisenberg.audio.microphone import WAITING_S, Microphone
from heisenberg.core.config import AudioConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import AudioError

RATE_HZ = 16_000
STALE, FRESH = 100, 200


class DrivenStream:
    """A stream whose callback the test calls."""

    rate_hz, channels = RATE_HZ, 1

    def __init__(self, callback: portaudio.Callback, on_end: Callable[[], None]) -> None:
        self.is_open = True
        self._callback = callback
        self.die = on_end

    def hear(self, value: int, seconds: float, status: str = "") -> None:
        samples = np.full(round(seconds * RATE_HZ), value, dtype=np.int16)
        self._callback(samples.tobytes(), len(samples), None, status)

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[DrivenStream]:
    """Those that were opened, on the only device."""
    opened: list[DrivenStream] = []

    def open_stream(kind: str, device: int, rate_hz: int, channels: int, block: int, *rest: Any) -> Any:
        callback, _, on_end = rest
        opened.append(DrivenStream(callback, on_end))
        return opened[-1]

    monkeypatch.setattr(portaudio, "open_stream", open_stream)
    monkeypatch.setattr(microphone, "list_devices", lambda: [Device(0, "Mic", "ALSA", 1, 0, RATE_HZ, True, False)])
    return opened


@contextlib.contextmanager
def speaking_into(stream: DrivenStream) -> Iterator[None]:
    """Somebody goes on speaking, about as fast as people do."""
    done = threading.Event()

    def speak() -> None:
        while not done.wait(0.002):
            stream.hear(FRESH, 0.002)

    speaker = threading.Thread(target=speak)
    speaker.start()
    yield
    done.set()
    speaker.join(5)


def read_all(listening: Microphone) -> None:
    while listening.read() is not None:
        pass


def test_what_was_said_before_anybody_listened_is_not_heard(
    streams: list[DrivenStream], caplog: pytest.LogCaptureFixture
) -> None:
    """Given a microphone that waits for models to load. Then only what comes later is heard, and nothing was lost."""
    listening = Microphone(AudioConfig())
    for _ in range(3):
        streams[0].hear(STALE, WAITING_S / 2, status="overflow")
    with caplog.at_level(logging.WARNING), speaking_into(streams[0]):
        chunk = listening.read()
    listening.close()

    assert chunk is not None
    assert set(chunk.tolist()) == {FRESH}
    assert listening.overflows == 0
    assert caplog.messages == []


def test_a_listener_who_comes_back_too_late_is_told_once(
    streams: list[DrivenStream], caplog: pytest.LogCaptureFixture
) -> None:
    """Given somebody who has listened, and stays away for longer than sound can wait."""
    drops = Drops()
    listening = Microphone(AudioConfig(), drops)
    with speaking_into(streams[0]):
        listening.read()
    for _ in range(3):
        streams[0].hear(FRESH, WAITING_S / 2)
    with caplog.at_level(logging.WARNING):
        listening.read()
        listening.read()
    listening.close()

    assert listening.overflows == 1
    assert drops.totals() == {"microphone": 1}
    assert len(caplog.messages) == 1
    assert "too busy" in caplog.text


def test_each_overflow_of_the_device_is_counted(streams: list[DrivenStream]) -> None:
    drops = Drops()
    listening = Microphone(AudioConfig(), drops)
    with speaking_into(streams[0]):
        listening.read()
    for status in ("overflow", "", "overflow"):
        streams[0].hear(FRESH, 0.04, status)
        listening.read()
    listening.close()

    assert drops.totals() == {"microphone": 2}


def test_a_muted_microphone_is_not_lost(streams: list[DrivenStream]) -> None:
    """It delivers zeros, for longer than a device may be silent."""
    listening = Microphone(AudioConfig())
    with speaking_into(streams[0]):
        listening.read()
    chunks = []
    for _ in range(100):
        streams[0].hear(0, 0.032)
        chunks.append(listening.read())
    listening.close()

    assert len(streams) == 1
    assert all(chunk is not None for chunk in chunks)
    assert chunks[-1] is not None
    assert not chunks[-1].any()


def test_a_microphone_that_is_lost_is_found_by_its_name(
    streams: list[DrivenStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given one that comes back with another number, another rate and a longer name, and is busy for a while."""
    opened: list[tuple[int, int]] = []
    really_open = portaudio.open_stream
    refusals = [AudioError("PortAudio refuses: Device unavailable.", code="audio-unavailable")]
    devices = [Device(4, "Yeti", "ALSA", 1, 0, RATE_HZ, False, False)]

    def open_stream(kind: Any, device: int, rate_hz: int, *rest: Any) -> Any:
        opened.append((device, rate_hz))
        if refusals and device == 7:
            raise refusals.pop()
        return really_open(kind, device, rate_hz, *rest)

    monkeypatch.setattr(portaudio, "open_stream", open_stream)
    monkeypatch.setattr(portaudio, "refresh", lambda: True)
    monkeypatch.setattr(microphone, "list_devices", lambda: devices)
    monkeypatch.setattr(microphone, "RETRY_FIRST_S", 0.001)
    listening = Microphone(AudioConfig(input_device="yeti"))
    with speaking_into(streams[0]):
        listening.read()
    streams[0].die()
    with pytest.raises(AudioError, match='The microphone "Yeti" delivers no sound any more') as lost:
        read_all(listening)
    devices[:] = [Device(0, "Built-in", "ALSA", 1, 0, RATE_HZ, True, False)]
    with pytest.raises(AudioError, match='still away: No microphone named "yeti". Found: 0 "Built-in"'):
        listening.read()
    devices.append(Device(7, "Yeti (2)", "ALSA", 1, 0, 2 * RATE_HZ, False, False))
    with pytest.raises(AudioError, match="still away: PortAudio refuses: Device unavailable"):
        listening.read()
    listening_again = threading.Thread(target=listening.read)
    listening_again.start()
    while len(streams) < 2:
        listening_again.join(0.001)
    with speaking_into(streams[1]):
        listening_again.join(5)
    listening.close()

    assert lost.value.code == "audio-input-lost"
    assert opened == [(4, RATE_HZ), (7, 2 * RATE_HZ), (7, 2 * RATE_HZ)]
    assert not listening_again.is_alive()
