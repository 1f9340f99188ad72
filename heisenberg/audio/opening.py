"""Makes PortAudio say so when it could not open a stream, where it would crash, or hand out one that is none.

Called by ``portaudio.py``, which alone knows when to open what. No device is chosen here, and none is kept open.

PortAudio (seen in 19.6) keeps the error of a failed step in one variable for all threads (``paUtilErr_``), writes a
line about it, and only then reads the variable again. The thread of another stream that succeeds in something
meanwhile turns the failure into a success. What comes of that with ALSA depends on the step that failed:

- opening as a whole: PortAudio writes to the stream that was never made, and the process dies (SIGSEGV);
- setting up the hardware: there is a stream without a sample rate, and starting it waits for ever;
- reaching the device: one that is not there is set up, and the process dies (SIGABRT).

It takes an open that fails, as of a device that was just pulled out, while another stream runs. So the first is given
a blank to write to, the second is looked for, and before the third ALSA itself is asked, which makes no such mistake.
"""

import contextlib
import ctypes
import errno
import logging
import re
import sys
from typing import Any

log = logging.getLogger(__name__)

BLANK_BYTES = 4096
"""More than PortAudio writes to: it links the stream into a list, and notes its host API, in the first 100 bytes."""

PLAYBACK, CAPTURE = 0, 1
NON_BLOCKING = 1
CARD = re.compile(rb"\((hw:\d+,\d+)\)$")
"""What PortAudio appends to the name of a sound card; any other device of ALSA has its own name."""


class HonestLibrary:
    """PortAudio's functions as *library* has them, of which ``Pa_OpenStream`` is honest.

    Args:
        library: of PortAudio, opened with CFFI.
        ffi: what it was opened with.
        alsa: that of ALSA, opened with ctypes; None where there is none.
    """

    def __init__(self, library: Any, ffi: Any, alsa: Any = None) -> None:
        self._library = library
        self._ffi = ffi
        self._alsa = alsa

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)

    def Pa_OpenStream(self, stream: Any, into: Any, out_of: Any, *rest: Any) -> int:
        """As PortAudio has it: a ``PaStream**``, the parameters of both ways, more. An error code; 0 for none."""
        if not (self._can_reach(into, CAPTURE) and self._can_reach(out_of, PLAYBACK)):
            gone: int = self._library.paDeviceUnavailable
            return gone
        blank = self._ffi.new("char[]", BLANK_BYTES)
        nothing = self._ffi.cast("PaStream*", blank)
        stream[0] = nothing
        error: int = self._library.Pa_OpenStream(stream, into, out_of, *rest)
        if error or self._is_whole(stream[0], nothing):
            return error
        log.info("PortAudio could not open a stream and did not say so")
        # Only unlinks the blank, which does not look like a stream; ends a stream that was half made.
        self._library.Pa_CloseStream(stream[0])
        failure: int = self._library.paUnanticipatedHostError
        return failure

    def _is_whole(self, stream: Any, nothing: Any) -> bool:
        if stream == nothing:
            return False
        about = self._library.Pa_GetStreamInfo(stream)
        return bool(about) and about.sampleRate > 0

    def _can_reach(self, parameters: Any, direction: int) -> bool:
        """False if ALSA has no such device any more. One that is only busy may be free in a moment."""
        device = self._library.Pa_GetDeviceInfo(parameters.device) if self._alsa and parameters else None
        if not device or self._library.Pa_GetHostApiInfo(device.hostApi).type != self._library.paALSA:
            return True
        name: bytes = self._ffi.string(device.name)
        card = CARD.search(name)
        handle = ctypes.c_void_p()
        result = self._alsa.snd_pcm_open(ctypes.byref(handle), card[1] if card else name, direction, NON_BLOCKING)
        if result == 0:
            self._alsa.snd_pcm_close(handle)
        return result in (0, -errno.EBUSY)


def make_honest(sounddevice: Any) -> None:
    """Let *sounddevice*, the module, open its streams so; more than once does no harm.

    It has no public place for this. A version without these names is left as it is.
    """
    library, ffi = getattr(sounddevice, "_lib", None), getattr(sounddevice, "_ffi", None)
    if library is not None and ffi is not None and not isinstance(library, HonestLibrary):
        sounddevice._lib = HonestLibrary(library, ffi, _alsa())


def _alsa() -> Any:
    """The library that PortAudio uses on Linux; elsewhere None."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            return ctypes.CDLL("libasound.so.2")
    return None
