"""Of several servers that have a model, one that answers is asked."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from heisenberg.core.errors import UpstreamError
from heisenberg.runner import remote
from heisenberg.runner.remote import CONNECT_S, FIRST_PAUSE_S, LONGEST_PAUSE_S, TRUSTED_S, Remotes
from tests.fakes.virtual_time import in_virtual_time

A, B, C = URLS = ("http://a:1", "http://b:1", "http://c:1")

down: set[str] = set()
tried: list[str] = []


@pytest.fixture(autouse=True)
def _network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers in ``down`` refuse connections."""

    async def connect(url: str) -> None:
        tried.append(url)
        await asyncio.sleep(0)
        if url in down:
            raise ConnectionRefusedError(url)

    monkeypatch.setattr(remote, "_connect", connect)
    yield
    down.clear(), tried.clear()


@in_virtual_time
async def test_the_first_one_is_preferred() -> None:
    assert await Remotes().choose("m", URLS) == A


@in_virtual_time
async def test_one_that_cannot_be_reached_is_passed_over_and_then_asked_last() -> None:
    remotes = Remotes()
    down.add(A)

    assert await remotes.choose("m", URLS) == B

    tried.clear()
    assert await remotes.choose("m", URLS) == B
    assert [] == tried, "what is known need not be found out again"
    assert [B, C, A] == remotes.in_order(URLS)


@in_virtual_time
async def test_one_that_came_back_is_preferred_again_after_its_pause() -> None:
    remotes = Remotes()
    down.add(A)
    await remotes.choose("m", URLS)
    down.clear()
    await asyncio.sleep(FIRST_PAUSE_S)

    assert await remotes.choose("m", URLS) == A


@in_virtual_time
async def test_the_pause_grows_with_each_failure_up_to_a_bound() -> None:
    remotes, pauses = Remotes(), []
    for _ in range(10):
        remotes.condemn(A, "no answer")
        began = asyncio.get_running_loop().time()
        while remotes.in_order((A, B)) != [A, B]:  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(1)
        pauses.append(asyncio.get_running_loop().time() - began)

    assert [5, 10, 20, 40, 80, 160, 300, 300] == [round(pause) for pause in pauses[:8]]
    assert max(pauses) <= LONGEST_PAUSE_S + 1


@in_virtual_time
async def test_the_pause_grows_of_one_that_accepts_connections_and_then_fails() -> None:
    """Given that every ten seconds somebody asks, and that only the answer fails."""
    remotes, asked_at = Remotes(), []
    for _ in range(60):
        if await remotes.choose("m", URLS) == A:
            asked_at.append(asyncio.get_running_loop().time())
            remotes.condemn(A, "it answers 500")
        await asyncio.sleep(10)

    assert [10, 10, 20, 40, 80, 160] == [round(later - at) for at, later in pairwise(asked_at)][:6]


@in_virtual_time
async def test_one_that_has_answered_since_begins_with_a_short_pause() -> None:
    remotes = Remotes()
    for _ in range(5):
        remotes.condemn(A, "no answer")
        await asyncio.sleep(LONGEST_PAUSE_S)
    remotes.praise(A)
    remotes.condemn(A, "no answer")
    await asyncio.sleep(FIRST_PAUSE_S)

    assert await remotes.choose("m", URLS) == A


@in_virtual_time
async def test_a_failure_of_long_ago_is_forgotten() -> None:
    remotes = Remotes()
    for _ in range(5):
        remotes.condemn(A, "no answer")
        await asyncio.sleep(CONNECT_S)
    await asyncio.sleep(3 * LONGEST_PAUSE_S)
    remotes.condemn(A, "no answer")
    await asyncio.sleep(FIRST_PAUSE_S)

    assert await remotes.choose("m", URLS) == A


@in_virtual_time
async def test_one_that_failed_is_nobodys_spare_until_its_pause_is_over() -> None:
    remotes = Remotes()

    assert [True, False] == [remotes.has_spare(A, (A, B)), remotes.has_spare(A, [A])]

    remotes.condemn(B, "no answer")
    assert not remotes.has_spare(A, (A, B))

    await asyncio.sleep(FIRST_PAUSE_S)
    assert remotes.has_spare(A, (A, B))


@in_virtual_time
async def test_one_failure_that_many_notice_is_one_failure() -> None:
    """Given a server that is away for a moment while eight requests are under way."""
    remotes = Remotes()
    down.add(A)
    assert await asyncio.gather(*(remotes.choose("m", URLS) for _ in range(8))) == [B] * 8

    down.clear()
    await asyncio.sleep(FIRST_PAUSE_S)

    assert await remotes.choose("m", URLS) == A


@in_virtual_time
async def test_one_whose_answer_failed_is_condemned_at_once() -> None:
    remotes = Remotes()
    await remotes.choose("m", URLS)
    remotes.condemn(A, "it cut the connection")

    assert await remotes.choose("m", URLS) == B


@in_virtual_time
async def test_a_server_is_looked_at_again_after_a_while() -> None:
    remotes = Remotes()
    await remotes.choose("m", URLS)
    down.add(A)

    assert await remotes.choose("m", URLS) == A

    await asyncio.sleep(TRUSTED_S)
    assert await remotes.choose("m", URLS) == B


@in_virtual_time
async def test_where_none_answers_all_are_named() -> None:
    down.update(URLS)
    with pytest.raises(UpstreamError, match="None of the 3 servers of 'm' can be reached: http://a:1, http://b:1"):
        await Remotes().choose("m", URLS)


@in_virtual_time
async def test_a_single_server_is_asked_without_looking() -> None:
    down.add(A)

    assert await Remotes().choose("m", [A]) == A
    assert [] == tried
