"""Writes mono 16-bit WAV files whose header is right after every block, so that a killed program leaves a good file."""

import struct
from io import FileIO
from pathlib import Path

from heisenberg.core.audio import Samples
from heisenberg.core.errors import AudioError

HEADER_BYTES = 44
UNKNOWN_BYTES = 0xFFFF_FFFF - HEADER_BYTES
"""What a header says when it cannot be corrected later (a pipe); also the largest WAV there is."""


class WavWriter:
    """One file being written. Mono, int16.

    Args:
        path: the file; an existing one is replaced.
        rate_hz: the rate that the header states until :meth:`set_rate`.

    Raises: AudioError (code ``audio-file-unwritable``), here and from every method.
    """

    def __init__(self, path: Path, rate_hz: int) -> None:
        self._path = path
        self._rate_hz = rate_hz
        self._data_bytes = 0
        try:
            self._file = FileIO(path, "w")  # Unbuffered: what was written is in the file.
        except OSError as exc:
            raise self._error(exc) from exc
        self._can_seek = self._file.seekable()
        if self._can_seek:
            self._begin()

    def set_rate(self, rate_hz: int) -> None:
        """State another rate. Before the first sample only."""
        self._rate_hz = rate_hz

    def write(self, samples: Samples) -> None:
        """Append *samples*, and let the header count them."""
        try:
            if not self._can_seek and not self._data_bytes:
                self._write_all(_header(self._rate_hz, UNKNOWN_BYTES))
            self._write_all(samples.astype("<i2").tobytes())
            self._data_bytes += 2 * len(samples)
            if self._can_seek:
                self._write_header()
        except OSError as exc:
            raise self._error(exc) from exc

    def drop_last(self, count: int) -> None:
        """Take back the last *count* samples, where the file allows it."""
        if not self._can_seek:
            return
        self._data_bytes = max(0, self._data_bytes - 2 * count)
        try:
            self._file.truncate(HEADER_BYTES + self._data_bytes)
            self._write_header()
        except OSError as exc:
            raise self._error(exc) from exc

    def close(self) -> None:
        """Finish the file. May be called twice."""
        self._file.close()

    def _begin(self) -> None:
        """A file without sound is a good file, too."""
        try:
            self._write_header()
        except OSError as exc:
            self._file.close()
            raise self._error(exc) from exc

    def _write_header(self) -> None:
        self._file.seek(0)
        self._write_all(_header(self._rate_hz, min(self._data_bytes, UNKNOWN_BYTES)))
        self._file.seek(0, 2)

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) or 0 :]

    def _error(self, cause: OSError) -> AudioError:
        why = cause.strerror or str(cause)
        return AudioError(
            f'Cannot write "{self._path}": {why}. Name a WAV file in a folder that exists and may be written to.',
            code="audio-file-unwritable",
        )


def _header(rate_hz: int, data_bytes: int) -> bytes:
    """A RIFF header for mono 16-bit PCM."""
    riff = struct.pack("<4sI4s", b"RIFF", data_bytes + HEADER_BYTES - 8, b"WAVE")
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate_hz, 2 * rate_hz, 2, 16)
    return riff + form + struct.pack("<4sI", b"data", data_bytes)
