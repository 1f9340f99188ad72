"""The ports on which the server listens. Opens them and says who has one that is taken; serves nobody."""

import contextlib
import errno
import os
import socket
import sys
from dataclasses import dataclass
from typing import Any

import psutil

from heisenberg.core.config import ServerConfig
from heisenberg.core.errors import ConfigError, PortInUse

BACKLOG = 512
"""Connections that may wait to be accepted."""

DESCRIPTORS = 8192
"""Open files that we ask for: each client costs one, and one more towards its model. macOS gives 256."""


@dataclass(frozen=True, slots=True)
class Listening:
    """The open ports."""

    sockets: tuple[socket.socket, ...]
    """Ours first, then that in Ollama's place, if there is one."""

    @property
    def urls(self) -> list[str]:
        """Where clients find us, in the order of the sockets."""
        return [_url(bound) for bound in self.sockets]

    @property
    def ollama_port(self) -> int:
        """0 if there is none."""
        return int(self.sockets[1].getsockname()[1]) if len(self.sockets) > 1 else 0

    def close(self) -> None:
        """Give the ports back."""
        for bound in self.sockets:
            bound.close()


def open_ports(config: ServerConfig) -> Listening:
    """Open ``server.port`` (0 is any free one) and ``server.ollama_port`` (0 is none).

    Raises: PortInUse, which names who has it; ConfigError if the address is none of this machine, or both are one port.
    """
    if config.port and config.port == config.ollama_port:
        raise ConfigError(
            f"server.port and server.ollama_port are both {config.port}; they have to differ. The same answers are on "
            "each port: server.ollama_port = 0 opens one only."
        )
    opened: list[socket.socket] = []
    try:
        for port in (config.port, *([config.ollama_port] if config.ollama_port else [])):
            opened.append(_listen(config.host, port))
    except BaseException:
        Listening(tuple(opened)).close()
        raise
    return Listening(tuple(opened))


def raise_descriptor_limit() -> None:
    """Let this process open as many files as it may, up to :data:`DESCRIPTORS`."""
    if sys.platform == "win32":
        return  # has no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):  # macOS may have a lower limit of its own
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, address = _address(host, port)
        bound = socket.socket(family, socket.SOCK_STREAM)
    except OSError as exc:
        raise ConfigError(
            f'server.host is "{host}", which is no address ({exc.strerror or exc}); expected an address of this '
            'machine (example: "127.0.0.1").'
        ) from exc
    try:
        _prepare(bound, family, host)
        bound.bind(address)
        bound.listen(BACKLOG)
    except OSError as exc:
        bound.close()
        raise _failed(host, port, exc) from exc
    return bound


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # "localhost" is both ::1 and 127.0.0.1; the latter is what clients are told most.
    family, _, _, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, address


def _prepare(bound: socket.socket, family: socket.AddressFamily, host: str) -> None:
    if sys.platform == "win32":  # where SO_REUSEADDR lets two programs have one port
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    elif os.name == "posix":
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6():
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)


def _failed(host: str, port: int, error: OSError) -> ConfigError | PortInUse:
    why = error.strerror or str(error)
    if error.errno == errno.EADDRNOTAVAIL:
        return ConfigError(
            f'server.host is "{host}", which is no address of this machine ({why}); expected one of its own '
            '(example: "127.0.0.1").'
        )
    return PortInUse(
        f"Port {port} on {host} cannot be opened: {why}{_owner(port)}. "
        "Stop that program, or choose another port (server.port, server.ollama_port)."
    )


def _owner(port: int) -> str:
    with contextlib.suppress(psutil.Error, OSError):  # macOS tells it to root only
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" (by {psutil.Process(connection.pid).name()}, process {connection.pid})"
    return ""


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
