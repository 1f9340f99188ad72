"""A UDP socket that receives, and the words for when there is none. Decides nothing about what arrives."""

import socket
import sys
from typing import Any

RECEIVE_BUFFER_BYTES = 1 << 20


def bound(family: int, address: Any) -> socket.socket:
    """A socket that receives at *address*, alone. Raises OSError."""
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if sys.platform == "win32":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    return sock


def host_port(address: tuple[Any, ...]) -> str:
    """``host:port`` of a socket address, for people."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
