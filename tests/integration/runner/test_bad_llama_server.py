"""Every bad habit of a llama-server, and what becomes of it for those who lease its model."""

import asyncio
import os
import sys
import time

import aiohttp
import pytest

from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner.lanes import Priority
from heisenberg.runner.supervisor.process import LINE_LIMIT_BYTES
from tests.fakes.children import is_alive, until
from tests.integration.runner.machine import ask, ask_to, listen, machine, stream

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")


async def test_a_good_one_answers_under_the_models_name() -> None:
    async with machine() as here:
        async with here.fleet.lease(here.model("tiny")) as lease:
            assert "tiny" == (await ask(lease))["model"]
            assert ["one", " two", " three", " four", " five"] == [word async for word in stream(lease)]


async def test_those_who_ask_while_it_loads_wait_and_pay_for_one_load() -> None:
    """It answers 503 "Loading model" meanwhile, as llama-server does."""
    async with machine() as here:
        model = here.model("slow", "slow-load=0.6")

        async def use() -> float:
            async with here.fleet.lease(model) as lease:
                await ask(lease)
                return lease.load_seconds

        waited = await asyncio.gather(*(use() for _ in range(4)))

        assert 1 == len(here.starts(model))
        assert min(waited) >= 0.6
        async with here.fleet.lease(model) as lease:
            assert 0 == lease.load_seconds


async def test_a_model_that_cannot_be_loaded_is_told_to_all_with_its_last_words() -> None:
    async with machine() as here:
        model = here.model("damaged", "fails=tensor 'blk.0' has wrong shape")
        outcomes = await asyncio.gather(*(here.fleet.load(model) for _ in range(3)), return_exceptions=True)

        assert [ModelFailedToStart] * 3 == [type(outcome) for outcome in outcomes]
        assert 'Last line: "main: exiting due to model loading error"' in str(outcomes[0])
        assert "llama_model_load: error loading model: tensor 'blk.0' has wrong shape" in here.fleet.log_tail(model)
        assert {} == here.states
        assert 1 == len(here.starts(model)), "it is tried again when somebody asks, not before"


async def test_one_that_ends_well_before_it_is_ready_has_failed() -> None:
    async with machine() as here:
        with pytest.raises(ModelFailedToStart, match="exited with code 0"):
            await here.fleet.load(here.model("early", "exit=0"))


async def test_a_crash_in_a_stream_costs_that_stream_and_the_next_one_works() -> None:
    async with machine() as here:
        model = here.model("weak", "crash-mid-stream=2")
        heard: list[str] = []
        async with here.fleet.lease(model) as lease:
            with pytest.raises(aiohttp.ClientError):
                await listen(lease, heard)
            lease.condemn("the stream broke off")  # as the server does: it knows before the operating system tells us

        assert ["one", " two"] == heard
        async with here.fleet.lease(model) as lease:
            assert "weak" == (await ask(lease))["model"]
        assert 2 == len(here.starts(model))
        assert any("illegal memory access" in line for line in here.fleet.log_tail(model))


async def test_what_dies_while_nobody_uses_it_gives_its_seat_back_and_stays_away() -> None:
    """A model that the assistant does not need is started again when somebody asks."""
    async with machine() as here:
        model = here.model("mortal")
        await here.fleet.load(model)
        os.kill(here.starts(model)[0], 11)
        await until(lambda: here.states == {})

        assert 1 == len(here.starts(model))
        await here.fleet.load(model)
        assert 2 == len(here.starts(model))


async def test_what_the_voice_needs_is_there_again_at_once() -> None:
    async with machine() as here:
        model = here.model("mortal")
        async with here.fleet.lease(model, Priority.VOICE):
            pass
        os.kill(here.starts(model)[0], 11)
        await until(lambda: len(here.starts(model)) == 2)

        assert {"mortal": "loaded"} == here.states


async def test_one_that_ignores_the_request_to_end_is_killed_before_the_next_model_is_loaded() -> None:
    async with machine({"max_loaded": 1}) as here:
        stubborn, other = here.model("stubborn", "ignores-term"), here.model("other")
        await here.fleet.load(stubborn)
        await here.fleet.load(other)

        assert {"other": "loaded"} == here.states
        assert not is_alive(here.starts(stubborn)[0])


async def test_a_grandchild_that_holds_the_pipe_holds_nobody_up() -> None:
    async with machine() as here:
        model = here.model("parent", "grandchild")
        await here.fleet.load(model)
        async with asyncio.timeout(5):
            assert await here.fleet.unload(model)
        async with asyncio.timeout(5):
            async with here.fleet.lease(model) as lease:
                await ask_to(lease, "/crash")
                lease.condemn("the connection broke off")
            async with here.fleet.lease(model) as lease:
                await ask(lease)


@pytest.mark.parametrize("habit", ["long-line=200000", "unfinished=no end of line"])
async def test_whatever_it_prints_it_is_read(habit: str) -> None:
    async with machine() as here:
        model = here.model("chatty", habit)
        await here.fleet.load(model)
        await until(lambda: here.fleet.log_tail(model) and "server is listening" in here.fleet.log_tail(model)[-1])

        assert max(len(line) for line in here.fleet.log_tail(model)) <= LINE_LIMIT_BYTES


async def test_a_last_line_without_an_end_is_told_as_well() -> None:
    async with machine() as here:
        with pytest.raises(ModelFailedToStart, match="out of memory"):
            await here.fleet.load(here.model("cut", "unfinished=out of memory", "exit=1"))


async def test_comments_in_a_stream_are_no_words() -> None:
    async with machine() as here:
        async with here.fleet.lease(here.model("pinging", "comments")) as lease:
            assert 5 == len([word async for word in stream(lease)])


async def test_somebody_else_on_its_port_is_not_taken_for_it() -> None:
    """Another program was faster to take the port, and answers there as if all were well."""
    async with machine() as here:
        with pytest.raises(ModelFailedToStart, match="couldn't bind HTTP server socket"):
            await here.fleet.load(here.model("robbed", "stolen"))


async def test_one_that_is_silent_has_failed_after_its_bound() -> None:
    async with machine({"start_timeout_seconds": 1}) as here:
        with pytest.raises(ModelFailedToStart, match=r"did not answer within 1 s\. See runner.start_timeout_seconds"):
            await here.fleet.load(here.model("mute", "silent"))


async def test_a_large_model_that_shows_signs_of_life_may_take_longer() -> None:
    async with machine({"start_timeout_seconds": 1}) as here:
        seconds = await here.fleet.load(here.model("large", "slow-load=2.5", "mutter"))

        assert seconds >= 2.5


async def test_a_load_that_never_ends_ends_with_those_who_wait_for_it() -> None:
    """It prints for ever and never answers; whoever asked gives up."""
    async with machine({"wait_seconds": 1}) as here:
        model = here.model("endless", "slow-load=600", "mutter")
        with pytest.raises(Exception, match="was waited for in vain for 1 s"):
            await here.fleet.load(model)
        await until(lambda: here.states == {})

        assert not is_alive(here.starts(model)[0])


async def test_one_that_freezes_in_use_is_replaced() -> None:
    async with machine() as here:
        model = here.model("icy")
        began = time.monotonic()
        async with here.fleet.lease(model) as lease:
            await ask_to(lease, "/freeze")
            await until(lambda: not is_alive(here.starts(model)[0]))
        async with here.fleet.lease(model) as lease:
            await ask(lease)

        assert 2 == len(here.starts(model))
        assert time.monotonic() - began < 30
