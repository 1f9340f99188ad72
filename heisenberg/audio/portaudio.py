"""The door to PortAudio: loads it, opens and closes streams, looks for devices that came or went.

Which device, and what is heard on it, is the affair of ``devices.py``, ``microphone.py`` and ``speakers.py``.

PortAudio lists the devices once, when it is initialised, and ending it ends every stream of the process. So a
device that was plugged in again can only be found by closing all streams for a moment: :func:`refresh` asks each
of them (a speaking loudspeaker says no), closes them, initialises PortAudio anew, and the owners reopen theirs.
A list made in a child process would show the device, but not let us open it.

PortAudio is not thread safe: every call that opens, starts, closes, lists, ends or initialises holds one lock. A call
that does not come back in time is left behind with its thread, and gives the lock up; what it does when it comes back
waits for the lock like any other. Until then nothing ends PortAudio. ``opening.py`` keeps a failed open from crashing.

The open streams are noted at module level, because PortAudio's own state belongs to the whole process.
"""

import atexit
import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Generic, Literal, TypeVar

from heisenberg.audio.opening import make_honest
from heisenberg.core.errors import AudioError

log = logging.getLogger(__name__)

T = TypeVar("T")
Kind = Literal["input", "output"]
Callback = Callable[[Any, int, Any, Any], None]
"""Given a buffer of int16 frames, their number, the times and the status flags. Must return at once."""

OPEN_TIMEOUT_S = 8.0
"""A Bluetooth headset takes two or three seconds to change its profile."""
CLOSE_TIMEOUT_S = 2.0
START_TIMEOUT_S = 3.0 if sys.platform == "linux" else OPEN_TIMEOUT_S
"""With ALSA it takes less than a second, or for ever: if the device vanishes in that moment, PortAudio 19.6 waits for
a thread that has ended."""

BUFFER_S: float | Literal["high"] = 0.1 if sys.platform == "linux" else "high"
"""How much sound a device holds. On Linux PortAudio's thread has no priority over a model that computes, and with
the 40 ms that it would choose a reply crackles; elsewhere it has."""

REMEDIES = {
    "linux": "Install it: sudo apt install libportaudio2 (Debian, Ubuntu), sudo dnf install portaudio (Fedora).",
    "darwin": "Install it: pip install --force-reinstall sounddevice, or brew install portaudio.",
}
OTHER_REMEDY = "Install it: pip install --force-reinstall sounddevice."

_lock = threading.Lock()
_open: "set[Stream]" = set()
_inside: "set[_Call[Any]]" = set()
"""Calls that are in PortAudio now, or stuck there. Ending it under one would abort the program."""


class Stream:
    """An open PortAudio stream. Made by :func:`open_stream`."""

    def __init__(self, raw: Any, may_interrupt: Callable[[], bool], end: "_End") -> None:
        self._raw = raw
        self._end_of_it = end
        self.may_interrupt = may_interrupt
        self.is_open = True
        self.rate_hz = round(raw.samplerate)
        self.channels: int = raw.channels
        self.latency_s: float = raw.latency

    @property
    def has_died(self) -> bool:
        """Whether the device ended it. Not every system says so; some devices just fall silent."""
        return self.is_open and self._end_of_it.has_come

    def close(self) -> None:
        """Fall silent and release the device. From any thread, any number of times; takes at most seconds."""
        with _one_at_a_time():
            self.close_alone()

    def close_alone(self) -> None:
        """Close it, with the lock already held."""
        if not self.is_open:
            return
        self.is_open = False
        self._end_of_it()
        try:
            _bounded(self._raw.abort, CLOSE_TIMEOUT_S, "close a stream", late=self._release)
            self._release()
        except AudioError as exc:
            # PortAudio is stuck in a driver. Ending it would block, too, also when Python exits.
            log.error("%s", exc)
            self.may_interrupt = _never
            atexit.unregister(library()._exit_handler)

    def _release(self) -> None:
        """Let go of a stream that is silent by now; with the lock held."""
        _bounded(self._raw.close, CLOSE_TIMEOUT_S, "close a stream", late=self._forget)
        self._forget()

    def _forget(self) -> None:
        _open.discard(self)


class _End:
    """Tells the owner once that a stream is over, whether it was closed or died."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self.has_come = False

    def __call__(self) -> None:
        if not self.has_come:
            self.has_come = True
            self._on_end()


def library() -> Any:
    """The sounddevice module. Raises AudioError (code ``audio-unavailable``) with what to install."""
    try:
        import sounddevice
    except OSError as exc:
        remedy = REMEDIES.get(sys.platform, OTHER_REMEDY)
        raise AudioError(f"The PortAudio library cannot be loaded: {exc}. {remedy}", code="audio-unavailable") from exc
    except Exception as exc:
        # PortAudioError, from initialising; it cannot be named, as its module was not imported.
        raise _unavailable(exc) from exc
    make_honest(sounddevice)
    return sounddevice


def query() -> tuple[list[dict[str, Any]], list[dict[str, Any]], tuple[int, int]]:
    """PortAudio's devices, its host APIs, and the numbers of the default input and output (-1 for none)."""
    sounddevice = library()
    with _one_at_a_time():
        try:
            default = sounddevice.default.device
            return list(sounddevice.query_devices()), list(sounddevice.query_hostapis()), (default[0], default[1])
        except sounddevice.PortAudioError as exc:
            raise _unavailable(exc) from exc


def open_stream(
    kind: Kind,
    device: int,
    rate_hz: int,
    channels: int,
    block_frames: int,
    callback: Callback,
    may_interrupt: Callable[[], bool],
    on_end: Callable[[], None],
) -> Stream:
    """Open and start a stream of int16 frames.

    Args:
        kind: which way the sound goes.
        device: PortAudio's number of it.
        rate_hz: samples per second.
        channels: interleaved in a frame.
        block_frames: frames that a callback is given; 0 lets PortAudio decide.
        callback: called on PortAudio's own thread.
        may_interrupt: whether :func:`refresh` may close it now; called from any thread.
        on_end: called once when it is closed, by whomever, or its device is gone; from any thread. Must return at once.

    Raises: AudioError (code ``audio-unavailable``).
    """
    sounddevice = library()
    maker = sounddevice.RawInputStream if kind == "input" else sounddevice.RawOutputStream
    end = _End(on_end)

    def make() -> Any:
        return maker(
            device=device,
            samplerate=rate_hz,
            channels=channels,
            blocksize=block_frames,
            dtype="int16",
            latency=BUFFER_S,
            callback=callback,
            finished_callback=end,
        )

    with _one_at_a_time():
        try:
            stream = Stream(_started(make), may_interrupt, end)
        except (sounddevice.PortAudioError, ValueError) as exc:
            raise _unavailable(exc) from exc
        _open.add(stream)
        atexit.unregister(_close_all)
        atexit.register(_close_all)
        return stream


def _started(make: Callable[[], Any]) -> Any:
    """A raw stream that runs. If that takes too long, nobody waits for it any more, and it is closed when it does."""
    raw: list[Any] = []

    def close() -> None:
        for stream in raw:
            _bounded(stream.close, CLOSE_TIMEOUT_S, "close a stream")

    try:
        _bounded(lambda: raw.append(make()), OPEN_TIMEOUT_S, "open a stream", late=close)
        _bounded(lambda: raw[0].start(), START_TIMEOUT_S, "start a stream", late=close)
    except AudioError as exc:
        log.error("%s", exc)
        atexit.unregister(library()._exit_handler)
        raise
    except Exception:
        close()
        raise
    return raw[0]


def refresh() -> bool:
    """Look for devices that came or went; False if a stream that must not be interrupted is open.

    All streams are closed by it (``is_open`` is False), and all device numbers may change.
    """
    sounddevice = library()
    with _one_at_a_time():
        if _inside or not all(stream.may_interrupt() for stream in _open):
            return False
        for stream in list(_open):
            stream.close_alone()
        if _open or _inside:
            return False
        try:
            _bounded(lambda: _initialise_again(sounddevice), OPEN_TIMEOUT_S, "look for devices")
        except sounddevice.PortAudioError as exc:
            raise _unavailable(exc) from exc
    return True


def is_stuck() -> bool:
    """Whether a driver hangs for good. What is open goes on, but only a new process can find other devices."""
    return bool(_inside) or any(not stream.is_open for stream in _open)


def _close_all() -> None:
    """Runs at exit before sounddevice ends PortAudio, which hangs on some systems while a stream still runs.

    It also waits for a thread that is closing one in this moment.
    """
    with contextlib.suppress(AudioError), _one_at_a_time():
        for stream in list(_open):
            stream.close_alone()


def _initialise_again(sounddevice: Any) -> None:
    # Private, but the documented way: https://github.com/spatialaudio/python-sounddevice/issues/125
    while sounddevice._initialized:
        sounddevice._terminate()
    sounddevice._initialize()


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """PortAudio must not be called by two threads at once; a driver may block, so waiting has an end."""
    if not _lock.acquire(timeout=OPEN_TIMEOUT_S + CLOSE_TIMEOUT_S):
        raise _stuck("answer")
    try:
        yield
    finally:
        _lock.release()


def _nothing() -> None:
    pass


def _bounded(call: Callable[[], T], timeout_s: float, what: str, late: Callable[[], None] = _nothing) -> T:
    """The result of *call*, made on a thread that is left behind if it does not return. The lock is held.

    If it returns after that, *late* tidies up on its thread, with the lock held again.
    """
    work = _Call(call, late)
    thread = threading.Thread(target=work.run, name="portaudio", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # Python is exiting and starts no threads any more.
        work.run()
    else:
        thread.join(timeout_s)
    return work.result(what)


class _Call(Generic[T]):
    """One call of PortAudio, which is either waited for or tidied up after, never both."""

    def __init__(self, call: Callable[[], T], late: Callable[[], None]) -> None:
        self._call = call
        self._late = late
        self._results: list[T] = []
        self._failures: list[BaseException] = []
        self._turn = threading.Lock()
        self._is_over = self._is_given_up = False
        _inside.add(self)

    def run(self) -> None:
        try:
            self._results.append(self._call())
        except BaseException as exc:  # noqa: BLE001 - it is raised again on the thread that waits
            self._failures.append(exc)
        with self._turn:
            self._is_over = True
            is_late = self._is_given_up
        if not is_late or self._tidies_up():
            _inside.discard(self)

    def result(self, what: str) -> T:
        """What the call returned. Raises what it raised, and AudioError if it is not over: from now on it is late."""
        with self._turn:
            self._is_given_up = not self._is_over
        if self._is_given_up:
            raise _stuck(what)
        if self._failures:
            raise self._failures[0]
        return self._results[0]

    def _tidies_up(self) -> bool:
        try:
            with _one_at_a_time():
                self._late()
        except AudioError as exc:
            log.error("%s", exc)
            return False
        return True


def _never() -> bool:
    return False


def _stuck(what: str) -> AudioError:
    return AudioError(
        f"The sound system did not {what} in time. Unplug the device and plug it in again, or restart Heisenberg.",
        code="audio-unavailable",
    )


def _unavailable(cause: Exception) -> AudioError:
    why = str(cause.args[0]) if cause.args else type(cause).__name__
    host_error = cause.args[2][2] if len(cause.args) > 2 else ""
    why += f" ({host_error})" if host_error else ""
    return AudioError(
        f"PortAudio refuses: {why}. See `heisenberg devices`, and whether another program uses the device.",
        code="audio-unavailable",
    )
