"""How much memory a child and what it started hold. Reads the system's tables; nothing is started or ended here."""

import psutil


class Footprint:
    """The memory of one process and its descendants.

    Args:
        pid: the process that leads them.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._processes: list[psutil.Process] = []

    def measured_bytes(self) -> int:
        """Resident memory now, in bytes; 0 if it is gone.

        The descendants are looked for once, since that reads the table of all processes of the machine.
        """
        if not self._processes:
            self._processes = _family(self.pid)
        return sum(_resident(process) for process in self._processes)


def _family(pid: int) -> list[psutil.Process]:
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.Error:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0
