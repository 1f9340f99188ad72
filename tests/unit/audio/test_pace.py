import asyncio

import pytest

from heisenberg.audio.pace import QUEUE_S, Pace
from tests.fakes.virtual_time import in_virtual_time


@in_virtual_time
async def test_sound_takes_its_time() -> None:
    pace = Pace(True)
    pace.add(2.0)
    await asyncio.sleep(0.5)

    assert pace.played_s == pytest.approx(0.5)
    assert await pace.wait_for_end()
    assert asyncio.get_running_loop().time() == pytest.approx(2.0, abs=0.01)
    assert pace.finish() == pytest.approx(2.0)


@in_virtual_time
async def test_a_pause_takes_as_long_as_it_takes() -> None:
    """Given 2 s of sound, and a pause from 0.5 s to 10.5 s. Then it ends at 12 s."""
    pace = Pace(True)
    pace.add(2.0)
    ending = asyncio.create_task(pace.wait_for_end())
    await asyncio.sleep(0.5)
    pace.pause()
    await asyncio.sleep(10)

    assert pace.played_s == pytest.approx(0.5)
    pace.resume()
    assert await ending
    assert asyncio.get_running_loop().time() == pytest.approx(12.0, abs=0.01)


@in_virtual_time
async def test_sound_that_comes_in_a_pause_is_heard_after_it() -> None:
    pace = Pace(True)
    pace.pause()
    await asyncio.sleep(1)
    pace.add(1.0)
    await asyncio.sleep(5)

    assert pace.played_s == 0
    pace.resume()
    await pace.wait_for_end()
    assert asyncio.get_running_loop().time() == pytest.approx(7.0, abs=0.01)


@pytest.mark.parametrize("is_paced", [True, False])
@in_virtual_time
async def test_a_pause_has_room_for_a_second(is_paced: bool) -> None:
    pace = Pace(is_paced)
    pace.pause()
    while pace.waiting_s <= QUEUE_S:
        assert await pace.wait_for_room()
        pace.add(0.25)
    waiting = asyncio.create_task(pace.wait_for_room())
    await asyncio.sleep(60)

    assert not waiting.done()
    pace.resume()
    assert await waiting


@pytest.mark.parametrize("is_paced", [True, False])
@in_virtual_time
async def test_stopping_tells_those_who_wait_that_the_reply_is_over(is_paced: bool) -> None:
    pace = Pace(is_paced)
    pace.pause()
    pace.add(5.0)
    waiting = [asyncio.create_task(pace.wait_for_room()), asyncio.create_task(pace.wait_for_end())]
    await asyncio.sleep(1)

    assert pace.stop() == 0
    assert await asyncio.gather(*waiting) == [False, False]
    assert await pace.wait_for_end()


@in_virtual_time
async def test_sound_that_comes_too_late_is_a_gap() -> None:
    """The pause between two replies is none."""
    pace = Pace(True)
    pace.add(1.0)
    await asyncio.sleep(1.5)
    pace.add(1.0)
    await pace.wait_for_end()
    pace.finish()
    await asyncio.sleep(5)
    pace.add(1.0)

    assert pace.underruns == 1


@in_virtual_time
async def test_without_pacing_everything_is_heard_at_once() -> None:
    pace = Pace(False)
    pace.add(100.0)

    assert await pace.wait_for_end()
    assert asyncio.get_running_loop().time() == 0
    assert (pace.finish(), pace.underruns) == (100.0, 0)
