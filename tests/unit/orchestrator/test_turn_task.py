"""One piece of a turn's work after the other."""

import asyncio

import pytest

from heisenberg.orchestrator.turn_task import TurnTask
from tests.fakes.virtual_time import in_virtual_time


class Piece:
    """Work that lasts for a minute, or fails when it is told to."""

    def __init__(self) -> None:
        self.fails = asyncio.Event()
        self.is_over = False

    async def work(self) -> None:
        try:
            await asyncio.wait_for(self.fails.wait(), 60)
            raise ZeroDivisionError
        finally:
            self.is_over = True


@in_virtual_time
async def test_work_takes_the_place_of_the_work_before() -> None:
    faults: list[BaseException] = []
    task, first, second = TurnTask(faults.append), Piece(), Piece()
    await task.begin(first.work(), "turn 1")
    await asyncio.sleep(0.01)
    await task.begin(second.work(), "turn 1")
    await asyncio.sleep(0.01)

    assert (True, False) == (first.is_over, second.is_over)

    await task.cancel()

    assert second.is_over
    assert [] == faults


@in_virtual_time
async def test_a_fault_is_told_once_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    faults: list[BaseException] = []
    task, piece = TurnTask(faults.append), Piece()
    await task.begin(piece.work(), "turn 7")
    piece.fails.set()
    await asyncio.sleep(0.01)
    await task.cancel()

    assert [ZeroDivisionError] == [type(fault) for fault in faults]
    assert "turn 7 failed" in caplog.text
