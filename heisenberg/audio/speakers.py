"""The loudspeakers: queues sound, knows when it was heard, falls silent at once.

The stream is opened with the first sound and closed some seconds after the last, so that waiting for a wake word
costs nothing and the device may sleep. A pause closes it, too, because that empties the device's own buffers; what
they held waits again and is heard after :meth:`Speakers.resume`, on whatever device there is then. So a pause never
keeps PortAudio from looking for other devices. It makes no sound of its own and decides nothing about turns.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any

import numpy as np

from heisenberg.audio import portaudio
from heisenberg.audio.devices import Device, choose_device, list_devices
from heisenberg.audio.pace import QUEUE_S
from heisenberg.audio.playback import REWIND_S, PlaybackQueue
from heisenberg.audio.portaudio import Stream
from heisenberg.audio.resample import Resampler, resample
from heisenberg.core.audio import AudioChunk, Meters
from heisenberg.core.config import AudioConfig
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import PlayedTap

log = logging.getLogger(__name__)

CAPACITY_S = 20.0
"""Room for one chunk beyond the queue: a whole sentence may come as one."""

BLOCK_S = 0.02
"""Sound per callback."""

IDLE_CLOSE_S = 10.0
"""The stream is closed when nothing was played for so long."""

LOST_S = 1.0
"""A device that takes nothing for so long counts as lost."""

FIRST_TAKE_S = 3.0
"""The same for one that was just opened: a Bluetooth headset needs time to wake."""

SETTLE_S = 0.25
"""A device that has just vanished is not looked for earlier: until the system has removed it, opening it may hang."""

LONGEST_NAP_S = 0.1
"""How often a device that should be taking sound is looked at."""


class Speakers:
    """An AudioOutput that plays on a device.

    A device that vanishes is looked for again at once, and the reply goes on there where it was cut off.

    Args:
        config: which device.
        meters: its ``speaking_level`` follows what is played.
        tap: is told what the device takes, silence included.

    Raises: AudioError: ``audio-no-device``, or ``audio-unavailable`` if PortAudio is missing. Later, from ``play``
        and ``drain``, if the device has vanished and there is no other; the next ``play`` looks for it again.
    """

    def __init__(self, config: AudioConfig, meters: Meters | None = None, tap: PlayedTap | None = None) -> None:
        self._wanted = config.output_device
        self._meters = meters or Meters()
        self._tap = tap
        self._name = choose_device(list_devices(), self._wanted, "output").name
        self._opened: _Opened | None = None
        self._queue: PlaybackQueue | None = None
        self._resampler: Resampler | None = None
        self._reply = 0
        self._is_paused = False
        self._looks_again = False
        self._fruitless = 0
        # What was played from queues that are gone, and what of the present one belongs to earlier replies.
        self._heard_before_s = 0.0
        self._counted_s = 0.0
        self._underruns_before = 0
        self._idle_timer: asyncio.TimerHandle | None = None
        self._in_turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def play(self, chunk: AudioChunk) -> None:
        """Queue *chunk*, when less than a second is waiting. See AudioOutput."""
        reply = self._reply
        self._stay_open()
        rest: AudioChunk | None = None
        while (queue := await self._queue_for(chunk.rate_hz, reply)) is not None:
            rest = self._resampled(chunk, queue) if rest is None else _converted(rest, queue.rate_hz)
            if queue.waiting_s < QUEUE_S:
                rest = AudioChunk(rest.samples[queue.write(rest.samples) :], rest.rate_hz)
                if not len(rest.samples):
                    return
            await self._wait(queue.waiting_s - QUEUE_S)

    async def drain(self) -> float:
        """Wait until the last sample has left the loudspeaker; seconds. See AudioOutput."""
        reply = self._reply
        self._flush()
        while reply == self._reply and (self._is_paused or self._is_sounding):
            await self._play_on()
        if reply != self._reply:
            return 0.0
        self._close_when_idle()
        return self._take_played()

    async def stop(self) -> float:
        """Fall silent within some 50 ms; seconds heard. See AudioOutput."""
        self._reply += 1
        self._is_paused = False
        self._resampler = None
        queue = self._queue
        if queue is not None:
            queue.discard()
            queue.is_held = False
            if self._opened is not None and queue.is_sounding:
                # Closing also empties the device's own buffers, which may hold much more than 50 ms.
                await self._in_its_turn(self._close_stream(), "silence the loudspeaker")
        self._close_when_idle()
        return self._take_played()

    async def pause(self) -> None:
        """Fall silent within some 50 ms, keep what was not heard. See AudioOutput."""
        self._is_paused = True
        self._stay_open()
        if self._queue is not None:
            self._queue.is_held = True
            if self._opened is not None and self._queue.is_sounding:
                await self._in_its_turn(self._close_stream(), "pause the loudspeaker")

    async def resume(self) -> None:
        """Go on where the pause began. See AudioOutput."""
        self._is_paused = False
        if self._queue is None:
            return
        self._queue.is_held = False
        if self._queue.waiting_s > 0:
            with contextlib.suppress(AudioError):  # ``play`` and ``drain`` try as well, and say so.
                await self._open()

    @property
    def played_seconds(self) -> float:
        """Seconds that have left the loudspeaker since the last drain or stop."""
        heard_s = self._queue.heard_s if self._queue is not None else 0.0
        return max(0.0, self._heard_before_s + heard_s - self._counted_s)

    @property
    def underruns(self) -> int:
        """Gaps within replies, because the voice or this computer was too slow."""
        return self._underruns_before + (self._queue.underruns if self._queue is not None else 0)

    async def close(self) -> None:
        """Release the device."""
        self._reply += 1
        self._is_paused = False
        if self._queue is not None:
            self._queue.discard()
        self._stay_open()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._in_its_turn(self._close_stream(), "close the loudspeaker")
        self._stay_open()

    # ── playing ──────────────────────────────────────────────────────────────────────────────────

    @property
    def _is_sounding(self) -> bool:
        return self._queue is not None and self._queue.is_sounding

    async def _queue_for(self, rate_hz: int, reply: int) -> PlaybackQueue | None:
        """Where sound waits: of the open device's rate, in a pause of any. None once the reply was stopped."""
        while reply == self._reply:
            if self._is_paused:
                if self._queue is None:
                    self._queue = PlaybackQueue(rate_hz, 1, CAPACITY_S, self._meters)
                    self._queue.is_held = True
                return self._queue
            await self._open_or_give_up()
            if reply == self._reply and self._opened is not None:
                return self._queue
        return None

    def _resampled(self, chunk: AudioChunk, queue: PlaybackQueue) -> AudioChunk:
        """*chunk* at the queue's rate, after what is left of a chunk of another rate."""
        before = self._resampler
        if before is None or (before.from_hz, before.to_hz) != (chunk.rate_hz, queue.rate_hz):
            self._resampler = Resampler(chunk.rate_hz, queue.rate_hz)
            if before is not None and before.to_hz == queue.rate_hz:
                both = np.concatenate([before.flush(), self._resampler.process(chunk.samples)])
                return AudioChunk(both, queue.rate_hz)
            before = self._resampler
        return AudioChunk(before.process(chunk.samples), queue.rate_hz)

    def _flush(self) -> None:
        """The reply is complete: nothing stays behind in the resampler."""
        if self._queue is not None:
            if self._resampler is not None:
                self._queue.write(self._resampler.flush())
            self._queue.end()
        self._resampler = None

    async def _play_on(self) -> None:
        """Get a little closer to the end of what is queued."""
        if self._is_paused or self._queue is None:
            await asyncio.sleep(LONGEST_NAP_S)
        elif self._queue.waiting_s > 0:
            await self._open_or_give_up()
            await self._wait(self._queue.waiting_s)
        else:
            await self._wait_for_the_last(self._queue)

    async def _wait_for_the_last(self, queue: PlaybackQueue) -> None:
        """What is inside the device still has to be heard."""
        opened = self._opened
        await asyncio.sleep(queue.latency_s + BLOCK_S)
        if queue.waiting_s == 0 and opened is self._opened and not self._is_paused:
            queue.all_was_heard()

    async def _wait(self, seconds: float) -> None:
        """Let the device take about *seconds* of sound; one that takes nothing will have to be opened again."""
        await asyncio.sleep(min(max(seconds, 0.005), LONGEST_NAP_S))
        opened = self._opened
        if self._is_paused or opened is None or not opened.is_lost(asyncio.get_running_loop().time()):
            return
        log.info('the loudspeaker "%s" takes no sound any more', self._name)
        opened.has_hung = True

    def _take_played(self) -> float:
        """Seconds heard since the last call."""
        played_s = self.played_seconds
        self._counted_s += played_s
        return played_s

    # ── the stream ───────────────────────────────────────────────────────────────────────────────

    async def _open(self) -> None:
        """Have the device open, unless there is a pause. Raises AudioError."""
        if not self._is_paused and (self._opened is None or not self._opened.is_alive):
            await self._in_its_turn(self._open_stream(self._reply), "open the loudspeaker")

    async def _open_or_give_up(self) -> None:
        """The same for a reply, which has failed if there is no device."""
        try:
            await self._open()
        except AudioError as exc:
            self._drop_queue()
            if not self._looks_again:
                raise
            raise AudioError(f'The loudspeaker "{self._name}" is away: {exc.message}', code=exc.code) from exc

    async def _open_stream(self, reply: int) -> None:
        before = self._opened
        if before is not None and before.is_alive:
            return
        self._looks_again |= before is not None and before.was_lost
        await self._close_stream()
        if before is not None and self._looks_again:
            await asyncio.sleep(SETTLE_S)
            self._refuse_a_dead_one(before)
        opened = await asyncio.to_thread(self._find_and_open)
        self._looks_again = False
        self._opened, self._name = opened, opened.name
        self._move_to(opened.queue)
        opened.queue.is_held = self._is_paused
        if reply != self._reply:
            self._close_when_idle()

    def _refuse_a_dead_one(self, before: "_Opened") -> None:
        """A device that can be opened, and takes nothing each time, is not opened for ever. Raises AudioError."""
        self._fruitless = 0 if before.was_heard else self._fruitless + 1
        if self._fruitless > 1:
            self._fruitless = 0
            raise AudioError("it takes no sound. Check its plug, or set audio.output_device.", code="audio-unavailable")

    def _find_and_open(self) -> "_Opened":
        if not self._looks_again:
            try:
                return self._open_chosen()
            except AudioError as exc:
                log.info("looking for the loudspeaker again: %s", exc)
        portaudio.refresh()
        return self._open_chosen()

    def _open_chosen(self) -> "_Opened":
        device = choose_device(list_devices(), self._wanted, "output")
        return _Opened(device, self._queue, self._meters, self._tap)

    def _move_to(self, queue: PlaybackQueue) -> None:
        """Let what waits be heard on a device with another rate."""
        before = self._queue
        if before is queue:
            return
        if before is not None:
            if self._resampler is not None:
                before.write(self._resampler.flush())
                self._resampler = None
            queue.write(resample(before.waiting(), before.rate_hz, queue.rate_hz))
            queue.expects_more = before.expects_more
            self._drop_queue()
        self._queue = queue

    def _drop_queue(self) -> None:
        queue, self._queue = self._queue, None
        self._resampler = None
        if queue is not None:
            self._heard_before_s += queue.heard_s
            self._underruns_before += queue.underruns

    async def _close_stream(self) -> None:
        """Close the device; what it took and nobody heard waits again."""
        opened, self._opened = self._opened, None
        if opened is None:
            return
        opened.queue.is_held = True
        try:
            await asyncio.to_thread(opened.stream.close)
        finally:
            opened.queue.take_back()
            self._meters.speaking_level = 0.0

    def _close_when_idle(self) -> None:
        self._stay_open()
        if self._opened is not None:
            self._idle_timer = asyncio.get_running_loop().call_later(IDLE_CLOSE_S, self._begin_to_close)

    def _stay_open(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None

    def _begin_to_close(self) -> None:
        self._start(self._close_stream(), "close the idle loudspeaker")

    async def _in_its_turn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do *work* on the stream, after what was begun before.

        Shielded: a reply that is interrupted here must not leave a stream behind that nobody knows of.
        """
        await asyncio.shield(self._start(work, name))

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(self._alone(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    async def _alone(self, work: Coroutine[Any, Any, None]) -> None:
        async with self._in_turn:
            await work

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("could not %s: %s", task.get_name(), task.exception())


class _Opened:
    """One opening of a device, with all that must not outlive it.

    It plays *queue*, if that has the device's rate and channels; else a new one. Either is held until the owner says
    otherwise, so that the tap knows the device before its sound.
    """

    def __init__(self, device: Device, queue: PlaybackQueue | None, meters: Meters, tap: PlayedTap | None) -> None:
        self.name = device.name
        rate_hz, channels = device.default_rate_hz, min(2, device.output_channels)
        if queue is None or (queue.rate_hz, queue.channels) != (rate_hz, channels):
            queue = PlaybackQueue(rate_hz, channels, CAPACITY_S, meters)
        self.queue = queue
        self.queue.is_held = True
        self._tap = tap
        self._is_ready = False
        self._callbacks_before = self._callbacks_seen = queue.callbacks
        self._heard_before_s = queue.heard_s
        self._seen_at: float | None = None
        self.has_hung = False
        """Whether it was found to take nothing any more."""
        block_frames = round(BLOCK_S * rate_hz)
        self.stream: Stream = portaudio.open_stream(
            "output", device.index, rate_hz, channels, block_frames, self._take, self._may_interrupt, self._end
        )
        self.queue.latency_s = self.stream.latency_s
        if tap is not None:
            tap.opened(rate_hz, self.stream.latency_s)
        self._is_ready = True

    @property
    def is_alive(self) -> bool:
        """Whether it can be played on."""
        return self.stream.is_open and not self.was_lost

    @property
    def was_lost(self) -> bool:
        """Whether the device has vanished; not whether it was closed."""
        return self.has_hung or self.stream.has_died

    @property
    def was_heard(self) -> bool:
        """Whether any sound has come out of it."""
        return self.queue.heard_s > self._heard_before_s

    def is_lost(self, now: float) -> bool:
        """Whether the device has stopped asking for sound."""
        callbacks = self.queue.callbacks
        if self._seen_at is None or callbacks != self._callbacks_seen:
            self._callbacks_seen, self._seen_at = callbacks, now
        return now - self._seen_at > (LOST_S if callbacks > self._callbacks_before else FIRST_TAKE_S)

    def _take(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """PortAudio's callback: copy, and nothing else."""
        buffer = np.frombuffer(data, dtype=np.int16)
        if status and status.output_underflow and self.queue.is_sounding:
            self.queue.underruns += 1
        delay_s = times.outputBufferDacTime - times.currentTime
        if 0 < delay_s < REWIND_S:  # Where it is known; it has more in it than the stream's latency.
            self.queue.latency_s = delay_s
        self.queue.fill(buffer)
        if self._tap is not None and self._is_ready:
            self._tap.played(buffer[:: self.queue.channels])

    def _may_interrupt(self) -> bool:
        return self.queue.is_held or not self.queue.is_sounding

    def _end(self) -> None:
        """The stream is closed, by whomever."""
        if self._tap is not None:
            self._tap.closed()


def _converted(chunk: AudioChunk, rate_hz: int) -> AudioChunk:
    """The rest of a chunk, if it is for a device of another rate now."""
    if chunk.rate_hz == rate_hz:
        return chunk
    return AudioChunk(resample(chunk.samples, chunk.rate_hz, rate_hz), rate_hz)
