"""The third net under orphans: children are written down, and a later start ends those left behind.

A child normally ends with us (it watches its standard input, and on Linux the kernel signals it). This
file is for what slips through, such as a program that was started by hand under a debugger.
A process is only ended if its id *and* its start time match what was written down.
"""

import contextlib
import json
import logging
import os
import signal
from pathlib import Path

import psutil

log = logging.getLogger(__name__)


class Ledger:
    """The file that names this process's children.

    Args:
        folder: where ledgers of all running Heisenbergs lie; made if missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{os.getpid()}.json"

    def write(self, pids: dict[str, int]) -> None:
        """Replace the list of children; an empty one removes the file."""
        try:
            if not pids:
                self._path.unlink(missing_ok=True)
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            record = {"parent": _birth(os.getpid()), "children": {n: [p, _birth(p)] for n, p in pids.items()}}
            staged = self._path.with_suffix(".new")
            staged.write_text(json.dumps(record), encoding="utf-8")
            staged.replace(self._path)
        except OSError as exc:
            log.debug("the list of children cannot be written: %s", exc)

    def sweep(self) -> int:
        """End children of Heisenbergs that are gone; how many there were."""
        return sum(self._sweep_one(path) for path in self._folder.glob("*.json") if path.stem.isdigit())

    def _sweep_one(self, path: Path) -> int:
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if _birth(int(path.stem)) == (record["parent"] or 0.0):
                return 0
            ended = 0
            for name, (pid, birth) in record["children"].items():
                if birth is not None and _birth(pid) == birth:
                    log.warning("ending %s (process %d), left behind by an earlier run", name, pid)
                    with contextlib.suppress(OSError):
                        os.killpg(pid, signal.SIGKILL)
                        ended += 1
            path.unlink(missing_ok=True)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as exc:
            log.debug("%s is not a list of children: %s", path, exc)
            return 0
        return ended


def _birth(pid: int) -> float | None:
    """When process *pid* started (seconds since the epoch), None if it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
