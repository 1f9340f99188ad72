"""Checksums of files: SHA-256, and git's own for small files in hub repositories."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Checksum:
    """What a file's content must hash to."""

    algorithm: Literal["sha256", "git"]
    """``git``: SHA-1 over a header with the size, then the content."""
    digest: str
    """Lower-case hex."""

    def matches(self, path: Path) -> bool:
        """Whether the file at *path* has this checksum."""
        hasher = hashlib.sha256() if self.algorithm == "sha256" else _git_hasher(path)
        return _hexdigest(path, hasher.update, hasher.hexdigest) == self.digest


def sha256_of(path: Path, on_bytes: Callable[[int], object] = lambda _: None) -> str:
    """SHA-256 of the file at *path* in hex; *on_bytes* is told how many bytes are done."""
    hasher = hashlib.sha256()
    done = 0

    def update(chunk: bytes) -> None:
        nonlocal done
        hasher.update(chunk)
        done += len(chunk)
        on_bytes(done)

    return _hexdigest(path, update, hasher.hexdigest)


def _hexdigest(path: Path, update: Callable[[bytes], object], hexdigest: Callable[[], str]) -> str:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            update(chunk)
    return hexdigest()


def _git_hasher(path: Path) -> "hashlib._Hash":
    return hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
