"""A PortAudio that fails without saying so, as the real one does when another stream's thread comes in between."""

import ctypes
import errno
from types import SimpleNamespace
from typing import Any

import cffi
import pytest

from heisenberg.audio.opening import CAPTURE, PLAYBACK, HonestLibrary, make_honest

FAILED, UNAVAILABLE = -9999, -9985
STREAM_BYTES = 128
RATE_HZ = 48_000.0

ffi = cffi.FFI()
ffi.cdef("typedef void PaStream;")


class FakePortAudio:
    """Writes to what it was given, as the real one does when it believes that a stream was made."""

    paUnanticipatedHostError, paDeviceUnavailable, paALSA = FAILED, UNAVAILABLE, 8

    def __init__(self, result: int = 0, *, makes_stream: bool = True, rate_hz: float = RATE_HZ) -> None:
        self.made = ffi.new("char[]", STREAM_BYTES)
        self.device = SimpleNamespace(name=ffi.new("char[]", b"USB Audio: - (hw:1,0)"), hostApi=0)
        self.host_api = 8
        self.calls: list[str] = []
        self._result, self._makes_stream, self._rate_hz = result, makes_stream, rate_hz

    def Pa_OpenStream(self, stream: Any, *_: Any) -> int:
        self.calls.append("open")
        if self._result == 0:
            if self._makes_stream:
                stream[0] = ffi.cast("PaStream*", self.made)
            ffi.buffer(stream[0], STREAM_BYTES)[8:16] = bytes(8)  # A crash, if it leads nowhere.
        return self._result

    def Pa_CloseStream(self, stream: Any) -> int:
        self.calls.append("close")
        return 0

    def Pa_GetStreamInfo(self, stream: Any) -> Any:
        return SimpleNamespace(sampleRate=self._rate_hz)

    def Pa_GetDeviceInfo(self, index: int) -> Any:
        return self.device

    def Pa_GetHostApiInfo(self, index: int) -> Any:
        return SimpleNamespace(type=self.host_api)


class FakeAlsa:
    """Says *result* of every device."""

    def __init__(self, result: int) -> None:
        self._result = result
        self.asked: list[tuple[bytes, int]] = []
        self.closed = 0

    def snd_pcm_open(self, handle: Any, name: bytes, direction: int, mode: int) -> int:
        self.asked.append((name, direction))
        return self._result

    def snd_pcm_close(self, handle: ctypes.c_void_p) -> None:
        self.closed += 1


def opened(library: FakePortAudio, alsa: FakeAlsa | None = None, direction: int = CAPTURE) -> tuple[int, Any]:
    """The error code, and the stream."""
    stream, parameters = ffi.new("PaStream**"), SimpleNamespace(device=3)
    ways = (parameters, None) if direction == CAPTURE else (None, parameters)
    return HonestLibrary(library, ffi, alsa).Pa_OpenStream(stream, *ways, RATE_HZ, 0, 0, None, None), stream[0]


def test_a_stream_that_opens_is_handed_out() -> None:
    library = FakePortAudio()

    assert opened(library) == (0, ffi.cast("PaStream*", library.made))
    assert library.calls == ["open"]


def test_a_stream_that_does_not_open_is_an_error() -> None:
    library = FakePortAudio(result=-9996)

    assert opened(library)[0] == -9996
    assert library.calls == ["open"]


def test_a_stream_that_was_never_made_is_an_error_not_a_crash() -> None:
    """PortAudio has put it into its list of streams, which it must leave again before its memory is gone."""
    library = FakePortAudio(makes_stream=False)

    assert opened(library)[0] == FAILED
    assert library.calls == ["open", "close"]


def test_a_stream_that_was_half_made_is_closed_and_an_error() -> None:
    library = FakePortAudio(rate_hz=0.0)

    assert opened(library)[0] == FAILED
    assert library.calls == ["open", "close"]


@pytest.mark.parametrize("direction", [CAPTURE, PLAYBACK])
def test_a_device_that_alsa_does_not_know_any_more_is_not_opened(direction: int) -> None:
    library, alsa = FakePortAudio(), FakeAlsa(-errno.ENODEV)

    assert opened(library, alsa, direction)[0] == UNAVAILABLE
    assert library.calls == []
    assert alsa.asked == [(b"hw:1,0", direction)]


def test_a_device_of_alsa_that_is_no_card_has_its_own_name() -> None:
    library, alsa = FakePortAudio(), FakeAlsa(0)
    library.device.name = ffi.new("char[]", b"pulse")

    assert opened(library, alsa)[0] == 0
    assert alsa.asked == [(b"pulse", CAPTURE)]
    assert alsa.closed == 1


def test_a_device_that_is_busy_is_left_to_portaudio() -> None:
    """It waits a second for it."""
    library = FakePortAudio()

    assert opened(library, FakeAlsa(-errno.EBUSY))[0] == 0


def test_alsa_is_not_asked_about_the_devices_of_others() -> None:
    library, alsa = FakePortAudio(), FakeAlsa(-errno.ENODEV)
    library.host_api = 12

    assert opened(library, alsa)[0] == 0
    assert alsa.asked == []


def test_sounddevice_is_made_honest_once() -> None:
    library = FakePortAudio()
    module = SimpleNamespace(_lib=library, _ffi=ffi)
    make_honest(module)
    first: Any = module._lib
    make_honest(module)

    assert isinstance(first, HonestLibrary)
    assert module._lib is first
    assert module._lib.paALSA == library.paALSA


def test_a_sounddevice_that_works_otherwise_is_left_alone() -> None:
    module = SimpleNamespace()
    make_honest(module)

    assert vars(module) == {}
