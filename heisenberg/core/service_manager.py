"""Tells systemd that we are ready, what we do, and that we still work.

The protocol is one datagram of ``KEY=value`` lines to the socket named by ``NOTIFY_SOCKET`` (sd_notify(3)). It is
written out here because ``systemd-python`` needs Linux and a C compiler to install, and the pure ``sdnotify`` is no
longer kept and sends on a socket that blocks. It does not decide whether we work: ``orchestrator/watchdog.py`` does.
"""

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, MutableMapping

log = logging.getLogger(__name__)

ALIVE_PER_INTERVAL = 4
"""Datagrams in each WatchdogSec; systemd asks for two, and one that is lost must not end us."""

LONGEST_STATUS = 200


class ServiceManager:
    """Whoever started us as a service; nobody, where ``NOTIFY_SOCKET`` is not set.

    Takes its variables out of *environ*, so that no child speaks in our name. No method raises or blocks; all may be
    called from any thread.

    Args:
        environ: the environment of this process.
        clock: monotonic seconds.
    """

    def __init__(
        self, environ: MutableMapping[str, str] | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        variables = os.environ if environ is None else environ
        self._address = _address(variables.pop("NOTIFY_SOCKET", ""))
        interval_us, pid = variables.pop("WATCHDOG_USEC", ""), variables.pop("WATCHDOG_PID", "")
        is_meant = pid in ("", str(os.getpid()))
        self.interval_s = int(interval_us) / 1e6 if is_meant and interval_us.isdecimal() and self._address else 0.0
        """We are ended if silent for this long (``WatchdogSec=``), in seconds; 0 if nobody waits."""
        self._clock = clock
        self._alive_at: float | None = None

    @property
    def is_there(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def ready(self) -> None:
        """We serve; ``Type=notify`` units count as started from now on."""
        self._send("READY=1")

    def stopping(self) -> None:
        """We are ending in good order."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for ``systemctl status``; longer than 200 characters it is cut."""
        self._send(f"STATUS={' '.join(text.split())[:LONGEST_STATUS]}")

    def alive(self) -> None:
        """We still work. Call as often as you like: it is passed on four times in each interval."""
        if not self.interval_s:
            return
        now = self._clock()
        if self._alive_at is None or now - self._alive_at >= self.interval_s / ALIVE_PER_INTERVAL:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outgoing:
                outgoing.setblocking(False)
                outgoing.sendto(message.encode("utf-8", "replace"), self._address)
        except (OSError, ValueError) as exc:
            with contextlib.suppress(OSError):
                log.debug("the service manager was not told %s: %s", message, exc)


def _address(named: str) -> str:
    """The socket's address; empty if there is none, or of a kind (vsock) that only virtual machines use."""
    if not hasattr(socket, "AF_UNIX") or not named.startswith(("/", "@")):
        return ""
    return "\0" + named[1:] if named.startswith("@") else named
