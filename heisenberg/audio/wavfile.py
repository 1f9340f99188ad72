"""Files instead of devices: a WAV (or FLAC …) as the microphone, a WAV as the loudspeaker, or none at all.

Whatever the rate, the depth and the channels of a file, 16 kHz mono comes out, block by block, so that an hour
costs no more memory than a second. Standard input is decoded in ``pipe.py``.
"""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from heisenberg.audio.pace import Pace
from heisenberg.audio.pipe import PipeBlocks
from heisenberg.audio.resample import Floats, Resampler, mix_down
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.errors import AudioError

log = logging.getLogger(__name__)

STANDARD_INPUT = "-"
BLOCK_FRAMES = 8192


class Blocks(Protocol):
    """Sound at its own rate, as it is stored."""

    @property
    def rate_hz(self) -> int:
        """Samples per second; known after the first ``read``."""

    def read(self) -> Floats | None:
        """The next block as mono, None at the end."""

    def close(self) -> None:
        """Release it. From any thread, any number of times; a ``read`` that waits returns None."""


# ── in ───────────────────────────────────────────────────────────────────────────────────────────


class WavSource:
    """An AudioSource that reads a file (anything libsndfile knows), or ``-`` for standard input.

    A file is checked here; a pipe is opened and read with the first :meth:`read`, since that may have to wait.

    Args:
        path: the file.
        pacing: deliver it in real time, as a microphone would; else as fast as it is read.

    Raises: AudioError (code ``audio-file-unreadable``).
    """

    def __init__(self, path: str | Path, pacing: bool = True) -> None:
        self.live = pacing
        self._blocks = _open(path, is_live=pacing)
        self._resampler: Resampler | None = None
        self._ready: Samples = np.zeros(0, dtype=np.int16)
        self._has_ended = False
        self._closing = threading.Event()
        self._began_at: float | None = None
        self._delivered = 0

    def read(self) -> Samples | None:
        """The next 512 samples; None at the end. See AudioSource.

        Waits for the beginning of a pipe, and without pacing for the rest of it, until there is some.

        Raises: AudioError: ``audio-input-lost``; ``audio-file-unreadable``, once, if a pipe holds no sound.
        """
        if self._closing.is_set():
            return None
        chunk = self._next_chunk()
        if not len(chunk):
            return None
        self._delivered += len(chunk)
        if self.live:
            self._wait_until_said()
        return None if self._closing.is_set() else chunk

    def close(self) -> None:
        """Release the file. From any thread."""
        self._closing.set()
        self._blocks.close()

    def _next_chunk(self) -> Samples:
        while len(self._ready) < CHUNK_SAMPLES and not self._has_ended:
            block = self._blocks.read()
            self._has_ended = block is None
            if self._resampler is None:
                self._resampler = Resampler(self._blocks.rate_hz, PIPELINE_RATE_HZ)
            more = self._resampler.flush() if block is None else self._resampler.process(block)
            self._ready = np.concatenate([self._ready, more])
        chunk, self._ready = self._ready[:CHUNK_SAMPLES], self._ready[CHUNK_SAMPLES:]
        return chunk

    def _wait_until_said(self) -> None:
        """A microphone delivers a chunk when its last sample was spoken."""
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now
        self._closing.wait(self._began_at + self._delivered / PIPELINE_RATE_HZ - now)


def _open(path: str | Path, *, is_live: bool) -> Blocks:
    if str(path) == STANDARD_INPUT:
        return PipeBlocks(is_live=is_live)
    path = Path(path)
    if path.is_fifo():
        if not os.access(path, os.R_OK):
            raise _unreadable(path, "Permission denied")
        return PipeBlocks(path, f'"{path}"', is_live=is_live)
    if path.is_char_device():
        with _readable(path):
            return PipeBlocks(os.open(path, os.O_RDONLY), f'"{path}"', is_live=is_live)
    return FileBlocks(path)


def read_all(path: str | Path) -> Samples:
    """The whole of a file (or ``-``) as 16 kHz mono. Raises AudioError (code ``audio-file-unreadable``).

    A pipe is waited for, however long its writer hesitates.
    """
    with contextlib.closing(WavSource(path, pacing=False)) as source:
        return _everything(source)


async def read_all_aside(path: str | Path) -> Samples:
    """The same on a thread. Cancelling it also ends that thread, which Python's exit would wait for."""
    with contextlib.closing(WavSource(path, pacing=False)) as source:
        return await asyncio.to_thread(_everything, source)


def _everything(source: WavSource) -> Samples:
    chunks: list[Samples] = [np.zeros(0, dtype=np.int16)]
    while (chunk := source.read()) is not None:
        chunks.append(chunk)
    return np.concatenate(chunks)


class FileBlocks:
    """Blocks of sound from a file. Raises AudioError (code ``audio-file-unreadable``)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # libsndfile would crash if its file were closed while it reads.
        self._in_use = threading.RLock()
        _refuse(path)
        with _readable(path):
            path.open("rb").close()  # The system says why it refuses, libsndfile does not.
            self._file = soundfile.SoundFile(path)
        self.rate_hz: int = self._file.samplerate
        self._frames_read = 0
        # libsndfile repairs the length of a truncated file silently, and notes it in its own log only.
        self._is_truncated = "should be" in self._file.extra_info

    def read(self) -> Floats | None:
        """The next block, averaged to mono; None at the end."""
        with self._in_use:
            return None if self._file.closed else self._read_open()

    def _read_open(self) -> Floats | None:
        try:
            frames = self._file.read(BLOCK_FRAMES, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as exc:
            # The end of a truncated FLAC. What came before it was heard.
            log.debug("libsndfile: %s", exc)
            frames = np.zeros((0, 1), dtype=np.float32)
        self._frames_read += len(frames)
        if len(frames):
            return mix_down(frames)
        if self._is_truncated or self._frames_read < self._file.frames:
            log.warning("%s is truncated; %.1f s of it were read", self._path, self._frames_read / self.rate_hz)
        self.close()
        return None

    def close(self) -> None:
        """Release the file. From any thread, any number of times."""
        with self._in_use:
            self._file.close()


def _refuse(path: Path) -> None:
    """Name the faults that libsndfile describes badly."""
    if path.is_dir():
        raise _unreadable(path, "it is a folder")
    if not path.exists():
        raise _unreadable(path, "there is no such file")
    if path.is_file() and not path.stat().st_size:
        raise _unreadable(path, "it is empty")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise _unreadable(path, exc.strerror or str(exc)) from exc
    except (soundfile.LibsndfileError, TypeError) as exc:
        why = getattr(exc, "error_string", str(exc)).strip().rstrip(".")
        raise _unreadable(path, f"it is not a sound file, or its header is damaged ({why})") from exc


def _unreadable(path: Path, why: str) -> AudioError:
    return AudioError(
        f'Cannot read "{path}": {why}. Expected WAV, FLAC, OGG, MP3 or AIFF, of any rate.', code="audio-file-unreadable"
    )


# ── out ──────────────────────────────────────────────────────────────────────────────────────────


class NoOutput:
    """An AudioOutput that nobody hears.

    Args:
        paced: take the time that a loudspeaker would take.
    """

    def __init__(self, *, paced: bool = False) -> None:
        self._pace = Pace(paced)

    async def play(self, chunk: AudioChunk) -> None:
        """Take note of *chunk*."""
        if await self._pace.wait_for_room():
            self._pace.add(chunk.seconds)

    async def drain(self) -> float:
        """Wait until it would have been heard; seconds."""
        return self._pace.finish() if await self._pace.wait_for_end() else 0.0

    async def stop(self) -> float:
        """Forget what would not have been heard yet; seconds."""
        return self._pace.stop()

    async def pause(self) -> None:
        """Stop the clock; an output that is not paced takes what comes now, and counts it as not heard."""
        self._pace.pause()

    async def resume(self) -> None:
        """Let it go on."""
        self._pace.resume()

    @property
    def played_seconds(self) -> float:
        """Seconds that would have been heard since the last drain or stop."""
        return self._pace.played_s

    @property
    def underruns(self) -> int:
        """How often a paced reply had to wait for sound."""
        return self._pace.underruns

    async def close(self) -> None:
        """Nothing to release."""
        self._pace.stop()


class WavOutput:
    """An AudioOutput that writes what is said, one reply after the other, into a mono WAV.

    The file has the rate of the first chunk. Its header is right after each chunk, so it can be played even if
    the program is killed. When a paced output is stopped, what a listener would not have heard is taken back.

    Args:
        path: the file; an existing one is replaced.
        paced: take the time that a loudspeaker would take.

    Raises: AudioError (code ``audio-file-unwritable``), at construction or when the disk is full.
    """

    def __init__(self, path: str | Path, *, paced: bool = False) -> None:
        self._pace = Pace(paced)
        self._writer = WavWriter(Path(path), PIPELINE_RATE_HZ)
        self._rate_hz: int | None = None
        self._resampler: Resampler | None = None

    async def play(self, chunk: AudioChunk) -> None:
        """Append *chunk*, at the file's rate."""
        if not await self._pace.wait_for_room():
            return
        resampler = self._resampler_for(chunk.rate_hz)
        self._append(resampler.process(chunk.samples))
        self._pace.add(chunk.seconds)

    async def drain(self) -> float:
        """Finish the reply; seconds of it."""
        self._finish_resampling()
        return self._pace.finish() if await self._pace.wait_for_end() else 0.0

    async def stop(self) -> float:
        """Cut the reply where a listener would have heard it stop; seconds until there."""
        unheard_s = self._pace.waiting_s
        if unheard_s and self._rate_hz:
            self._writer.drop_last(round(unheard_s * self._rate_hz))
        self._resampler = None
        return self._pace.stop()

    async def pause(self) -> None:
        """Stop the clock; an output that is not paced takes what comes now, and counts it as not heard."""
        self._pace.pause()

    async def resume(self) -> None:
        """Let it go on."""
        self._pace.resume()

    @property
    def played_seconds(self) -> float:
        """Seconds that would have been heard since the last drain or stop."""
        return self._pace.played_s

    @property
    def underruns(self) -> int:
        """How often a paced reply had to wait for sound."""
        return self._pace.underruns

    async def close(self) -> None:
        """Finish the file."""
        self._pace.stop()
        self._finish_resampling()
        self._writer.close()

    def _resampler_for(self, rate_hz: int) -> Resampler:
        """The one in use; or a new one where the rate changes."""
        if self._rate_hz is None:
            self._rate_hz = rate_hz
            self._writer.set_rate(rate_hz)
        if self._resampler is None or self._resampler.from_hz != rate_hz:
            self._finish_resampling()
            self._resampler = Resampler(rate_hz, self._rate_hz)
        return self._resampler

    def _finish_resampling(self) -> None:
        if self._resampler is not None:
            self._append(self._resampler.flush())
            self._resampler = None

    def _append(self, samples: Samples) -> None:
        if len(samples):
            self._writer.write(samples)
