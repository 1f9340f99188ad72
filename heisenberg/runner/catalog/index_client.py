"""A package index's own client (pip, npm) at work: started, watched while it fetches, and ended.

What it is asked for and what becomes of the archive is for ``packages.py`` and ``npm.py`` to say.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from heisenberg.runner.catalog.download import SourceSilent, SourceUnavailable
from heisenberg.runner.catalog.progress import Progress

POLL_S = 0.1
START_S = 10.0
"""What a client may need to get going on a slow machine, beyond the index's own silence."""


def run_client(name: str, argv: Sequence[str], parts: Path, timeout_s: float, progress: Progress) -> None:
    """Run *argv* to its end.

    Args:
        name: what people call the program.
        parts: the folder under which it writes; growth there is its sign of life.
        timeout_s: longest silence.
    Raises: SourceUnavailable if it fails, SourceSilent if it shows no life.
    """
    watched = _Watched(parts, progress)
    shutil.rmtree(watched.temporary, ignore_errors=True)
    watched.temporary.mkdir(parents=True)
    env = {**os.environ, "TMPDIR": str(watched.temporary), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    env |= {"TEMP": env["TMPDIR"], "TMP": env["TMPDIR"]}  # Windows
    log_path = parts / f"{name}.log"
    with log_path.open("wb") as log_file:
        client = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, env=env)
        try:
            _watch(client, watched, timeout_s)
        finally:
            client.kill()
            client.wait()
            shutil.rmtree(watched.temporary, ignore_errors=True)
    if client.returncode:
        raise SourceUnavailable(_complaint(name, log_path))


@dataclass(slots=True)
class _Watched:
    """The folder that a client downloads into; growth is the only sign of life that it gives."""

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


def _watch(client: "subprocess.Popen[bytes]", watched: _Watched, timeout_s: float) -> None:
    heard_at = time.monotonic()
    while True:
        try:
            client.wait(POLL_S)
            return
        except subprocess.TimeoutExpired:
            pass
        if watched.has_grown():
            heard_at = time.monotonic()
        if time.monotonic() - heard_at > timeout_s + START_S:
            raise SourceSilent(f"the package index did not answer within {timeout_s:g} s")


def _complaint(name: str, log_path: Path) -> str:
    """The most telling line of what it printed."""
    lines = [line.strip() for line in log_path.read_text(encoding="utf-8", errors="replace").splitlines()]
    starts = ("ERROR: ", "npm error ", "npm ERR! ")
    errors = [line.removeprefix(start) for line in lines for start in starts if line.startswith(start)]
    # pip ends with what matters; npm says it first, after some codes.
    said = [line for line in errors if not line.startswith(("code ", "syscall ", "errno "))]
    return f"{name}: {said[0 if name == 'npm' else -1]}" if said else f"{name} failed"


def _folder_bytes(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue  # the client removes its files while we look
    return total
