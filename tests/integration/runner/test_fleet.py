"""The fleet with real processes: what is in memory, for how long, and who has to wait. The rules themselves are
proved in ``tests/unit/runner/test_residency.py``."""

import asyncio
import sys
from dataclasses import replace

import pytest

from heisenberg.core.errors import ModelFailedToStart, UpstreamError
from heisenberg.runner.fleet import ModelLease
from heisenberg.runner.lanes import Priority
from tests.fakes.children import is_alive, until
from tests.fakes.llama_server import FakeLlamaServer
from tests.integration.runner.machine import Machine, ask, machine, stream

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="process groups are POSIX")


async def test_two_models_swap_while_both_are_streamed_from_and_nothing_is_lost() -> None:
    """Room for one model, two clients for each, five requests each."""
    async with machine({"max_loaded": 1}) as here:
        models = [here.model("a"), here.model("b")]
        most: list[int] = []

        async def client(number: int) -> list[str]:
            said = []
            for _ in range(5):
                async with here.fleet.lease(models[number % 2]) as lease:
                    most.append(len(here.fleet.loaded()))
                    said.append("".join([word async for word in stream(lease)]))
            return said

        heard = await asyncio.gather(*(client(number) for number in range(4)))

        assert [["one two three four five"] * 5] * 4 == heard
        assert {1} == set(most)
        assert sum(len(here.starts(model)) for model in models) <= 20, "at most one load for each request"


async def test_a_model_goes_after_its_time_and_says_when() -> None:
    async with machine() as here:
        brief, lasting = here.model("brief", ttl_s=0.3), here.model("lasting", ttl_s=-1.0)
        async with here.fleet.lease(brief):
            (loaded,) = here.fleet.loaded()
            assert (None, 1) == (loaded.expires_in_s, loaded.in_use)
            assert loaded.memory_bytes > 1_000_000
        (loaded,) = here.fleet.loaded()
        assert loaded.expires_in_s is not None
        assert loaded.expires_in_s <= 0.3
        await here.fleet.load(lasting)
        await until(lambda: here.states == {"lasting": "loaded"})

        assert here.fleet.loaded()[0].expires_in_s is None
        assert not is_alive(here.starts(brief)[0])


async def test_a_request_may_unload_its_model_or_keep_it() -> None:
    async with machine() as here:
        model = here.model("a", ttl_s=0.1)
        await here.fleet.load(model, keep_alive_s=-1)

        assert here.fleet.loaded()[0].expires_in_s is None

        await here.fleet.load(model, keep_alive_s=0)
        await until(lambda: here.states == {})


async def test_a_busy_model_can_be_told_to_stay_without_waiting_for_a_place_in_it() -> None:
    """Given a stream that fills its only place: what is asked for meanwhile holds after its end."""
    async with machine({"parallel": 1}) as here:
        model = here.model("a", ttl_s=0.1)
        async with here.fleet.lease(model):
            assert 0.0 == await here.fleet.load(model, keep_alive_s=-1)

        (loaded,) = here.fleet.loaded()
        assert ("loaded", None, 0) == (loaded.state, loaded.expires_in_s, loaded.in_use)


async def test_unloading_need_not_wait_for_those_who_use_it() -> None:
    async with machine() as here:
        model = here.model("a", ttl_s=-1.0)
        async with here.fleet.lease(model) as lease:
            assert await here.fleet.unload(model, waits=False)
            assert "a" == (await ask(lease))["model"]
        await until(lambda: here.states == {})

        await here.fleet.load(model)
        assert await here.fleet.unload(model, waits=False)
        assert {} == here.states, "what is idle has gone by then"


async def test_unloading_waits_for_those_who_use_it() -> None:
    async with machine() as here:
        model = here.model("a")
        async with here.fleet.lease(model) as lease:
            unloading = asyncio.create_task(here.fleet.unload(model))
            await asyncio.sleep(0)

            assert "a" == (await ask(lease))["model"]
            assert not unloading.done()
        assert await unloading
        assert {} == here.states
        assert not await here.fleet.unload(model)


async def test_unloading_is_done_even_if_others_want_the_model_again_at_once() -> None:
    async with machine() as here:
        model = here.model("a")
        async with here.fleet.lease(model):
            unloading = asyncio.create_task(here.fleet.unload(model))
            await asyncio.sleep(0)
            later = asyncio.create_task(here.fleet.load(model))
            await asyncio.sleep(0)

        assert await unloading
        assert await later > 0
        assert 2 == len(here.starts(model))


async def test_unloading_a_model_that_loads_lets_those_who_wait_for_it_use_it_first() -> None:
    async with machine() as here:
        model = here.model("slow", "slow-load=0.3")
        loading = asyncio.create_task(here.fleet.load(model))
        await until(lambda: here.starts(model))

        assert await here.fleet.unload(model)
        assert await loading > 0


async def test_what_the_assistant_uses_is_neither_evicted_nor_unloaded() -> None:
    async with machine({"max_loaded": 2}, assistants={"talk"}) as here:
        talk, a, b = here.model("talk", ttl_s=0.0), here.model("a"), here.model("b")
        async with here.fleet.lease(talk, Priority.VOICE):
            pass
        for model in (a, b):
            await here.fleet.load(model, keep_alive_s=300)

        assert {"talk": "loaded", "b": "loaded"} == here.states
        with pytest.raises(UpstreamError, match="the assistant uses it"):
            await here.fleet.unload(talk)


async def test_the_voice_has_a_slot_of_its_own_beside_those_of_clients() -> None:
    async with machine({"parallel": 2}, assistants={"talk"}) as here:
        model = here.model("talk")
        async with here.fleet.lease(model) as first, here.fleet.lease(model) as second:
            waiting = asyncio.create_task(_slot(here, model.name))
            async with here.fleet.lease(model, Priority.VOICE) as voice:
                assert [1, 2, 0] == [first.slot, second.slot, voice.slot]
                assert not waiting.done()
                argv = (await ask(voice))["argv"]
        assert await waiting in (1, 2)
        assert "3" == argv[argv.index("--parallel") + 1]
        assert str(3 * 2048) == argv[argv.index("--ctx-size") + 1]


async def _slot(here: Machine, name: str) -> int | None:
    async with here.fleet.lease(here.model(name)) as lease:
        return lease.slot


async def test_without_an_assistant_every_slot_is_the_clients() -> None:
    async with machine({"parallel": 2}) as here:
        model = here.model("a")
        async with here.fleet.lease(model) as first, here.fleet.lease(model) as second:
            assert [0, 1] == [first.slot, second.slot]


async def test_the_assistant_alone_has_one_slot_as_always() -> None:
    async with machine(serves=False, assistants={"talk"}) as here:
        async with here.fleet.lease(here.model("talk"), Priority.VOICE) as lease:
            argv = (await ask(lease))["argv"]

            assert lease.slot is None
        assert ("1", "2048") == (argv[argv.index("--parallel") + 1], argv[argv.index("--ctx-size") + 1])


async def test_a_language_model_that_embeds_has_a_second_process_which_counts() -> None:
    async with machine({"max_loaded": 1}) as here:
        model = here.model("a")
        await here.fleet.load(model)
        async with here.fleet.lease(model, use="embed") as lease:
            answer = await ask(lease, "/v1/embeddings")

            assert "a" == answer["model"]
            assert "mean" == answer["argv"][answer["argv"].index("--pooling") + 1]
            assert {"a (embeddings)": "loaded"} == here.states
        assert await here.fleet.unload(model)


async def test_a_models_second_process_is_no_rival_of_the_first() -> None:
    """Given a model that is pinned, and whose group allows no other."""
    async with machine() as here:
        model = here.model("a", group="large", is_pinned=True)
        async with here.fleet.lease(model) as chat, here.fleet.lease(model, use="embed", keep_alive_s=0) as embeds:
            assert chat.url != embeds.url
        await until(lambda: here.states == {"a": "loaded"})


async def test_who_waits_too_long_is_told_so() -> None:
    async with machine({"max_loaded": 1, "wait_seconds": 1}) as here:
        a, b = here.model("a"), here.model("b")
        async with here.fleet.lease(a):
            with pytest.raises(UpstreamError, match="model 'b' was waited for in vain for 1 s") as caught:
                await here.fleet.load(b)

            assert "model-busy" == caught.value.code
            assert {"a": "loaded"} == here.states


async def test_where_everything_is_pinned_it_is_said_at_once() -> None:
    async with machine({"max_loaded": 1}) as here:
        await here.fleet.load(here.model("kept", is_pinned=True))
        with pytest.raises(UpstreamError, match="runner.max_loaded is 1, and these are pinned: kept"):
            await here.fleet.load(here.model("b"))


async def test_a_client_that_leaves_while_its_model_loads_stops_the_load() -> None:
    async with machine() as here:
        model = here.model("slow", "slow-load=600")
        leaving = asyncio.create_task(here.fleet.load(model))
        await until(lambda: here.starts(model))
        leaving.cancel()
        await until(lambda: here.states == {})

        assert not is_alive(here.starts(model)[0])


async def test_closing_in_the_middle_of_everything_leaves_nothing_behind() -> None:
    """One model is used, one loads, one is asked to go; ``machine`` looks for what is left."""
    async with machine({"max_loaded": 2}) as here:
        used, slow = here.model("used", "ignores-term"), here.model("slow", "slow-load=600")
        users = [asyncio.create_task(_hold(here, used.name)), asyncio.create_task(here.fleet.load(slow))]
        await until(lambda: here.starts(slow) and here.states.get("used") == "loaded")
        users.append(asyncio.create_task(here.fleet.unload(used)))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        for task in users:
            task.cancel()
        await asyncio.wait(users)


async def _hold(here: Machine, name: str) -> None:
    async with here.fleet.lease(here.model(name, "ignores-term")):
        await asyncio.Event().wait()


async def test_those_who_wait_when_it_ends_are_told() -> None:
    async with machine() as here:
        waiting = asyncio.create_task(here.fleet.load(here.model("slow", "slow-load=600")))
        await until(lambda: here.states)
        await here.fleet.close()
        with pytest.raises(ModelFailedToStart, match="Heisenberg is ending"):
            await waiting
        with pytest.raises(ModelFailedToStart, match="Heisenberg is ending"):
            await here.fleet.load(here.model("late"))


async def test_models_are_loaded_at_the_start_behind_everybody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async with machine() as here:
        models = [here.model("damaged", "exit=1", preload=True), here.model("first", preload=True), here.model("rest")]
        monkeypatch.setattr(here.fleet.catalog, "all", lambda: models)
        here.fleet.preload()
        await until(lambda: here.states == {"first": "loaded"})

        assert [] == here.starts(models[2])


async def test_a_replaced_file_is_used_from_the_next_start_on() -> None:
    async with machine() as here:
        old, new = here.model("a"), here.model("newer")
        await here.fleet.load(old, keep_alive_s=0)
        await until(lambda: here.states == {})
        followed = old.__class__("a", "llm", files=new.files)
        async with here.fleet.lease(followed) as lease:
            assert str(new.path) in (await ask(lease))["argv"]


def test_a_lease_shows_no_key() -> None:
    from heisenberg.runner.catalog.entry import Model

    assert "secret" not in repr(ModelLease(Model("a", "llm"), "http://x", "secret"))


async def test_of_several_servers_one_that_runs_is_leased() -> None:
    """The first of them is down; nothing is started here."""
    async with FakeLlamaServer() as running, machine() as here:
        down = "http://127.0.0.1:1"
        model = replace(here.model("far"), urls=(down, running.url), remote_name="theirs")
        async with here.fleet.lease(model) as lease:
            assert (running.url, "theirs", None) == (lease.url, lease.remote_name, lease.slot)
            lease.condemn("it cut the connection")
        async with FakeLlamaServer() as gone:
            pass
        with pytest.raises(UpstreamError, match="None of the 2 servers"):
            await here.fleet.load(replace(model, urls=(down, gone.url)))

        assert [] == here.fleet.loaded()
