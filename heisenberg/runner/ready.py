"""Is a child ready? It is when it answers, not when it prints something."""

import asyncio
from typing import Any

import aiohttp
from wyoming.info import Describe, Info

from heisenberg.runner.connection import NOT_WYOMING, connected
from heisenberg.runner.supervisor.process import Address

PROBE_TIMEOUT_S = 1.0


async def wyoming_is_ready(address: Address) -> bool:
    """Whether a Wyoming service at *address* describes itself."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S), connected(address.url) as client:
            await client.write_event(Describe().event())
            event = await client.read_event()
            return event is not None and Info.is_type(event.type)
    except NOT_WYOMING:
        return False


async def llama_is_ready(address: Address) -> bool:
    """Whether llama.cpp's server at *address* has loaded its model, and is ours: it knows our key and our name for it.

    Another program may have been faster to take the port. It has another key, or else no such model.
    """
    if not await llama_is_alive(address):
        return False
    try:
        # Its list of models may be open to all; its properties are not. Old builds have none.
        status, _ = await _get(address, "/props")
        if status not in (200, 404):
            return False
        status, models = await _get(address, "/v1/models")
        return status == 200 and _lists(models, address.model)
    except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
        return False


async def llama_is_alive(address: Address) -> bool:
    """Whether it says that it is well; it does so however busy it is."""
    try:
        return (await _get(address, "/health"))[0] == 200
    except (OSError, TimeoutError, ValueError, aiohttp.ClientError):
        return False


async def _get(address: Address, path: str) -> tuple[int, Any]:
    """Status and answer."""
    timeout = aiohttp.ClientTimeout(total=PROBE_TIMEOUT_S)
    headers = {"Authorization": f"Bearer {address.api_key}"}
    async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
        async with http.get(address.url + path) as answer:
            return answer.status, await answer.json(content_type=None)


def _lists(answer: object, model: str) -> bool:
    """Whether *answer*, a list of models in OpenAI's form, has *model*."""
    try:
        return not model or any(entry["id"] == model for entry in answer["data"])  # type: ignore[index]
    except (KeyError, TypeError, IndexError):
        return False
