"""How long the voice waits for the language model while other programs saturate it.

Eight streams through the fleet's own leases, as many at once as clients may have, and a voice turn among them now and
then, in the place that is reserved for it. It should wait for no longer than the decoding step that is under way.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from heisenberg.bench.table import markdown, percentile
from heisenberg.core.config import Config
from heisenberg.core.errors import UpstreamError
from heisenberg.models import Runner
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.fleet import ModelLease
from heisenberg.runner.lanes import Priority

STREAMS = 8
TURNS = 20
PAUSE_S = 0.3
PROMPT = "Please describe a quiet harbour at night, with many small lights on the water. "


@dataclass(slots=True)
class Waits:
    """What was measured, in seconds."""

    alone_s: list[float] = field(default_factory=list)
    """A turn's first token with nobody else there."""
    first_token_s: list[float] = field(default_factory=list)
    """The same among the streams."""
    prompt_s: list[float] = field(default_factory=list)
    """What its prompt took of that, as llama-server says."""
    step_s: list[float] = field(default_factory=list)
    """Between two tokens of a stream: one decoding step of all of them together."""

    @property
    def waited_s(self) -> list[float]:
        """What a turn's first token took beyond its prompt."""
        return [first - prompt for first, prompt in zip(self.first_token_s, self.prompt_s, strict=True)]


async def measure(config: Config) -> Waits:
    """Measure the assistant's language model. Raises HeisenbergError if it cannot be had."""
    waits, numbers = Waits(), itertools.count()
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with Runner(config, serves=True, assists=True) as runner, aiohttp.ClientSession(connector=connector) as http:
        model = runner.fleet.catalog.find(config.llm.model)
        await _turn(runner, http, model, next(numbers))  # it is loaded
        for _ in range(TURNS):
            waits.alone_s.append((await _turn(runner, http, model, next(numbers)))[0])
        streams = [asyncio.create_task(_stream(runner, http, model, waits), name="stream") for _ in range(STREAMS)]
        try:
            while len(waits.step_s) < 10 * STREAMS and not any(task.done() for task in streams):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(PAUSE_S)
            for _ in range(TURNS):
                first_s, prompt_s = await _turn(runner, http, model, next(numbers))
                waits.first_token_s.append(first_s)
                waits.prompt_s.append(prompt_s)
                await asyncio.sleep(PAUSE_S)
        finally:
            for task in streams:
                task.cancel()
            await asyncio.gather(*streams, return_exceptions=True)
    return waits


def report(waits: Waits) -> str:
    """The figures as a table, and whether the voice went first; empty if nothing was measured."""
    if not waits.first_token_s:
        return ""
    rows = [
        ["alone: first token", *_both(waits.alone_s)],
        ["among them: first token", *_both(waits.first_token_s)],
        ["of which its own prompt", *_both(waits.prompt_s)],
        ["and all the rest", *_both(waits.waited_s)],
        ["one decoding step of the streams", *_both(waits.step_s)],
    ]
    waited_s, step_s = percentile(waits.waited_s, 50), percentile(waits.step_s, 50)
    verdict = (
        "- The voice's first token comes within one decoding step and the time of its own prompt: "
        f"{'met' if waited_s <= step_s else 'missed'}; beside its prompt it takes {1000 * waited_s:.0f} ms, and a step "
        f"{1000 * step_s:.0f} ms (p50)."
    )
    return markdown([f"a voice turn and {STREAMS} streams (ms)", "p50", "p95"], rows) + f"\n\n{verdict}"


async def _turn(runner: Runner, http: aiohttp.ClientSession, model: Model, number: int) -> tuple[float, float]:
    """Seconds to the voice's first token, and those of its prompt."""
    began, first, prompt_s = time.monotonic(), 0.0, 0.0
    async with runner.fleet.lease(model, Priority.VOICE) as lease:
        async for event in _events(http, lease, f"{number}. {PROMPT}", 2):
            first = first or time.monotonic()
            prompt_s = event.get("timings", {}).get("prompt_ms", 1000 * prompt_s) / 1000
    return first - began, prompt_s


async def _stream(runner: Runner, http: aiohttp.ClientSession, model: Model, waits: Waits) -> None:
    """One client after the other."""
    while True:
        latest = 0.0
        async with runner.fleet.lease(model) as lease:
            async for _ in _events(http, lease, PROMPT, 100):
                now = time.monotonic()
                if latest:
                    waits.step_s.append(now - latest)
                latest = now


async def _events(
    http: aiohttp.ClientSession, lease: ModelLease, prompt: str, tokens: int
) -> AsyncIterator[dict[str, Any]]:
    """What the model says. Raises UpstreamError if it does not answer."""
    request = {
        "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "stream": True, "ignore_eos": True,
        "cache_prompt": False,
    }  # fmt: skip
    if lease.slot is not None:
        request["id_slot"] = lease.slot
    headers = {"Authorization": f"Bearer {lease.api_key}"}
    url = f"{lease.url.rstrip('/')}/v1/chat/completions"
    with contextlib.closing(await http.post(url, json=request, headers=headers)) as answer:
        if answer.status != 200:
            raise UpstreamError(f"{lease.model.name}: its server answers {answer.status}.")
        async for line in answer.content:
            if line.startswith(b"data: {"):
                yield json.loads(line[6:])


def _both(seconds: list[float]) -> list[str]:
    return [f"{1000 * percentile(seconds, 50):.0f}", f"{1000 * percentile(seconds, 95):.0f}"]
