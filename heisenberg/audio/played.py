"""What the loudspeaker played, in step with the microphone: the reference that echo cancellation subtracts.

PortAudio's output callback writes here (:class:`PlayedSound` is a PlayedTap), the audio thread reads: for each chunk
from the microphone as many samples of what was played at that time. It cancels nothing (that is ``echo.py``).

Two devices have two clocks, and both deliver in bursts. So the two streams are counted against each other, never
timed: once a loudspeaker is open, sample after sample is given out for sample after sample that the microphone
heard. What arrives too late is replaced by silence and left out when it comes, so that nothing else shifts. Only when
the clocks have run apart by some hundredths of a second (100 ppm: 6 ms in a minute) they are set again.

How much earlier than its echo a sample comes out: by the latency of both devices, less :attr:`_Device.margin`. It
must not be negative, and the canceller finds up to half a second by itself.
"""

from collections import deque

import numpy as np

from heisenberg.audio.resample import Resampler
from heisenberg.audio.ring import SampleRing
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples

KEPT_S = 2.0
"""An audio thread that is later than this loses some of the reference."""

MARGIN_S = 0.05
"""So much of the reference should wait, since sound servers ask for theirs in bursts of up to 0.1 s; at most half the
device's latency. With too little the first replies would find the two clocks still being set."""

LONGEST_LEAD_S = 0.2
"""What a slow device (Bluetooth) says beyond this is held back for so long. Not more: a reference that came after its
echo would be worth nothing, and some devices say too much."""

SETTLED_CHUNKS = 31
"""A second without a gap shows that the stock outlasts the bursts of this device."""

WATCHED_CHUNKS = 250
"""The lowest stock of eight seconds says how the clocks stand: bursts and late readers only ever raise it."""

TOO_MUCH_S = 0.06
"""With so much more than the margin in stock the clocks have run apart, or the microphone lost sound."""

TOO_OFTEN = 12
"""So many gaps in eight seconds are no accidents: the loudspeaker's clock is the slower one."""

LONGEST_GAP_S = 0.3
"""A device that is later than this stood still; what it takes then is new, and not late."""


class PlayedSound:
    """A PlayedTap that can be read in step with a microphone.

    ``opened`` and ``closed`` may come from any thread, ``played`` from PortAudio's; ``read`` and ``realign`` from one
    other thread. Nobody ever waits for another.
    """

    def __init__(self) -> None:
        self._device: _Device | None = None
        self._reader: _Reader | None = None

    # ── the loudspeaker's side ───────────────────────────────────────────────────────────────────

    def opened(self, rate_hz: int, latency_s: float) -> None:
        """A device was opened that plays at *rate_hz*; what it plays is heard *latency_s* after it is taken."""
        self._device = _Device(rate_hz, latency_s)

    def played(self, samples: Samples) -> None:
        """The device took *samples* (mono; silence, too). Copies, and nothing else; without a device forgets them."""
        device = self._device
        if device is not None:
            device.ring.write(samples)

    def closed(self) -> None:
        """It plays nothing any more."""
        self._device = None

    # ── the microphone's side ────────────────────────────────────────────────────────────────────

    def read(self, count: int) -> Samples:
        """The *count* samples (16 kHz) that belong to the next *count* from the microphone; silence without a device.

        To be called for each chunk from the microphone, heard or not.
        """
        device, reader = self._device, self._reader
        if device is None:
            self._reader = None
            return np.zeros(count, dtype=np.int16)
        if reader is None or reader.device is not device:
            reader = self._reader = _Reader(device)
        return reader.read(count)

    def realign(self) -> None:
        """The microphone was opened anew: how the two clocks stood means nothing any more."""
        self._reader = None


class _Device:
    """One opening of a loudspeaker: written by its callback only."""

    def __init__(self, rate_hz: int, latency_s: float) -> None:
        self.rate_hz = rate_hz
        self.ring = SampleRing(int(KEPT_S * rate_hz))
        held_s = max(0.0, latency_s - LONGEST_LEAD_S)
        self.margin = round((held_s + min(MARGIN_S, max(0.0, latency_s) / 2)) * PIPELINE_RATE_HZ)
        """Samples (16 kHz) that should be in stock when a chunk was given out."""
        self.buffered = round(latency_s * rate_hz)
        """Samples that it holds and that are not heard yet."""


class _Reader:
    """Gives out what one device plays, sample for sample."""

    def __init__(self, device: _Device) -> None:
        self.device = device
        # A device fills its buffer when it is opened; that is heard later, as the margin is.
        filled = min(device.ring.written, device.buffered)
        self._taken = device.ring.written - filled
        self._resampler = Resampler(device.rate_hz, PIPELINE_RATE_HZ)
        self._stock: Samples = np.zeros(device.margin, dtype=np.int16)
        self._late = 0
        """Samples that silence stood in for; they are left out when they come."""
        self._stocks: deque[int] = deque(maxlen=WATCHED_CHUNKS)
        """What was left after each of the last chunks; negative: missing."""

    def read(self, count: int) -> Samples:
        self._fetch()
        stock = len(self._stock) - self._late - count
        self._stocks.append(stock)
        self._follow()
        given, self._stock = self._stock[:count], self._stock[count:]
        missing = count - len(given)
        if missing:
            self._miss(missing)
            given = np.concatenate([given, np.zeros(missing, dtype=np.int16)])
        return given

    def _fetch(self) -> None:
        """Take over what was played since the last call."""
        written = self.device.ring.written
        played = self.device.ring.read_range(self._taken, written)
        if len(played) < written - self._taken:
            self._begin_anew()  # The audio thread stood still for seconds.
        self._taken = written
        self._stock = np.concatenate([self._stock, self._resampler.process(played)])
        left_out = min(self._late, len(self._stock))
        self._stock, self._late = self._stock[left_out:], self._late - left_out

    def _miss(self, missing: int) -> None:
        """Silence stands in for what is not there yet."""
        if len(self._stocks) <= SETTLED_CHUNKS:
            # It only shows how long this device's bursts are; from now on the reference comes so much later.
            self._begin_anew()
            return
        self._late += missing
        if self._late > LONGEST_GAP_S * PIPELINE_RATE_HZ:
            self._begin_anew()

    def _follow(self) -> None:
        """Hold the stock near the margin. Seldom, and then at once: each time, the echo has to be found again."""
        if len(self._stocks) < WATCHED_CHUNKS:
            return
        excess = min(self._stocks) - self.device.margin
        if excess > TOO_MUCH_S * PIPELINE_RATE_HZ:
            self._stock = self._stock[excess:]
            self._stocks.clear()
        elif sum(stock < 0 for stock in self._stocks) > TOO_OFTEN:
            self._begin_anew()

    def _begin_anew(self) -> None:
        self._stock, self._late = np.zeros(self.device.margin // 2, dtype=np.int16), 0
        self._stocks.clear()
