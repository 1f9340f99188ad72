"""The bytes of a file's header, read forwards in parts, within bounds. Knows how GGUF writes numbers and texts.

Every length is checked against what is left of the file, and what one file may cost has a limit: 256 MiB are looked at
and 4 million entries walked, which takes seconds.
"""

import os
import struct
from pathlib import Path
from typing import BinaryIO

from heisenberg.core.errors import ModelUnreadable

HEADER_BYTES_MAX = 256 << 20
ENTRIES_MAX = 4_000_000
"""Keys, tensors and elements of text arrays together; the largest vocabularies with their merges have 1 million."""
TEXT_BYTES_MAX = 16 << 20
WINDOW_BYTES = 256 << 10
SEARCHED_BYTES_MAX = 64
"""Longer elements of text arrays are not found when searched for."""

U32, U64 = struct.Struct("<I"), struct.Struct("<Q")

RELOAD = "Download it again or remove it."


def unreadable(path: Path, what: str, next_step: str = RELOAD) -> ModelUnreadable:
    """The error for the file at *path*: *what* is wrong with it, and the *next_step*."""
    return ModelUnreadable(f"{path} cannot be used as a model: {what}. {next_step}")


class Window:
    """A moving part of a file. Not mmap: a file that shrinks or a share that goes away would kill the process."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.size = os.fstat(file.fileno()).st_size
        self._start = 0
        self._bytes = b""
        self._at = 0
        self._entries = 0

    def fault(self, what: str, next_step: str = RELOAD) -> ModelUnreadable:
        """The error for this file."""
        return unreadable(self._path, what, next_step)

    @property
    def position(self) -> int:
        """In the file, in bytes."""
        return self._start + self._at

    def u32(self) -> int:
        """The next number of 4 bytes."""
        return int(self.number(U32))

    def u64(self) -> int:
        """The next number of 8 bytes."""
        return int(self.number(U64))

    def number(self, layout: struct.Struct) -> int | float:
        """The next number."""
        self._fill(layout.size)
        (value,) = layout.unpack_from(self._bytes, self._at)
        self._at += layout.size
        return value  # type: ignore[no-any-return]

    def text_length(self) -> int:
        """The length of the text that follows, in bytes."""
        return self._plausible(self.u64())

    def take(self, count: int) -> bytes:
        """The next *count* bytes."""
        self._fill(count)
        taken = self._bytes[self._at : self._at + count]
        self._at += count
        return taken

    def skip(self, count: int) -> None:
        """Pass over *count* bytes."""
        self._check(count)
        self._at += count

    def spend(self, entries: int) -> None:
        """Account for so many *entries*, before walking them."""
        self._entries += entries
        if self._entries > ENTRIES_MAX:
            raise self.fault(f"its header has more than {ENTRIES_MAX} entries")

    def skip_texts(self, count: int, searched: tuple[bytes, ...] = ()) -> bool:
        """Pass over *count* texts with their lengths; returns whether one of the *searched* is among them."""
        self.spend(count)
        is_found = False
        while count:
            self._check(8 * count)
            self._fill(min(8 + SEARCHED_BYTES_MAX, self.size - self.position))
            begin = self._at
            count -= self._skip_some_texts(count)
            is_found = is_found or any(self._bytes.find(text, begin, self._at) >= 0 for text in searched)
        return is_found

    def _skip_some_texts(self, count: int) -> int:
        """Pass over up to *count* texts that begin in this window; returns how many."""
        window, at, length, done = self._bytes, self._at, 0, 0
        # What begins before here and is searched for also ends in this window.
        is_last = self._start + len(window) >= self.size
        end = len(window) - (8 if is_last else 8 + SEARCHED_BYTES_MAX)
        unpack = U64.unpack_from
        # The one loop that matters: it runs for every token of a vocabulary.
        for _ in range(count):
            if at > end:
                break
            (length,) = unpack(window, at)
            at += 8 + length
            done += 1
        self._plausible(length)
        self.skip(at - self._at)
        return done

    def _plausible(self, length: int) -> int:
        if length > TEXT_BYTES_MAX:
            raise self.fault(f"a text is said to have {length} bytes, more than {TEXT_BYTES_MAX}")
        return length

    def _check(self, count: int) -> None:
        end = self.position + count
        if end > self.size:
            raise self.fault("it ends within its header")
        if end > HEADER_BYTES_MAX:
            raise self.fault(f"its header has more than {HEADER_BYTES_MAX} bytes")

    def _fill(self, count: int) -> None:
        """Have the next *count* bytes in the window."""
        if len(self._bytes) - self._at >= count:
            return
        self._check(count)
        self._start, self._at = self.position, 0
        self._file.seek(self._start)
        self._bytes = self._file.read(max(count, WINDOW_BYTES))
        if len(self._bytes) < count:
            raise self.fault("it shrank while it was read")
