"""Where a reply would be by now if a loudspeaker played it: the clock of outputs that make no sound."""

import asyncio

QUEUE_S = 0.75
"""How far a voice may run ahead of what is heard. Enough to bridge a slow sentence, little enough to drop."""

NOTHING_S = 1e-3
"""Less than this is no gap and no wait: clocks are not finer."""


class Pace:
    """Counts what was played, in real time or at once.

    Args:
        is_paced: whether sound takes the time that it would take to hear it.
    """

    def __init__(self, is_paced: bool) -> None:
        self._is_paced = is_paced
        self._reply = 0
        self._queued_s = 0.0
        self._ends_at = 0.0
        self._held_s = 0.0
        self._paused_at: float | None = None
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self.underruns = 0
        """Gaps within replies, because sound was added too late."""

    async def wait_for_room(self) -> bool:
        """Return when at most :data:`QUEUE_S` are waiting to be heard; False if the reply was stopped meanwhile."""
        return await self._wait_down_to(QUEUE_S)

    def add(self, seconds: float) -> None:
        """So much sound was queued."""
        if self._is_paced:
            now = self._now()
            if self._queued_s and now - self._ends_at > NOTHING_S:
                self.underruns += 1
            self._ends_at = max(self._ends_at, now) + seconds
        elif self._paused_at is not None:
            self._held_s += seconds
        self._queued_s += seconds

    async def wait_for_end(self) -> bool:
        """Return when everything queued was heard, and no pause holds it; False if the reply was stopped meanwhile."""
        reply = self._reply
        while await self._wait_down_to(0.0) and self._paused_at is not None:
            await self._goes_on.wait()
        return reply == self._reply

    def pause(self) -> None:
        """Stop the clock: nothing is heard until :meth:`resume`."""
        if self._paused_at is None:
            self._paused_at = self._now()
            self._goes_on.clear()

    def resume(self) -> None:
        """Let the clock go on, if it was stopped."""
        if self._paused_at is not None:
            paused_at, self._paused_at = self._paused_at, None
            self._ends_at += self._now() - paused_at if self._ends_at else 0.0
            self._held_s = 0.0
            self._goes_on.set()

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that were queued and not heard yet."""
        return max(0.0, self._ends_at - self._now()) if self._is_paced else self._held_s

    @property
    def played_s(self) -> float:
        """Seconds heard since the reply began."""
        # To the microsecond: sums of a clock that has run for days leave crumbs, and nothing heard must be zero.
        return round(max(0.0, self._queued_s - self.waiting_s), 6)

    def finish(self) -> float:
        """The reply is over; seconds heard of it."""
        played_s = self.played_s
        self._queued_s = self._ends_at = self._held_s = 0.0
        return played_s

    def stop(self) -> float:
        """The same, for one that is cut short: who waits is freed, and a pause ends."""
        self._reply += 1
        played_s = self.finish()
        self.resume()
        return played_s

    async def _wait_down_to(self, seconds: float) -> bool:
        reply = self._reply
        await asyncio.sleep(0)  # A voice that is never made to wait must not keep others from working.
        while reply == self._reply and self.waiting_s - seconds > NOTHING_S:
            await self._goes_on.wait()
            await asyncio.sleep(max(0.0, self.waiting_s - seconds))
        return reply == self._reply

    def _now(self) -> float:
        """The time by this clock, which stands still in a pause."""
        return asyncio.get_running_loop().time() if self._paused_at is None else self._paused_at
