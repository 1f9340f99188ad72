"""A room in which the assistant hears itself: what its loudspeaker plays comes back into its microphone.

Sound takes its way through the device's buffers, a loudspeaker that may distort, and walls that reflect; then the
user's voice and the room's noise are added. Nothing here knows the time: the microphone is the clock. Whoever takes
512 samples from it lets 32 ms pass for everybody, in :func:`overhear` as fast as it can be computed, and behind a
:class:`RoomSource` in real time, so that a whole session can run over it.

It says nothing about real rooms, cheap loudspeakers and people who walk about.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heisenberg.audio.resample import Resampler
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.stages import EchoCanceller, PlayedTap
from tests import speech

Floats = npt.NDArray[np.float64]

BLOCK_SAMPLES = 320
"""What the loudspeaker takes at a time."""

QUEUE_S = 0.75
"""How far a voice may run ahead of the loudspeaker."""

POLL_S = 0.005

PATIENCE_S = 60.0
"""Nobody reads the microphone any more, so the room's time stands still."""

TAPS = 32
"""Of the filter that reads between two samples, where the clocks drift."""


@dataclass(frozen=True)
class Acoustics:
    """How a room sounds."""

    delay_s: float = 0.1
    """From the loudspeaker's callback to the microphone, buffers included; at least 0.02."""
    told_s: float | None = None
    """What the device says of it, if not the truth."""
    level_db: float = -6.0
    """The echo's loudness compared with the user's, for speech of the same level."""
    drift_ppm: float = 0.0
    """How much faster the loudspeaker's clock runs than the microphone's."""
    reverb_s: float = 0.15
    """After so long an echo is 60 dB quieter."""
    clips: bool = False
    """Whether the loudspeaker is overdriven (a soft limiter)."""
    noise_db: float = -45.0
    """The room's own noise, compared with the user."""
    user_db: float = -6.0
    """How much quieter the user is than ``speech.say``, whose peaks are at half of full scale."""


class Room:
    """The air between the loudspeaker, the user and the microphone.

    Args:
        acoustics: how it sounds.
        tap: is told what is played, as by PortAudio's callback.
    """

    def __init__(self, acoustics: Acoustics, tap: PlayedTap | None = None) -> None:
        self.acoustics = acoustics
        self._lock = threading.Lock()
        self.loudspeaker = Loudspeaker(
            acoustics.delay_s, acoustics.delay_s if acoustics.told_s is None else acoustics.told_s, tap
        )
        self._clock = _OtherClock(self.loudspeaker.emit, 1 + acoustics.drift_ppm * 1e-6)
        self._walls = _Walls(_reflections(acoustics.reverb_s))
        self._user: Samples = np.zeros(0, dtype=np.int16)
        self._noise = speech.quieter(speech.noise("pink", 10.0), -20 * np.log10(0.25))
        self.heard_samples = 0
        """How much the microphone ever heard."""

    @property
    def seconds(self) -> float:
        """The time in this room."""
        return self.heard_samples / PIPELINE_RATE_HZ

    def say(self, sound: Samples, after_s: float = 0.0) -> None:
        """The user says *sound*, so many seconds from now (or when the last sentence is over). From any thread."""
        with self._lock:
            wait = np.zeros(max(0, round(after_s * PIPELINE_RATE_HZ) - len(self._user)), dtype=np.int16)
            self._user = np.concatenate([self._user, wait, sound])

    def hear(self, count: int) -> Samples:
        """The next *count* samples from the microphone; so much time passes."""
        with self._lock:
            spoken, self._user = self._user[:count], self._user[count:]
            spoken = np.pad(spoken, (0, count - len(spoken)))
            start = self.heard_samples
            self.heard_samples += count
        noise = np.take(self._noise, np.arange(start, start + count), mode="wrap")
        room = self.acoustics
        mixed = self._echo(count) * _gain(room.level_db) + spoken + noise * _gain(room.noise_db)
        return np.clip(np.rint(mixed * _gain(room.user_db)), -32768, 32767).astype(np.int16)

    def _echo(self, count: int) -> Floats:
        sound = self._clock.take(count)
        if self.acoustics.clips:
            sound = np.tanh(2.5 * sound / 32768) / 2.5 * 32768
        return self._walls.process(sound)


class Loudspeaker:
    """A device that asks for sound in blocks and plays it *latency_s* later. At 16 kHz."""

    def __init__(self, latency_s: float, told_s: float, tap: PlayedTap | None) -> None:
        self._told_s = told_s
        self._tap = tap
        self._lock = threading.Lock()
        self._queue: Samples = np.zeros(0, dtype=np.int16)
        self._buffered = np.zeros(round(latency_s * PIPELINE_RATE_HZ), dtype=np.int16)
        self._is_open = False
        self.is_paused = False
        self.expects_more = False
        self._is_starving = False
        self.taken_samples = 0
        """How much of what was queued it ever took; silence does not count."""
        self.underruns = 0

    def queue(self, samples: Samples) -> None:
        """Play *samples* when all before them were played; opens the device."""
        with self._lock:
            if not self._is_open:
                self._is_open = True
                if self._tap is not None:
                    self._tap.opened(PIPELINE_RATE_HZ, self._told_s)
            self._queue = np.concatenate([self._queue, samples])

    def close(self) -> None:
        """Fall silent at once, and forget what the buffers hold."""
        with self._lock:
            self._queue = self._queue[:0]
            self._buffered[:] = 0
            if self._is_open and self._tap is not None:
                self._tap.closed()
            self._is_open = self.is_paused = self.expects_more = self._is_starving = False

    @property
    def waiting_s(self) -> float:
        """Seconds that were queued and not taken."""
        return len(self._queue) / PIPELINE_RATE_HZ

    def emit(self) -> Samples:
        """The next block that leaves it."""
        with self._lock:
            block = self._take()
            if self._is_open and self._tap is not None:
                self._tap.played(block)
            self._buffered = np.concatenate([self._buffered, block])
            left, self._buffered = self._buffered[:BLOCK_SAMPLES], self._buffered[BLOCK_SAMPLES:]
            return left

    def _take(self) -> Samples:
        count = 0 if self.is_paused else min(BLOCK_SAMPLES, len(self._queue))
        taken, self._queue = self._queue[:count], self._queue[count:]
        self.taken_samples += count
        is_starving = count < BLOCK_SAMPLES and self.expects_more and not self.is_paused
        self.underruns += is_starving and not self._is_starving
        self._is_starving = is_starving
        return np.pad(taken, (0, BLOCK_SAMPLES - count))


class RoomOutput:
    """An AudioOutput that is heard in a room; somebody must read the room's microphone meanwhile."""

    def __init__(self, room: Room) -> None:
        self._loudspeaker = room.loudspeaker
        self._latency_s = room.acoustics.delay_s
        self._room = room
        self._resampler: Resampler | None = None
        self._counted = 0
        self._reply = 0

    async def play(self, chunk: AudioChunk) -> None:
        """Queue *chunk*, when less than a second is waiting."""
        reply = self._reply
        await until(lambda: self._loudspeaker.waiting_s < QUEUE_S or reply != self._reply)
        if reply != self._reply:
            return
        if self._resampler is None or self._resampler.from_hz != chunk.rate_hz:
            self._finish_resampling()
            self._resampler = Resampler(chunk.rate_hz, PIPELINE_RATE_HZ)
        self._loudspeaker.queue(self._resampler.process(chunk.samples))
        self._loudspeaker.expects_more = True

    async def drain(self) -> float:
        """Wait until it was heard; seconds."""
        reply = self._reply
        self._finish_resampling()
        self._loudspeaker.expects_more = False
        sounds = self._loudspeaker.waiting_s > 0
        await until(lambda: not self._loudspeaker.waiting_s or reply != self._reply)
        heard_s = self._room.seconds + self._latency_s
        await until(lambda: not sounds or self._room.seconds >= heard_s or reply != self._reply)
        return self._take_played(0.0) if reply == self._reply else 0.0

    async def stop(self) -> float:
        """Fall silent at once; seconds heard."""
        self._reply += 1
        self._resampler = None
        is_sounding = self._loudspeaker.waiting_s > 0
        self._loudspeaker.close()
        return self._take_played(self._latency_s if is_sounding else 0.0)

    async def pause(self) -> None:
        """Take silence until ``resume``."""
        self._loudspeaker.is_paused = True

    async def resume(self) -> None:
        """Go on."""
        self._loudspeaker.is_paused = False

    @property
    def played_seconds(self) -> float:
        """Seconds taken since the last drain or stop."""
        return (self._loudspeaker.taken_samples - self._counted) / PIPELINE_RATE_HZ

    @property
    def underruns(self) -> int:
        """Gaps within replies."""
        return self._loudspeaker.underruns

    async def close(self) -> None:
        """Release the device."""
        self._reply += 1
        self._loudspeaker.close()

    def _finish_resampling(self) -> None:
        if self._resampler is not None:
            self._loudspeaker.queue(self._resampler.flush())
            self._resampler = None

    def _take_played(self, unheard_s: float) -> float:
        played_s, self._counted = self.played_seconds, self._loudspeaker.taken_samples
        return max(0.0, played_s - unheard_s)


class RoomSource:
    """An AudioSource: the room's microphone, in real time.

    Args:
        room: where it stands.
        speed: how much faster than real time the room's time passes.
        on_chunk: called on the reading thread before each chunk with the room's time; a script of the user's words.
    """

    def __init__(self, room: Room, speed: float = 1.0, on_chunk: Callable[[float], None] | None = None) -> None:
        self.live = True
        self._room = room
        self._speed = speed
        self._on_chunk = on_chunk
        self._closing = threading.Event()
        self._began_at: float | None = None

    def read(self) -> Samples | None:
        """The next 512 samples; None once closed."""
        now = time.monotonic()
        if self._began_at is None:
            self._began_at = now - self._room.seconds / self._speed
        due = self._began_at + (self._room.heard_samples + CHUNK_SAMPLES) / PIPELINE_RATE_HZ / self._speed
        if self._closing.wait(max(0.0, due - now)):
            return None
        if self._on_chunk is not None:
            self._on_chunk(self._room.seconds)
        return self._room.hear(CHUNK_SAMPLES)

    def close(self) -> None:
        """Hear nothing any more."""
        self._closing.set()


async def until(is_so: Callable[[], bool]) -> None:
    """Look at it again and again; for a minute (a paused reply may wait for long)."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if is_so():
                return
            await asyncio.sleep(POLL_S)


# ── without waiting ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Overheard:
    """What a microphone heard while a reply was played, and what was left of it; chunk for chunk."""

    raw: Samples
    clean: Samples


def overhear(room: Room, canceller: EchoCanceller, reply: Samples, seconds: float | None = None) -> Overheard:
    """Play *reply* in *room* and cancel its echo, for *seconds* (by default a little longer than it takes)."""
    room.loudspeaker.queue(reply)
    seconds = len(reply) / PIPELINE_RATE_HZ + 0.5 if seconds is None else seconds
    raw: list[Samples] = []
    clean: list[Samples] = []
    for _ in range(round(seconds * PIPELINE_RATE_HZ / CHUNK_SAMPLES)):
        raw.append(room.hear(CHUNK_SAMPLES))
        clean.append(canceller.process(raw[-1]))
    return Overheard(np.concatenate(raw), np.concatenate(clean))


def decibels(sound: Samples) -> float:
    """Loudness, in dB of full scale."""
    return float(10 * np.log10(np.mean(np.square(sound, dtype=np.float64)) + 1e-3) - 20 * np.log10(32768))


# ── physics ──────────────────────────────────────────────────────────────────────────────────────


class _OtherClock:
    """Samples of a clock that runs *ratio* times as fast as ours."""

    def __init__(self, more: Callable[[], Samples], ratio: float) -> None:
        self._more = more
        self._ratio = ratio
        self._waiting: Floats = np.zeros(TAPS // 2)
        self._at = float(TAPS // 2)
        """Where the next sample lies in ``_waiting``."""

    def take(self, count: int) -> Floats:
        """The next *count* samples of our clock."""
        places = self._at + np.arange(count) * self._ratio
        blocks = [self._waiting]
        held = len(self._waiting)
        while held < places[-1] + self._ratio + TAPS // 2:
            blocks.append(self._more().astype(np.float64))
            held += len(blocks[-1])
        sound = np.concatenate(blocks)
        taken = self._between(sound, places)
        self._at += count * self._ratio
        past = int(self._at) - TAPS // 2
        self._waiting, self._at = sound[past:], self._at - past
        return taken

    def _between(self, sound: Floats, places: Floats) -> Floats:
        whole = np.floor(places).astype(np.int64)
        if self._ratio == 1.0:
            return sound[whole]
        around = np.arange(1 - TAPS // 2, TAPS // 2 + 1)
        away = around[np.newaxis, :] - (places - whole)[:, np.newaxis]
        weights = np.sinc(away) * np.cos(np.pi * away / (TAPS + 1)) ** 2
        return np.sum(sound[whole[:, np.newaxis] + around] * weights, axis=1)


class _Walls:
    """A streaming convolution."""

    def __init__(self, reflections: Floats) -> None:
        self._reflections = reflections
        self._tail: Floats = np.zeros(len(reflections) - 1)

    def process(self, sound: Floats) -> Floats:
        size = len(sound) + len(self._reflections) - 1
        spread = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(self._reflections, size), size)
        spread[: len(self._tail)] += self._tail
        self._tail = spread[len(sound) :]
        return spread[: len(sound)]


def _reflections(reverb_s: float) -> Floats:
    """The direct sound, and 5 ms later what the walls make of it, half as strong in all."""
    random = np.random.default_rng(7)
    at_s = np.arange(max(2, round(1.3 * reverb_s * PIPELINE_RATE_HZ))) / PIPELINE_RATE_HZ
    walls = random.standard_normal(len(at_s)) * 10 ** (-3 * at_s / max(reverb_s, 1e-3)) * (at_s > 0.005)
    walls[0] = 1.0
    walls[1:] *= 0.7 / max(1e-9, float(np.sqrt(np.sum(walls[1:] ** 2))))
    return walls / np.sqrt(np.sum(walls**2))


def _gain(decibels: float) -> float:
    return float(10 ** (decibels / 20))
