"""What every brain does: over scripted servers, and with SmolLM2-135M over the real embedded llama.cpp, directly
and as an Ollama (our own server's dialect).

All are asked through the same code, so this is about what the servers do with it: their grammar, their cache,
their reaction to a client that leaves.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import ollama
import pytest

from heisenberg.core.config import LlmConfig, PresetConfig, VisualConfig, VisualField
from heisenberg.core.stages import Answer, Exchange, ReplySentence, ReplyToken, Thought
from heisenberg.core.stages import VisualField as Field
from heisenberg.llm.analyst import SchemaAnalyst
from heisenberg.llm.brain import SchemaBrain
from heisenberg.runner import engines
from heisenberg.runner.engines import NewSpec
from tests.contract.brains import BACKENDS, in_pieces
from tests.contract.conftest import StartWorker
from tests.fakes.llama_server import STALL, FakeLlamaServer
from tests.fakes.ollama_server import FakeOllama
from tests.fakes.stages import FakeService

MODEL = "smollm2-135m"
FORMATS = ["server", "chatml", "llama2", "plain"]
RICH = {
    "prompt": VisualField(description="a short image prompt", max_length=60),
    "style": VisualField(max_length=20),
    "mood": VisualField(type="enum", values=["calm", "dark"]),
    "hue": VisualField(type="float", minimum=0, maximum=360, description="the colour in degrees"),
    "speed": VisualField(type="float", minimum=-1, maximum=1),
}
FAKE_ANSWER = {
    "reply": "Here is a storm, dark and loud. The waves are high.",
    "visual": {"prompt": "a storm", "style": "oil", "mood": "dark", "intensity": 0.5, "hue": 200, "speed": 0.5},
}
URL = {"llama.cpp": "", "openai": "http://its.lease.says", "ollama": ""}
A_WHILE_S = 180
"""One thread, on a machine that may have much else to do."""


@dataclass
class Server:
    """A server, and how to see that it has stopped."""

    service: Any
    backend: str
    wait_until_idle: Callable[[], Any]
    never_end: Callable[[], None] = lambda: None
    """Lets a fake begin an answer without an end."""

    def brain(self, fields: dict[str, VisualField] | None = None, **llm: Any) -> SchemaBrain:
        visual = VisualConfig(fields=fields) if fields is not None else VisualConfig()
        return SchemaBrain(self.config(**llm), visual, self.service.lease)

    def config(self, **llm: Any) -> LlmConfig:
        given = {"backend": self.backend, "model": MODEL, "url": URL[self.backend], "seed": 1, "temperature": 0.3}
        patience = {"timeout_seconds": 150.0, "stall_seconds": 100.0}
        return LlmConfig.model_validate({**given, **patience, **llm})


@dataclass(frozen=True)
class Real:
    """A real server, or none: scripted ones live on the event loop of each test."""

    backend: str
    service: FakeService | None = None


@pytest.fixture(
    scope="module",
    params=[*BACKENDS, *(pytest.param(f"real {name}", marks=pytest.mark.e2e) for name in ("llama.cpp", "ollama"))],
)
def real(request: pytest.FixtureRequest) -> Real:
    kind, _, backend = request.param.rpartition(" ")
    if not kind:
        return Real(backend)
    return Real(backend, request.getfixturevalue("served_model" if backend == "ollama" else "llama_model"))


@pytest.fixture(scope="module")
def served_model(model_server: FakeService) -> FakeService:
    """Our own server, with its language model in memory, so that no test seems to leave a process behind."""
    with ollama.Client(model_server.url) as client:
        client.generate(MODEL, "", keep_alive=-1)
    return model_server


@pytest.fixture(scope="module")
def llama_model(request: pytest.FixtureRequest, start_worker: StartWorker) -> FakeService:
    """The embedded llama.cpp."""
    folder: Path = request.getfixturevalue("models") / MODEL
    found = sorted(folder.glob("*.gguf"))
    if not found or not engines.has_embedded_llama():
        pytest.skip("needs xllamacpp and the starter kit: heisenberg models pull starter")

    def new_spec(_: Path) -> NewSpec:
        spec = engines.llama(MODEL, found[0], LlmConfig(threads=1))()
        addresses.append(spec.address)
        return lambda: spec

    addresses: list[Any] = []
    service = start_worker(new_spec)
    service.api_key = addresses[0].api_key
    return service


@pytest.fixture
async def server(real: Real, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    if (service := real.service) is not None:
        idle = _served_idle if real.backend == "ollama" else _idle
        yield Server(service, real.backend, lambda: idle(service))
        return
    async with FakeOllama(models={MODEL}) if real.backend == "ollama" else FakeLlamaServer() as fake:
        fake.enqueue(*in_pieces(json.dumps(FAKE_ANSWER)))
        yield Server(fake, real.backend, fake.cancelled.wait, lambda: _never_end(fake))


def _never_end(fake: FakeLlamaServer | FakeOllama) -> None:
    fake.forget()
    fake.enqueue('{"reply": "Once upon a', STALL)


async def _idle(service: FakeService) -> None:
    """Until none of the server's slots is at work. Each look is an answer of the server, so this never spins."""
    headers = {"Authorization": f"Bearer {service.api_key}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        while True:
            async with http.get(f"{service.url}/slots") as response:
                assert response.status == 200, await response.text()
                if not any(slot["is_processing"] for slot in await response.json()):
                    return


async def _served_idle(service: FakeService) -> None:
    """Until nobody uses our server's model."""
    async with aiohttp.ClientSession() as http:
        while True:
            async with http.get(f"{service.url}/models") as response:
                assert response.status == 200, await response.text()
                found = json.dumps(await response.json())
                if not re.search(r'"in_use": *[1-9]', found):
                    return


async def think(brain: SchemaBrain, question: str, language: str = "en") -> list[Thought]:
    async with asyncio.timeout(A_WHILE_S):
        try:
            return [thought async for thought in brain.think(question, (), language)]
        finally:
            await brain.close()


def check_form(thoughts: list[Thought], fields: dict[str, VisualField]) -> Answer:
    """The answer, after what holds for every stream of thoughts was checked."""
    *grown, answer = thoughts
    assert isinstance(answer, Answer)
    assert not any(isinstance(thought, Answer) for thought in grown)
    tokens = "".join(thought.text for thought in grown if isinstance(thought, ReplyToken))
    sentences = "".join(thought.text for thought in grown if isinstance(thought, ReplySentence))
    assert "".join(sentences.split()) == "".join(answer.text.split())
    assert tokens.startswith(answer.text)
    said = [(thought.field, thought.value) for thought in grown if isinstance(thought, Field)]
    assert dict(said) == answer.visual
    assert len(said) == len(answer.visual)
    for name, value in said:
        assert is_allowed(fields[name], value), (name, value)
    return answer


def is_allowed(field: VisualField, value: str | float) -> bool:
    match field.type:
        case "float":
            return isinstance(value, float) and field.minimum <= value <= field.maximum
        case "enum":
            return value in field.values
        case "string":
            return isinstance(value, str) and 0 < len(value) <= field.max_length


@pytest.mark.parametrize("prompt_format", FORMATS)
async def test_an_answer_has_a_reply_and_every_field_within_its_bounds(server: Server, prompt_format: str) -> None:
    fields = VisualConfig().fields
    thoughts = await think(server.brain(prompt_format=prompt_format), "Paint me a stormy ocean at night")
    answer = check_form(thoughts, fields)

    assert answer.text
    assert set(fields) == set(answer.visual)
    assert 0 < answer.tokens <= 160


async def test_the_users_own_fields_are_answered(server: Server) -> None:
    answer = check_form(await think(server.brain(RICH, max_tokens=300), "Show me a fire in the desert."), RICH)

    assert set(RICH) == set(answer.visual)


async def test_without_fields_there_is_only_a_reply(server: Server) -> None:
    answer = check_form(await think(server.brain({}), "Who are you?"), {})

    assert answer.text
    assert {} == answer.visual


@pytest.mark.parametrize("temperature", [0.0, 2.0])
async def test_every_temperature_keeps_the_form(server: Server, temperature: float) -> None:
    """An answer with a wild temperature may be cut off; what there is of it is in order."""
    check_form(await think(server.brain(temperature=temperature), "Tell me a joke."), VisualConfig().fields)


@pytest.mark.parametrize(
    ("personality", "language"),
    [("assistant", "fr"), ("poet", "en"), ("scientist", "fr"), ("dj", "en"), ("oracle", "fr")],
)
async def test_every_personality_answers_in_the_form(server: Server, personality: str, language: str) -> None:
    question = {"en": "Who are you?", "fr": "Bonjour, qui es-tu ?"}[language]
    thoughts = await think(server.brain(personality=personality), question, language)

    assert check_form(thoughts, VisualConfig().fields).text


async def test_a_short_context_keeps_the_form(server: Server) -> None:
    """The smallest context there is, a long history and a question that is too long for it."""
    brain = server.brain(context_tokens=512, max_tokens=160)
    history = [Exchange(f"Why is number {number} so high?", "Because of the sea, of course.") for number in range(40)]
    async with asyncio.timeout(A_WHILE_S):
        thoughts = [thought async for thought in brain.think("Why? " * 1000, history, "en")]
    await brain.close()

    assert check_form(thoughts, VisualConfig().fields).text


async def test_closing_the_thoughts_stops_the_generation(server: Server) -> None:
    """An answer of 1800 tokens is begun and left; the server turns idle long before it could be complete."""
    server.never_end()
    brain = server.brain({}, max_tokens=1800, system_prompt="Tell very long stories.")
    async with asyncio.timeout(A_WHILE_S):
        async with aclosing(brain.think("Tell me the whole story of the world.", (), "en")) as thoughts:
            assert isinstance(await anext(thoughts), ReplyToken)
        async with asyncio.timeout(5):
            await server.wait_until_idle()
    await brain.close()


async def test_a_task_that_is_cancelled_stops_the_generation(server: Server) -> None:
    server.never_end()
    brain = server.brain({}, max_tokens=1800)
    has_begun = asyncio.Event()

    async def listen() -> None:
        async for _ in brain.think("Tell me the whole story of the world.", (), "en"):
            has_begun.set()

    listening = asyncio.create_task(listen())
    async with asyncio.timeout(A_WHILE_S):
        await has_begun.wait()
        listening.cancel()
        await asyncio.wait([listening])
        async with asyncio.timeout(5):
            await server.wait_until_idle()
    await brain.close()


async def test_warming_up_is_followed_by_an_answer(server: Server) -> None:
    brain = server.brain()
    async with asyncio.timeout(A_WHILE_S):
        await brain.warm_up()

    assert check_form(await think(brain, "Who are you?"), VisualConfig().fields).text


@pytest.mark.parametrize("preset", [PresetConfig(), PresetConfig(system_prompt="You write tags.", fields=RICH)])
async def test_an_analysis_has_every_field_within_its_bounds(server: Server, preset: PresetConfig) -> None:
    """The analyst asks in the same way, without a reply."""
    fields = preset.fields or VisualConfig().fields
    analyst = SchemaAnalyst(server.config(), VisualConfig(), server.service.lease)
    said = "It was a dark night. The waves of the ocean were high, and the wind was cold."
    async with asyncio.timeout(A_WHILE_S):
        *grown, answer = [found async for found in analyst.analyse(said, preset)]
    await analyst.close()

    assert isinstance(answer, Answer)
    assert ("", set(fields)) == (answer.text, set(answer.visual))
    assert {found.field: found.value for found in grown if isinstance(found, Field)} == answer.visual
    assert all(is_allowed(fields[name], value) for name, value in answer.visual.items())
