"""What our Moshi worker and we say to each other: Wyoming, and a few events of our own (``workers/moshi.py``).

In: events; out: what they mean. No connection is opened here but for the one question how fast the worker is; streams
are ``moshi.py``'s affair.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk, AudioStart
from wyoming.client import AsyncClient
from wyoming.error import Error
from wyoming.event import Event

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.recordings import TimedWord
from heisenberg.runner.connection import NOT_WYOMING, connected

PAUSE_HEAD = 2
"""Of the model's four: whether nobody speaks for 2 s from here. The shorter ones take a breath for an end."""

SPEED_S = 5.0
"""Longest wait for its answer to ``speed``; it has measured before."""


@dataclass(frozen=True, slots=True)
class Heard:
    """One more frame (80 ms) was processed."""

    text: str
    """New characters; usually none."""
    words: tuple[TimedWord, ...]
    """Words that ended, with times from the stream's beginning."""
    at: float
    """Seconds of the stream that are processed."""
    pause: float | None
    """Probability (0–1) that a pause of 2 s has begun; None if the model does not say."""


@dataclass(frozen=True, slots=True)
class Flushed:
    """Everything that was sent before a flush is written down."""

    number: int
    text: str
    """Of the whole stream."""
    words: tuple[TimedWord, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know."""

    text: str


@dataclass(frozen=True, slots=True)
class Speed:
    """What the worker measured when it started."""

    real_time_factor: float
    """Seconds of work for a second of sound; above 1 it falls behind."""
    device: str
    notices: tuple[str, ...] = ()
    """What people should know of how it started; told once."""


async def begin(client: AsyncClient, language: str) -> None:
    """A new stream; *language* is an ISO 639-1 code or ``auto``."""
    wanted = None if language == "auto" else language
    await client.write_event(Transcribe(language=wanted, context={"stream": True}).event())
    await client.write_event(AudioStart(rate=PIPELINE_RATE_HZ, width=2, channels=1).event())


async def send(client: AsyncClient, samples: Samples) -> None:
    """More of the stream."""
    pcm = samples.astype("<i2").tobytes()
    await client.write_event(AudioChunk(rate=PIPELINE_RATE_HZ, width=2, channels=1, audio=pcm).event())


async def flush(client: AsyncClient, number: int) -> None:
    """Asks for everything that was said so far; the stream may go on."""
    await client.write_event(Event("flush", {"id": number}))


async def speed(uri: str) -> Speed | None:
    """How fast the service at *uri* is; None if it does not tell. Raises nothing."""
    try:
        async with asyncio.timeout(SPEED_S), connected(uri) as client:
            await client.write_event(Event("speed"))
            while (event := await client.read_event()) is not None:
                if event.type == "speed":
                    return _measured(event.data)
    except NOT_WYOMING:  # TimeoutError is one of them
        return None
    return None


def _measured(data: Mapping[str, Any]) -> Speed:
    notices = tuple(" ".join(str(notice).split()) for notice in data.get("notices") or ())
    return Speed(float(data["real_time_factor"]), str(data.get("device", "this device")), notices)


def understood(event: Event) -> Heard | Flushed | Notice | None:
    """What *event* means; None for what does not concern us. Raises TranscriptionError."""
    if Error.is_type(event.type):
        raise _told(Error.from_event(event))
    try:
        return _read(event.type, event.data)
    except (LookupError, TypeError, ValueError) as exc:
        raise TranscriptionError(f"The recogniser gave an answer that is not understood: {exc!r}.") from exc


def _read(kind: str, data: Mapping[str, Any]) -> Heard | Flushed | Notice | None:
    match kind:
        case "transcript-chunk":
            return Heard(str(data["text"]), _words(data), float(data["at"]), _pause(data.get("pause")))
        case "flushed":
            return Flushed(int(data["id"]), str(data["text"]), _words(data))
        case "notice":
            return Notice(" ".join(str(data["text"]).split()))
    return None


def _words(data: Mapping[str, Any]) -> tuple[TimedWord, ...]:
    told = ((str(word).strip(), float(start), float(end)) for word, start, end in data.get("words") or ())
    return tuple(TimedWord(word, start, end) for word, start, end in told if word)


def _pause(heads: Sequence[float] | None) -> float | None:
    return float(heads[min(PAUSE_HEAD, len(heads) - 1)]) if heads else None


def _told(error: Error) -> TranscriptionError:
    """What the service itself says: it is alive."""
    if error.code == "refused":
        return TranscriptionError(error.text, code="usage")
    return TranscriptionError(f"The recogniser failed: {error.text}", code="upstream-error")
