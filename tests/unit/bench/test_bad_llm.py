"""The relay in front of the language model: real answers pass unchanged, and no wrong one holds the brain up."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from heisenberg.bench.bad_llm import WRONG_ANSWERS, BadLlm
from heisenberg.core.config import LlmConfig, VisualConfig
from heisenberg.core.errors import BrainError
from heisenberg.core.stages import Answer, Thought
from heisenberg.llm.brain import SchemaBrain
from tests.fakes.llama_server import STALL, FakeLlamaServer

ANSWER = '{"mood":"calm","intensity":0.5,"reply":"The sea is calm.","prompt":"a calm sea"}'


@pytest.fixture
async def server() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as fake:
        fake.enqueue(*ANSWER)
        yield fake


@pytest.fixture
async def relay() -> AsyncIterator[BadLlm]:
    async with BadLlm() as made:
        yield made


@pytest.fixture
async def brain(server: FakeLlamaServer, relay: BadLlm) -> AsyncIterator[SchemaBrain]:
    config = LlmConfig(timeout_seconds=1.0, stall_seconds=1.0)
    made = SchemaBrain(config, VisualConfig(), relay.leased(server.lease))
    yield made
    await made.close()


async def thoughts_of(brain: SchemaBrain) -> list[Thought]:
    return [thought async for thought in brain.think("How is the sea?", ())]


async def test_a_real_answer_passes_unchanged(brain: SchemaBrain, server: FakeLlamaServer) -> None:
    server.api_key = "secret"
    answer = (await thoughts_of(brain))[-1]

    assert isinstance(answer, Answer)
    assert "The sea is calm." == answer.text
    assert "Bearer secret" == server.requests[0]["authorization"]


@pytest.mark.parametrize("name", WRONG_ANSWERS)
async def test_a_wrong_answer_ends_the_thought_in_time_and_the_next_one_is_right(
    name: str, brain: SchemaBrain, relay: BadLlm
) -> None:
    """Some still hold a usable reply."""
    relay.arm(name)
    async with asyncio.timeout(10):
        try:
            thoughts = await thoughts_of(brain)
        except BrainError:
            thoughts = []
        answer = (await thoughts_of(brain))[-1]

    assert not thoughts or isinstance(thoughts[-1], Answer)
    assert isinstance(answer, Answer)
    assert "The sea is calm." == answer.text
    assert {name: 1} == relay.given


async def test_preparations_are_spared(brain: SchemaBrain, relay: BadLlm) -> None:
    relay.arm("HTTP 500")
    await brain.warm_up()

    assert not relay.given


async def test_wrong_answers_come_in_the_order_in_which_they_were_armed(brain: SchemaBrain, relay: BadLlm) -> None:
    relay.arm("empty")
    relay.arm("HTTP 500")
    with pytest.raises(BrainError):
        await thoughts_of(brain)

    assert {"empty": 1} == relay.given


async def test_who_relents_gives_real_answers(brain: SchemaBrain, relay: BadLlm) -> None:
    relay.arm("HTTP 500")
    relay.relent()
    await thoughts_of(brain)

    assert not relay.given


async def test_a_client_that_goes_away_ends_the_generation(
    brain: SchemaBrain, server: FakeLlamaServer, relay: BadLlm
) -> None:
    """The server behind the relay is told, as if the client had been connected to it."""
    server.forget()
    server.enqueue(STALL)
    thinking = asyncio.create_task(thoughts_of(brain))
    await server.asked.wait()
    thinking.cancel()
    await asyncio.wait_for(server.cancelled.wait(), 5)

    assert server.cancelled.is_set()


async def test_who_condemns_the_service_condemns_the_real_one(
    brain: SchemaBrain, server: FakeLlamaServer, relay: BadLlm
) -> None:
    relay.arm("refused")
    with pytest.raises(BrainError):
        await thoughts_of(brain)

    assert 1 == len(server.condemned)


async def test_a_server_that_is_gone_is_gone_behind_the_relay_too(relay: BadLlm) -> None:
    config = LlmConfig(timeout_seconds=1.0, url=relay.through("http://127.0.0.1:9"))
    gone = FakeLlamaServer(url=config.url)
    brain = SchemaBrain(config, VisualConfig(), gone.lease)
    with pytest.raises(BrainError):
        await thoughts_of(brain)
    await brain.close()

    assert 1 == len(gone.condemned)
