"""The third net under orphans: children are written down, and a later start ends those left behind.

A child normally ends with us (it watches its standard input, and on Linux the kernel signals it). This
file is for what slips through: a program that was started by hand under a debugger; on macOS, where the kernel does
not signal children, a guard that was killed together with us. It also removes the socket folder of a process that
could not do so itself. A process is only ended if its id *and* its start time match what was written down.
"""

import contextlib
import json
import logging
import os
import secrets
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)

SOCKETS_PREFIX = "heisenberg-"
LATEST_PROGRAM_S = 60.0
"""A guard starts its program at once. What joined the group of a guard that is gone later than this may be a
stranger's, who was given the same number."""


class Ledger:
    """The file that names this process's children and the folder of their sockets.

    Args:
        folder: where ledgers of all running Heisenbergs lie; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}-{secrets.token_hex(3)}.json"
        self._sockets: Path | None = None
        self._pids: dict[str, int] = {}

    def new_sockets_folder(self) -> Path:
        """A new folder with a short path, for sockets that only we may use. Removed by :meth:`close`."""
        self._sockets = Path(tempfile.mkdtemp(prefix=SOCKETS_PREFIX))
        self.write(self._pids)
        return self._sockets

    def write(self, pids: dict[str, int]) -> None:
        """Replace the list of children (name → process id); when there is nothing to remember the file goes."""
        self._pids = pids
        try:
            if not pids and self._sockets is None:
                self._path.unlink(missing_ok=True)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            record = {
                "parent": _birth(os.getpid()),
                "children": {name: [pid, _birth(pid)] for name, pid in pids.items()},
                "sockets": str(self._sockets or ""),
            }
            staged = self._path.with_suffix(".new")
            staged.write_text(json.dumps(record), encoding="utf-8")
            staged.replace(self._path)
        except OSError as exc:
            log.debug("the list of children cannot be written: %s", exc)

    def close(self) -> None:
        """Forget everything, once the children are gone."""
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = None
        self.write({})

    def sweep(self) -> int:
        """End children of Heisenbergs that are gone, and remove their sockets; how many children there were."""
        return sum(_sweep_one(path) for path in self._folder.glob("*.json"))


def _sweep_one(path: Path) -> int:
    parent = path.stem.partition("-")[0]
    if not parent.isdecimal():
        return 0
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if _birth(int(parent)) == (record["parent"] or 0.0):
            return 0
        ended = sum(_end(name, pid, birth) for name, (pid, birth) in record["children"].items())
        _remove_sockets(record.get("sockets", ""))
        path.unlink(missing_ok=True)
        path.with_suffix(".new").unlink(missing_ok=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
        log.debug("%s is not a list of children: %s", path, exc)
        return 0
    return ended


def _end(name: str, pid: int, birth: float | None) -> bool:
    """End the group that *pid* led, if it is still the one that was written down."""
    if birth is None:
        return False
    now = _birth(pid)
    if now != birth and (now is not None or not _has_orphans(pid, birth)):
        return False
    log.warning("ending %s (process %d), left behind by an earlier run", name, pid)
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
        return True
    return False


def _has_orphans(leader: int, birth: float) -> bool:
    """Whether the group of *leader*, which is gone, holds what it started in its first minute."""
    return any(
        _group(process.pid) == leader and 0 <= process.info["create_time"] - birth <= LATEST_PROGRAM_S
        for process in psutil.process_iter(["create_time"])
        if process.info["create_time"] is not None
    )


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


def _remove_sockets(named: Any) -> None:
    """Remove *named*, if it is a folder such as we make: no link, and ours."""
    folder = Path(named)
    if not folder.name.startswith(SOCKETS_PREFIX) or folder.parent != Path(tempfile.gettempdir()):
        return
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


def _birth(pid: int) -> float | None:
    """When process *pid* started (seconds since the epoch), None if it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
