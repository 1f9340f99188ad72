import contextlib
import logging
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from heisenberg.audio import microphone, portaudio
from heisenberg.audio.devices import Device
from heisenberg.audio.microphone import WAITING_S, Microphone
from heisenberg.core.config import AudioConfig

RATE_HZ = 16_000
STALE, FRESH = 100, 200


class DrivenStream:
    """A stream whose callback the test calls."""

    rate_hz, channels, is_open = RATE_HZ, 1, True

    def __init__(self, callback: portaudio.Callback) -> None:
        self._callback = callback

    def hear(self, value: int, seconds: float, status: str = "") -> None:
        samples = np.full(round(seconds * RATE_HZ), value, dtype=np.int16)
        self._callback(samples.tobytes(), len(samples), None, status)

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def streams(monkeypatch: pytest.MonkeyPatch) -> list[DrivenStream]:
    """Those that were opened, on the only device."""
    opened: list[DrivenStream] = []

    def open_stream(kind: str, device: int, rate_hz: int, channels: int, block: int, callback: Any, *_: Any) -> Any:
        opened.append(DrivenStream(callback))
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
    listening = Microphone(AudioConfig())
    with speaking_into(streams[0]):
        listening.read()
    for _ in range(3):
        streams[0].hear(FRESH, WAITING_S / 2)
    with caplog.at_level(logging.WARNING):
        listening.read()
        listening.read()
    listening.close()

    assert listening.overflows == 1
    assert len(caplog.messages) == 1
    assert "too busy" in caplog.text
