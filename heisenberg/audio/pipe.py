"""Sound from a pipe: a WAV that arrives on standard input, or bare 16 kHz samples.

libsndfile wants to seek, which a pipe cannot; so the few kinds of PCM that programs pipe are decoded here.
Files, and everything compressed, are ``wavfile.py``'s.
"""

import contextlib
import logging
import os
import queue
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heisenberg.audio.resample import Floats, mix_down
from heisenberg.core.audio import PIPELINE_RATE_HZ
from heisenberg.core.errors import AudioError

log = logging.getLogger(__name__)

BLOCK_BYTES = 65_536
BLOCKS_WAITING = 16
SILENT_S = 1.0
"""A live pipe that delivers nothing for so long counts as lost."""

UNKNOWN_BYTES = 0x7FF0_0000
"""Programs that pipe a WAV do not know how long it will be; they state 0 or something from here on."""

OTHER_SOUND = {b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3", b"\xff\xfb": "MP3", b"FORM": "AIFF", b"caff": "CAF"}
"""How sound begins that this file cannot decode."""

FORMAT_BYTES = 40
"""The longest description of a format that is used."""

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
    """Blocks of sound from a pipe. Nothing is opened or read before the first :meth:`read`.

    A thread of its own reads it, because neither opening a pipe nor reading from it can be interrupted or given a
    timeout everywhere. It ends with the pipe, or with the process.

    Args:
        pipe: a descriptor, closed at the end unless it is standard input (0); or the path of a named pipe.
        name: what to call it in messages.
        is_live: whether somebody speaks into it, so that a pause is a fault; else one waits for more.

    Raises: AudioError (code ``audio-file-unreadable``) if it is a terminal.
    """

    def __init__(self, pipe: int | Path = 0, name: str = "standard input", *, is_live: bool = True) -> None:
        self._pipe = pipe
        self._name = name
        self._is_live = is_live
        self._arrived: queue.Queue[bytes] = queue.Queue(BLOCKS_WAITING)
        self._is_wanted = threading.Event()
        self._is_closed = False
        self._has_ended = False
        self._is_awaited = True
        self._undecoded = bytearray()
        self._left_bytes: int | None = None
        self._format: PcmFormat | None = None
        if isinstance(pipe, int) and os.isatty(pipe):
            raise self._unreadable("it is a terminal, so nothing is piped into it")
        threading.Thread(target=self._pump, name="audio from a pipe", daemon=True).start()

    @property
    def rate_hz(self) -> int:
        """Samples per second; known after the first :meth:`read`."""
        return self._format.rate_hz if self._format else PIPELINE_RATE_HZ

    def read(self) -> Floats | None:
        """The next block, averaged to mono; None at the end. Waits for the first one however long it takes.

        Raises: AudioError: ``audio-file-unreadable``, once, if it holds no sound that can be decoded here;
            ``audio-input-lost`` if it is live and nothing came for about a second.
        """
        form = self._format = self._format or self._begin()
        if form is None:
            return None
        frame_bytes = form.channels * form.sample_bytes
        while len(self._undecoded) < frame_bytes:
            if not self._receive(may_wait=not self._is_live):
                return None
        block = self._cut(len(self._undecoded) // frame_bytes * frame_bytes)
        if self._left_bytes is not None:
            block = block[: self._left_bytes // frame_bytes * frame_bytes]
            self._left_bytes -= len(block)
            if not block:
                return None
        return mix_down(form.decode(block).reshape(-1, form.channels))

    def close(self) -> None:
        """Read no more of it. From any thread; a ``read`` that waits returns None."""
        self._is_closed = True
        self._is_wanted.set()
        with contextlib.suppress(queue.Full):  # Then nobody waits.
            self._arrived.put_nowait(b"")

    # ── bytes ────────────────────────────────────────────────────────────────────────────────────

    def _pump(self) -> None:
        """Carry bytes from the pipe to the queue; an empty block is the end."""
        self._is_wanted.wait()
        descriptor, block = 0, b"begin"
        try:
            descriptor = self._open()
            while block and not self._is_closed:
                # Not sys.stdin.buffer: Python's exit would wait for the lock that its read holds.
                block = os.read(descriptor, BLOCK_BYTES)
                self._offer(block)
        except OSError as exc:
            log.warning("%s cannot be read any further: %s", self._name, exc.strerror)
            self._offer(b"")
        if descriptor:
            os.close(descriptor)

    def _open(self) -> int:
        if isinstance(self._pipe, int):
            return self._pipe
        # Opening waits for somebody who writes.
        return 0 if self._is_closed else os.open(self._pipe, os.O_RDONLY)

    def _offer(self, block: bytes) -> None:
        while not self._is_closed:
            try:
                self._arrived.put(block, timeout=SILENT_S)
                return
            except queue.Full:
                continue

    def _receive(self, *, may_wait: bool) -> bool:
        """Wait for more bytes, for about a second or as long as it takes; False at the end."""
        while not self._has_ended and not self._is_closed:
            try:
                # Never without a timeout: on Windows such a wait is deaf to Ctrl-C.
                block = self._arrived.get(timeout=SILENT_S)
            except queue.Empty:
                self._stand_by(may_wait)
                continue
            self._is_awaited = False
            self._has_ended = not block
            self._undecoded += block
            return bool(block)
        return False

    def _stand_by(self, may_wait: bool) -> None:
        """Nothing came for a while. Raises AudioError unless that is all right."""
        if not may_wait:
            name = self._name[0].upper() + self._name[1:]
            raise AudioError(
                f"{name} has delivered no sound for {SILENT_S:.0f} s; waiting for more. "
                "Check the program that feeds it.",
                code="audio-input-lost",
            ) from None
        if self._is_awaited:
            self._is_awaited = False
            log.info("Waiting for sound on %s.", self._name)

    def _take(self, count: int) -> bytes:
        """Exactly *count* bytes of a header; fewer at the end."""
        while len(self._undecoded) < count and self._receive(may_wait=True):
            pass
        return self._cut(count)

    def _skip(self, count: int) -> None:
        """Pass over *count* bytes of a header without keeping them: a header may state any number."""
        while count and (self._undecoded or self._receive(may_wait=True)):
            count -= len(self._cut(count))

    def _cut(self, count: int) -> bytes:
        """The first *count* bytes of what has arrived."""
        cut = bytes(self._undecoded[:count])
        del self._undecoded[:count]
        return cut

    # ── the header ───────────────────────────────────────────────────────────────────────────────

    def _begin(self) -> PcmFormat | None:
        """Read the header; None if it was closed meanwhile."""
        self._is_wanted.set()
        try:
            return None if self._is_closed else self._read_header()
        except AudioError:
            if self._is_closed:
                return None
            self.close()
            raise

    def _read_header(self) -> PcmFormat:
        start = self._take(12)
        if not start:
            raise self._unreadable("it is empty")
        if start[:4] == b"RIFF" and start[8:] == b"WAVE":
            return self._read_wav_header()
        for magic, name in OTHER_SOUND.items():
            if start.startswith(magic):
                raise self._unreadable(f"it holds {name}; pipe a WAV, or name the file instead")
        self._undecoded[:0] = start
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
            body = self._take(min(size, FORMAT_BYTES)) if name == b"fmt " else b""
            self._skip(size + size % 2 - len(body))
            if len(body) >= 16:
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
