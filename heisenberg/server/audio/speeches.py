"""``POST /v1/audio/speech``: texts of other programs, spoken; and which voices there are.

Sentence by sentence: the voice is leased for one at a time and its sound is kept until it is done, so that neither a
long text nor a client that reads slowly keeps the assistant from speaking.
"""

import asyncio
import base64
import json
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from heisenberg.core.audio import AudioChunk
from heisenberg.core.errors import SpeechError
from heisenberg.core.stages import Voice
from heisenberg.server.asgi import (
    STREAM_HEADERS,
    BadRequest,
    Receive,
    Scope,
    Send,
    parse_object,
    read_body,
    send_json,
    subject_of,
    while_connected,
)
from heisenberg.server.audio.encoding import MEDIA_TYPES, Container, Encoder
from heisenberg.server.audio.names import SPEAKERS, TRANSCRIBERS, speaker_named, voices
from heisenberg.server.audio.sentences import sentences
from heisenberg.server.context import Context

LONGEST_INPUT = 4096
"""Characters, as OpenAI's."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request of ``/v1/audio/speech``."""

    model: str
    text: str
    voice: str
    container: Container
    speed: float
    is_sse: bool


async def speak(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """POST /v1/audio/speech."""
    asked = read(parse_object(await read_body(scope, receive, context.body_bytes)))
    model = speaker_named(context, asked.model, asked.voice)
    subject_of(scope).model = model.name if model else context.config.tts.voice
    voice = context.speech.speaker(model, asked.speed, asked.voice)
    try:
        await while_connected(receive, _answer(voice, asked, send))
    except SpeechError as exc:
        if exc.code == "tts-timeout":
            raise BadRequest(exc.message, 504) from exc
        raise


async def list_voices(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/audio/voices: not OpenAI's, but other servers' and their clients' (Open WebUI)."""
    await send_json(send, {"voices": [{"id": name, "name": name} for name in voices(context)]})


async def list_models(context: Context, scope: Scope, receive: Receive, send: Send) -> None:
    """GET /v1/audio/models: the same of models."""
    installed = [model.name for model in context.fleet.catalog.all() if model.kind in ("stt", "tts")]
    names = dict.fromkeys([*installed, SPEAKERS[0], TRANSCRIBERS[0]])
    await send_json(send, {"models": [{"id": name, "name": name} for name in names]})


def read(request: dict[str, Any]) -> Asked:
    """*request*, checked. Raises BadRequest."""
    model, text = request.get("model"), request.get("input")
    if not isinstance(model, str) or not model:
        raise BadRequest("model is required")
    if not isinstance(text, str) or not text.strip():
        raise BadRequest("input is required: the text to be spoken")
    if len(text) > LONGEST_INPUT:
        raise BadRequest(f"input has {len(text)} characters; at most {LONGEST_INPUT} are spoken at once")
    container = request.get("response_format") or "mp3"
    if container not in MEDIA_TYPES:
        raise BadRequest(f"response_format is {str(container)[:40]!r}; expected one of {', '.join(MEDIA_TYPES)}")
    stream_format = request.get("stream_format") or "audio"
    if stream_format not in ("audio", "sse"):
        raise BadRequest(f"stream_format is {str(stream_format)[:40]!r}; expected audio or sse")
    voice, speed = _voice(request.get("voice")), _speed(request.get("speed"))
    return Asked(model, text, voice, cast(Container, container), speed, stream_format == "sse")


def _voice(given: object) -> str:
    """A name, or an object with an id; where none is given, the configured one."""
    name = given.get("id") if isinstance(given, dict) else given
    if name is None:
        return ""
    if not isinstance(name, str):
        raise BadRequest("voice has to be a name")
    return name


def _speed(given: object) -> float:
    speed = 1.0 if given is None else given
    if isinstance(speed, bool) or not isinstance(speed, int | float) or not 0.25 <= speed <= 4:  # NaN, too
        raise BadRequest(f"speed is {str(given)[:40]}; expected a number from 0.25 to 4")
    return float(speed)


async def spoken(voice: Voice, text: str) -> AsyncGenerator[AudioChunk, None]:
    """The sound of *text*; the voice is not held while a chunk is used. Raises HeisenbergError."""
    for sentence in sentences(text):
        async with aclosing(voice.speak(sentence)) as sound:
            chunks = [chunk async for chunk in sound]
        for chunk in chunks:
            yield chunk


async def _answer(voice: Voice, asked: Asked, send: Send) -> None:
    encoder = await asyncio.to_thread(Encoder, asked.container)
    has_begun = False
    async with aclosing(spoken(voice, asked.text)) as sound:
        async for chunk in sound:
            block = await asyncio.to_thread(encoder.encode, chunk)
            if not has_begun:  # only now, so that a voice that fails is told with its status
                await _begin(asked, send)
                has_begun = True
            await _send_block(asked, block, send)
    block = await asyncio.to_thread(encoder.finish)
    if not has_begun:
        await _begin(asked, send)
    await _send_block(asked, block, send)
    await send({"type": "http.response.body", "body": _done(asked, encoder) if asked.is_sse else b""})


async def _begin(asked: Asked, send: Send) -> None:
    kind = "text/event-stream; charset=utf-8" if asked.is_sse else MEDIA_TYPES[asked.container]
    headers = [(b"content-type", kind.encode()), *STREAM_HEADERS]
    await send({"type": "http.response.start", "status": 200, "headers": headers})


async def _send_block(asked: Asked, block: bytes, send: Send) -> None:
    if not block:
        return
    if asked.is_sse:
        block = _event({"type": "speech.audio.delta", "audio": base64.b64encode(block).decode()})
    await send({"type": "http.response.body", "body": block, "more_body": True})


def _done(asked: Asked, encoder: Encoder) -> bytes:
    """The last event. Our voices count no tokens: words and seconds stand for them."""
    said, heard = len(asked.text.split()), math.ceil(encoder.seconds)
    usage = {"input_tokens": said, "output_tokens": heard, "total_tokens": said + heard}
    return _event({"type": "speech.audio.done", "usage": usage})


def _event(found: object) -> bytes:
    return f"data: {json.dumps(found)}\n\n".encode()
