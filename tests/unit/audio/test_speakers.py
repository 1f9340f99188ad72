"""Loudspeakers whose device the test drives: it decides when sound is taken, and when the device vanishes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heisenberg.audio import portaudio, speakers
from heisenberg.audio.devices import Device
from heisenberg.audio.speakers import Speakers
from heisenberg.core.audio import AudioChunk, Samples
from heisenberg.core.config import AudioConfig
from heisenberg.core.errors import AudioError

RATE_HZ = 10_000
LATENCY_S = 0.05


class DrivenStream:
    """A stream that takes sound when it is told to."""

    def __init__(self, rate_hz: int, block: int, callback: portaudio.Callback, rest: tuple[Any, ...]) -> None:
        self.rate_hz, self.channels, self.latency_s = rate_hz, 1, LATENCY_S
        self.may_interrupt, self._on_end = rest
        self.is_open, self.has_died, self.is_stuck = True, False, False
        self.dac = 0.0
        """When PortAudio says that the sound will be heard; 0 where it does not know."""
        self.taken: Samples = np.zeros(0, dtype=np.int16)
        self._block, self._callback = block, callback

    def take(self, blocks: int = 1) -> None:
        """Ask for 20 ms of sound, as PortAudio would."""
        for _ in range(blocks if self.is_open and not self.has_died and not self.is_stuck else 0):
            buffer = np.full(self._block, 99, dtype=np.int16)
            self._callback(
                buffer.data, self._block, SimpleNamespace(currentTime=5.0, outputBufferDacTime=self.dac), None
            )
            self.taken = np.concatenate([self.taken, buffer])

    @property
    def heard(self) -> Samples:
        """What has left the loudspeaker: not what the device still held when it was closed."""
        return self.taken[: len(self.taken) - round(LATENCY_S * self.rate_hz)]

    def die(self) -> None:
        self.has_died = True
        self._on_end()

    def close(self) -> None:
        if self.is_open:
            self.is_open, self.has_died = False, False
            self._on_end()


class Bench:
    """The devices there are, and the streams that were opened on them."""

    def __init__(self) -> None:
        self.devices = [Device(0, "Desk", "ALSA", 0, 1, RATE_HZ, False, True)]
        self.after_refresh: list[Device] | None = None
        self.streams: list[DrivenStream] = []
        self.refusal: AudioError | None = None
        self.new_ones_die = self.new_ones_are_stuck = False
        self.told: list[str] = []

    def open_stream(self, kind: str, device: int, rate_hz: int, channels: int, block: int, *rest: Any) -> DrivenStream:
        if self.refusal is not None:
            raise self.refusal
        callback, *others = rest
        self.streams.append(DrivenStream(rate_hz, block, callback, tuple(others)))
        self.streams[-1].has_died, self.streams[-1].is_stuck = self.new_ones_die, self.new_ones_are_stuck
        return self.streams[-1]

    def refresh(self) -> bool:
        self.devices = self.devices if self.after_refresh is None else self.after_refresh
        return True

    # ── PlayedTap ────────────────────────────────────────────────────────────────────────────────

    def opened(self, rate_hz: int, latency_s: float) -> None:
        self.told.append(f"opened at {rate_hz} Hz, {latency_s} s")

    def played(self, samples: Samples) -> None:
        self.told.append(f"{len(samples)} from {samples[0]}")

    def closed(self) -> None:
        self.told.append("closed")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    made = Bench()
    monkeypatch.setattr(portaudio, "open_stream", made.open_stream)
    monkeypatch.setattr(portaudio, "refresh", made.refresh)
    monkeypatch.setattr(speakers, "list_devices", lambda: made.devices)
    monkeypatch.setattr(speakers, "SETTLE_S", 0.01)
    monkeypatch.setattr(speakers, "LOST_S", 0.2)
    monkeypatch.setattr(speakers, "FIRST_TAKE_S", 0.3)
    return made


@pytest.fixture
async def output(bench: Bench) -> AsyncIterator[Speakers]:
    made = Speakers(AudioConfig(), tap=bench)
    yield made
    await made.close()


@contextlib.asynccontextmanager
async def taking(bench: Bench) -> AsyncIterator[None]:
    """The device asks for sound, faster than a real one."""

    async def take() -> None:
        while True:
            await asyncio.sleep(0.002)
            for stream in bench.streams:
                stream.take()

    task = asyncio.create_task(take())
    try:
        yield
    finally:
        task.cancel()


def counting(start: int, end: int) -> AudioChunk:
    """Samples that tell which ones they are."""
    return AudioChunk(np.arange(start, end, dtype=np.int16), RATE_HZ)


async def speak_all(output: Speakers, chunk: AudioChunk) -> float:
    await output.play(chunk)
    return await output.drain()


async def test_a_pause_loses_nothing_and_repeats_nothing(bench: Bench, output: Speakers) -> None:
    """What the device held when the pause began is heard after it, and the order is kept."""
    await output.play(counting(1, 3001))
    bench.streams[0].take(10)
    await output.pause()
    await output.play(counting(3001, 4001))
    await output.resume()
    async with taking(bench):
        assert await output.drain() == pytest.approx(0.4)
    heard = np.concatenate([bench.streams[0].heard, bench.streams[1].taken])

    assert [stream.is_open for stream in bench.streams] == [False, True]
    assert np.array_equal(heard[heard > 0], np.arange(1, 4001))


async def test_what_was_heard_does_not_count_what_is_inside_the_device(bench: Bench, output: Speakers) -> None:
    await output.play(counting(1, 3001))
    bench.streams[0].take(10)

    assert output.played_seconds == pytest.approx(0.2 - LATENCY_S)
    await output.pause()
    assert output.played_seconds == pytest.approx(0.2 - LATENCY_S)
    assert await output.stop() == pytest.approx(0.2 - LATENCY_S)


async def test_a_device_may_know_better_how_much_it_holds(bench: Bench, output: Speakers) -> None:
    """Given a sound server with buffers of its own, that PortAudio learns of later."""
    await output.play(counting(1, 3001))
    bench.streams[0].take(9)
    bench.streams[0].dac = 5.0 + 2 * LATENCY_S
    bench.streams[0].take(1)

    assert output.played_seconds == pytest.approx(0.2 - 2 * LATENCY_S)


async def test_a_paused_loudspeaker_does_not_count_as_lost(bench: Bench, output: Speakers) -> None:
    """Given a pause that is much longer than a device may be silent."""
    await output.play(counting(1, 3001))
    bench.streams[0].take(2)
    await output.pause()
    draining = asyncio.create_task(output.drain())
    await asyncio.wait({draining}, timeout=2 * speakers.FIRST_TAKE_S)

    assert not draining.done()
    await output.resume()
    async with taking(bench):
        assert await draining == pytest.approx(0.3)


async def test_a_pause_lets_other_devices_be_looked_for(bench: Bench, output: Speakers) -> None:
    """A stream that is open in a pause gives way, one that speaks does not."""
    await output.pause()
    await output.play(counting(1, 1001))
    await output.resume()

    assert not bench.streams[0].may_interrupt()
    bench.streams[0].take()
    await output.pause()
    assert bench.streams[0].may_interrupt()


async def test_after_a_pause_the_rest_is_heard_on_whatever_device_there_is(bench: Bench, output: Speakers) -> None:
    """Given headphones of another rate that became the default in the pause."""
    await output.play(counting(1, 3001))
    bench.streams[0].take(10)
    await output.pause()
    bench.devices = [Device(1, "Headphones", "ALSA", 0, 1, 2 * RATE_HZ, False, True)]
    await output.resume()
    async with taking(bench):
        played_s = await output.drain()

    assert played_s == pytest.approx(0.3, abs=0.001)
    assert bench.streams[1].rate_hz == 2 * RATE_HZ
    assert np.count_nonzero(bench.streams[1].taken) == pytest.approx((0.1 + LATENCY_S) * 2 * RATE_HZ, abs=20)


async def test_a_device_that_vanishes_between_replies_is_not_missed(bench: Bench, output: Speakers) -> None:
    async with taking(bench):
        await output.play(counting(1, 1001))
        await output.drain()
        bench.streams[0].die()
        bench.after_refresh = [Device(3, "Television", "ALSA", 0, 1, RATE_HZ, False, True)]
        await output.play(counting(1001, 2001))

        assert await output.drain() == pytest.approx(0.1)
    heard = bench.streams[1].taken
    assert np.array_equal(heard[heard > 0], np.arange(1001, 2001))


@pytest.mark.parametrize("says_so", [True, False])
async def test_a_device_that_vanishes_while_it_speaks_is_replaced(
    bench: Bench, output: Speakers, says_so: bool
) -> None:
    """The reply goes on where it was cut off, whether the system tells that the device is gone, or it just hangs."""
    await output.play(counting(1, 3001))
    bench.streams[0].take(10)
    bench.after_refresh = [Device(3, "Television", "ALSA", 0, 1, RATE_HZ, False, True)]
    if says_so:
        bench.streams[0].die()
    else:
        bench.streams[0].is_stuck = True
    async with taking(bench):
        assert await output.drain() == pytest.approx(0.3)
    heard = np.concatenate([bench.streams[0].heard, bench.streams[1].taken])

    assert np.array_equal(heard[heard > 0], np.arange(1, 3001))


async def test_without_any_other_device_the_reply_fails_and_the_next_is_heard(bench: Bench, output: Speakers) -> None:
    """What could not be heard is forgotten, what was heard counts."""
    await output.play(counting(1, 3001))
    bench.streams[0].take(10)
    bench.refusal = AudioError("PortAudio refuses: no such device.", code="audio-unavailable")
    bench.streams[0].die()
    with pytest.raises(AudioError, match='The loudspeaker "Desk" is away: PortAudio refuses') as caught:
        await output.drain()

    assert caught.value.code == "audio-unavailable"
    assert await output.stop() == pytest.approx(0.2 - LATENCY_S)
    bench.refusal = None
    await output.play(counting(7001, 8001))
    async with taking(bench):
        assert await output.drain() == pytest.approx(0.1)
    heard = bench.streams[1].taken
    assert np.array_equal(heard[heard > 0], np.arange(7001, 8001))


@pytest.mark.parametrize("dies", [True, False])
async def test_a_device_that_opens_and_takes_nothing_fails_the_reply(
    bench: Bench, output: Speakers, dies: bool
) -> None:
    """It is opened twice, not for ever."""
    bench.new_ones_die, bench.new_ones_are_stuck = dies, not dies
    with pytest.raises(AudioError, match='The loudspeaker "Desk" is away: it takes no sound'):
        await speak_all(output, counting(1, 3001))

    assert len(bench.streams) == 2


async def test_the_tap_is_told_what_the_device_takes(bench: Bench, output: Speakers) -> None:
    """Silence, too; and of a pause, that nothing is played any more. What nobody heard is played again."""
    await output.play(counting(1, 301))
    bench.streams[0].take(3)
    await output.pause()
    await output.resume()
    bench.streams[1].take()

    opened = f"opened at {RATE_HZ} Hz, {LATENCY_S} s"
    assert bench.told == [opened, "200 from 1", "200 from 201", "200 from 0", "closed", opened, "200 from 101"]


async def test_gaps_in_a_reply_are_counted_for_good(bench: Bench, output: Speakers) -> None:
    """Also those that were on a device that is gone."""
    await output.play(counting(1, 301))
    bench.streams[0].take(3)
    await output.play(counting(301, 801))
    await output.pause()
    await output.resume()
    async with taking(bench):
        await output.drain()

    assert output.underruns == 1
