"""One life of a real child process, whatever its habits."""

import asyncio
import os
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner.supervisor.process import (
    KEPT_LINES,
    LINE_LIMIT_BYTES,
    SHOWN_CHARACTERS,
    Address,
    ChildProcess,
    ChildSpec,
)
from tests.fakes.children import Children, ask, group, is_alive, pid_of, until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")

START_TIMEOUT_S = 20.0
SOON_S = 10.0
"""Nothing here may take longer, however slow the machine."""


@pytest.fixture
def children() -> Iterator[Children]:
    folder = Path(tempfile.mkdtemp(prefix="h-"))
    yield Children(folder)
    shutil.rmtree(folder)


@asynccontextmanager
async def running(spec: ChildSpec, grace_s: float = 2.0) -> AsyncIterator[ChildProcess]:
    """A child that is ready; stopped at the end of the block, and then nothing of it is left."""
    child = await ChildProcess.start(spec, START_TIMEOUT_S)
    try:
        yield child
    finally:
        async with asyncio.timeout(SOON_S):
            await child.stop(grace_s)
            await until(lambda: not group(child.pid))


async def failure(spec: ChildSpec, timeout_s: float = START_TIMEOUT_S) -> str:
    """The error line of a child that does not start."""
    async with asyncio.timeout(SOON_S + timeout_s):
        with pytest.raises(ModelFailedToStart) as caught:
            await ChildProcess.start(spec, timeout_s)
    assert "\n" not in caught.value.message
    if pid := pid_of(spec):
        await until(lambda: not group(pid))
    return caught.value.message


async def test_a_started_child_answers(children: Children) -> None:
    async with running(children.spec("slow=0.2")) as child:
        assert child.is_running
        assert f"ready {child.pid}" == await ask(child.spec.address, "?")
    assert not child.is_running


async def test_a_child_that_ends_at_once_is_told_with_its_last_words(children: Children) -> None:
    message = await failure(children.spec("say=failed to load model", "exit=1"))

    assert 'fake did not start: it exited with code 1. Last line: "failed to load model"' == message


async def test_a_child_that_ends_without_a_word(children: Children) -> None:
    assert "fake did not start: it exited with code 0" == await failure(children.spec("exit=0"))


async def test_a_last_line_without_an_end_is_told_too(children: Children) -> None:
    message = await failure(children.spec("say=out of memory", "unfinished", "exit=3"))

    assert 'fake did not start: it exited with code 3. Last line: "out of memory"' == message


async def test_a_program_that_does_not_exist_is_named(children: Children) -> None:
    spec = ChildSpec("fake", ("/nowhere/llama-server",), Address("unix:///x"), lambda address: ask(address, "?"))

    assert "fake cannot be started: No such file or directory (/nowhere/llama-server)." == await failure(spec)


async def test_a_file_that_is_no_program_is_named(children: Children, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("weights")
    argv = (str(tmp_path / "model.gguf"),)
    spec = ChildSpec("fake", argv, Address("unix:///x"), lambda address: ask(address, "?"))

    assert "fake cannot be started: Permission denied" in await failure(spec)


async def test_a_child_that_never_answers_is_given_up_and_ended(children: Children) -> None:
    message = await failure(children.spec("say=loading", "never-ready", "grandchild", "ignore-term"), timeout_s=1.5)

    assert 'fake did not answer within 1.5 s. Last line: "loading". See runner.start_timeout_seconds.' == message


async def test_a_probe_that_hangs_is_no_reason_to_wait_longer(children: Children) -> None:
    async def hangs(address: Address) -> bool:
        await asyncio.Event().wait()
        return True

    made = children.spec("never-ready")
    message = await failure(ChildSpec("fake", made.argv, made.address, hangs), timeout_s=0.3)

    assert "fake did not answer within 0.3 s." in message


async def test_leaving_a_start_leaves_no_child(children: Children) -> None:
    spec = children.spec("grandchild", "never-ready")
    starting = asyncio.create_task(ChildProcess.start(spec, START_TIMEOUT_S))
    await until(lambda: len(group(pid_of(spec))) == 2)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting

    await until(lambda: not group(pid_of(spec)))


async def test_a_crash_is_told_by_its_signal(children: Children) -> None:
    async with running(children.spec()) as child:
        await ask(child.spec.address, "crash")

        assert 'was ended by SIGSEGV. Last line: "about to crash"' == await child.exited()


async def test_an_exit_is_told_by_its_code(children: Children) -> None:
    async with running(children.spec("last-words=no space left")) as child:
        await ask(child.spec.address, "exit 7")

        assert 'exited with code 7. Last line: "no space left"' == await child.exited()


async def test_a_child_that_ignores_the_request_is_killed(children: Children) -> None:
    async with running(children.spec("ignore-term"), grace_s=0.2) as child:
        pass

    assert not is_alive(child.pid)


async def test_its_own_children_are_ended_with_it(children: Children) -> None:
    async with running(children.spec("grandchild")) as child:
        assert 2 == len(group(child.pid))


async def test_the_end_is_noticed_although_a_grandchild_holds_the_pipe(children: Children) -> None:
    async with running(children.spec("grandchild")) as child:
        await ask(child.spec.address, "crash")
        async with asyncio.timeout(SOON_S):
            assert "was ended by SIGSEGV" in await child.exited()

        assert 1 == len(group(child.pid))


async def test_a_line_without_end_fills_no_memory(children: Children) -> None:
    async with running(children.spec("long-line=200000")) as child:
        await until(lambda: child.last_line)

        assert len(child._unfinished) <= LINE_LIMIT_BYTES
        assert SHOWN_CHARACTERS + 1 == len(child.last_line)


async def test_a_flood_of_output_neither_blocks_nor_fills_memory(children: Children) -> None:
    """Given 2 MB of output before it answers, which is far more than a pipe holds."""
    async with running(children.spec("flood=20000")) as child:
        await until(lambda: "line 19999" in child.last_line)

        assert KEPT_LINES == len(child._lines)


async def test_progress_bars_and_colours_do_not_reach_the_message(children: Children) -> None:
    said = "say=10 %\r55 %\r\x1b[31merror:\x1b[0m disk\x07 full \x1b[K"

    assert 'exited with code 1. Last line: "error: disk full"' in await failure(children.spec(said, "exit=1"))


async def test_output_that_is_not_text_is_shown_as_well_as_can_be(children: Children) -> None:
    spec = children.spec()
    code = "import sys; sys.stdout.buffer.write(b'caf\\xe9 \\xff\\n'); sys.exit(1)"
    spec = ChildSpec("fake", (sys.executable, "-c", code), spec.address, spec.is_ready)

    assert re.search(r'Last line: "caf. ."', await failure(spec))


async def test_what_is_added_to_the_environment_arrives(children: Children) -> None:
    async with running(children.spec("env=A_KEY", env={"A_KEY": "secret"})) as child:
        await until(lambda: child.last_line == "A_KEY=secret")


async def test_variables_of_the_service_manager_are_not_inherited(
    children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child must not be able to say in our name that we are well."""
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/notify")
    async with running(children.spec("env=NOTIFY_SOCKET")) as child:
        await until(lambda: child.last_line == "NOTIFY_SOCKET=None")


async def test_a_child_that_ends_in_good_order_has_its_grace(children: Children) -> None:
    """Given a worker that watches its standard input and has something to finish when it is asked to end."""
    async with running(children.spec("lifeline", "finish=0.3"), grace_s=SOON_S) as child:
        stopping = asyncio.create_task(child.stop(SOON_S))
        how = await child.exited()
        await stopping

    assert 'exited with code 0. Last line: "finished"' == how


async def test_leaving_a_stop_kills_the_child(children: Children) -> None:
    async with running(children.spec("ignore-term", "grandchild")) as child:
        stopping = asyncio.create_task(child.stop(600))
        await asyncio.sleep(0)
        stopping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await stopping

        assert not child.is_running
        await until(lambda: not group(child.pid))


async def test_a_child_is_known_before_it_is_ready(children: Children) -> None:
    spawned: list[ChildProcess] = []
    with pytest.raises(ModelFailedToStart):
        await ChildProcess.start(children.spec("never-ready"), 0.3, spawned.append)

    assert 1 == len(spawned)
    assert not spawned[0].is_running


@pytest.mark.skipif(not hasattr(signal, "SIGRTMIN"), reason="no real-time signals here")
async def test_a_signal_without_a_name_is_told_by_its_number(children: Children) -> None:
    async with running(children.spec()) as child:
        os.kill(child.pid, signal.SIGRTMIN + 5)

        assert f"was ended by signal {signal.SIGRTMIN + 5}" == await child.exited()


async def test_a_stopped_child_does_not_answer(children: Children) -> None:
    async with running(children.spec()) as child:
        assert await child.answers()

        os.kill(child.pid, signal.SIGSTOP)

        assert not await child.answers()


async def test_stopping_twice_and_killing_the_dead_is_harmless(children: Children) -> None:
    async with running(children.spec()) as child:
        child.kill()
        await child.exited()
        await child.stop(0.2)
        child.kill()


def test_a_key_is_not_shown() -> None:
    assert "secret" not in repr(Address("http://127.0.0.1:1", "secret"))


async def test_a_child_that_is_slow_but_shows_signs_of_life_has_not_failed(children: Children) -> None:
    """Given a child that prints something every tenth of a second for longer than the bound, and then answers."""
    child = await ChildProcess.start(children.spec("mutter=20"), timeout_s=1.0)

    assert await child.answers()
    assert "still loading" in child.lines
    await child.stop(1)


async def test_a_line_of_200_kb_neither_blocks_the_child_nor_is_it_kept(children: Children) -> None:
    async with running(children.spec("long-line=200000")) as child:
        assert await child.answers()
        assert LINE_LIMIT_BYTES >= max(len(line) for line in child.lines)


async def test_a_child_that_loads_in_silence_has_not_failed_either(children: Children) -> None:
    """Given a child that takes more and more memory for longer than the bound, and then answers."""
    child = await ChildProcess.start(children.spec("grow=25"), timeout_s=1.0)

    assert await child.answers()
    await child.stop(1)
