"""Seats under children that exist on paper only: whoever leaves at a bad moment leaves no process without a seat, and
no seat without a process. The rules themselves are in ``test_residency.py``."""

import asyncio
from collections import deque

import pytest

from heisenberg.core.config import RunnerConfig
from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner.lanes import Lane, Priority
from heisenberg.runner.pool import Pool
from heisenberg.runner.residency import Terms
from heisenberg.runner.seats import Seats
from heisenberg.runner.supervisor import keeper as keeping
from heisenberg.runner.supervisor.keeper import LONGEST_BACKOFF_S
from heisenberg.runner.supervisor.process import Address, ChildSpec
from tests.fakes.virtual_time import in_virtual_time
from tests.unit.runner.test_keeper import PaperChild, never


class NoLedger:
    """Writes nothing down."""

    def write(self, pids: dict[str, int]) -> None:
        """Nothing."""


@pytest.fixture(autouse=True)
def _paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "ChildProcess", PaperChild)
    monkeypatch.setattr(PaperChild, "pid", 1, raising=False)
    PaperChild.script, PaperChild.born, PaperChild.starts = deque(), [], []


class Room:
    """Room for one model, whose name is ``m``."""

    def __init__(self, *, restarts: bool = False, is_pinned: bool = False) -> None:
        self.pool = Pool(RunnerConfig(), NoLedger(), lambda *told: None)  # type: ignore[arg-type]
        self.seats = Seats(self.pool, 1)
        self.lane: Lane = self.pool.lane(
            "m", lambda: ChildSpec("m", ("m",), Address("unix:///x"), never), restarts=restarts
        )
        self._terms = Terms("m", is_pinned=is_pinned, ttl_s=-1.0)

    async def use(self, seconds: float) -> None:
        """Wait for a seat and for the process, and use them."""
        async with self.seats.seat(self._terms, Priority.API, None), self.lane.lease(Priority.API):
            await asyncio.sleep(seconds)

    @property
    def processes(self) -> int:
        """How many there are now."""
        return sum(child.is_running for child in PaperChild.born)

    async def close(self) -> None:
        await self.seats.close()
        await self.pool.close()


@in_virtual_time
async def test_one_who_leaves_during_the_backoff_leaves_no_process_behind() -> None:
    """Given a model that has died twice in use, and whose next client goes before it is started for the third time."""
    room = Room()
    using = [asyncio.create_task(room.use(1)) for _ in range(3)]
    for dies_at in range(2):
        await asyncio.sleep(0.5)
        PaperChild.born[dies_at].die()
        await using[dies_at]
    await asyncio.sleep(0.1)
    using[2].cancel()
    await asyncio.gather(*using, return_exceptions=True)
    await asyncio.sleep(10 * LONGEST_BACKOFF_S)

    assert 2 == len(PaperChild.born)
    assert len(room.seats.taken) == room.processes
    await room.close()


@in_virtual_time
async def test_what_the_voice_could_not_load_is_tried_again_when_it_asks_and_has_a_seat() -> None:
    """Where room is short, a process without a seat would be one too many."""
    room = Room(restarts=True)
    PaperChild.script.append(ModelFailedToStart("It did not start."))
    with pytest.raises(ModelFailedToStart, match="did not start"):
        await room.use(1)
    await asyncio.sleep(LONGEST_BACKOFF_S)

    assert (0, {}) == (room.processes, room.seats.taken)

    await room.use(1)

    assert 1 == room.processes == len(room.seats.taken)
    await room.close()


@in_virtual_time
async def test_what_is_given_up_gives_its_seat_back() -> None:
    """Given the assistant's voice, which stays in memory, until its process ends and cannot be started again."""
    room = Room(restarts=True, is_pinned=True)
    await room.use(1)
    PaperChild.script.extend([ModelFailedToStart("It did not start.")] * 9)
    PaperChild.born[0].die()
    with pytest.raises(ModelFailedToStart):
        await room.use(1)
    await room.seats.give_up("m")

    assert (0, {}) == (room.processes, room.seats.taken)
    await room.close()
