"""Receives OSC and shows it: what TouchDesigner would see on the same port. For ``heisenberg osc monitor``.

In: datagrams of anybody on the network, however broken; out: :class:`Received` messages, and lines for people. It
has no part in a turn and answers nothing.
"""

import errno
import math
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from heisenberg.core.errors import SinkError
from heisenberg.sinks.decoding import Malformed, decode
from heisenberg.sinks.osc import METER_ADDRESSES
from heisenberg.sinks.sanitise import as_json, printable
from heisenberg.sinks.targets import look_up
from heisenberg.sinks.udp import bound, host_port

DATAGRAM_MAX = 65_535
WAKE_SECONDS = 0.5
REPEATED_ADDRESSES = frozenset(
    {"/heisenberg/state", "/heisenberg/state_name", "/heisenberg/turn", "/heisenberg/wake", "/heisenberg/input"}
    | {"/visual/prompt", "/heisenberg/dropped", "/heisenberg/stalls"}
    | {"/heisenberg/muted", "/heisenberg/mode", "/heisenberg/preset", "/heisenberg/personality"}
)
"""What every heartbeat sends again, changed or not. A style may send its prompt elsewhere."""
REMEMBERED_ADDRESSES = 256
"""Anybody may send any address; so many of those that are not ours are remembered."""
SUMMARY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """One message, or one datagram that is none."""

    at: float
    """Seconds since the monitor began."""
    sender: str
    """``host:port``."""
    address: str = ""
    """Empty if the datagram is malformed."""
    tags: str = ""
    """OSC type tags, without the comma."""
    values: tuple[object, ...] = field(default=())
    problem: str = ""
    """Why it is malformed; empty if it is not."""

    def as_line(self) -> str:
        """For people."""
        start = f"{self.at:7.2f}s  {self.sender:<21}  "
        if self.problem:
            return f"{start}malformed: {printable(self.problem)}"
        shown = " ".join(_shown(value) for value in self.values)
        return f"{start}{printable(self.address):<30} {',' + printable(self.tags):<5} {shown}".rstrip()

    def as_json(self) -> str:
        """For scripts: ``{"at", "from", "address", "types", "values"}`` or ``{"at", "from", "error"}``."""
        start = {"at": round(self.at, 4), "from": self.sender}
        if self.problem:
            return as_json({**start, "error": self.problem})
        values = [_jsonable(value) for value in self.values]
        return as_json({**start, "address": self.address, "types": self.tags, "values": values})


def open_receiver(host: str, port: int) -> socket.socket:
    """A socket that receives what is sent to *host*:*port* (0 takes a free port).

    Raises: SinkError, with code ``osc-port-busy`` if another program has the port.
    """
    try:
        family, address = look_up(host, port)
    except (OSError, UnicodeError) as exc:
        raise _host_error(host) from exc
    try:
        sock = bound(family, address)
    except OSError as exc:
        raise _host_error(host) if exc.errno == errno.EADDRNOTAVAIL else _port_error(host, port, exc) from exc
    sock.settimeout(WAKE_SECONDS)  # so that Ctrl-C is noticed on Windows, too
    return sock


def receive(sock: socket.socket, clock: Callable[[], float]) -> Iterator[Received]:
    """Every message that arrives, for ever; *clock* gives seconds."""
    began = clock()
    while True:
        try:
            datagram, sender = sock.recvfrom(DATAGRAM_MAX)
        except (TimeoutError, ConnectionError):  # Windows reports refusals of what it sent as a lost connection
            continue
        yield from read(datagram, clock() - began, host_port(sender))


def read(datagram: bytes, at: float, sender: str) -> Iterator[Received]:
    """The messages of *datagram*: one, those of a bundle, or a report that it is malformed."""
    try:
        for address, tags, values in decode(datagram):
            yield Received(at, sender, address, tags, values)
    except Malformed as exc:
        yield Received(at, sender, problem=f"{len(datagram)} bytes, {exc}")


class Digest:
    """Leaves out what comes many times a second, and sums it up every :data:`SUMMARY_SECONDS`.

    Args:
        show: prints a line.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._last: dict[str, tuple[object, ...]] = {}
        self._follows_heartbeat = False
        self._latest: dict[str, str] = {}
        self._skipped = 0
        self._summed_at = 0.0

    def take(self, received: Received) -> None:
        """Show *received*, or remember it for the summary."""
        if self._is_news(received):
            self._show(received.as_line())
        else:
            self._skipped += 1
        if self._skipped and received.at - self._summed_at >= SUMMARY_SECONDS:
            self._summed_at = received.at
            latest = "  ".join(f"{name} {value}" for name, value in self._latest.items())
            self._show(
                f"{received.at:7.2f}s  {latest}  ({self._skipped} levels and repeats left out; --all shows them)"
            )
            self._skipped = 0

    def _is_news(self, received: Received) -> bool:
        address = received.address
        if address in METER_ADDRESSES or address == "/heisenberg/heartbeat":
            self._follows_heartbeat = address == "/heisenberg/heartbeat"
            self._latest[address.rpartition("/")[2]] = " ".join(_shown(value) for value in received.values)
            return False
        is_news = self._last.pop(address, None) != received.values
        self._remember(address, received.values)
        if address in REPEATED_ADDRESSES:
            return is_news
        may_be_repeat, self._follows_heartbeat = self._follows_heartbeat, False
        return is_news or not may_be_repeat

    def _remember(self, address: str, values: tuple[object, ...]) -> None:
        """The latest values of *address*; what was heard of longest ago is forgotten."""
        self._last[address] = values
        if len(self._last) > REMEMBERED_ADDRESSES:
            del self._last[next(iter(self._last))]


def _host_error(host: str) -> SinkError:
    return SinkError(
        f'"{host}" is not an address of this machine. Use --host 127.0.0.1 to receive from this machine only, or '
        "--host 0.0.0.0 to receive from the network, too.",
        code="osc-target-invalid",
    )


def _port_error(host: str, port: int, exc: OSError) -> SinkError:
    other = port + 2 if 1024 <= port < 65_534 else 7002
    return SinkError(
        f"UDP port {port} on {host} cannot be opened: {exc.strerror or exc}. Only one program can receive on a port: "
        f'close the other one, or use --port {other} and add "127.0.0.1:{other}" to osc.targets.',
        code="osc-port-busy",
    )


def _shown(value: object) -> str:
    match value:
        case float():
            return f"{value:.6g}"
        case str():
            return '"' + printable(value) + '"'
        case bytes():
            return f"<{len(value)} bytes>"
        case list():
            return "[" + " ".join(_shown(item) for item in value) + "]"
        case _:
            return printable(str(value))


def _jsonable(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.hex() if isinstance(value, bytes) else value
