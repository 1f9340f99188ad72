"""Speech to text over the Wyoming protocol: our own Whisper worker, or any service on the network.

One connection per request: a service that dies takes nothing else with it.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from wyoming.asr import Transcribe
from wyoming.asr import Transcript as WyomingTranscript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.stages import Transcript
from heisenberg.runner.connection import NOT_WYOMING, connected

MALFORMED = (LookupError, TypeError, AttributeError)
"""What an event raises that lacks what it should have."""

BLOCK_SAMPLES = PIPELINE_RATE_HZ
"""Audio is sent in one-second blocks."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a recording and its words."""

    start: float
    """Seconds from the beginning."""
    end: float
    """Seconds from the beginning."""
    text: str
    language: str


async def transcribe(
    uri: str, samples: Samples, language: str, *, timeout_s: float, context: Mapping[str, bool] | None = None
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


async def segments(uri: str, samples: Samples, language: str, *, stall_s: float) -> AsyncGenerator[Segment, None]:
    """The segments of a whole recording, as they are decoded. Raises TranscriptionError."""
    answers = _request(uri, samples, language, {"segments": True})
    try:
        while True:
            async with asyncio.timeout(stall_s):
                event = await anext(answers, None)
            if event is None:
                raise TranscriptionError("The recogniser ended before it was done.")
            if event.type == "transcript-chunk":
                yield Segment(**event.data)
            elif event.type == "transcript-stop":
                return
    except TimeoutError as exc:
        raise TranscriptionError(f"The recogniser was silent for {stall_s:g} s.", code="stt-timeout") from exc
    except MALFORMED as exc:
        raise _malformed(uri, exc) from exc
    finally:
        await answers.aclose()


async def _request(
    uri: str, samples: Samples, language: str, context: Mapping[str, bool] | None
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
                    raise TranscriptionError(
                        f"The recogniser failed: {Error.from_event(event).text}", code="upstream-error"
                    )
                yield event
    except NOT_WYOMING as exc:
        raise TranscriptionError(f"The recogniser at {uri} cannot be reached: {exc}") from exc


def _malformed(uri: str, error: Exception) -> TranscriptionError:
    return TranscriptionError(f"The recogniser at {uri} gave an answer that is not understood: {error!r}.")
