"""The brain over a scripted Ollama: what it asks for, what old and odd servers do to it, how it fails."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from heisenberg.core.config import LlmConfig, VisualConfig
from heisenberg.core.errors import BrainError, ConfigError, ModelPullFailed
from heisenberg.core.stages import Answer, Exchange, ReplyToken, Thought
from heisenberg.llm.brain import SchemaBrain
from heisenberg.llm.deltas import ModelMissing
from heisenberg.llm.ollama_host import pull_command, server_url
from heisenberg.llm.ollama_pull import is_missing, pull
from tests.fakes.llama_server import STALL
from tests.fakes.ollama_server import FakeOllama, Thinking

REPLY = "The sea is deep. It is dark, too."
VISUAL = {"prompt": "a deep sea", "mood": "dark", "intensity": 0.7}
ANSWER = json.dumps({"reply": REPLY, "visual": VISUAL})


@pytest.fixture(autouse=True)
def _no_ollama_of_the_developers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def server() -> AsyncIterator[FakeOllama]:
    async with FakeOllama() as running:
        yield running


@asynccontextmanager
async def brain_of(server: FakeOllama, **llm: Any) -> AsyncIterator[SchemaBrain]:
    config = LlmConfig().model_copy(update={"backend": "ollama", "model": "tiny", **llm})
    brain = SchemaBrain(config, VisualConfig(), server.lease)
    try:
        yield brain
    finally:
        await brain.close()


async def think(server: FakeOllama, **llm: Any) -> list[Thought]:
    async with brain_of(server, **llm) as brain:
        return [thought async for thought in brain.think("How is the sea?", ())]


async def test_the_request_carries_the_schema_and_the_configuration(server: FakeOllama) -> None:
    server.enqueue(ANSWER)
    server.api_key = "secret"
    await think(server, seed=7, temperature=0.1, keep_alive="10m", options={"top_k": 40, "num_gpu": 0})
    asked = server.requests[0]

    assert ("/api/chat", "tiny", True, False) == tuple(asked[key] for key in ("path", "model", "stream", "think"))
    assert {"role": "user", "content": "How is the sea?"} == asked["messages"][-1]
    assert ["mood", "intensity", "reply", "visual"] == asked["format"]["required"]
    assert {
        **{"num_ctx": 4096, "temperature": 0.1, "min_p": 0.1, "seed": 7, "num_predict": 160},
        **{"top_k": 40, "num_gpu": 0},
    } == asked["options"]
    assert ("10m", "Bearer secret") == (asked["keep_alive"], asked["authorization"])


@pytest.mark.parametrize(
    ("llm", "num_ctx"),
    [({}, 4096), ({"context_tokens": 1024}, 1024), ({"context_tokens": 1024, "options": {"num_ctx": 8192}}, 8192)],
)
async def test_the_context_is_what_was_asked_for(server: FakeOllama, llm: dict[str, Any], num_ctx: int) -> None:
    server.enqueue(ANSWER)
    await think(server, **llm)

    assert num_ctx == server.requests[0]["options"]["num_ctx"]


async def test_a_longer_context_holds_more_of_the_conversation(server: FakeOllama) -> None:
    server.enqueue(ANSWER)
    history = [Exchange(f"Question {number}?", "The sea " * 60) for number in range(40)]
    for window in (1024, 8192):
        async with brain_of(server, options={"num_ctx": window}) as brain:
            _ = [thought async for thought in brain.think("How is the sea?", history)]
    short, long = (len(asked["messages"]) for asked in server.requests)

    assert short + 10 < long


@pytest.mark.parametrize(("text", "sent"), [("", None), ("-1", -1.0), ("300", 300.0), ("1h30m", "1h30m")])
async def test_seconds_to_keep_the_model_are_sent_as_a_number(
    server: FakeOllama, text: str, sent: str | float | None
) -> None:
    """Ollama refuses "300": a text needs a unit."""
    server.enqueue(ANSWER)
    await think(server, keep_alive=text)

    assert sent == server.requests[0].get("keep_alive")


async def test_our_own_formats_go_out_raw(server: FakeOllama) -> None:
    server.enqueue(ANSWER)
    answer = (await think(server, prompt_format="chatml"))[-1]
    asked = server.requests[0]

    assert Answer(REPLY, VISUAL, 1) == answer
    assert ("/api/generate", True) == (asked["path"], asked["raw"])
    assert asked["prompt"].endswith("<|im_start|>assistant\n")
    assert "<|im_end|>" in asked["options"]["stop"]


@pytest.mark.parametrize(
    ("formats", "tried"),
    [(("json",), ["schema", "json", "json"]), ((), ["schema", "json", "nothing", "nothing"])],
    ids=["JSON only", "nothing"],
)
async def test_an_old_server_is_asked_for_as_much_form_as_it_knows(
    server: FakeOllama, formats: tuple[str, ...], tried: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, and it is not bothered again."""
    server.formats = formats
    server.enqueue(ANSWER)
    async with brain_of(server) as brain:
        for _ in range(2):
            thoughts = [thought async for thought in brain.think("How is the sea?", ())]

            assert Answer(REPLY, VISUAL, 1) == thoughts[-1]

    assert tried == [{dict: "schema", str: "json"}.get(type(ask.get("format")), "nothing") for ask in server.requests]
    assert len(tried) - 2 == len(caplog.messages)


async def test_a_server_that_cannot_be_told_not_to_think_is_not(server: FakeOllama) -> None:
    server.enqueue(status=400, message='"tiny" does not support thinking')
    server.enqueue(ANSWER)

    assert Answer(REPLY, VISUAL, 1) == (await think(server))[-1]
    assert [False, None] == [asked.get("think") for asked in server.requests]


async def test_thoughts_of_the_model_are_not_spoken(server: FakeOllama) -> None:
    server.enqueue(Thinking("Hmm, the sea."), Thinking(" Is it deep?"), ANSWER)

    assert REPLY == "".join(thought.text for thought in await think(server) if isinstance(thought, ReplyToken))


async def test_an_old_server_does_not_say_why_it_is_done(server: FakeOllama) -> None:
    server.enqueue("The sea is deep.", knows_done_reason=False)

    assert Answer("The sea is deep.", {}, 1) == (await think(server))[-1]


async def test_warming_up_loads_the_model_as_questions_need_it(server: FakeOllama) -> None:
    """Another num_ctx would make Ollama load it a second time."""
    server.enqueue('{"', finish="length")
    async with brain_of(server, keep_alive="1h", options={"num_gpu": 1}) as brain:
        await brain.warm_up()
    loaded, asked = server.loads[0], server.requests[0]

    assert ([], "1h") == (loaded["messages"], loaded["keep_alive"])
    assert (4096, 1) == (loaded["options"]["num_ctx"], loaded["options"]["num_gpu"])
    assert (4096, 1, 1) == tuple(asked["options"][key] for key in ("num_ctx", "num_gpu", "num_predict"))


async def test_preparing_reads_what_stands_before_the_question(server: FakeOllama) -> None:
    server.enqueue(ANSWER)
    told = [Exchange("Hello", "Hi!")]
    async with brain_of(server) as brain:
        await brain.prepare(told)
        _ = [thought async for thought in brain.think("How is the sea?", told)]
    ahead, asked = server.requests

    assert ahead["messages"][:-1] == asked["messages"][:-1]
    assert (1, False) == (ahead["options"]["num_predict"], "format" in ahead)


async def test_a_model_in_the_cloud_is_not_asked_to_prepare(server: FakeOllama) -> None:
    async with brain_of(server, model="gpt-oss:120b-cloud") as brain:
        await brain.prepare(())

    assert [] == server.requests


@pytest.mark.parametrize("way", ["think", "warm_up"])
async def test_a_missing_model_is_told_with_the_command_that_gets_it(server: FakeOllama, way: str) -> None:
    async with brain_of(server, model="llama3.2:1b") as brain:
        asked = anext(brain.think("Hi", ())) if way == "think" else brain.warm_up()
        with pytest.raises(ModelMissing) as caught:
            await asked

    assert "model-not-found" == caught.value.code
    assert (
        f'The Ollama at {server.url} does not have the model "llama3.2:1b". '
        f"Run: OLLAMA_HOST={server.url} ollama pull llama3.2:1b"
    ) == caught.value.message


async def test_where_nobody_listens_the_first_step_is_named() -> None:
    server = FakeOllama(url="http://127.0.0.1:9")
    with pytest.raises(BrainError, match=r"No Ollama answers at http://127.0.0.1:9 .*See llm.url") as caught:
        await think(server)

    assert ("llm-failed", 1) == (caught.value.code, len(server.condemned))


@pytest.mark.parametrize(
    "raw",
    [b"<html>It works!</html>\n", b'{"choices": []}\n', b"[1]\n", b'{"message": 7}\n', b"\xff\xfe\n"],
    ids=str,
)
async def test_a_server_that_is_no_ollama_is_called_so(server: FakeOllama, raw: bytes) -> None:
    server.enqueue(raw=raw)
    with pytest.raises(BrainError, match="no answer of Ollama's") as caught:
        await think(server)

    assert ("upstream-error", []) == (caught.value.code, server.condemned)


async def test_a_server_without_these_paths_is_called_so(server: FakeOllama) -> None:
    server.enqueue(status=404, message="404 page not found")
    with pytest.raises(BrainError, match=r"answered 404: 404 page not found\. Is llm.url an Ollama\?"):
        await think(server)


async def test_a_page_for_people_is_not_quoted(server: FakeOllama) -> None:
    """Some web server, to which nobody may POST."""
    server.enqueue(status=501, message="<!DOCTYPE HTML>\n<html><head><title>Error response</title></head></html>")
    with pytest.raises(BrainError, match=r"answered 501: no reason given\. Is llm.url an Ollama\?$"):
        await think(server)


@pytest.mark.parametrize(("status", "message"), [(401, "unauthorized"), (503, "server busy, please try again.")])
async def test_a_refusal_is_told_in_the_servers_words(server: FakeOllama, status: int, message: str) -> None:
    server.enqueue(status=status, message=message)
    with pytest.raises(BrainError, match=message) as caught:
        await think(server)

    assert ("upstream-error", 1) == (caught.value.code, len(server.requests))


# ── pulling ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_pull_tells_its_progress_and_then_the_model_is_there(server: FakeOllama) -> None:
    server.pullable.add("llama3.2:1b")

    assert await is_missing(server.url, "", "llama3.2:1b")
    steps = [step async for step in pull(server.url, "", "llama3.2:1b")]
    assert not await is_missing(server.url, "", "llama3.2:1b")
    assert [0, 40, 100] == [step.done_bytes for step in steps if step.total_bytes == 100]
    assert "success" == steps[-1].status


async def test_a_model_that_nobody_has_cannot_be_pulled(server: FakeOllama) -> None:
    with pytest.raises(ModelPullFailed, match='could not pull "nonsense".*file does not exist'):
        _ = [step async for step in pull(server.url, "", "nonsense")]


# ── where it is ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("configured", "host", "url"),
    [
        ("", "", "http://127.0.0.1:11434"),
        ("", "0.0.0.0", "http://127.0.0.1:11434"),
        ("", "0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("", ":8000", "http://127.0.0.1:8000"),
        ("", "studio.local", "http://studio.local:11434"),
        ("", "http://studio.local", "http://studio.local:80"),
        ("", "https://studio.local/ollama/", "https://studio.local:443/ollama"),
        ("", "[::1]:8000", "http://[::1]:8000"),
        ("http://10.0.0.2:11434", "studio.local", "http://10.0.0.2:11434"),
        ("http://10.0.0.2:11434/v1/", "", "http://10.0.0.2:11434"),
    ],
)
def test_the_server_is_found_as_ollamas_own_programs_find_it(
    monkeypatch: pytest.MonkeyPatch, configured: str, host: str, url: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)

    assert url == server_url(configured)


@pytest.mark.parametrize("configured", ["", "http://10.0.0.2:11434"])
@pytest.mark.parametrize("host", ["http://a:b:c", "ftp://x", "one two", "127.0.0.1:abc", "http://[::1"])
def test_a_host_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, host: str, configured: str) -> None:
    """Even where it is not needed: Ollama's client reads it when it is imported, and fails in its own words."""
    monkeypatch.setenv("OLLAMA_HOST", host)
    with pytest.raises(ConfigError, match="OLLAMA_HOST is"):
        server_url(configured)


def test_the_usual_server_needs_no_address_to_pull() -> None:
    assert "ollama pull llama3.2" == pull_command("http://127.0.0.1:11434", "llama3.2")


async def test_leaving_while_the_model_loads_closes_the_connection(server: FakeOllama) -> None:
    server.enqueue(STALL)
    async with brain_of(server) as brain, asyncio.timeout(5):
        warming = asyncio.create_task(brain.warm_up())
        await server.asked.wait()
        warming.cancel()
        await asyncio.wait([warming])
        await server.cancelled.wait()
