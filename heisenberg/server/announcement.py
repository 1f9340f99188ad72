"""What is printed when the server is up: where it is, what clients are told, and which models they find.

Lines only; ``commands/serve.py`` prints them. Nothing is opened or sent.
"""

import socket
from collections.abc import Sequence

from heisenberg.core.config import ServerConfig

SHOWN_MODELS = 8

_SOMEWHERE = ("192.0.2.1", 9)
"""An address that nobody has (RFC 5737). Connecting a datagram socket to it sends nothing."""

_EVERY_ADDRESS = {"0.0.0.0": "0.0.0.0", "::": "[::]", "": "0.0.0.0"}  # server.host → how a URL says it


def announcement(
    server: ServerConfig, urls: Sequence[str], models: Sequence[str], wyoming: Sequence[str] = ()
) -> list[str]:
    """The lines.

    Args:
        server: host and key.
        urls: where it listens, ours first.
        models: names of all models that there are.
        wyoming: addresses of speech to text, text to speech and the wake words, if they are served.
    """
    ours, *others = (_for_clients(server.host, url) for url in urls)
    lines = [
        f"Serving on {' and '.join(urls)}. Ctrl-C ends it.",
        f"  OpenAI clients: base URL {ours}/v1   LM Studio clients: {ours}",
        *(f"  Ollama clients: {other}" for other in others),
    ]
    if wyoming:
        services = zip(("speech to text", "text to speech", "wake words"), wyoming, strict=False)
        lines.append(f"  Home Assistant (Wyoming): {', '.join(f'{what} {address}' for what, address in services)}")
    if server.api_key:
        lines.append("  Each needs the key in server.api_key.")
    return [*lines, f"  {_models(models)}", f"  What it can do: {ours}/docs"]


def _models(names: Sequence[str]) -> str:
    if not names:
        return "No model is installed yet. In another terminal: heisenberg models pull starter"
    more = len(names) - SHOWN_MODELS
    return f"Models: {', '.join(names[:SHOWN_MODELS])}" + (f" and {more} more" if more > 0 else "")


def _for_clients(host: str, url: str) -> str:
    """*url* as others reach it: "every address" is none that one could connect to."""
    unspecified = _EVERY_ADDRESS.get(host)
    return url.replace(unspecified, _own_address(), 1) if unspecified else url


def _own_address() -> str:
    """This machine's address in its network; its name if it has no network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_SOMEWHERE)
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()
