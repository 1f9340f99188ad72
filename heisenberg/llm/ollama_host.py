"""Where Ollama is: ``llm.url``, or what its own programs go by. Importing this is cheap."""

import os
from urllib.parse import urlsplit

from heisenberg.core.errors import ConfigError

PORT = 11434
HERE = f"http://127.0.0.1:{PORT}"

_ANY_ADDRESS = {"", "0.0.0.0", "::"}
"""Addresses that a server listens on, and no client can ask."""


def server_url(configured: str) -> str:
    """The URL of the Ollama to ask: *configured* (``llm.url``), else $OLLAMA_HOST, else the usual one here.

    Raises: ConfigError if $OLLAMA_HOST cannot be understood, even if it is not needed: Ollama's client reads it, too,
        when it is imported.
    """
    host = os.environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    try:
        usual = _as_url(host) if host else HERE
    except ValueError as exc:
        raise ConfigError(f'OLLAMA_HOST is "{host}"; it must be host, host:port or http://host:port.') from exc
    return configured.rstrip("/").removesuffix("/v1").removesuffix("/api") if configured else usual


def pull_command(url: str, model: str) -> str:
    """What to type to get *model* into the Ollama at *url*."""
    return f"ollama pull {model}" if url == HERE else f"OLLAMA_HOST={url} ollama pull {model}"


def _as_url(host: str) -> str:
    """*host* as Ollama reads it: without a scheme, its own port is meant, else that of the scheme."""
    scheme, mark, rest = host.partition("://")
    if not mark:
        scheme, rest = "http", host
    parts = urlsplit(f"//{rest}")
    name = parts.hostname or ""
    if scheme not in ("http", "https") or any(char.isspace() for char in host):
        raise ValueError(host)
    port = parts.port or (PORT if not mark else {"http": 80, "https": 443}[scheme])
    name = "127.0.0.1" if name in _ANY_ADDRESS else name
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}{parts.path.rstrip('/')}"
