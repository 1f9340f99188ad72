"""Which web pages may use the server from a browser (CORS).

A browser sends the page's origin with what a page asks for, and shows the page only answers that allow it. Never with
credentials: we have no cookies. Knows nothing of keys; whether a page may change anything is ``security.py``'s affair.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from heisenberg.core.errors import ConfigError
from heisenberg.server.asgi import Header
from heisenberg.server.hosts import host_of

PREFLIGHT_S = 3600
"""How long a browser remembers what it may do."""

_PORTS = {"http": 80, "https": 443}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*", re.ASCII)
_HEADER_NAMES = re.compile(rb"[A-Za-z0-9, _-]{1,1000}")
_USUAL_HEADERS = b"authorization, content-type, x-api-key, x-request-id"

VARY: Header = (b"vary", b"Origin")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a page comes from."""

    scheme: str
    host: str
    port: int | None
    """None if it has none, and its scheme no usual one."""


def origin_of(text: str) -> Origin | None:
    """*text* as an origin; None if it is none, as ``null`` is."""
    try:
        parts = urlsplit(text)
        if not parts.scheme or parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
            return None
        return Origin(parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme))
    except ValueError:
        return None


class Origins:
    """The origins of ``server.cors_origins``.

    Args:
        allowed: ``scheme://host`` is that host with any port, ``scheme://host:port`` one port, ``scheme://*`` any host,
            ``*`` every page.

    Raises: ConfigError if one of them is none of these.
    """

    def __init__(self, allowed: Iterable[str]) -> None:
        entries = list(allowed)
        self.are_all = bool({"*", "http://*", "https://*"} & set(entries))
        """Whether pages of the whole web are meant."""
        self._is_any = "*" in entries
        self._schemes = {entry.removesuffix("://*").lower() for entry in entries if entry.endswith("://*")}
        given = [entry for entry in entries if entry != "*" and not entry.endswith("://*")]
        self._any_port = {_read(entry)[:2] for entry in given if _read(entry)[2] is None}
        self._one_port = {_read(entry) for entry in given if _read(entry)[2] is not None}

    def allows(self, origin: str) -> bool:
        """Whether the page at *origin* is one of them."""
        if self._is_any:
            return True
        found = origin_of(origin)
        return found is not None and (
            found.scheme in self._schemes
            or (found.scheme, found.host) in self._any_port
            or (found.scheme, found.host, found.port) in self._one_port
        )


def is_same(origin: str, host: str) -> bool:
    """Whether the page at *origin* is our own, when we are called *host*."""
    found = origin_of(origin)
    if found is None or found.scheme not in _PORTS or found.host != host_of(host):
        return False
    _, _, port = host.rpartition(":")
    return found.port == (int(port) if port.isdecimal() else _PORTS[found.scheme])


def answer_headers(origin: str) -> list[Header]:
    """What lets the page at *origin* see an answer."""
    return [
        (b"access-control-allow-origin", origin.encode("latin-1")),
        (b"access-control-expose-headers", b"x-request-id, retry-after"),
    ]


def preflight_headers(methods: Iterable[str], asked: Iterable[Header]) -> list[Header]:
    """What tells a browser that it may go on.

    Args:
        methods: what may be asked of the path.
        asked: the headers of the request.
    """
    given = dict(asked)
    names = given.get(b"access-control-request-headers", b"")
    headers = [
        (b"access-control-allow-methods", ", ".join(methods).encode()),
        (b"access-control-allow-headers", names if _HEADER_NAMES.fullmatch(names) else _USUAL_HEADERS),
        (b"access-control-max-age", str(PREFLIGHT_S).encode()),
    ]
    if given.get(b"access-control-request-private-network") == b"true":
        headers.append((b"access-control-allow-private-network", b"true"))
    return headers


def _read(entry: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; no port if the entry names none. Raises ConfigError."""
    found = origin_of(entry)
    if found is None or not found.host or not _SCHEME.fullmatch(found.scheme) or "*" in found.host:
        raise ConfigError(
            f'server.cors_origins has "{entry}"; expected scheme://host, scheme://host:port, scheme://* or "*" '
            '(example: "http://localhost:3000").'
        )
    return found.scheme, found.host, urlsplit(entry).port
