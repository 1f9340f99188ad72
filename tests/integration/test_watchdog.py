"""A real loop that is blocked, a real thread that hangs, and a real process that ends because of it."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from heisenberg.core.audio import Samples
from heisenberg.orchestrator.patience import Patience, Pauses
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.watchdog import LOOK_EVERY_S, LoopPulse, Watchdog, Watched
from tests.fakes.children import DEADLINE_S, group, is_alive, until
from tests.fakes.stages import reply
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.scene import NOON, TIME, Scene

STALL_S = 0.5


class Watch:
    """A running watchdog, and what it said."""

    def __init__(self, *watched: Watched) -> None:
        self.stalls: list[str] = []
        self.noticed, self.given_up = threading.Event(), threading.Event()
        self.watchdog = Watchdog(
            watched, stall_s=STALL_S, on_stall=self._stalled, give_up=lambda name: self.given_up.set()
        )

    def _stalled(self, name: str, seconds: float, is_healed: bool) -> None:
        self.stalls.append(name)
        self.noticed.set()


@contextlib.asynccontextmanager
async def watch(*watched: Watched) -> AsyncIterator[Watch]:
    running = Watch(*watched)
    running.watchdog.start()
    try:
        yield running
    finally:
        await asyncio.to_thread(running.watchdog.stop)


def loop_pulse(pulse: LoopPulse) -> Watched:
    return Watched("loop", lambda: pulse.count, lambda: False)


async def test_a_blocked_loop_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    """Given a callback that waits for a lock, the log shows which one."""
    pulse = LoopPulse()
    pulse.start()

    async with watch(loop_pulse(pulse)) as running:

        def waits_for_a_lock() -> None:
            assert running.given_up.wait(DEADLINE_S), "nobody noticed"

        asyncio.get_running_loop().call_soon(waits_for_a_lock)
        await asyncio.sleep(0.01)
    pulse.stop()

    assert ["loop"] == running.stalls
    assert "thread MainThread:\n" in caplog.text
    assert "waits_for_a_lock" in caplog.text


async def test_a_loop_that_is_merely_busy_is_left_alone() -> None:
    pulse = LoopPulse()
    pulse.start()
    async with watch(loop_pulse(pulse)) as running:
        for _ in range(20):
            await asyncio.sleep(0.05)
            sum(range(200_000))
    pulse.stop()

    assert [] == running.stalls


class Audio:
    """A thread that counts what it does, can hang, and can be replaced."""

    def __init__(self) -> None:
        self.count = 0
        self.hang = threading.Event()
        self._release = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> bool:
        thread = threading.Thread(target=self._run, args=(len(self._threads),), name="audio")
        self._threads.append(thread)
        thread.start()
        return True

    def heal(self) -> bool:
        self.hang.clear()
        return self.start()

    def close(self) -> None:
        self._release.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        while not self._release.wait(0.02):
            if self.hang.is_set():
                self._release.wait()
                return
            self.count += 1


@pytest.fixture
def audio() -> Iterator[Audio]:
    made = Audio()
    made.start()
    yield made
    made.close()


async def test_a_thread_that_hangs_is_replaced_and_work_goes_on(audio: Audio) -> None:
    async with watch(Watched("audio", lambda: audio.count, audio.heal)) as running:
        audio.hang.set()
        await until(running.noticed.is_set)
        count = audio.count
        await until(lambda: audio.count > count + 50)

    assert ["audio"] == running.stalls
    assert not running.given_up.is_set()


async def test_a_thread_that_hangs_again_is_given_up(audio: Audio) -> None:
    async with watch(Watched("audio", lambda: audio.count, audio.heal)) as running:
        audio.hang.set()
        await until(running.noticed.is_set)
        audio.hang.set()
        await until(running.given_up.is_set)

    assert ["audio", "audio"] == running.stalls


# ── the session's inbox ──────────────────────────────────────────────────────────────────────────


class StuckPatience(Patience):
    """Never comes back from its first pause."""

    def __init__(self) -> None:
        super().__init__(Pauses(complete=0.4, incomplete=1.2), lambda text, language: None)
        self.may_go_on = asyncio.Event()

    async def begin(self, command: Samples, wait_for: Callable[[float], None]) -> None:
        await self.may_go_on.wait()


class SessionWatch:
    """A watchdog over a session's inbox, which looks when the test says so."""

    def __init__(self, session: Session) -> None:
        self.stalls: list[str] = []
        self.given_up: list[str] = []
        self._watchdog = Watchdog(
            [Watched("inbox", lambda: session.inbox_progress, lambda: True)],
            stall_s=STALL_S,
            on_stall=lambda name, seconds, is_healed: self.stalls.append(name),
            give_up=self.given_up.append,
            clock=asyncio.get_running_loop().time,
        )

    async def look_for(self, seconds: float) -> None:
        for _ in range(round(seconds / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            self._watchdog.look()


@in_virtual_time
async def test_messages_that_wait_while_nobody_takes_them_are_a_stall() -> None:
    """Given a loop that goes round, and a session that waits for something that never comes."""
    patience = StuckPatience()
    scene = Scene(patience=patience)
    scene.recogniser.enqueue(TIME)
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        watching = SessionWatch(scene.session)
        scene.wake()
        scene.pause()
        await watching.look_for(2 * STALL_S)

        assert [] == watching.stalls  # nothing else waits yet

        scene.resume()
        await watching.look_for(STALL_S + LOOK_EVERY_S)

        assert ["inbox"] == watching.stalls

        await watching.look_for(STALL_S + LOOK_EVERY_S)

        assert ["inbox"] == watching.given_up

        patience.may_go_on.set()
        scene.command()
        await scene.until("turn_completed")


@in_virtual_time
async def test_a_session_that_works_or_has_nothing_to_do_is_left_alone() -> None:
    scene = Scene()
    async with scene.running():
        watching = SessionWatch(scene.session)
        for number in range(1, 4):
            await scene.a_good_turn(number)
            await watching.look_for(10)

    await watching.look_for(10)

    assert [] == watching.stalls


@in_virtual_time
async def test_what_waits_for_a_session_that_has_ended_is_no_stall() -> None:
    scene = Scene()
    async with scene.running():
        watching = SessionWatch(scene.session)
    scene.wake()
    await watching.look_for(10)

    assert [] == watching.stalls


# ── the process ──────────────────────────────────────────────────────────────────────────────────

PROGRAM = """
    import asyncio, functools, sys, threading
    from pathlib import Path

    from heisenberg.core import logs
    from heisenberg.core.config import RunnerConfig
    from heisenberg.orchestrator.watchdog import LoopPulse, Watchdog, Watched, end_process
    from heisenberg.runner.pool import Pool
    from heisenberg.runner.supervisor.sweep import Ledger
    from tests.fakes.children import Children

    async def main(folder, kind):
        logs.configure(file=str(folder / "log"))
        pool = Pool(RunnerConfig(), Ledger(folder / "children"), lambda *told: None)
        lane = pool.lane("child", lambda: Children(folder).spec("grandchild", "ignore-term"))
        pulse = LoopPulse()
        pulse.start()
        watchdog = Watchdog(
            [Watched("loop", lambda: pulse.count, lambda: False)],
            stall_s=0.5,
            on_stall=lambda *told: None,
            give_up=functools.partial(end_process, kill_children=pool.kill),
        )
        async with lane.lease():
            watchdog.start()
            print(lane.keeper.child.pid, flush=True)
            if kind == "blocked":
                threading.Event().wait()
            await asyncio.sleep(600)

    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


class Program:
    """A program with a watchdog and a child that has a child, in a process of its own."""

    def __init__(self, folder: Path, kind: str) -> None:
        argv = (sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder), kind)
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(argv, stdout=pipe, stderr=pipe, cwd=Path(__file__).parents[2], text=True)
        assert self.process.stdout is not None
        self.child = int(self.process.stdout.readline())


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short path, because it holds sockets."""
    made = Path(tempfile.mkdtemp(prefix="h-"))
    yield made
    shutil.rmtree(made)


@contextlib.contextmanager
def running_program(folder: Path, kind: str) -> Iterator[Program]:
    program = Program(folder, kind)
    try:
        yield program
    finally:
        program.process.kill()
        program.process.communicate()
        with contextlib.suppress(OSError):
            os.killpg(program.child, signal.SIGKILL)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")
async def test_a_program_that_cannot_be_healed_ends_with_status_1_and_leaves_nobody(folder: Path) -> None:
    with running_program(folder, "blocked") as program:
        _, said = await asyncio.to_thread(program.process.communicate, timeout=DEADLINE_S)

        assert 1 == program.process.returncode
        await until(lambda: not group(program.child))

    assert "loop stands still and cannot be healed; ending with status 1" in said
    assert "cannot be healed" in (folder / "log").read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="stopping a process is POSIX")
async def test_a_program_that_was_stopped_and_continued_goes_on(folder: Path) -> None:
    """Given Ctrl-Z for longer than the bound, and then fg."""
    with running_program(folder, "well") as program:
        program.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(1.5)
        program.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(1.5)

        assert program.process.poll() is None
        assert is_alive(program.child)
