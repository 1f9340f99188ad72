"""Takes commands over OSC: datagrams of ``osc.listen`` in, calls of :class:`~heisenberg.core.controls.Controls` out.

On the event loop, one datagram at a time, and no call waits, so a flood costs time but holds nobody up: what is not
addressed to us is dropped by its first bytes, what would take too long to read or comes too often is dropped unread,
and what means nothing is ignored. All of that is counted (``osc_in``) and told of: the first ones at once, then once a
minute at most. What a message
means is decided in ``osc_commands.py``. Nothing here trusts a sender, and only ``ping`` is answered to one.
"""

import asyncio
import errno
import ipaddress
import logging
import math
import socket
from collections.abc import Callable
from typing import Any, Protocol

from heisenberg.core.controls import Controls
from heisenberg.core.drops import Drops
from heisenberg.core.errors import HeisenbergError, SinkError
from heisenberg.sinks.datagram import encode
from heisenberg.sinks.decoding import Malformed, decode
from heisenberg.sinks.osc_commands import PREFIX, Command, Nonsense, understood
from heisenberg.sinks.sanitise import printable
from heisenberg.sinks.targets import Endpoint, look_up_numeric, parse
from heisenberg.sinks.udp import bound, host_port

log = logging.getLogger(__name__)

WHERE = "osc_in"
"""What is ignored is counted under this name."""

PONG = "/heisenberg/pong"

DATAGRAM_MAX_BYTES = 8192
READ_BYTES_PER_S = 128 * 1024
"""So much of what is addressed to us is read; python-osc takes about a microsecond for a byte of small messages."""

REPORT_EVERY_S = 60.0
REPORTS_AT_ONCE = 5
"""Somebody tries commands by hand, and wants to know at once what is wrong with each."""

LONGEST_SHOWN = 300

RATES_HZ = {"say": 2.0, "ask": 2.0, "mode": 5.0, "preset": 20.0, "personality": 5.0, "ping": 10.0, "state": 10.0}
OTHER_RATE_HZ = 120.0
"""How often a command is obeyed; a burst may hold ten seconds' worth of texts, one second's of others. A CHOP may
send ``mute`` with every frame."""


class Answers(Protocol):
    """Whoever can answer the OSC targets."""

    def send_snapshot(self) -> None:
        """Tell how things stand."""

    def send_pong(self, count: int) -> None:
        """Tell that *count* pings were heard."""


class OscInput:
    """The commands that arrive at one address. Use ``start`` and ``close``.

    Args:
        sock: of :func:`bound_to`; closed with this.
        controls: obeys.
        drops: told, under ``osc_in``, of what is ignored.
        answers: answers ``state`` and ``ping``; None if there are no OSC targets.
        on_ignored: called after each report of what was ignored.
        clock: monotonic seconds; the loop's if not given.
    """

    def __init__(
        self,
        sock: socket.socket,
        controls: Controls,
        drops: Drops,
        *,
        answers: Answers | None = None,
        on_ignored: Callable[[], None] = lambda: None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._sock = sock
        self._controls = controls
        self._answers = answers
        self._clock = clock or asyncio.get_running_loop().time
        self._complaints = Complaints(drops, on_ignored, self._clock)
        self._reading = Bucket(READ_BYTES_PER_S, READ_BYTES_PER_S)
        self._rates: dict[str, Bucket] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._pings = 0

    async def start(self) -> None:
        """Listen."""
        address = self._sock.getsockname()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self.take), sock=self._sock)
        if not ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
            risk = "anybody in the network may command the assistant. See docs/osc-touchdesigner.md."
            log.warning("osc.listen is %s: %s", host_port(address), risk)
        log.info("OSC commands are taken on %s", host_port(address))

    async def close(self) -> None:
        """Listen no more. May be called twice."""
        self._complaints.close()
        if self._transport is not None:
            self._transport.close()
        else:
            self._sock.close()

    def take(self, datagram: bytes, sender: tuple[Any, ...]) -> None:
        """Obey *datagram* of *sender*, or ignore it. Never raises."""
        try:
            self._take(datagram, sender)
        except (Malformed, Nonsense, HeisenbergError) as exc:
            self._complaints.add(f"{host_port(sender)}: {exc}")
        except Exception as exc:
            log.exception("a fault in Heisenberg at an OSC message")
            self._complaints.add(f"{host_port(sender)}: {exc!r}")

    def _take(self, datagram: bytes, sender: tuple[Any, ...]) -> None:
        if PREFIX.encode() not in datagram or datagram[:1] not in b"/#":
            raise Malformed(f"{len(datagram)} bytes without a command ({PREFIX}…)")
        if len(datagram) > DATAGRAM_MAX_BYTES:
            raise Malformed(f"{len(datagram)} bytes, and at most {DATAGRAM_MAX_BYTES} are taken")
        if not self._reading.take(self._clock(), len(datagram)):
            raise Malformed("more than can be read")
        for address, _, values in decode(datagram):
            try:
                self._obey_message(address, values, sender)
            except (Nonsense, HeisenbergError) as exc:  # the other messages of a bundle may well mean something
                self._complaints.add(f"{address} of {host_port(sender)}: {exc}")

    def _obey_message(self, address: str, values: tuple[object, ...], sender: tuple[Any, ...]) -> None:
        command = understood(address, values)
        if command is None:
            return
        rate = RATES_HZ.get(command.name, OTHER_RATE_HZ)
        bucket = self._rates.setdefault(command.name, Bucket(rate, max(20.0, rate)))
        if not bucket.take(self._clock()):
            raise Nonsense(f"more than {rate:g} a second")
        log.debug("%s from %s", command, host_port(sender))
        if command.name == "ping":
            self._pong(sender)
        elif command.name == "state":
            if self._answers is not None:
                self._answers.send_snapshot()
        else:
            obey(command, self._controls)

    def _pong(self, sender: tuple[Any, ...]) -> None:
        """To whoever asked, and to the targets: TouchDesigner does not listen where it sends from."""
        self._pings += 1
        if self._answers is not None:
            self._answers.send_pong(self._pings)
        if self._transport is not None:
            self._transport.sendto(encode(PONG, self._pings, max_bytes=256)[0], sender)


def obey(command: Command, controls: Controls) -> None:
    """Do what *command* says, with *controls*. Raises ConfigError for a name that there is not."""
    match command.name:
        case "listen":
            controls.listen()
        case "stop":
            controls.stop()
        case "mute":
            controls.mute(command.is_on)
        case "say":
            controls.say(command.text)
        case "ask":
            controls.ask(command.text)
        case "mode":
            controls.set_mode(command.text)
        case "preset":
            controls.set_preset(command.text)
        case "personality":
            controls.set_personality(command.text)


class Bucket:
    """Lets *rate* a second pass, and up to *burst* at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = self._left = burst
        self._at = -math.inf

    def take(self, now: float, amount: float = 1.0) -> bool:
        """Whether *amount* may pass at *now* seconds."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < amount:
            return False
        self._left -= amount
        return True


class Complaints:
    """Counts what is ignored, and says so: five lines at once, one more a minute.

    Args:
        drops: told of each.
        on_told: called after each line.
        clock: monotonic seconds.
    """

    def __init__(self, drops: Drops, on_told: Callable[[], None], clock: Callable[[], float]) -> None:
        self._drops = drops
        self._on_told = on_told
        self._clock = clock
        self._lines = Bucket(1 / REPORT_EVERY_S, REPORTS_AT_ONCE)
        self._untold = 0
        self._latest = ""
        self._timer: asyncio.TimerHandle | None = None

    def add(self, reason: str) -> None:
        """One more was ignored."""
        self._drops.count(WHERE)
        self._untold += 1
        self._latest = reason
        if self._lines.take(self._clock()):
            self._tell()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REPORT_EVERY_S, self._tell_at_last)

    def close(self) -> None:
        """Tell what is left, and no more."""
        if self._untold:
            self._tell()

    def _tell_at_last(self) -> None:
        self._lines.take(self._clock())
        self._tell()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        count, self._untold = self._untold, 0
        log.warning("OSC commands ignored: %d; the last: %s", count, printable(self._latest)[:LONGEST_SHOWN])
        self._on_told()


class _Datagrams(asyncio.DatagramProtocol):
    """What asyncio calls."""

    def __init__(self, take: Callable[[bytes, tuple[Any, ...]], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._take(data, addr)

    def error_received(self, exc: Exception) -> None:
        log.debug("an answer to a ping was refused: %s", exc)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            log.error("OSC commands are not taken any more: %s. Restart to take them again.", exc)


def bound_to(listen: str) -> socket.socket:
    """A socket for the commands that arrive at *listen*: ``host:port``, numeric or ``localhost``.

    Raises: SinkError: ``osc-port-busy``, or ``osc-target-invalid`` for an address that is not ours.
    """
    family, address = _endpoint(listen)
    try:
        return bound(family, address)
    except OSError as exc:
        raise _not_bound(listen, exc) from exc


def _endpoint(listen: str) -> Endpoint:
    try:
        endpoint = look_up_numeric(*parse(listen))
    except SinkError:
        endpoint = None
    if endpoint is None:
        raise _no_address(listen)
    return endpoint


def _no_address(listen: str) -> SinkError:
    return SinkError(
        f'osc.listen is "{listen}", which is no numeric address of this machine with a port from 1 to 65535. Use '
        '"127.0.0.1:7001" for commands of this machine only, or "0.0.0.0:7001" for those of the network, too.',
        code="osc-target-invalid",
    )


def _not_bound(listen: str, exc: OSError) -> SinkError:
    if exc.errno == errno.EADDRNOTAVAIL:
        return _no_address(listen)
    host, port = parse(listen)
    other = port + 1 if port < 65_535 else 7001
    return SinkError(
        f"osc.listen is {listen}, which cannot be opened: {exc.strerror or exc}. Only one program can receive on a "
        f'port: close the other one (is Heisenberg running already?), or set osc.listen to "{host}:{other}".',
        code="osc-port-busy",
    )
