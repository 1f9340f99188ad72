"""Streams a completion from an OpenAI-compatible server. What the text means is ``partial.py``'s affair.

Closing the generator closes the connection, so that the server stops generating at once.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

import aiohttp

from heisenberg.core.errors import BrainError
from heisenberg.llm.deltas import Delta, Limits, Patience, Refused, Unreachable
from heisenberg.llm.sse import EventReader

log = logging.getLogger(__name__)

LOADING_POLL_S = 0.3
"""How often a server that is still loading its model is asked again."""

ERROR_BYTES = 4096
"""How much of a failure's body is read."""

ANSWER_BYTES = 4 << 20
"""Longest answer of a server that does not stream."""


def address(url: str, path: str) -> str:
    """Where *path* (``/v1/…``) is on a server given as ``http://host:port``, with or without ``/v1``."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/") + path


async def stream(
    http: aiohttp.ClientSession, url: str, api_key: str, body: Mapping[str, Any], limits: Limits
) -> AsyncGenerator[Delta, None]:
    """Post *body* to *url* and yield what comes, as it comes.

    Raises: BrainError with code ``llm-timeout``, ``upstream-error`` (the server reports a failure, or does not
        speak this protocol) or ``llm-failed`` (no connection, or it broke).
    """
    patience = Patience(limits)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        response = await _open(http, url, headers, body, patience)
        try:
            async with aclosing(_events(response, patience)) as events:
                async for data in events:
                    delta = _delta(data, url)
                    if delta.text:
                        patience.has_begun()
                    yield delta
        finally:
            response.close()  # not release(): that would let the server finish what nobody reads
    except (aiohttp.ClientError, OSError) as exc:
        raise _unreachable(url, exc) from exc


async def _open(
    http: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: Mapping[str, Any], patience: Patience
) -> aiohttp.ClientResponse:
    """The response, once the server has loaded its model."""
    while True:
        response = await patience.wait(http.post(url, json=body, headers=headers))
        if response.status < 400:
            return response
        try:
            raw = await _read(response, ERROR_BYTES, patience)
        finally:
            response.close()
        reason = _reason(raw.decode(errors="replace")) or response.reason or "no reason given"
        if response.status != 503 or "loading" not in reason.lower():
            raise _refusal(url, response.status, reason)
        await patience.wait(asyncio.sleep(LOADING_POLL_S))


async def _read(response: aiohttp.ClientResponse, most_bytes: int, patience: Patience) -> bytes:
    body = b""
    while len(body) < most_bytes and (received := await patience.wait(response.content.readany())):
        body += received
    return body[:most_bytes]


async def _events(response: aiohttp.ClientResponse, patience: Patience) -> AsyncGenerator[str, None]:
    """The data of each event until ``[DONE]``; a server that does not stream gives one."""
    if response.content_type == "application/json":
        yield (await _read(response, ANSWER_BYTES, patience)).decode(errors="replace")
        return
    reader, has_any = EventReader(), False
    while True:
        received = await patience.wait(response.content.readany())
        try:
            events = reader.feed(received) if received else reader.flush()
        except ValueError as exc:
            raise _no_stream(response) from exc
        for data in events:
            has_any = True
            if data.strip() == "[DONE]":
                return
            yield data
        if not received:
            if not has_any:
                raise _no_stream(response)
            return


def _delta(data: str, url: str) -> Delta:
    try:
        payload = json.loads(data)
        if payload.get("error"):
            raise BrainError(f"The language model's server failed: {_reason(data)}", code="upstream-error")
        choice: dict[str, Any] = next(iter(payload.get("choices") or ()), {})
        says = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        text, finish = says.get("content") or "", choice.get("finish_reason") or ""
        return Delta(str(text), str(finish), _tokens(payload))
    except (ValueError, AttributeError, TypeError) as exc:
        raise BrainError(
            f"{url} sent {data[:80]!r}, which is no completion. Is llm.url an OpenAI-compatible server?",
            code="upstream-error",
        ) from exc


def _tokens(payload: Mapping[str, Any]) -> int:
    used = (payload.get("usage") or {}).get("completion_tokens")
    return int(used or (payload.get("timings") or {}).get("predicted_n") or 0)


def _reason(text: str) -> str:
    """The server's own words, on one line."""
    try:
        found: object = json.loads(text)
    except ValueError:
        found = text
    while isinstance(found, dict):
        found = next((found[key] for key in ("error", "message", "detail") if found.get(key)), "")
    return " ".join(str(found).split())[:300]


def _refusal(url: str, status: int, reason: str) -> Refused:
    advice = {401: " Check llm.api_key.", 403: " Check llm.api_key.", 404: " Check llm.url and llm.model."}
    message = f"The language model at {url} answered {status}: {reason}.{advice.get(status, '')}"
    return Refused(message.replace("..", "."), status=status, reason=reason)


def _no_stream(response: aiohttp.ClientResponse) -> BrainError:
    return BrainError(
        f"{response.url} answered with {response.content_type}, not with a stream of events. "
        "Is llm.url an OpenAI-compatible server?",
        code="upstream-error",
    )


def _unreachable(url: str, exc: Exception) -> Unreachable:
    has_begun = isinstance(exc, aiohttp.ClientPayloadError | aiohttp.ServerDisconnectedError | ConnectionError)
    if has_begun and not isinstance(exc, aiohttp.ClientConnectorError):
        return Unreachable(f"The language model at {url} broke off its answer: {exc or type(exc).__name__}")
    reason = getattr(exc, "os_error", exc)
    return Unreachable(f"No language model answers at {url} ({reason}). Is the server running? See llm.url.")
