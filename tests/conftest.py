"""What every test may rely on: a clean environment before it, and nothing left behind after it."""

import asyncio
import inspect
import os
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings

from heisenberg.core import logs, sources

settings.register_profile("patient", deadline=None)  # how long an example takes depends on what else runs
settings.load_profile("patient")

GRACE_SECONDS = 2.0
"""How long something that is already ending may take."""


@pytest.fixture(scope="session", autouse=True)
def _private_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The developer's own configuration and logs stay out of the tests; the models folder is shared."""
    with pytest.MonkeyPatch.context() as patch:
        pip_config = Path("~/.config/pip/pip.conf").expanduser()
        if pip_config.is_file() and "PIP_CONFIG_FILE" not in os.environ:
            patch.setenv("PIP_CONFIG_FILE", str(pip_config))  # pip looks in XDG_CONFIG_HOME, too
        for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith("HEISENBERG_E2E_"):
            continue  # addresses the tests themselves
        if name.startswith(sources.PREFIX) or name in (*sources.ALIASES, "NO_COLOR"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _logs_reset() -> Iterator[None]:
    yield
    logs.reset()


@pytest.fixture(autouse=True)
def _no_leaked_children() -> Iterator[None]:
    """Every process that a test starts has ended when the test has."""
    before = {child.pid for child in _children()}
    yield
    leaked = [child for child in _children() if child.pid not in before]
    if not leaked:
        return
    _, leaked = psutil.wait_procs(leaked, timeout=GRACE_SECONDS)
    found = [_described(child) for child in leaked]
    for child in leaked:
        child.kill()
    if found:
        pytest.fail(f"child processes left behind: {', '.join(found)}", pytrace=False)


def _children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if _is_ours(child)]


def _is_ours(child: psutil.Process) -> bool:
    """Python's own resource tracker lives until the interpreter ends; a zombie holds nothing but its number."""
    try:
        return child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline())
    except psutil.Error:
        return False


def _described(child: psutil.Process) -> str:
    try:
        return f"{child.pid} {' '.join(child.cmdline())[:80]}"
    except psutil.Error:
        return str(child.pid)


@pytest.fixture(autouse=True)
def _no_leaked_threads() -> Iterator[None]:
    """Every thread that a test starts has ended when the test has."""
    before = set(threading.enumerate())
    yield
    leaked = [thread for thread in threading.enumerate() if thread not in before]
    for thread in leaked:
        thread.join(GRACE_SECONDS)
    alive = [thread.name for thread in leaked if thread.is_alive()]
    if alive:
        pytest.fail(f"threads left behind: {', '.join(alive)}", pytrace=False)


@pytest.fixture(autouse=True)
def _no_leaked_tasks(request: pytest.FixtureRequest, _no_leaked_threads: None) -> None:
    """Every task that an asynchronous test starts has ended when the test has."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_watched_tasks")


@pytest.fixture
async def _watched_tasks() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    mine = asyncio.current_task()
    leaked = asyncio.all_tasks() - before - {mine}
    if leaked:
        _, leaked = await asyncio.wait(leaked, timeout=0.1)
    if leaked:
        pytest.fail(f"tasks left behind: {', '.join(task.get_name() for task in leaked)}", pytrace=False)
