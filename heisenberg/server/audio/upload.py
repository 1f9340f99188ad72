"""Takes in an uploaded form: its file goes to disk as it arrives, its fields are kept.

Nothing of the file is looked at here: it may be anything (``workers/decode.py`` opens it). The file is gone when the
block ends, however it ends.
"""

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from heisenberg.server.asgi import BadRequest, ClientGone, Receive, Scope, header

STALL_S = 60.0
"""Longest wait for the next bytes of an upload."""

MOST_PARTS = 64
LONGEST_FIELD_BYTES = 64 * 1024
FORM_BYTES = 1_000_000
"""What a form may hold besides its file."""

WRITTEN_BYTES = 1 << 20
"""So much is collected before it is written on a thread."""


@dataclass(slots=True)
class Form:
    """What was sent."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    """Values by name, in the order they came."""
    file: Path | None = None
    """Where the file is; None if there was none."""
    file_bytes: int = 0

    def one(self, name: str, otherwise: str = "") -> str:
        """The value of *name*; the last one, where it came twice."""
        return self.fields.get(name, [otherwise])[-1]


@asynccontextmanager
async def uploaded(scope: Scope, receive: Receive, most_bytes: int) -> AsyncIterator[Form]:
    """The form of a request, whose file may have *most_bytes*.

    Raises: BadRequest (400; 408 if it stands still, 413 if it is too large, 507 if it cannot be kept), ClientGone.
    """
    declared = header(scope, b"content-length")
    if declared.isdecimal() and int(declared) > most_bytes + FORM_BYTES:
        raise _too_large(most_bytes)
    parts = _Parts(_boundary(scope), most_bytes)
    descriptor, name = tempfile.mkstemp(prefix="heisenberg-upload-")
    try:
        with os.fdopen(descriptor, "wb", buffering=0) as disk:
            async for block in _blocks(receive):
                parts.take(block)
                if len(parts.pending) >= WRITTEN_BYTES:
                    await asyncio.to_thread(disk.write, parts.take_pending())
            await asyncio.to_thread(disk.write, parts.take_pending())
        parts.check_end()
        if parts.has_file:
            parts.form.file = Path(name)
        yield parts.form
    except OSError as exc:
        raise BadRequest(f"the upload cannot be kept: {exc.strerror}", 507) from exc
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108 - at once, whatever happens


async def _blocks(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it arrives."""
    more = True
    while more:
        try:
            async with asyncio.timeout(STALL_S):
                message = await receive()
        except TimeoutError as exc:
            raise BadRequest(f"nothing came of the upload for {STALL_S:g} s", 408) from exc
        if message["type"] == "http.disconnect":
            raise ClientGone
        more = message.get("more_body", False)
        yield message.get("body", b"")


def _boundary(scope: Scope) -> bytes:
    kind, options = parse_options_header(header(scope, b"content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest("the body has to be multipart/form-data with a boundary", 400)
    return options[b"boundary"]


class _Parts:
    """The parser's callbacks: which part is read, and where its bytes go."""

    def __init__(self, boundary: bytes, most_bytes: int) -> None:
        self.form = Form()
        self.pending = bytearray()
        """Of the file, not written yet."""
        self.has_file = False
        self._most_bytes = most_bytes
        self._has_ended = False
        self._count = self._small_bytes = 0
        self._header = [b"", b""]
        self._name: str | None = None
        self._is_file = False
        self._value = bytearray()
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": lambda data, start, end: self._add_header(0, data[start:end]),
                    "on_header_value": lambda data, start, end: self._add_header(1, data[start:end]),
                    "on_header_end": self._end_header,
                    "on_part_data": lambda data, start, end: self._add(data[start:end]),
                    "on_part_end": self._end_part,
                    "on_end": self._end,
                },
            )
        except FormParserError as exc:
            raise BadRequest(f"the form cannot be read: {exc}") from exc

    def take(self, block: bytes) -> None:
        """More of the body. Raises BadRequest."""
        try:
            self._parser.write(block)
        except FormParserError as exc:
            raise BadRequest(f"the form cannot be read: {exc}") from exc

    def take_pending(self) -> bytes:
        """What is to be written."""
        taken, self.pending = bytes(self.pending), bytearray()
        return taken

    def check_end(self) -> None:
        """The body is over. Raises BadRequest if the form is not."""
        if not self._has_ended:
            raise BadRequest("the form breaks off before its last boundary")

    def _begin(self) -> None:
        self._count += 1
        if self._count > MOST_PARTS:
            raise BadRequest(f"the form has more than {MOST_PARTS} parts")
        self._name, self._is_file = None, False
        self._value.clear()

    def _add_header(self, which: int, data: bytes) -> None:
        self._header[which] += data

    def _end_header(self) -> None:
        name, value = self._header
        self._header = [b"", b""]
        if name.lower() != b"content-disposition":
            return
        _, options = parse_options_header(value)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._is_file = self._name == "file"
        if self._is_file and self.has_file:
            raise BadRequest("the form has more than one file")
        self.has_file = self.has_file or self._is_file

    def _add(self, data: bytes) -> None:
        if self._is_file:
            self.form.file_bytes += len(data)
            if self.form.file_bytes > self._most_bytes:
                raise _too_large(self._most_bytes)
            self.pending += data
            return
        self._small_bytes += len(data)
        self._value += data
        if len(self._value) > LONGEST_FIELD_BYTES or self._small_bytes > FORM_BYTES:
            raise BadRequest(f"field '{self._name}' of the form is too long", 413)

    def _end_part(self) -> None:
        if self._name is None:
            raise BadRequest("a part of the form has no name")
        if not self._is_file:
            self.form.fields.setdefault(self._name, []).append(self._value.decode("utf-8", "replace"))

    def _end(self) -> None:
        self._has_ended = True


def _too_large(most_bytes: int) -> BadRequest:
    return BadRequest(f"the file is larger than {most_bytes / 1e6:.0f} MB (server.max_upload_megabytes)", 413)
