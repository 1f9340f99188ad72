"""The starter model's answers, by what a user would notice. It has 135 million parameters: little is asked of it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from heisenberg.core.config import LlmConfig, RunnerConfig, VisualConfig
from heisenberg.core.errors import BrainError, ModelNotFound
from heisenberg.core.stages import Answer, Exchange, ReplySentence, VisualField
from heisenberg.llm.brain import SchemaBrain
from heisenberg.llm.prompts import PromptBuilder
from heisenberg.llm.visuals import VisualSchema
from heisenberg.runner import engines
from heisenberg.runner.catalog.store import Store
from heisenberg.runner.lanes import Lane
from heisenberg.runner.pool import Pool
from heisenberg.runner.supervisor.sweep import Ledger
from tests.fakes.stages import FakeService

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m"


@pytest.fixture
async def lane(tmp_path: Path) -> AsyncIterator[Lane]:
    """The starter model, started and supervised as in the program."""
    if not engines.has_embedded_llama():
        pytest.skip("needs xllamacpp, or a llama-server on the PATH")
    gguf = _installed()
    pool = Pool(RunnerConfig(), Ledger(tmp_path), lambda *told: None)
    yield pool.lane(MODEL, engines.llama(MODEL, gguf, config()))
    await pool.close()


def _installed() -> Path:
    try:
        return Store(None).find(MODEL, "llm").file(".gguf")
    except ModelNotFound as exc:
        pytest.skip(f"needs the starter kit: {exc}")


def config(**llm: Any) -> LlmConfig:
    """One thread, and patience: the machine may have much else to do."""
    return LlmConfig.model_validate({"threads": 1, "seed": 1, "timeout_seconds": 300.0, "stall_seconds": 100.0, **llm})


async def ask(brain: SchemaBrain, question: str, language: str = "en", *history: Exchange) -> tuple[list[str], Answer]:
    """The spoken stretches, and the answer."""
    sentences: list[str] = []
    async for thought in brain.think(question, history, language):
        match thought:
            case ReplySentence(text):
                sentences.append(text)
            case Answer():
                return sentences, thought
    raise AssertionError("no answer")


async def test_simple_questions_get_sensible_short_answers(lane: Lane) -> None:
    """A fact, a picture, who it is, in both languages; greedily, so that it is the same every time."""
    brain = SchemaBrain(config(temperature=0.0), VisualConfig(), lane.lease)
    await brain.warm_up()
    _, paris = await ask(brain, "What is the capital of France?")
    _, ocean = await ask(brain, "Paint me a stormy ocean at night")
    _, name = await ask(brain, "Who are you?")
    _, nom = await ask(brain, "Bonjour, qui es-tu ?", "fr")
    await brain.close()

    assert "Paris" in paris.text
    assert any(word in str(ocean.visual["prompt"]).lower() for word in ("ocean", "sea", "storm", "wave"))
    assert "Heisenberg" in name.text
    assert "Je suis Heisenberg" in nom.text or "je suis Heisenberg" in nom.text
    assert all(len(answer.text) <= 300 for answer in (paris, ocean, name, nom))


@pytest.mark.parametrize("order", ["quick_first", "reply_first", "visual_first"])
async def test_every_order_is_kept_and_gives_everything(lane: Lane, order: str) -> None:
    visual = VisualConfig.model_validate({"order": order})
    brain = SchemaBrain(config(temperature=0.0), visual, lane.lease)
    told = [thought async for thought in brain.think("Who are you?", (), "en")]
    await brain.close()
    quick, slow = ["mood", "intensity"], ["prompt"]
    expected = {
        "quick_first": [*quick, "reply", *slow],
        "reply_first": ["reply", *slow, *quick],
        "visual_first": [*slow, *quick, "reply"],
    }
    parts = [t.field if isinstance(t, VisualField) else "reply" for t in told if not isinstance(t, Answer)]

    assert expected[order] == list(dict.fromkeys(parts))
    assert isinstance(told[-1], Answer)
    assert "Heisenberg" in told[-1].text


async def test_the_server_keeps_the_part_of_the_prompt_that_stays(lane: Lane) -> None:
    """After the warm-up only the question is read; and when the oldest exchange is dropped, the rest is moved."""
    llm, schema = config(max_tokens=16), VisualSchema(VisualConfig().fields, max_tokens=16)
    brain, prompts = SchemaBrain(llm, VisualConfig(), lane.lease), PromptBuilder(llm, schema)
    talk = [Exchange(f"What is the name of star number {number}?", "I call it the old light.") for number in range(7)]
    await brain.warm_up()
    first = await _tokens_read(lane, brain, prompts, talk[:0])
    await _tokens_read(lane, brain, prompts, talk[:6])
    shifted = await _tokens_read(lane, brain, prompts, talk[1:])
    await brain.close()

    assert first < 40
    assert shifted < 120


async def test_what_was_prepared_is_not_read_again(lane: Lane) -> None:
    """After the wake word the history is read; the question then adds its own tokens and the template's few."""
    llm, visual = config(max_tokens=16), VisualConfig()
    brain = SchemaBrain(llm, visual, lane.lease)
    prompts = PromptBuilder(llm, VisualSchema(visual.fields, max_tokens=llm.max_tokens, order=visual.order))
    talk = [Exchange(f"What is the name of star number {number}?", "I call it the old light.") for number in range(4)]
    await brain.warm_up()
    unprepared = await _tokens_read(lane, brain, prompts, talk[:2])
    await brain.prepare(talk)
    prepared = await _tokens_read(lane, brain, prompts, talk)
    await brain.close()

    assert prepared <= 16
    assert unprepared > 2 * prepared


async def test_a_preparation_that_is_cut_short_keeps_nobody_waiting(lane: Lane) -> None:
    """Given a long history that is being read: the question is answered, and what was read stays read."""
    brain = SchemaBrain(config(temperature=0.0, max_tokens=60), VisualConfig(), lane.lease)
    talk = [Exchange(f"What is the name of star number {number}?", "I call it the old light.") for number in range(12)]
    await brain.warm_up()
    preparing = asyncio.create_task(brain.prepare(talk))
    await asyncio.sleep(0)
    _, answer = await ask(brain, "What is the capital of France?", "en", *talk)
    await preparing
    await brain.close()

    assert answer.text


async def _tokens_read(lane: Lane, brain: SchemaBrain, prompts: PromptBuilder, talk: list[Exchange]) -> int:
    """How many tokens of a prompt the server had to read."""
    prompt = prompts.build("How far is it?", talk)
    body = {**prompt.fields, "max_tokens": 1, "cache_prompt": True, "n_cache_reuse": 32}
    async with lane.lease() as lease, aiohttp.ClientSession() as http:
        headers = {"Authorization": f"Bearer {lease.api_key}"}
        async with http.post(lease.url + prompt.path, json=body, headers=headers) as response:
            return int((await response.json())["timings"]["prompt_n"])


async def test_a_wrong_key_is_told_before_the_first_question(lane: Lane) -> None:
    async with lane.lease() as lease:
        stranger = FakeService(lease.url, "wrong")
        brain = SchemaBrain(config(), VisualConfig(), stranger.lease)
        with pytest.raises(BrainError, match="llm.api_key"):
            await brain.warm_up()
        await brain.close()

    assert [] == stranger.condemned
