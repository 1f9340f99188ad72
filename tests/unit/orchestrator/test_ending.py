"""Tasks that are not needed any more: those that end, those that fail, those that hold on."""

import asyncio

from heisenberg.orchestrator.ending import CANCEL_BOUND_S, end
from tests.fakes.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_task_is_over_when_it_was_ended() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    await asyncio.sleep(0)
    await end(task)

    assert task.cancelled()


@in_virtual_time
async def test_a_task_that_fails_as_it_is_ended_is_nobodys_business() -> None:
    async def fail() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError("It broke.")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    await end(task)

    assert task.done()


@in_virtual_time
async def test_a_task_that_holds_on_is_left_behind() -> None:
    async def hold_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(30)

    task, loop = asyncio.create_task(hold_on()), asyncio.get_running_loop()
    await asyncio.sleep(0)
    began = loop.time()
    await end(task)

    assert CANCEL_BOUND_S == round(loop.time() - began, 3)
    assert not task.done()

    await asyncio.wait({task})
