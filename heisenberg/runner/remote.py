"""Models that other servers run: which of a model's servers to ask.

The first one that can be reached is taken, in the order of the configuration. One that could not, or that failed, is
asked last for a while, longer each time until it has answered. A server is looked at only where there is another to
turn to; what it answers is whoever leases it to judge, and to tell (``condemn``, ``praise``).
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from heisenberg.core.errors import UpstreamError

log = logging.getLogger(__name__)

CONNECT_S = 2.0
"""Longest wait for a connection."""

TRUSTED_S = 10.0
"""A server that could be reached is not looked at again for so long."""

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 300.0
"""So long a server that failed is asked last: doubled with each failure in a row."""


@dataclass(slots=True)
class _Health:
    failures: int = 0
    failed_at: float = float("-inf")
    last_until: float = 0.0
    """Asked last until then, in loop time."""
    reached_at: float = float("-inf")


class Remotes:
    """What is known of other servers, by URL."""

    def __init__(self) -> None:
        self._health: dict[str, _Health] = {}

    async def choose(self, name: str, urls: Sequence[str]) -> str:
        """The server to ask for model *name*. Raises UpstreamError if it has several and none can be reached."""
        if len(urls) == 1:
            return urls[0]
        for url in self.in_order(urls):
            if await self._is_reachable(url):
                return url
        raise UpstreamError(f"None of the {len(urls)} servers of '{name}' can be reached: {', '.join(urls)}.")

    def in_order(self, urls: Sequence[str]) -> list[str]:
        """The healthy ones as they stand, then those that failed, the soonest to be trusted again first."""
        now = asyncio.get_running_loop().time()
        waits = {url: max(0.0, self._of(url).last_until - now) for url in urls}
        return sorted(urls, key=lambda url: waits[url])

    def has_spare(self, url: str, urls: Sequence[str]) -> bool:
        """Whether one of *urls* that did not fail lately could be asked in place of *url*."""
        now = asyncio.get_running_loop().time()
        return any(other != url and self._of(other).last_until <= now for other in urls)

    def praise(self, url: str) -> None:
        """It has answered: its next failure counts as the first."""
        self._of(url).failures = 0

    def condemn(self, url: str, reason: str) -> None:
        """It failed: ask it last for a while."""
        health, now = self._of(url), asyncio.get_running_loop().time()
        health.reached_at = float("-inf")
        if now < health.failed_at + CONNECT_S:
            return  # others were asking it as well
        if now > health.last_until + LONGEST_PAUSE_S:
            health.failures = 0  # not in a row
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0**health.failures)
        health.failures = min(health.failures + 1, 16)
        health.failed_at, health.last_until = now, now + pause_s
        log.warning("%s: %s", url, reason)

    async def _is_reachable(self, url: str) -> bool:
        health, loop = self._of(url), asyncio.get_running_loop()
        if loop.time() - health.reached_at < TRUSTED_S:
            return True
        try:
            await _connect(url)
        except (OSError, TimeoutError) as exc:
            self.condemn(url, f"cannot be reached ({exc!r})")
            return False
        health.reached_at = loop.time()
        return True

    def _of(self, url: str) -> _Health:
        return self._health.setdefault(url, _Health())


async def _connect(url: str) -> None:
    """Raises OSError or TimeoutError."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    async with asyncio.timeout(CONNECT_S):
        _, writer = await asyncio.open_connection(parts.hostname, port)
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
