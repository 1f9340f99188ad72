"""One connection to a Wyoming service, which may be stuck: leaving it never waits.

Used by the clients in ``stt/`` and ``tts/`` and by the readiness probe. It knows nothing of the events.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from wyoming.client import AsyncClient

NOT_WYOMING = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError)
"""What reading an event raises where the connection breaks, or where something else than Wyoming answers."""


@asynccontextmanager
async def connected(uri: str) -> AsyncIterator[AsyncClient]:
    """A client that is connected to *uri* (``unix://`` or ``tcp://``). Raises OSError or ValueError."""
    client = AsyncClient.from_uri(uri)
    await client.connect()
    try:
        yield client
    finally:
        # The library's own disconnect waits until everything was sent, for ever if the service has stopped reading.
        writer = getattr(client, "_writer", None)
        if writer is not None:
            writer.transport.abort()
        with contextlib.suppress(OSError):
            await client.disconnect()
