"""Speech to text over the Wyoming protocol: our own Whisper worker, or any service on the network.

One connection per request: a service that dies takes nothing else with it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from wyoming.asr import Transcribe
from wyoming.asr import Transcript as WyomingTranscript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.recordings import Passage, TimedWord, Wanted
from heisenberg.core.stages import ServiceLease, Transcript
from heisenberg.runner.connection import NOT_WYOMING, connected

MALFORMED = (LookupError, TypeError, AttributeError)
"""What an event raises that lacks what it should have."""

BLOCK_SAMPLES = PIPELINE_RATE_HZ
"""Audio is sent in one-second blocks."""


async def transcribe(
    uri: str, samples: Samples, language: str, *, timeout_s: float, context: Mapping[str, object] | None = None
) -> Transcript:
    """The words in *samples* (16 kHz mono).

    Args:
        uri: ``unix://`` or ``tcp://`` of the service.
        language: ISO 639-1 code or ``auto``.
        context: hints that our own worker understands.

    Raises: TranscriptionError; its code is ``stt-timeout`` after *timeout_s* seconds and ``upstream-error``
        where the service itself reports a failure (it is alive, then).
    """
    try:
        async with asyncio.timeout(timeout_s), aclosing(_request(uri, samples, language, context)) as answers:
            async for event in answers:
                if WyomingTranscript.is_type(event.type):
                    found = WyomingTranscript.from_event(event)
                    spoken = found.language or (language if language != "auto" else "en")
                    return Transcript(found.text.strip(), spoken)
    except TimeoutError as exc:
        raise TranscriptionError(
            f"The recogniser did not answer within {timeout_s:g} s. See stt.timeout_seconds.", code="stt-timeout"
        ) from exc
    except MALFORMED as exc:
        raise _malformed(uri, exc) from exc
    raise TranscriptionError("The recogniser ended before it answered.")


async def passages(
    service: ServiceLease, samples: Samples, wanted: Wanted, *, stall_s: float
) -> AsyncGenerator[Passage, None]:
    """The passages of a stretch of a recording, as they are decoded.

    A service that tells no times gives one passage, as long as the stretch. Raises TranscriptionError.
    """
    uri = service.url
    answers = _request(uri, samples, wanted.language or "auto", _context(wanted))
    has_told = False
    try:
        while True:
            async with asyncio.timeout(stall_s):
                event = await anext(answers, None)
            if event is None:
                raise TranscriptionError("The recogniser ended before it was done.")
            if event.type == "transcript-chunk" and ("start" in event.data or has_told):
                has_told = True
                yield _passage(event.data)
            elif WyomingTranscript.is_type(event.type):
                whole = WyomingTranscript.from_event(event)
                if whole.text.strip() and not has_told:
                    language = whole.language or wanted.language or "en"
                    yield Passage(0.0, len(samples) / PIPELINE_RATE_HZ, whole.text.strip(), language)
                return
    except TimeoutError as exc:
        raise TranscriptionError(f"The recogniser was silent for {stall_s:g} s.", code="stt-timeout") from exc
    except MALFORMED as exc:
        raise _malformed(uri, exc) from exc
    finally:
        await answers.aclose()


def _context(wanted: Wanted) -> dict[str, object]:
    """What our own worker understands; others ignore it."""
    told: dict[str, object] = {
        "task": wanted.task,
        "prompt": wanted.prompt,
        "temperature": wanted.temperature,
        "words": wanted.words,
    }
    return {"segments": True, **{key: value for key, value in told.items() if value and value != "transcribe"}}


def _passage(data: Mapping[str, Any]) -> Passage:
    words = tuple(TimedWord(*word) for word in data.get("words", ()))
    return Passage(**{**data, "words": words, "tokens": tuple(data.get("tokens", ()))})


async def _request(
    uri: str, samples: Samples, language: str, context: Mapping[str, object] | None
) -> AsyncGenerator[Event, None]:
    try:
        async with connected(uri) as client:
            wanted = None if language == "auto" else language
            await client.write_event(Transcribe(language=wanted, context=dict(context or {})).event())
            await client.write_event(AudioStart(rate=PIPELINE_RATE_HZ, width=2, channels=1).event())
            for at in range(0, len(samples), BLOCK_SAMPLES):
                block = samples[at : at + BLOCK_SAMPLES].astype("<i2").tobytes()
                chunk = AudioChunk(rate=PIPELINE_RATE_HZ, width=2, channels=1, audio=block)
                await client.write_event(chunk.event())
            await client.write_event(AudioStop().event())
            while (event := await client.read_event()) is not None:
                if Error.is_type(event.type):
                    raise _told(Error.from_event(event))
                yield event
    except NOT_WYOMING as exc:
        raise TranscriptionError(f"The recogniser at {uri} cannot be reached: {exc}") from exc


def _told(error: Error) -> TranscriptionError:
    """What the service itself says. Our own worker tells what the request is to blame for."""
    if error.code == "refused":
        return TranscriptionError(error.text, code="usage")
    return TranscriptionError(f"The recogniser failed: {error.text}", code="upstream-error")


def _malformed(uri: str, error: Exception) -> TranscriptionError:
    return TranscriptionError(f"The recogniser at {uri} gave an answer that is not understood: {error!r}.")
