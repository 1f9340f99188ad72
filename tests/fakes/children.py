"""How the supervisor's tests start ``child.py``, talk to it, and see that nothing of it is left."""

import asyncio
import itertools
import os
import sys
from pathlib import Path

import psutil

from heisenberg.runner.supervisor.process import Address, ChildSpec

PROGRAM = Path(__file__).with_name("child.py")
DEADLINE_S = 10.0
POLL_S = 0.02


class Children:
    """Makes specs of ``child.py``. *folder* must have a short path: it holds sockets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    def spec(self, *habits: str, name: str = "fake", env: dict[str, str] | None = None) -> ChildSpec:
        """A fresh child with these habits."""
        path = self._folder / str(next(self._numbers))
        argv = (sys.executable, "-I", "-S", str(PROGRAM), str(path), *habits)
        return ChildSpec(name, argv, Address(f"unix://{path}"), is_ready, env or {})


def pid_of(spec: ChildSpec) -> int:
    """The process id that a child wrote down; 0 if it never ran."""
    note = Path(spec.address.url.removeprefix("unix://") + ".pid")
    return int(note.read_text() or 0) if note.is_file() else 0


async def is_ready(address: Address) -> bool:
    """Whether it answers."""
    return (await ask(address, "?")).startswith("ready")


async def ask(address: Address, word: str) -> str:
    """What it answers to *word*; empty if nothing."""
    try:
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_unix_connection(address.url.removeprefix("unix://"))
            try:
                writer.write(word.encode())
                return (await reader.read(64)).decode()
            finally:
                writer.close()
                await writer.wait_closed()
    except (OSError, TimeoutError):
        return ""


def is_alive(pid: int) -> bool:
    """Whether process *pid* runs; a zombie does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def group(pgid: int) -> list[int]:
    """The running processes of a group."""
    return [pid for pid in psutil.pids() if is_alive(pid) and _group_of(pid) == pgid]


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:
        return None


async def until(condition: object) -> None:
    """Wait until *condition* () is true; fails after a while. For what no event announces."""
    assert callable(condition)
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110 - another process is watched, which sets no event of ours
            await asyncio.sleep(POLL_S)
