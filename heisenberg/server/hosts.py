"""By which names this machine may be called: the guard against DNS rebinding.

A web page may make any *name* of its own point at this machine, and is then let through by its browser as if we were
its own server; an address it cannot choose. So names have to be known, and an address has to be one of ours. Nothing
is looked up here.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable

from heisenberg.core.errors import ConfigError

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{0,5})?", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"(?:\*\.)?[a-z0-9._-]+|[0-9a-f:.]+", re.ASCII | re.IGNORECASE)


class Hosts:
    """The names that may stand in a ``Host`` header, besides those that mean loopback.

    Args:
        allowed: names and addresses, as in ``server.allowed_hosts``; ``*.name`` is every name below *name*.

    Raises: ConfigError if one of them is neither.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        names = [_plain(name) for name in allowed]
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._endings = (".localhost", *(name[1:] for name in names if name.startswith("*.")))

    def allows(self, host: str, arrived_at: str) -> bool:
        """Whether a request that calls us *host* is meant for us.

        Args:
            host: the header's value, with a port or without.
            arrived_at: the address at which its connection arrived.
        """
        name = host_of(host)
        if name is None:
            return False
        if name == "localhost" or name in self._names or name.endswith(self._endings):
            return True
        address = _address(name)
        # 0.0.0.0 leads a local client here, and is what many have in OLLAMA_HOST.
        return address is not None and (
            address.is_loopback or address.is_unspecified or address == _address(arrived_at)
        )


def host_of(header: str) -> str | None:
    """The name or address in a ``Host`` header, in lower case; None if there is none."""
    found = _HOST.fullmatch(header)
    return (found[1] or found[2]).lower().removesuffix(".") if found else None


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on *host*."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def own_names() -> list[str]:
    """What others in the network call this machine."""
    name = socket.gethostname()
    short = name.partition(".")[0]
    return [known for known in (name, short, f"{short}.local") if _NAME.fullmatch(known)]


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f'server.allowed_hosts has "{name}"; expected a name or an address without a port, or *.name '
            '(example: "studio.local").'
        )
    return name.lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
