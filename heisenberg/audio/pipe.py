"""Sound from a pipe: a WAV that arrives on standard input, or bare 16 kHz samples.

libsndfile wants to seek, which a pipe cannot; so the few kinds of PCM that programs pipe are decoded here.
Files, and everything compressed, are ``wavfile.py``'s.
"""

import os
import queue
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heisenberg.audio.resample import Floats, mix_down
from heisenberg.core.audio import PIPELINE_RATE_HZ
from heisenberg.core.errors import AudioError

BLOCK_BYTES = 65_536
BLOCKS_WAITING = 16
SILENT_S = 1.0
"""A pipe that delivers nothing for so long counts as lost."""

UNKNOWN_BYTES = 0x7FF0_0000
"""Programs that pipe a WAV do not know how long it will be; they state 0 or something from here on."""

OTHER_SOUND = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\xff\xfb": "MP3", b"FORM": "AIFF", b"caff": "CAF"}
"""How sound begins that this file cannot decode."""

PCM, IEEE_FLOAT, EXTENSIBLE = 1, 3, 0xFFFE


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """How the bytes of a stream are to be read."""

    rate_hz: int
    channels: int
    sample_bytes: int
    decode: Callable[[bytes], Floats]
    """Whole samples to float32, -1 to 1."""


class PipeBlocks:
    """Blocks of sound from a file descriptor.

    A thread of its own reads it, because a read from a pipe cannot be interrupted or given a timeout everywhere.
    It ends with the pipe, or with the process.

    Args:
        descriptor: where to read; closed at the end, unless it is standard input (0).
        name: what to call it in messages.

    Raises: AudioError (code ``audio-file-unreadable``) if there is nothing, or no WAV that can be read.
    """

    def __init__(self, descriptor: int = 0, name: str = "standard input") -> None:
        self._descriptor = descriptor
        self._name = name
        self._arrived: queue.Queue[bytes] = queue.Queue(BLOCKS_WAITING)
        self._is_closed = False
        self._has_ended = False
        self._undecoded = b""
        self._left_bytes: int | None = None
        if os.isatty(descriptor):
            raise self._unreadable("it is a terminal, so nothing is piped into it")
        threading.Thread(target=self._pump, name="audio from a pipe", daemon=True).start()
        self._format = self._read_header()
        self.rate_hz = self._format.rate_hz

    def read(self) -> Floats | None:
        """The next block, averaged to mono; None at the end.

        Raises: AudioError (code ``audio-input-lost``) if nothing came for about a second.
        """
        frame_bytes = self._format.channels * self._format.sample_bytes
        while len(self._undecoded) < frame_bytes:
            if not self._receive(SILENT_S):
                return None
        whole = len(self._undecoded) // frame_bytes * frame_bytes
        block, self._undecoded = self._undecoded[:whole], self._undecoded[whole:]
        if self._left_bytes is not None:
            block = block[: self._left_bytes // frame_bytes * frame_bytes]
            self._left_bytes -= len(block)
            if not block:
                return None
        frames = self._format.decode(block).reshape(-1, self._format.channels)
        return mix_down(frames)

    def close(self) -> None:
        """Read no more of it."""
        self._is_closed = True

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Carry bytes from the descriptor to the queue; an empty block is the end."""
        block = b"begin"
        while block and not self._is_closed:
            try:
                # Not sys.stdin.buffer: Python's exit would wait for the lock that its read holds.
                block = os.read(self._descriptor, BLOCK_BYTES)
            except OSError:
                block = b""
            self._offer(block)
        if self._descriptor:
            os.close(self._descriptor)

    def _offer(self, block: bytes) -> None:
        while not self._is_closed:
            try:
                self._arrived.put(block, timeout=SILENT_S)
                return
            except queue.Full:
                continue

    def _receive(self, timeout_s: float | None) -> bool:
        """Wait for more bytes; False at the end."""
        if self._has_ended or self._is_closed:
            return False
        try:
            block = self._arrived.get(timeout=timeout_s)
        except queue.Empty:
            raise AudioError(
                f"{self._name.capitalize()} has delivered no sound for {SILENT_S:.0f} s; waiting for more. "
                "Check the program that feeds it.",
                code="audio-input-lost",
            ) from None
        self._has_ended = not block
        self._undecoded += block
        return bool(block)

    def _take(self, count: int) -> bytes:
        """Exactly *count* bytes of a header; fewer at the end."""
        while len(self._undecoded) < count and self._receive(None):
            pass
        taken, self._undecoded = self._undecoded[:count], self._undecoded[count:]
        return taken

    # ── the header ───────────────────────────────────────────────────────────────────────────────

    def _read_header(self) -> PcmFormat:
        start = self._take(12)
        if not start:
            raise self._unreadable("it is empty")
        if start[:4] == b"RIFF" and start[8:] == b"WAVE":
            return self._read_wav_header()
        for magic, name in OTHER_SOUND.items():
            if start.startswith(magic):
                raise self._unreadable(f"it holds {name}; pipe a WAV, or name the file instead")
        self._undecoded = start + self._undecoded
        return PcmFormat(PIPELINE_RATE_HZ, 1, 2, _DECODERS[PCM, 16])

    def _read_wav_header(self) -> PcmFormat:
        form: PcmFormat | None = None
        while len(head := self._take(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"data":
                if form is None:
                    break
                self._left_bytes = size if 0 < size < UNKNOWN_BYTES else None
                return form
            body = self._take(size + size % 2)
            if name == b"fmt " and len(body) >= 16:
                form = self._parse_format(body)
        raise self._unreadable("its WAV header is incomplete")

    def _parse_format(self, body: bytes) -> PcmFormat:
        kind, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
        if kind == EXTENSIBLE and len(body) >= 26:
            (kind,) = struct.unpack_from("<H", body, 24)
        decode = _DECODERS.get((kind, bits))
        if decode is None or not channels or not rate_hz:
            raise self._unreadable(
                f"its WAV has format {kind} with {bits} bits, {channels} channels, {rate_hz} Hz; "
                "allowed are PCM of 8, 16, 24 or 32 bits and floats"
            )
        return PcmFormat(rate_hz, channels, bits // 8, decode)

    def _unreadable(self, why: str) -> AudioError:
        return AudioError(
            f"Cannot read sound from {self._name}: {why}. Expected a WAV, or 16 kHz mono 16-bit samples.",
            code="audio-file-unreadable",
        )


def _decode_u8(data: bytes) -> Floats:
    return (np.frombuffer(data, np.uint8).astype(np.float32) - 128.0) / 128.0


def _decode_s24(data: bytes) -> Floats:
    octets = np.frombuffer(data, np.uint8).reshape(-1, 3)
    padded = np.zeros((len(octets), 4), np.uint8)
    padded[:, 1:] = octets
    return _scaled(padded.reshape(-1).view("<i4"), 31)


def _scaled(integers: npt.NDArray[np.signedinteger], bits: int) -> Floats:
    return (integers / float(2**bits)).astype(np.float32)


_DECODERS: dict[tuple[int, int], Callable[[bytes], Floats]] = {
    (PCM, 8): _decode_u8,
    (PCM, 16): lambda data: _scaled(np.frombuffer(data, "<i2"), 15),
    (PCM, 24): _decode_s24,
    (PCM, 32): lambda data: _scaled(np.frombuffer(data, "<i4"), 31),
    (IEEE_FLOAT, 32): lambda data: np.frombuffer(data, "<f4").astype(np.float32),
    (IEEE_FLOAT, 64): lambda data: np.frombuffer(data, "<f8").astype(np.float32),
}
