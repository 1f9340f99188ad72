"""Children that an earlier run left behind are ended; nobody else ever is."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from heisenberg.runner.supervisor.sweep import Ledger

GONE_PID = 2**22 + 1
"""More than Linux gives out, and macOS, too."""


@pytest.fixture
def without_leader() -> Iterator[tuple[int, float, psutil.Process]]:
    """A group whose leader is gone, as when a guard was killed: the leader's id and birth, and who is left."""
    code = (
        "import subprocess, sys; "
        "program = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)']); "
        "print(program.pid, flush=True); sys.stdin.read()"
    )
    argv = [sys.executable, "-I", "-S", "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, start_new_session=True, stdin=pipe, stdout=pipe) as leader:
        assert leader.stdout is not None
        program = psutil.Process(int(leader.stdout.readline()))
        born = birth(leader.pid)
        leader.kill()
    yield leader.pid, born, program
    if program.is_running():
        program.kill()


@pytest.fixture
def left_behind() -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads its own group, like every child of ours."""
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def ledger_of(folder: Path, parent: int, parent_birth: float | None, children: dict[str, list[object]]) -> Path:
    """What a Heisenberg with process id *parent* would have written."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{parent}.json"
    path.write_text(json.dumps({"parent": parent_birth, "children": children}))
    return path


def birth(pid: int) -> float:
    return psutil.Process(pid).create_time()


def test_a_child_that_was_left_behind_is_ended(tmp_path: Path, left_behind: subprocess.Popen[bytes]) -> None:
    pid = left_behind.pid
    path = ledger_of(tmp_path, GONE_PID, 1.0, {"whisper": [pid, birth(pid)]})

    assert 1 == Ledger(tmp_path).sweep()
    assert -signal.SIGKILL == left_behind.wait(10)
    assert not path.exists()


def test_a_process_that_only_has_the_same_id_is_spared(tmp_path: Path, left_behind: subprocess.Popen[bytes]) -> None:
    path = ledger_of(tmp_path, GONE_PID, 1.0, {"whisper": [left_behind.pid, birth(left_behind.pid) - 1000]})

    assert 0 == Ledger(tmp_path).sweep()
    assert left_behind.poll() is None
    assert not path.exists()


def test_children_of_a_running_heisenberg_are_spared(tmp_path: Path, left_behind: subprocess.Popen[bytes]) -> None:
    mine = os.getppid() or 1
    path = ledger_of(tmp_path, mine, birth(mine), {"whisper": [left_behind.pid, birth(left_behind.pid)]})

    assert 0 == Ledger(tmp_path).sweep()
    assert left_behind.poll() is None
    assert path.exists()


def test_a_reused_parent_id_does_not_protect_orphans(tmp_path: Path, left_behind: subprocess.Popen[bytes]) -> None:
    """Given another program that now has our old process id, the children are orphans all the same."""
    stranger = os.getppid() or 1
    ledger_of(tmp_path, stranger, birth(stranger) - 1000, {"whisper": [left_behind.pid, birth(left_behind.pid)]})

    assert 1 == Ledger(tmp_path).sweep()


def test_children_that_ended_by_themselves_are_no_fault(tmp_path: Path) -> None:
    path = ledger_of(tmp_path, GONE_PID, None, {"whisper": [GONE_PID, 1.0], "piper": [GONE_PID, None]})

    assert 0 == Ledger(tmp_path).sweep()
    assert not path.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        "3",
        '{"parent": 1}',
        '{"parent": 1, "children": []}',
        '{"parent": 1, "children": {"x": 5}}',
    ],
)
def test_a_broken_file_ends_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / f"{GONE_PID}.json").write_text(text)

    assert 0 == Ledger(tmp_path).sweep()


def test_a_folder_that_is_not_there_holds_no_orphans(tmp_path: Path) -> None:
    assert 0 == Ledger(tmp_path / "nowhere").sweep()


def test_a_program_whose_guard_was_killed_is_ended(
    tmp_path: Path, without_leader: tuple[int, float, psutil.Process]
) -> None:
    leader, born, program = without_leader
    ledger_of(tmp_path, GONE_PID, 1.0, {"llama": [leader, born]})

    assert 1 == Ledger(tmp_path).sweep()

    psutil.wait_procs([program], timeout=10)

    assert not program.is_running() or program.status() == psutil.STATUS_ZOMBIE


def test_a_group_that_only_has_the_same_number_is_spared(
    tmp_path: Path, without_leader: tuple[int, float, psutil.Process]
) -> None:
    """Given a guard that died long before the group of that number came to be."""
    leader, born, program = without_leader
    ledger_of(tmp_path, GONE_PID, 1.0, {"llama": [leader, born - 3600]})

    assert 0 == Ledger(tmp_path).sweep()
    assert program.is_running()


def test_the_sockets_of_a_run_that_is_gone_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    sockets = Ledger(tmp_path / "children").new_sockets_folder()
    (sockets / "whisper-1").touch()
    (written,) = (tmp_path / "children").iterdir()
    written.rename(written.with_name(f"{GONE_PID}-abcdef.json"))  # as if we had been killed

    assert 0 == Ledger(tmp_path / "children").sweep()
    assert [] == list((tmp_path / "tmp").iterdir())
    assert [] == list((tmp_path / "children").iterdir())


@pytest.mark.parametrize(
    "named", ["/", "", ".", "{home}", "{home}/heisenberg-x", "{tmp}/link", "{tmp}/heisenberg-link"]
)
def test_nothing_but_a_folder_of_sockets_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """Given a ledger that was tampered with."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    (home / "heisenberg-x").mkdir(parents=True)
    (home / "heisenberg-x" / "file").touch()
    temporary.mkdir()
    for link in ("link", "heisenberg-link"):
        (temporary / link).symlink_to(home)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    path = ledger_of(tmp_path / "children", GONE_PID, 1.0, {})
    record = json.loads(path.read_text()) | {"sockets": named.format(home=home, tmp=temporary)}
    path.write_text(json.dumps(record))
    Ledger(tmp_path / "children").sweep()

    assert (home / "heisenberg-x" / "file").exists()


def test_closing_leaves_neither_sockets_nor_a_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    sockets = ledger.new_sockets_folder()
    (sockets / "whisper-1").touch()
    ledger.write({"whisper": os.getpid()})
    ledger.write({})

    assert sockets.is_dir()
    assert 1 == len(list(tmp_path.iterdir()))

    ledger.close()
    ledger.close()

    assert not sockets.exists()
    assert [] == list(tmp_path.iterdir())


def test_the_sockets_of_a_running_heisenberg_stay(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    sockets = ledger.new_sockets_folder()
    Ledger(tmp_path).sweep()

    assert sockets.is_dir()

    ledger.close()


def test_two_runs_in_one_process_do_not_forget_each_others_children(tmp_path: Path) -> None:
    first, second = Ledger(tmp_path), Ledger(tmp_path)
    first.write({"whisper": os.getpid()})
    second.write({"piper": os.getpid()})
    second.write({})

    assert 1 == len(list(tmp_path.iterdir()))


def test_what_is_written_can_be_swept_by_a_later_run(tmp_path: Path, left_behind: subprocess.Popen[bytes]) -> None:
    Ledger(tmp_path / "children").write({"whisper": left_behind.pid})
    (written,) = (tmp_path / "children").iterdir()
    written.rename(written.with_name(f"{GONE_PID}.json"))  # as if we had died, long ago

    assert 1 == Ledger(tmp_path / "children").sweep()


def test_no_children_leave_no_file(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.write({"whisper": os.getpid()})
    ledger.write({})
    ledger.write({})

    assert [] == list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    Ledger(tmp_path / "file" / "children").write({"whisper": os.getpid()})
