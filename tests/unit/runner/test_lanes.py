"""Voice goes first, nobody is lost in the queue, and a lease always ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from heisenberg.core.errors import ModelFailedToStart, UpstreamError
from heisenberg.runner.lanes import MOST_WAITING, Lane, Places, Priority
from heisenberg.runner.supervisor.process import Address
from tests.fakes.virtual_time import in_virtual_time


class FakeKeeper:
    """Always has a child, unless it has an error."""

    def __init__(self) -> None:
        self.child = SimpleNamespace(spec=SimpleNamespace(address=Address("unix:///x", "secret")))
        self.error: Exception | None = None
        self.condemned: list[tuple[Any, str]] = []
        self.name = "whisper"
        self.uses = 0

    async def ready(self) -> Any:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return self.child

    @contextmanager
    def in_use(self) -> Iterator[None]:
        self.uses += 1
        yield
        self.uses -= 1

    def condemn(self, child: Any, reason: str) -> None:
        self.condemned.append((child, reason))


def new_lane(places: int | Places = 1) -> tuple[Lane, FakeKeeper]:
    keeper = FakeKeeper()
    return Lane(keeper, places), keeper  # type: ignore[arg-type]


async def hold(lane: Lane, name: str, order: list[str], priority: Priority = Priority.VOICE) -> None:
    async with lane.lease(priority):
        order.append(name)
        await asyncio.sleep(1)


@in_virtual_time
async def test_a_lease_says_where_the_model_answers() -> None:
    lane, keeper = new_lane()
    async with lane.lease() as lease:
        lease.condemn("it is silent")

        assert ("unix:///x", "secret") == (lease.url, lease.api_key)
        assert [(keeper.child, "it is silent")] == keeper.condemned


@in_virtual_time
async def test_voice_goes_before_api_before_background() -> None:
    lane, _ = new_lane()
    order: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(lane, "running", order))
        await asyncio.sleep(0.1)
        for name, priority in (("background", 2), ("api 1", 1), ("api 2", 1), ("voice", 0)):
            tasks.create_task(hold(lane, name, order, Priority(priority)))

    assert ["running", "voice", "api 1", "api 2", "background"] == order


@pytest.mark.parametrize(("capacity", "seconds"), [(1, 4), (2, 2), (4, 1)])
@in_virtual_time
async def test_as_many_run_at_once_as_the_model_bears(capacity: int, seconds: int) -> None:
    lane, _ = new_lane(capacity)
    async with asyncio.TaskGroup() as tasks:
        for number in range(4):
            tasks.create_task(hold(lane, str(number), []))

    assert pytest.approx(seconds, abs=0.1) == asyncio.get_running_loop().time()


@in_virtual_time
async def test_who_leaves_the_queue_costs_no_place() -> None:
    lane, _ = new_lane()
    order: list[str] = []
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(hold(lane, "running", order))
        await asyncio.sleep(0.1)
        leaving = tasks.create_task(hold(lane, "leaving", order))
        tasks.create_task(hold(lane, "staying", order))
        await asyncio.sleep(0.1)
        leaving.cancel()

    assert ["running", "staying"] == order

    await hold(lane, "later", order)

    assert "later" == order[-1]


@in_virtual_time
async def test_a_lease_that_is_given_to_one_who_is_just_leaving_goes_on_to_the_next() -> None:
    lane, _ = new_lane()
    order: list[str] = []
    first = asyncio.create_task(hold(lane, "first", order))
    await asyncio.sleep(0.1)
    leaving = asyncio.create_task(hold(lane, "leaving", order))
    await asyncio.sleep(0.1)
    lane._release(0)  # the place is given …
    leaving.cancel()  # … in the very moment in which it is no longer wanted
    await asyncio.wait({leaving})

    assert {0} == lane._free

    first.cancel()
    await asyncio.wait({first})


@in_virtual_time
async def test_a_model_that_does_not_start_gives_the_lease_back() -> None:
    lane, keeper = new_lane()
    keeper.error = ModelFailedToStart("no")
    for _ in range(3):
        with pytest.raises(ModelFailedToStart):
            await hold(lane, "", [])
    keeper.error = None
    order: list[str] = []
    await hold(lane, "well", order)

    assert ["well"] == order


@in_virtual_time
async def test_a_failure_under_the_lease_gives_it_back() -> None:
    lane, _ = new_lane()
    with pytest.raises(ZeroDivisionError):
        async with lane.lease():
            raise ZeroDivisionError
    async with asyncio.timeout(1), lane.lease():
        pass


@in_virtual_time
async def test_a_wait_can_be_bounded() -> None:
    lane, _ = new_lane()
    async with lane.lease():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5), lane.lease():
                pass
    async with asyncio.timeout(1), lane.lease():
        pass


@in_virtual_time
async def test_a_leased_child_is_watched_more_closely() -> None:
    lane, keeper = new_lane()
    async with lane.lease():
        assert 1 == keeper.uses
    assert 0 == keeper.uses


@in_virtual_time
async def test_those_who_left_do_not_fill_the_queue() -> None:
    """Given a model that is busy for a minute while impatient callers come and go."""
    lane, _ = new_lane()
    async with lane.lease():
        for _ in range(100):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1), lane.lease():
                    pass

        assert [] == lane._waiting


@in_virtual_time
async def test_a_queue_that_is_full_says_so() -> None:
    lane, _ = new_lane()
    async with lane.lease():
        waiting = [asyncio.create_task(hold(lane, "", [])) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(UpstreamError, match=f"whisper has {MOST_WAITING} requests waiting already"):
            async with lane.lease():
                pass
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
    async with asyncio.timeout(1), lane.lease():
        pass


@in_virtual_time
async def test_the_voice_has_a_place_of_its_own_and_waits_for_no_api_call() -> None:
    """Given a language model with two places for API calls, and eight of those."""
    lane, _ = new_lane(Places(3, is_first_for_voice=True))
    calls = [asyncio.create_task(hold(lane, "api", [], Priority.API)) for _ in range(8)]
    await asyncio.sleep(0.5)
    async with lane.lease(Priority.VOICE) as lease:
        assert 0 == lease.place
        assert 0.5 == asyncio.get_running_loop().time()
    await asyncio.gather(*calls)

    assert pytest.approx(4, abs=0.1) == asyncio.get_running_loop().time(), "nobody else may use the voice's place"


@in_virtual_time
async def test_while_one_roams_nobody_is_told_a_place_and_the_voice_waits_for_nobody() -> None:
    """It may sit in the voice's place; since it counts as one, some place is free, which the process finds."""
    lane, _ = new_lane(Places(3, is_first_for_voice=True))
    async with lane.lease(Priority.API, roams=True), lane.lease(Priority.API) as other, lane.lease() as voice:
        assert (True, True) == (other.roams, voice.roams)
        assert 0 == asyncio.get_running_loop().time()
    async with lane.lease(Priority.API) as other, lane.lease() as voice:
        assert (False, False) == (other.roams, voice.roams)


@in_virtual_time
async def test_who_roams_begins_when_the_voice_has_left_its_place() -> None:
    lane, _ = new_lane(Places(2, is_first_for_voice=True))
    order: list[str] = []

    async def roam() -> None:
        async with lane.lease(Priority.API, roams=True):
            order.append("roams")

    async with lane.lease() as voice:
        roaming = asyncio.create_task(roam())
        await asyncio.sleep(1)
        order.append("voice")
    await roaming

    assert (["voice", "roams"], False) == (order, voice.roams)


@in_virtual_time
async def test_with_one_place_nobody_roams() -> None:
    lane, _ = new_lane()
    async with lane.lease(Priority.API, roams=True) as lease:
        assert not lease.roams


@in_virtual_time
async def test_places_are_numbered() -> None:
    lane, _ = new_lane(Places(3, is_first_for_voice=True))
    async with lane.lease(Priority.API) as first, lane.lease(Priority.BACKGROUND) as second:
        assert [1, 2] == [first.place, second.place]
    async with lane.lease(Priority.API) as third:
        assert 1 == third.place
