"""Real children under the pool: they come back when they die, and none of them outlives us, however we end."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heisenberg.core.config import RunnerConfig
from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner.lanes import Lane
from heisenberg.runner.pool import Pool
from heisenberg.runner.supervisor import keeper
from heisenberg.runner.supervisor.process import ChildSpec
from heisenberg.runner.supervisor.sweep import Ledger
from heisenberg.workers import guard
from tests.fakes.children import DEADLINE_S, Children, ask, group, is_alive, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")

CONFIG = RunnerConfig(start_timeout_seconds=20, stop_grace_seconds=0.5, breaker_failures=3)


class Scene:
    """A pool of real children."""

    def __init__(self, folder: Path) -> None:
        self.children = Children(folder)
        self.told: list[tuple[str, str, str]] = []
        self.ledgers = folder / "children"
        self.pool = Pool(CONFIG, Ledger(self.ledgers), lambda *what: self.told.append(what))

    def lane(self, *habits: str, name: str = "fake", places: int = 1) -> Lane:
        return self.pool.lane(name, lambda: self.children.spec(*habits, name=name), places)

    def lane_of(self, *specs: Callable[[], ChildSpec]) -> Lane:
        """A lane whose children are made by *specs* in turn; the last one for ever."""
        remaining = list(specs)
        return self.pool.lane("fake", lambda: (remaining.pop(0) if len(remaining) > 1 else remaining[0])())


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a short path, because it holds sockets."""
    made = Path(tempfile.mkdtemp(prefix="h-"))
    yield made
    shutil.rmtree(made)


@asynccontextmanager
async def scene_in(folder: Path) -> AsyncIterator[Scene]:
    """A pool that is closed in bounded time, after which no child is left."""
    scene = Scene(folder)
    try:
        yield scene
    finally:
        pids = scene.pool.pids().values()
        async with asyncio.timeout(DEADLINE_S):
            await scene.pool.close()
        await until(lambda: not [pid for leader in pids for pid in group(leader)])


async def the_child_answers(lane: Lane) -> int:
    """Lease it and talk to it; its process id."""
    async with asyncio.timeout(DEADLINE_S), lane.lease() as lease:
        from heisenberg.runner.supervisor.process import Address

        return int((await ask(Address(lease.url), "?")).removeprefix("ready "))


async def tell(lane: Lane, word: str) -> None:
    """Say *word* to the child."""
    child = lane.keeper.child
    assert child is not None
    await ask(child.spec.address, word)


async def test_a_child_is_started_when_it_is_first_needed(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane()

        assert {} == scene.pool.pids()

        pid = await the_child_answers(lane)

        assert {"fake": pid} == scene.pool.pids()
        assert [("started", "fake", "start")] == scene.told
    assert not is_alive(pid)


async def test_a_child_that_crashes_comes_back(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane()
        first = await the_child_answers(lane)
        await tell(lane, "crash")
        await until(lambda: len(scene.told) == 3)

        assert first != await the_child_answers(lane)
        assert [
            ("started", "fake", "start"),
            ("failed", "fake", 'was ended by SIGSEGV. Last line: "about to crash"'),
            ("started", "fake", "restart"),
        ] == scene.told


async def test_a_child_that_is_killed_in_use_costs_one_request(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane()
        first = await the_child_answers(lane)
        async with lane.lease() as lease:
            os.kill(first, signal.SIGKILL)
            lease.condemn("the connection broke")

        assert first != await the_child_answers(lane)


async def test_a_child_that_hangs_is_condemned_and_replaced(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane("ignore-term")
        first = await the_child_answers(lane)
        async with lane.lease() as lease:
            await tell(lane, "stop")
            lease.condemn("it is silent")

        assert first != await the_child_answers(lane)
        assert not is_alive(first)


async def test_a_child_that_is_stopped_in_use_is_replaced(folder: Path) -> None:
    """Given a worker that hangs under a request, nobody need say so for the next one to be served."""
    async with scene_in(folder) as scene:
        lane = scene.lane()
        first = await the_child_answers(lane)
        async with lane.lease():
            os.kill(first, signal.SIGSTOP)
            await until(lambda: lane.keeper.child is None or lane.keeper.child.pid != first)

        assert first != await the_child_answers(lane)
        assert ("failed", "fake", "it does not answer") in scene.told
        assert not is_alive(first)


async def test_who_waits_in_the_queue_behind_a_stopped_child_is_served(folder: Path) -> None:
    """Given a request that hangs, the one that waits for the lease does not spend all its time in the queue."""
    async with scene_in(folder) as scene:
        lane = scene.lane()
        first = await the_child_answers(lane)

        async def hangs() -> None:
            async with lane.lease() as lease:
                os.kill(first, signal.SIGSTOP)
                reader, writer = await asyncio.open_unix_connection(lease.url.removeprefix("unix://"))
                await reader.read()  # until the connection breaks
                writer.close()

        hanging = asyncio.create_task(hangs())
        await asyncio.sleep(0)

        assert first != await the_child_answers(lane)

        await asyncio.gather(hanging, return_exceptions=True)


async def test_what_a_dead_child_left_in_its_group_is_ended(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane("grandchild")
        first = await the_child_answers(lane)

        assert 2 == len(group(first))

        os.kill(first, signal.SIGKILL)
        await until(lambda: not group(first))

        assert first != await the_child_answers(lane)


async def test_everybody_who_waits_is_told_of_a_failed_start(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane("say=no such file", "exit=1", places=4)
        waiting = [asyncio.create_task(the_child_answers(lane)) for _ in range(4)]
        results = await asyncio.gather(*waiting, return_exceptions=True)

        assert {'fake did not start: it exited with code 1. Last line: "no such file"'} == {str(r) for r in results}


async def test_the_breaker_opens_and_closes_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a model that fails three times, whoever asks is told at once; after its rest it works again."""
    monkeypatch.setattr(keeper, "LONGEST_BACKOFF_S", 0.6)
    async with scene_in(folder) as scene:
        bad, good = (lambda: scene.children.spec("exit=1")), (lambda: scene.children.spec())
        lane = scene.lane_of(bad, bad, bad, good)
        with pytest.raises(ModelFailedToStart):
            await the_child_answers(lane)
        await until(lambda: len(scene.told) == 3)
        with pytest.raises(ModelFailedToStart, match="failed 3 times in a row") as caught:
            await the_child_answers(lane)

        assert "model-breaker-open" == caught.value.code

        await until(lambda: len(scene.told) == 4)

        assert await the_child_answers(lane)
        assert ("started", "fake", "restart") == scene.told[-1]


async def test_closing_while_a_child_starts_leaves_nothing(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lane = scene.lane("grandchild", "never-ready")
        waiting = asyncio.create_task(the_child_answers(lane))
        await until(lambda: (folder / "1.pid").exists() and (folder / "1.pid").read_text())
        pid = int((folder / "1.pid").read_text())
        await until(lambda: len(group(pid)) == 2)
        await scene.pool.close()
        with pytest.raises(ModelFailedToStart, match="was stopped"):
            await waiting

        await until(lambda: not group(pid))


async def test_closing_ends_all_children_even_stubborn_ones(folder: Path) -> None:
    async with scene_in(folder) as scene:
        lanes = [scene.lane("ignore-term", "grandchild", name=name) for name in ("whisper", "piper", "llama")]
        pids = [await the_child_answers(lane) for lane in lanes]

        assert 3 == len(set(pids))
    assert not any(is_alive(pid) for pid in pids)


async def test_running_children_are_written_down(folder: Path) -> None:
    async with scene_in(folder) as scene:
        pid = await the_child_answers(scene.lane())
        (path,) = scene.ledgers.iterdir()

        assert pid == json.loads(path.read_text())["children"]["fake"][0]
    assert [] == list(scene.ledgers.iterdir())


async def test_starting_children_are_written_down_too(folder: Path) -> None:
    """Given that we are killed while a model loads, which takes long, the next run must find it."""
    async with scene_in(folder) as scene:
        lane = scene.lane("never-ready")
        waiting = asyncio.create_task(the_child_answers(lane))
        await until(lambda: lane.keeper.process is not None)
        (path,) = scene.ledgers.iterdir()
        process = lane.keeper.process

        assert process is not None
        assert process.pid == json.loads(path.read_text())["children"]["fake"][0]
        assert {} == scene.pool.pids()

        await scene.pool.close()
        with pytest.raises(ModelFailedToStart, match="was stopped"):
            await waiting


async def test_a_kill_without_waiting_ends_ready_and_starting_children(folder: Path) -> None:
    async with scene_in(folder) as scene:
        ready, starting = scene.lane("grandchild", name="ready"), scene.lane("never-ready", name="starting")
        first = await the_child_answers(ready)
        waiting = asyncio.create_task(the_child_answers(starting))
        await until(lambda: starting.keeper.process is not None)
        assert starting.keeper.process is not None
        second = starting.keeper.process.pid
        await asyncio.to_thread(scene.pool.kill)
        await until(lambda: not group(first) and not group(second))
        await scene.pool.close()
        await asyncio.gather(waiting, return_exceptions=True)


# ── however we end ───────────────────────────────────────────────────────────────────────────────

PARENT = """
    import asyncio, sys
    from pathlib import Path

    from heisenberg.core.config import RunnerConfig
    from heisenberg.runner.pool import Pool
    from heisenberg.runner.supervisor.process import Address, ChildSpec
    from heisenberg.runner.supervisor.sweep import Ledger
    from tests.fakes.children import Children, is_ready

    async def always(address): return True

    async def main(folder, kind):
        children = Children(folder)
        pool = Pool(RunnerConfig(), Ledger(folder / "children"), lambda *told: None)
        def new_spec():
            if kind == "guarded":
                guard = Path(sys.argv[3])
                argv = (sys.executable, "-I", "-S", str(guard), "sleep", "600")
                return ChildSpec("guarded", argv, Address(""), always)
            return children.spec(*(["lifeline"] if kind == "lifeline" else []), "slow=0.01")
        async with pool.lane("child", new_spec).lease():
            print(" ".join(str(pid) for pid in pool.pids().values()), flush=True)
            await asyncio.sleep(600)

    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
"""


class Parent:
    """A program with a pool, in a process of its own."""

    def __init__(self, folder: Path, kind: str) -> None:
        argv = (sys.executable, "-c", textwrap.dedent(PARENT), str(folder), kind, str(guard.__file__))
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True)
        assert self.process.stdout is not None
        self.leader = int(self.process.stdout.readline())
        self.process.stdout.close()

    def end(self, how: signal.Signals) -> None:
        self.process.send_signal(how)
        self.process.wait(DEADLINE_S)


@contextlib.contextmanager
def parent_of(folder: Path, kind: str) -> Iterator[Parent]:
    parent = Parent(folder, kind)
    try:
        yield parent
    finally:
        parent.process.kill()
        parent.process.wait()
        for pid in group(parent.leader):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda how: how.name)
@pytest.mark.parametrize("kind", ["lifeline", "guarded"])
async def test_no_child_outlives_its_parent(folder: Path, kind: str, how: signal.Signals) -> None:
    with parent_of(folder, kind) as parent:
        await until(lambda: len(group(parent.leader)) >= (2 if kind == "guarded" else 1))
        parent.end(how)
        await until(lambda: not group(parent.leader))


async def test_what_slips_through_is_swept_by_the_next_run(folder: Path) -> None:
    """Given a child that does not watch its parent, when the parent is killed, a later start ends it."""
    with parent_of(folder, "stubborn") as parent:
        parent.end(signal.SIGKILL)

        assert is_alive(parent.leader)
        assert 1 == Ledger(folder / "children").sweep()

        await until(lambda: not group(parent.leader))


def guarded(*argv: str, leads: bool = False) -> subprocess.Popen[str]:
    """*argv* under the guard, whose standard input we hold open. *leads*: in a group of its own."""
    command = (sys.executable, "-I", "-S", str(guard.__file__), *argv)
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, text=True, start_new_session=leads
    )


@pytest.mark.parametrize(("code", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -9 $$", 128 + 9)])
def test_the_guard_ends_like_its_program(code: str, status: int) -> None:
    with guarded("sh", "-c", code) as process:
        process.wait(DEADLINE_S)

        assert status == process.returncode


def test_the_guard_names_a_program_that_does_not_exist() -> None:
    with guarded("/nowhere/llama-server") as process:
        assert process.stdout is not None
        said = process.stdout.read()

    assert "/nowhere/llama-server: No such file or directory\n" == said
    assert 1 == process.returncode


def test_the_guard_passes_the_request_to_end_on() -> None:
    with guarded("sh", "-c", "trap 'exit 5' TERM; echo on; while :; do sleep 0.05; done") as process:
        assert process.stdout is not None
        assert "on\n" == process.stdout.readline()

        process.terminate()

        assert 5 == process.wait(DEADLINE_S)


async def test_what_the_guards_program_started_ends_with_our_end_too() -> None:
    """Given a guard that leads its group, as under the supervisor, the end of its standard input ends all of it."""
    with guarded("sh", "-c", "sleep 600 & sleep 600; true", leads=True) as process:
        await until(lambda: len(group(process.pid)) == 4)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(DEADLINE_S)
        await until(lambda: not group(process.pid))


STUCK_WORKER = """
    import asyncio, threading
    from heisenberg.workers import wyoming_service

    def stuck_in_the_model():
        threading.Event().wait()

    async def main():
        thread = wyoming_service.ModelThread()
        wyoming_service.LONGEST_STEP_S = 0.5
        assert 4 == await thread.run(lambda: 4)
        await asyncio.sleep(0.7)  # a step that is over is watched no more
        print("well", flush=True)
        await thread.run(stuck_in_the_model)

    asyncio.run(main())
"""


def test_a_worker_whose_model_is_stuck_ends_itself() -> None:
    """Given a model that never comes to its next result, the parent gets to know by the process's end."""
    argv = (sys.executable, "-c", textwrap.dedent(STUCK_WORKER))
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60)

    assert "well\n" == ended.stdout
    assert 1 == ended.returncode
    assert "stuck_in_the_model" in ended.stderr
