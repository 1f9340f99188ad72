"""Sound as a file that is written while it is spoken: WAV, bare PCM, MP3, Opus, AAC, FLAC.

Mono, 24 kHz, as OpenAI's. The length in a WAV's header says "unknown", which programs know from pipes. FLAC comes
whole in the end: libsndfile, and what builds on it, reads none that does not state its length. It is our own sound:
nothing of a client is decoded here.

PyAV and soxr are imported with the first request. Call from a thread, since encoding takes milliseconds.
"""

import io
import struct
from collections.abc import Callable
from typing import Any, Literal, Protocol

import numpy as np

from heisenberg.core.audio import AudioChunk, Samples

RATE_HZ = 24_000

Container = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]

MEDIA_TYPES: dict[str, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

_FORMATS: dict[str, tuple[str, str, int, dict[str, str]]] = {
    "mp3": ("mp3", "libmp3lame", 64_000, {"write_xing": "0"}),  # a Xing header is filled in at the end
    "opus": ("ogg", "libopus", 32_000, {"page_duration": "200000"}),
    "aac": ("adts", "aac", 64_000, {}),
    "flac": ("flac", "flac", 0, {}),
}
"""Container, codec, bits per second and options, in FFmpeg's words."""

UNKNOWN_BYTES = 0xFFFF_FFFF
"""In the header of a WAV whose length nobody knows yet."""


class _Form(Protocol):
    def write(self, samples: Samples) -> bytes:
        """What there is to send of 24 kHz samples."""

    def end(self) -> bytes:
        """The rest."""


class Encoder:
    """One file. Used by one thread at a time."""

    def __init__(self, container: Container) -> None:
        self._form = _new_form(container)
        self._resampler: Any = None
        self._rate_hz = 0
        self.seconds = 0.0
        """Written so far."""

    def encode(self, chunk: AudioChunk) -> bytes:
        """What there is to send after *chunk*; may be nothing."""
        out = b""
        if chunk.rate_hz != self._rate_hz:
            out = self._flush()
            self._resampler, self._rate_hz = _resampler(chunk.rate_hz), chunk.rate_hz
        return out + self._write(self._resampler(chunk.samples, last=False))

    def finish(self) -> bytes:
        """The rest of the file. A file without any sound gets a tenth of a second of silence, so that it is one."""
        out = self._flush()
        if not self.seconds:
            out += self._write(np.zeros(RATE_HZ // 10, dtype=np.int16))
        return out + self._form.end()

    def _flush(self) -> bytes:
        return self._write(self._resampler(np.zeros(0, dtype=np.int16), last=True)) if self._resampler else b""

    def _write(self, samples: Samples) -> bytes:
        self.seconds += len(samples) / RATE_HZ
        return self._form.write(samples) if len(samples) else b""


def _resampler(rate_hz: int) -> Callable[..., Samples]:
    if rate_hz == RATE_HZ:
        return lambda samples, last: samples
    import soxr

    convert: Callable[..., Samples] = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="int16").resample_chunk
    return convert


def _new_form(container: Container) -> _Form:
    if container == "pcm":
        return _Pcm(b"")
    if container == "wav":
        return _Pcm(_wav_header())
    return _Compressed(*_FORMATS[container])


def _wav_header() -> bytes:
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", UNKNOWN_BYTES) + b"WAVE" + fmt + b"data" + struct.pack("<I", UNKNOWN_BYTES)


class _Pcm:
    """Samples as they are, after *head*."""

    def __init__(self, head: bytes) -> None:
        self._head = head

    def write(self, samples: Samples) -> bytes:
        head, self._head = self._head, b""
        return head + samples.astype("<i2").tobytes()

    def end(self) -> bytes:
        return b""


class _Growing:
    """What FFmpeg has written so far. It has no ``seek``, so FFmpeg does not try to."""

    def __init__(self) -> None:
        self.written = bytearray()

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    def take(self) -> bytes:
        """What is new."""
        taken, self.written = bytes(self.written), bytearray()
        return taken


class _Whole(io.BytesIO):
    """A file that FFmpeg may go back in, to fill in its header; there is nothing to take before it is closed."""

    def take(self) -> bytes:
        """Nothing yet."""
        return b""


class _Compressed:
    """A file of PyAV's."""

    def __init__(self, container: str, codec: str, bits_per_s: int, options: dict[str, str]) -> None:
        import av

        self._av = av
        self._sink = _Whole() if container == "flac" else _Growing()
        self._file = av.open(self._sink, "w", format=container, options={"flush_packets": "1", **options})
        stream: Any = self._file.add_stream(codec, rate=RATE_HZ, layout="mono")
        if bits_per_s:
            stream.bit_rate = bits_per_s
        self._stream = stream
        self._samples = 0

    def write(self, samples: Samples) -> bytes:
        frame = self._av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self._samples
        self._samples += len(samples)
        self._file.mux(self._stream.encode(frame))
        return self._sink.take()

    def end(self) -> bytes:
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._sink.getvalue() if isinstance(self._sink, _Whole) else self._sink.take()
