"""Server-sent events, as language models' servers send them: bytes of a connection in, payloads out; and back.

Small and strict about size, lenient about everything else: comments, any line ending, ``data:`` without a blank, and
llama-server's former ``error:`` lines. What a payload means is the dialects' affair.
"""

from heisenberg.server.asgi import as_json

LONGEST_LINE_BYTES = 32_000_000
"""A server that sends more without a line's end is broken."""

COMMENT = b":\n\n"
"""Says nothing, so that nobody in between takes the connection for dead."""

DONE = b"[DONE]"
"""The last payload of OpenAI's streams."""


class LineTooLong(Exception):
    """A line without end."""


class Payloads:
    """Cuts a stream of bytes into the payloads of its events.

    Each ``data:`` line is one payload: no server of models spreads an event over several lines.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._rest_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that *data* (of one read, cut anywhere) completes. Raises LineTooLong."""
        end = data.rfind(b"\n")
        if end < 0:
            self._keep(data)
            return []
        block = b"".join((*self._rest, data[:end]))
        self._rest, self._rest_bytes = [], 0
        self._keep(data[end + 1 :])
        return [payload for line in block.split(b"\n") if (payload := _payload(line))]

    def finish(self) -> list[bytes]:
        """What is left when the stream ends without a line's end."""
        return self.feed(b"\n")

    def _keep(self, data: bytes) -> None:
        self._rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes > LONGEST_LINE_BYTES:
            raise LineTooLong


def event(payload: bytes) -> bytes:
    """*payload* as an event without a name."""
    return b"data: " + payload + b"\n\n"


def named_event(name: str, found: object) -> bytes:
    """*found* as an event called *name*."""
    return b"event: " + name.encode() + b"\ndata: " + as_json(found) + b"\n\n"


def _payload(line: bytes) -> bytes:
    if line.startswith(b"data:"):
        return line[5:].strip()
    if line.startswith(b"error:"):  # llama-server, some years ago
        found = line[6:].strip()
        return found if found.startswith(b'{"error"') else b'{"error":' + found + b"}"
    return b""
