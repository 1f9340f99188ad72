"""Where a reply would be by now if a loudspeaker played it: the clock of outputs that make no sound."""

import asyncio

QUEUE_S = 0.75
"""How far a voice may run ahead of what is heard. Enough to bridge a slow sentence, little enough to drop."""


class Pace:
    """Counts what was played, in real time or at once.

    Args:
        is_paced: whether sound takes the time that it would take to hear it.
    """

    def __init__(self, is_paced: bool) -> None:
        self._is_paced = is_paced
        self._queued_s = 0.0
        self._ends_at = 0.0

    async def wait_for_room(self) -> None:
        """Return when at most :data:`QUEUE_S` are waiting to be heard."""
        await asyncio.sleep(max(0.0, self.waiting_s - QUEUE_S))

    def add(self, seconds: float) -> None:
        """So much sound was queued."""
        self._ends_at = max(self._ends_at, self._now()) + seconds
        self._queued_s += seconds

    async def wait_for_end(self) -> None:
        """Return when everything queued was heard."""
        await asyncio.sleep(self.waiting_s)

    @property
    def waiting_s(self) -> float:
        """Seconds of sound that were queued and not heard yet."""
        return max(0.0, self._ends_at - self._now()) if self._is_paced else 0.0

    def take_played(self) -> float:
        """Seconds heard since the last call; what was not heard is forgotten."""
        played = max(0.0, self._queued_s - self.waiting_s)
        self._queued_s = self._ends_at = 0.0
        return played

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
