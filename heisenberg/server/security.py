"""Who may ask: the rules that every request passes before anything else.

Pure decisions on a request's method, path and headers; ``app.py`` asks and answers. In this order: is it meant for
us (Host), may this page ask (Origin), does it have the key. What a request may contain is the dialects' affair; where
that decides whose affair it is, they ask for the administrator's key here (``Policy.require_admin``).
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from heisenberg.core.config import ServerConfig
from heisenberg.core.errors import ConfigError
from heisenberg.server.asgi import BadRequest, Header, Scope, header
from heisenberg.server.hosts import Hosts, is_loopback, own_names
from heisenberg.server.origins import Origins, is_same

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

OPEN = frozenset({"/", "/health", "/ready", "/docs", "/openapi.json", "/lmstudio-greeting"})
"""Paths that need no key: they tell nothing but that, and whether, we are here."""

ADMIN = frozenset(
    {
        ("POST", "/api/pull"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/copy"),
        ("POST", "/api/create"),
        ("POST", "/api/push"),
        ("POST", "/api/v1/models/load"),
        ("POST", "/api/v1/models/unload"),
        ("POST", "/api/v1/models/download"),
    }
)
"""What needs ``server.admin_key``: it changes what is installed or in memory."""

ADMIN_BELOW = ("/models/", "/api/blobs/", "/api/v1/models/download/")
"""Everything below these as well: logs, files and downloads."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    message: str
    headers: Sequence[Header] = ()


class Policy:
    """The rules, as configured.

    Raises: ConfigError if they would leave the models open to others.
    """

    def __init__(self, config: ServerConfig) -> None:
        self._api_key = config.api_key.encode()
        self._admin_key = config.admin_key.encode() or self._api_key
        self._origins = Origins(config.cors_origins)
        is_local = is_loopback(config.host)
        self._hosts = Hosts(config.allowed_hosts if is_local else [*config.allowed_hosts, *own_names()])
        if not is_local and not config.api_key:
            raise ConfigError(
                f'server.host is "{config.host}", so that others in the network reach the models; that needs '
                "server.api_key (any long secret). Set it, or set server.host to 127.0.0.1."
            )
        if self._origins.are_all and not config.api_key:
            raise ConfigError(
                "server.cors_origins lets every page of the web use the models; that needs server.api_key. "
                'Set it, or name the pages (example: "https://chat.example.com").'
            )

    def allowed_origin(self, scope: Scope) -> str:
        """The page that asks, if it may see the answer; empty if no page asks, or a foreign one does."""
        origin = header(scope, b"origin")
        return origin if origin and self._may_see(origin, scope) else ""

    def judge(self, scope: Scope) -> Refusal | None:
        """Why the request is refused; None if it is not."""
        return self._wrong_host(scope) or self._wrong_origin(scope) or self._wrong_key(scope)

    def _wrong_host(self, scope: Scope) -> Refusal | None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host = hosts[0].decode("latin-1") if len(hosts) == 1 else ""
        arrived_at = (scope.get("server") or ("",))[0]
        if self._hosts.allows(host, arrived_at):
            return None
        shown = "".join(letter for letter in host[:100] if letter.isprintable())
        return Refusal(
            403,
            f"this server is not called '{shown}'; names of its own go into server.allowed_hosts"
            if shown
            else "the request does not say whom it calls (Host)",
        )

    def _wrong_origin(self, scope: Scope) -> Refusal | None:
        method = scope["method"]
        is_harmless = method in READS and not (method == "OPTIONS" and header(scope, b"access-control-request-method"))
        origin = header(scope, b"origin")
        if not origin or is_harmless or self._may_see(origin, scope):
            return None
        return Refusal(403, "this page may not use the server; its origin has to be in server.cors_origins")

    def require_admin(self, scope: Scope) -> None:
        """For what only the body of a request shows to be an administrator's affair. Raises BadRequest (401, 403)."""
        if (refusal := self._lacking(self._admin_key, scope)) is not None:
            raise BadRequest(refusal.message, refusal.status)

    def _wrong_key(self, scope: Scope) -> Refusal | None:
        method, path = scope["method"], scope["path"]
        if method == "OPTIONS" or (method in READS and path in OPEN):
            return None  # a browser sends no key with a preflight
        return self._lacking(self._admin_key if needs_admin(method, path) else self._api_key, scope)

    def _lacking(self, needed: bytes, scope: Scope) -> Refusal | None:
        given = _presented(scope)
        if not needed or _is(given, needed) or _is(given, self._admin_key):
            return None
        if given and _is(given, self._api_key):
            return Refusal(403, "this needs the admin key (server.admin_key)")
        said = "wrong API key" if given else "an API key is needed: Authorization: Bearer KEY, or x-api-key: KEY"
        return Refusal(401, said, [(b"www-authenticate", b"Bearer")])

    def _may_see(self, origin: str, scope: Scope) -> bool:
        return is_same(origin, header(scope, b"host")) or self._origins.allows(origin)


def needs_admin(method: str, path: str) -> bool:
    """Whether this is an administrator's affair."""
    return (method, path) in ADMIN or path.startswith(ADMIN_BELOW)


def _presented(scope: Scope) -> bytes:
    kind, _, key = header(scope, b"authorization").partition(" ")
    found = key.strip() if kind.lower() == "bearer" and key.strip() else header(scope, b"x-api-key")
    return found.encode("latin-1")


def _is(given: bytes, key: bytes) -> bool:
    """In a time that tells nothing of the key."""
    return bool(key) and hmac.compare_digest(given, key)
