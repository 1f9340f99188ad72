"""The brain over a scripted server: what it asks for, what it makes of the answers, how it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import aiohttp
import pytest

from heisenberg.core.config import LlmConfig, VisualConfig
from heisenberg.core.errors import BrainError
from heisenberg.core.stages import Answer, Exchange, ReplySentence, ReplyToken, Thought, VisualField
from heisenberg.llm.brain import SchemaBrain
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import ModelLease
from tests.fakes.llama_server import DROP, STALL, Fail, FakeLlamaServer

REPLY = "The sea is deep. It is dark, too."
VISUAL = {"prompt": "a deep sea", "mood": "dark", "intensity": 0.7}
ANSWER = json.dumps({"reply": REPLY, "visual": VISUAL})


@pytest.fixture
async def server() -> AsyncIterator[FakeLlamaServer]:
    async with FakeLlamaServer() as running:
        yield running


@asynccontextmanager
async def brain_of(server: FakeLlamaServer, **llm: Any) -> AsyncIterator[SchemaBrain]:
    config = LlmConfig().model_copy(update=llm)  # unchecked, so that tests may be impatient
    brain = SchemaBrain(config, VisualConfig(), server.lease)
    try:
        yield brain
    finally:
        await brain.close()


async def think(server: FakeLlamaServer, question: str = "How is the sea?", **llm: Any) -> list[Thought]:
    async with brain_of(server, **llm) as brain:
        return [thought async for thought in brain.think(question, ())]


async def test_thoughts_come_as_they_complete_and_the_answer_last(server: FakeLlamaServer) -> None:
    server.enqueue(
        '{"reply": "The sea', " is deep. It is", ' dark, too.", "visual": {"prompt": "a deep sea"', ', "mood": "dark"}}'
    )

    assert [
        ReplyToken("The sea"),
        ReplyToken(" is deep. It is"),
        ReplySentence("The sea is deep."),
        ReplyToken(" dark, too."),
        ReplySentence("It is dark, too."),
        VisualField("prompt", "a deep sea"),
        VisualField("mood", "dark"),
        Answer("The sea is deep. It is dark, too.", {"prompt": "a deep sea", "mood": "dark"}, 4),
    ] == await think(server)


async def test_the_last_sentence_does_not_wait_for_the_visuals(server: FakeLlamaServer) -> None:
    server.enqueue('{"reply": "Hello you", "visual', STALL)
    async with brain_of(server) as brain, aclosing(brain.think("Hi", ())) as thoughts:
        assert ReplyToken("Hello you") == await anext(thoughts)
        assert ReplySentence("Hello you") == await anext(thoughts)


async def test_the_request_carries_the_schema_and_the_configuration(server: FakeLlamaServer) -> None:
    server.enqueue(ANSWER)
    await think(server, seed=7, temperature=0.1, model="tiny")
    asked = server.requests[0]
    form = asked["response_format"]["json_schema"]

    assert "/v1/chat/completions" == asked["path"]
    assert {"role": "user", "content": "How is the sea?"} == asked["messages"][-1]
    assert ("tiny", True, 7, 0.1, 160) == tuple(
        asked[key] for key in ("model", "stream", "seed", "temperature", "max_tokens")
    )
    assert asked["cache_prompt"]
    assert ("answer", True) == (form["name"], form["strict"])
    assert ["mood", "intensity", "reply", "visual"] == form["schema"]["required"]


async def test_another_companys_server_sees_only_what_the_protocol_knows(server: FakeLlamaServer) -> None:
    server.enqueue(ANSWER)
    server.api_key = "secret"
    await think(server, backend="openai")

    assert {
        *("model", "messages", "stream", "max_tokens", "temperature", "response_format"),
        *("path", "authorization"),
    } == set(server.requests[0])
    assert "Bearer secret" == server.requests[0]["authorization"]


@pytest.mark.parametrize(("order", "first"), [("reply_first", "reply"), ("visual_first", "visual")])
async def test_the_order_is_the_configured_one(server: FakeLlamaServer, order: str, first: str) -> None:
    server.enqueue(ANSWER)
    brain = SchemaBrain(LlmConfig(), VisualConfig.model_validate({"order": order}), server.lease)
    _ = [thought async for thought in brain.think("How is the sea?", ())]
    await brain.close()

    assert first == server.requests[0]["response_format"]["json_schema"]["schema"]["required"][0]


async def test_our_own_formats_go_out_as_text_with_stop_words(server: FakeLlamaServer) -> None:
    server.enqueue(ANSWER)
    answer = (await think(server, prompt_format="chatml"))[-1]
    asked = server.requests[0]

    assert Answer(REPLY, VISUAL, 1) == answer
    assert "/v1/completions" == asked["path"]
    assert asked["prompt"].endswith("<|im_start|>assistant\n")
    assert "<|im_end|>" in asked["stop"]
    assert ["mood", "intensity", "reply", "visual"] == asked["json_schema"]["required"]


async def test_the_history_and_the_language_reach_the_model(server: FakeLlamaServer) -> None:
    server.enqueue(ANSWER)
    async with brain_of(server) as brain:
        async for _ in brain.think("Et la mer ?", [Exchange("Bonjour", "Salut !")], "fr"):
            pass
    messages = server.requests[0]["messages"]

    assert "Tu es Heisenberg" in messages[0]["content"]
    assert ["Bonjour", '{"reply":"Salut !"}', "Et la mer ?"] == [message["content"] for message in messages[-3:]]


async def test_a_server_without_schemas_is_asked_again_without_one(
    server: FakeLlamaServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Its plain words are a reply; and it is not bothered with a schema again."""
    server.enqueue(status=400, message="This response_format type is unavailable now")
    server.enqueue("The sea is deep.")
    async with brain_of(server) as brain:
        for _ in range(2):
            thoughts = [thought async for thought in brain.think("How is the sea?", ())]

            assert Answer("The sea is deep.", {}, 1) == thoughts[-1]

    assert [True, False, False] == ["response_format" in asked for asked in server.requests]
    assert 1 == caplog.text.count("not constrained")


async def test_a_refusal_for_another_reason_is_final(server: FakeLlamaServer) -> None:
    server.enqueue(status=400, message="the request exceeds the available context size")
    with pytest.raises(BrainError, match="context size") as caught:
        await think(server)

    assert ("upstream-error", 1, []) == (caught.value.code, len(server.requests), server.condemned)


async def test_an_answer_that_was_cut_off_gives_what_is_complete(server: FakeLlamaServer) -> None:
    """The model ran out of tokens in the middle of a word: it is not spoken half."""
    server.enqueue('{"reply": "The sea is deep. It is very da', finish="length")
    thoughts = await think(server)

    assert ["The sea is deep.", "It is very"] == [item.text for item in thoughts if isinstance(item, ReplySentence)]
    assert Answer("The sea is deep. It is very", {}, 1) == thoughts[-1]


async def test_a_missing_field_is_simply_absent(server: FakeLlamaServer) -> None:
    server.enqueue('{"reply": "Hello.", "visual": {"mood": "furious", "intensity": 3}}')

    assert Answer("Hello.", {"intensity": 1.0}, 1) == (await think(server))[-1]


async def test_fields_without_a_reply_are_an_answer(server: FakeLlamaServer) -> None:
    server.enqueue('{"visual": {"mood": "dark"}}')

    assert [VisualField("mood", "dark"), Answer("", {"mood": "dark"}, 1)] == await think(server)


@pytest.mark.parametrize("text", ["", "{}", '{"reply": ""}', "<think>Well, I"])
async def test_an_answer_without_anything_is_a_failure(server: FakeLlamaServer, text: str) -> None:
    server.enqueue(text)
    with pytest.raises(BrainError, match="no reply") as caught:
        await think(server)

    assert ("llm-bad-answer", []) == (caught.value.code, server.condemned)


@pytest.mark.parametrize(
    ("tokens", "code", "is_condemned"),
    [
        (["{", Fail("out of memory")], "upstream-error", False),
        (["{", DROP], "llm-failed", True),
        (["{", STALL], "llm-timeout", True),
    ],
)
async def test_only_a_server_that_no_longer_answers_is_condemned(
    server: FakeLlamaServer, tokens: list[Any], code: str, is_condemned: bool
) -> None:
    server.enqueue(*tokens)
    with pytest.raises(BrainError) as caught:
        await think(server, stall_seconds=0.1)

    assert (code, is_condemned) == (caught.value.code, bool(server.condemned))


async def test_an_answer_that_ends_too_early_is_a_failure(server: FakeLlamaServer) -> None:
    server.enqueue('{"reply": "The sea', finish="", is_done_sent=False)
    with pytest.raises(BrainError, match="ended its answer in the middle"):
        await think(server)


async def test_the_wait_for_a_free_model_is_bounded() -> None:
    @asynccontextmanager
    async def taken() -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    brain = SchemaBrain(LlmConfig().model_copy(update={"timeout_seconds": 0.05}), VisualConfig(), taken)
    with pytest.raises(BrainError, match="not free within 0.05 s") as caught:
        await anext(brain.think("Hi", ()))

    assert "llm-timeout" == caught.value.code


async def test_closing_the_thoughts_stops_the_server_and_frees_the_model(server: FakeLlamaServer) -> None:
    server.enqueue('{"reply": "The sea', STALL)
    is_leased = asyncio.Event()

    @asynccontextmanager
    async def lease() -> AsyncIterator[FakeLlamaServer]:
        is_leased.set()
        try:
            yield server
        finally:
            is_leased.clear()

    brain = SchemaBrain(LlmConfig(), VisualConfig(), lease)
    thoughts = brain.think("How is the sea?", ())
    assert ReplyToken("The sea") == await anext(thoughts)
    assert is_leased.is_set()
    await thoughts.aclose()
    async with asyncio.timeout(5):
        await server.cancelled.wait()
    await brain.close()

    assert not is_leased.is_set()
    assert [] == server.condemned


async def test_warming_up_reads_the_prompt_that_stays(server: FakeLlamaServer) -> None:
    server.enqueue('{"', finish="length")
    server.enqueue(ANSWER)
    async with brain_of(server) as brain:
        await brain.warm_up()
        _ = [thought async for thought in brain.think("How is the sea?", ())]
    warm, asked = server.requests

    assert (1, 160) == (warm["max_tokens"], asked["max_tokens"])
    assert warm["messages"][:-1] == asked["messages"][:-1]
    assert warm["response_format"] == asked["response_format"]


async def test_preparing_sends_what_stands_before_the_question(server: FakeLlamaServer) -> None:
    """The question then differs from it only at its end; the language is that of the question before."""
    server.enqueue(ANSWER)
    told = [Exchange("Bonjour", "Salut !")]
    async with brain_of(server) as brain:
        _ = [thought async for thought in brain.think("Bonjour", (), "fr")]
        await brain.prepare(told)
        _ = [thought async for thought in brain.think("Et la mer ?", told, "fr")]
    _, ahead, asked = server.requests

    assert ahead["messages"][:-1] == asked["messages"][:-1]
    assert {"role": "user", "content": ""} == ahead["messages"][-1]
    assert (1, True, 0) == (ahead["max_tokens"], ahead["cache_prompt"], ahead["id_slot"])
    assert "response_format" not in ahead


@pytest.mark.parametrize(("slot", "roams", "sent"), [(2, False, 2), (None, False, 0), (None, True, None)])
async def test_the_lease_says_which_slot_it_has(
    server: FakeLlamaServer, slot: int | None, roams: bool, sent: int | None
) -> None:
    """Where others may sit in the voice's slot it has none of its own, so that it need not wait for them."""

    @asynccontextmanager
    async def lease() -> AsyncIterator[ModelLease]:
        yield ModelLease(Model("a", "llm"), server.url, slot=slot, roams=roams)

    server.enqueue(ANSWER)
    brain = SchemaBrain(LlmConfig(url=server.url), VisualConfig(), lease)
    _ = [thought async for thought in brain.think("Hello", (), "en")]
    await brain.close()

    assert sent == server.requests[0].get("id_slot")


async def test_a_question_does_not_wait_for_what_is_being_prepared(server: FakeLlamaServer) -> None:
    """The preparation gives the model back, and its connection is closed."""
    server.enqueue(STALL)
    server.enqueue(ANSWER)
    free = asyncio.Lock()

    @asynccontextmanager
    async def lease() -> AsyncIterator[FakeLlamaServer]:
        async with free:
            yield server

    brain = SchemaBrain(LlmConfig(), VisualConfig(), lease)
    async with asyncio.timeout(5):
        preparing = asyncio.create_task(brain.prepare(()))
        await server.asked.wait()
        thoughts = [thought async for thought in brain.think("How is the sea?", ())]
        await server.cancelled.wait()
        await preparing
    await brain.close()

    assert Answer(REPLY, VISUAL, 1) == thoughts[-1]
    assert [] == server.condemned


async def test_preparing_can_be_cancelled(server: FakeLlamaServer) -> None:
    server.enqueue(STALL)
    async with brain_of(server) as brain, asyncio.timeout(5):
        preparing = asyncio.create_task(brain.prepare(()))
        await server.asked.wait()
        preparing.cancel()
        await asyncio.wait([preparing])
        await server.cancelled.wait()

        assert preparing.cancelled()


async def test_what_cannot_be_prepared_troubles_nobody(
    server: FakeLlamaServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.enqueue(status=500, message="out of memory")
    async with brain_of(server) as brain:
        await brain.prepare(())

    assert "" == caplog.text


async def test_another_companys_server_is_not_asked_to_prepare(server: FakeLlamaServer) -> None:
    async with brain_of(server, backend="openai") as brain:
        await brain.prepare(())

    assert [] == server.requests


async def test_a_shared_session_stays_open(server: FakeLlamaServer) -> None:
    server.enqueue(ANSWER)
    async with aiohttp.ClientSession() as http:
        brain = SchemaBrain(LlmConfig(), VisualConfig(), server.lease, http=http)
        _ = [thought async for thought in brain.think("How is the sea?", ())]
        await brain.close()

        assert not http.closed


async def test_closing_twice_is_allowed(server: FakeLlamaServer) -> None:
    server.enqueue(ANSWER)
    async with brain_of(server) as brain:
        await brain.warm_up()
        await brain.close()
