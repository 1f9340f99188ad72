"""The OSC receivers: names in, datagrams out, never a wait and never an exception.

UDP knows no connection, so a receiver that is not there yet costs nothing and is simply heard of later. Names
are looked up on threads of their own and again every :data:`LOOKUP_SECONDS`, so that a receiver that comes late
or moves is found; until then its datagrams are dropped and counted. What is in a datagram is not decided here.

The sockets are not connected on purpose: a connected UDP socket reports one refused datagram by refusing the next.
"""

import asyncio
import contextlib
import logging
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg.core.errors import SinkError

log = logging.getLogger(__name__)

LOOKUP_SECONDS = 30.0
LOOKUP_TIMEOUT_S = 5.0

Endpoint = tuple[int, Any]
"""Address family and socket address."""

Resolve = Callable[[str, int], Endpoint]
"""Host and port to an endpoint; may block. Raises OSError or UnicodeError."""


def parse(name: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[IPv6]:port``. Raises SinkError (code ``osc-target-invalid``)."""
    host, colon, port = name.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise SinkError(
            f'OSC target "{name}" is not host:port with a port from 1 to 65535 (example: 127.0.0.1:7000).',
            code="osc-target-invalid",
        )
    return host, int(port)


def look_up(host: str, port: int) -> Endpoint:
    """The endpoint of a name or a numeric address, IPv4 where there is one. May block.

    Raises: OSError or UnicodeError if there is none.
    """
    if host == "localhost":
        host = "127.0.0.1"  # some systems answer ::1 first, where TouchDesigner does not listen
    found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def look_up_numeric(host: str, port: int) -> Endpoint | None:
    """The endpoint of a numeric address (or ``localhost``), None for a name. Never blocks."""
    host = "127.0.0.1" if host == "localhost" else host
    with contextlib.suppress(OSError, UnicodeError):
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )[0]
        return family, address
    return None


@dataclass(slots=True, eq=False)
class Target:
    """One receiver."""

    name: str
    """As configured."""
    host: str
    port: int
    endpoint: Endpoint | None
    """Where to send, None while the name has no address."""
    is_named: bool
    """Whether the address comes from a name, which may come to mean another."""
    sent: int = 0
    """Datagrams handed to the socket."""
    dropped: int = 0
    """Datagrams that could not be."""


class Targets:
    """All receivers, and the sockets towards them.

    Args:
        names: ``host:port`` each; a wrong one is a warning and is left out.
        resolve: looks a name up, on a thread.
        sleep: waits between two look-ups.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        resolve: Resolve = look_up,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._resolve = resolve
        self._sleep = sleep
        self._sockets: dict[int, socket.socket] = {}
        self._reported: set[tuple[str, object]] = set()
        self._looked_up = asyncio.Event()
        self.all = [target for name in dict.fromkeys(names) if (target := self._parsed(name)) is not None]

    @property
    def dropped(self) -> int:
        """Datagrams that could not be sent, over all receivers."""
        return sum(target.dropped for target in self.all)

    def send(self, datagram: bytes, to: Sequence[Target] | None = None) -> bool:
        """Hand *datagram* to the socket for each receiver (or those in *to*); whether one took it. Never blocks."""
        taken = [self._send_one(datagram, target) for target in (self.all if to is None else to)]
        return any(taken)

    async def keep_looking_up(self, on_found: Callable[[Target], None]) -> None:
        """Look names up for ever; *on_found* is told of each receiver that gets its first address."""
        named = [target for target in self.all if target.is_named]
        while named:
            await asyncio.gather(*(self._look_up(target, on_found) for target in named))
            self._looked_up.set()
            await self._sleep(LOOKUP_SECONDS)

    async def looked_up(self) -> None:
        """Wait until every name was looked up once, successfully or not; :meth:`keep_looking_up` must be running."""
        if any(target.is_named for target in self.all):
            await self._looked_up.wait()

    def close(self) -> None:
        """Close the sockets. May be called twice; what is sent afterwards is dropped."""
        for target in self.all:
            target.endpoint = None
        for sock in self._sockets.values():
            sock.close()
        self._sockets.clear()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _parsed(self, name: str) -> Target | None:
        try:
            host, port = parse(name)
        except SinkError as exc:
            self._report(name, "parse", "%s Nothing is sent there; correct osc.targets. [%s]", exc.message, exc.code)
            return None
        endpoint = look_up_numeric(host, port)
        return Target(name, host, port, endpoint, is_named=endpoint is None)

    def _send_one(self, datagram: bytes, target: Target) -> bool:
        if target.endpoint is None:
            target.dropped += 1
            return False
        family, address = target.endpoint
        try:
            self._socket(family).sendto(datagram, address)
        except (OSError, OverflowError) as exc:
            target.dropped += 1
            self._report_send(target, exc)
            return False
        target.sent += 1
        return True

    def _socket(self, family: int) -> socket.socket:
        if family not in self._sockets:
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            if family == socket.AF_INET:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            self._sockets[family] = sock
        return self._sockets[family]

    def _report_send(self, target: Target, exc: Exception) -> None:
        reason = getattr(exc, "strerror", None) or exc
        remedy = "Check osc.targets and the network"
        if sys.platform == "darwin":
            remedy += ", and System Settings > Privacy & Security > Local Network"
        message = "OSC target %s: %s. Datagrams are dropped until it works again. %s."
        self._report(target.name, getattr(exc, "errno", None), message, target.name, reason, remedy)

    async def _look_up(self, target: Target, on_found: Callable[[Target], None]) -> None:
        try:
            async with asyncio.timeout(LOOKUP_TIMEOUT_S):
                endpoint = await _on_thread(self._resolve, target.host, target.port)
        except (OSError, UnicodeError) as exc:  # TimeoutError is an OSError
            if target.endpoint is None:
                self._report_unknown(target, exc)
            return
        is_first = target.endpoint is None
        target.endpoint = endpoint
        if is_first:
            log.info("OSC target %s is %s", target.name, endpoint[1][0])
            on_found(target)

    def _report_unknown(self, target: Target, exc: Exception) -> None:
        reason = getattr(exc, "strerror", None) or str(exc) or f"no answer within {LOOKUP_TIMEOUT_S:g} s"
        message = (
            "OSC target %s: the name %s cannot be resolved (%s). It is tried again every %g s; nothing else waits. "
            "Use its numeric address in osc.targets. [osc-target-invalid]"
        )
        self._report(target.name, "unknown", message, target.name, target.host, reason, LOOKUP_SECONDS)

    def _report(self, name: str, kind: object, message: str, *args: object) -> None:
        """Warn, once for each target and kind of trouble."""
        if (name, kind) not in self._reported:
            self._reported.add((name, kind))
            log.warning(message, *args)


async def _on_thread(resolve: Resolve, host: str, port: int) -> Endpoint:
    """Call *resolve* on a daemon thread: unlike the executor's, one that hangs does not hold up the end."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Endpoint] = loop.create_future()

    def settle(result: Endpoint | None, error: Exception | None) -> None:
        if future.done():
            return
        if result is not None:
            future.set_result(result)
        else:
            future.set_exception(error or OSError("no address"))

    def work() -> None:
        result: Endpoint | None = None
        error: Exception | None = None
        try:
            result = resolve(host, port)
        except (OSError, UnicodeError) as exc:
            error = exc
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is interested any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name=f"look up {host}", daemon=True).start()
    return await future
