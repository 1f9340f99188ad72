"""Server-sent events, from bytes to their data. Knows nothing of what the data mean."""

import re

LONGEST_LINE_BYTES = 1 << 20
"""A line longer than this comes from something that is no event stream."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


class EventReader:
    """One stream. Lines may be cut anywhere, even within a character."""

    def __init__(self) -> None:
        self._bytes = b""
        self._data: list[str] = []

    def feed(self, received: bytes) -> list[str]:
        """The data of each event that *received* completes.

        Raises: ValueError if it cannot be an event stream.
        """
        *lines, self._bytes = _LINE_END.split(self._bytes + received)
        if len(self._bytes) > LONGEST_LINE_BYTES:
            raise ValueError(f"a line of more than {LONGEST_LINE_BYTES} bytes")
        return [data for line in lines if (data := self._take(line.decode(errors="replace")))]

    def flush(self) -> list[str]:
        """The data of the event that the end of the stream completes."""
        return [data for data in (*self.feed(b"\n"), self._take("")) if data]

    def _take(self, line: str) -> str | None:
        if not line:
            data, self._data = "\n".join(self._data), []
            return data or None
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "error":  # llama-server before 2025 named its failures so
            self._data.append(f'{{"error": {value}}}')
        return None
