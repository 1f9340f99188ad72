"""Speech to text by an OpenAI-compatible server on the network: ``POST /v1/audio/transcriptions``.

Commands and stretches of recordings are sent as WAV. Long files are cut up before (``recordings.py``), so no server
meets one that is longer than half a minute.
"""

import io
import wave
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import TranscriptionError
from heisenberg.core.languages import code_of
from heisenberg.core.recordings import Passage, TimedWord, Wanted
from heisenberg.core.stages import ServiceLease, Transcript

LONGEST_REASON = 300
"""Characters of a server's error that are shown."""

SHORTEST_SAMPLES = PIPELINE_RATE_HZ // 10
"""OpenAI refuses less; nothing is said in it."""


class OpenAiRecogniser:
    """Asks one server; made for ``BufferedRecogniser`` and ``RecordingTranscriber``.

    Args:
        model: the server's name for it.
        language: of commands; ISO 639-1 code or ``auto``.
        timeout_s: longest wait for an answer, in seconds.
    """

    def __init__(self, model: str, language: str, timeout_s: float) -> None:
        self._model = model
        self._language = language
        self._timeout_s = timeout_s

    async def command(self, service: ServiceLease, samples: Samples, partial: bool) -> Transcript:
        """The words of a command. Raises TranscriptionError."""
        language = None if self._language == "auto" else self._language
        found = await self._ask(service, samples, Wanted(language), "json")
        return Transcript(str(found.get("text", "")).strip(), language or "en")

    async def stretch(self, service: ServiceLease, samples: Samples, wanted: Wanted) -> AsyncGenerator[Passage, None]:
        """The passages of a stretch; one for all of it if the server tells no times. Raises TranscriptionError."""
        try:
            found = await self._ask(service, samples, wanted, "verbose_json")
        except Refused:
            found = await self._ask(service, samples, wanted, "json")  # OpenAI's newer models tell no times
        for passage in _passages(found, len(samples) / PIPELINE_RATE_HZ, wanted):
            yield passage

    async def _ask(self, service: ServiceLease, samples: Samples, wanted: Wanted, form: str) -> Mapping[str, Any]:
        if len(samples) < SHORTEST_SAMPLES:
            return {"text": ""}
        kind = "translations" if wanted.task == "translate" else "transcriptions"
        url = f"{service.url.rstrip('/').removesuffix('/v1').rstrip('/')}/v1/audio/{kind}"
        headers = {"Authorization": f"Bearer {service.api_key}"} if service.api_key else {}
        try:
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            async with aiohttp.ClientSession(timeout=timeout, headers=headers) as http:
                async with http.post(url, data=self._form(samples, wanted, form)) as answer:
                    if answer.status != 200:
                        raise _refusal(url, answer.status, (await answer.text(errors="replace"))[:LONGEST_REASON])
                    found = await answer.json(content_type=None)
        except TimeoutError as exc:
            message = f"The recogniser did not answer within {self._timeout_s:g} s. See stt.timeout_seconds."
            raise TranscriptionError(message, code="stt-timeout") from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise TranscriptionError(f"The recogniser at {url} cannot be used: {exc}") from exc
        if not isinstance(found, dict) or "text" not in found:
            raise TranscriptionError(f"The recogniser at {url} gave an answer without a text.")
        return found

    def _form(self, samples: Samples, wanted: Wanted, form: str) -> aiohttp.FormData:
        data = aiohttp.FormData()
        data.add_field("model", self._model)
        data.add_field("response_format", form)
        data.add_field("temperature", f"{wanted.temperature:g}")
        if wanted.language and wanted.task == "transcribe":
            data.add_field("language", wanted.language)
        if wanted.prompt:
            data.add_field("prompt", wanted.prompt)
        if form == "verbose_json" and wanted.task == "transcribe":
            for granularity in ("segment", "word") if wanted.words else ("segment",):
                data.add_field("timestamp_granularities[]", granularity)
        data.add_field("file", _wav(samples), filename="speech.wav", content_type="audio/wav")
        return data


class Refused(TranscriptionError):
    """The server does not take the request as it is."""


def _refusal(url: str, status: int, reason: str) -> TranscriptionError:
    message = f"The recogniser at {url} answered {status}: {' '.join(reason.split())}"
    kind = Refused if status in (400, 422) else TranscriptionError
    return kind(message, code="upstream-error")


def _wav(samples: Samples) -> io.BytesIO:
    """A file, since aiohttp sends large bytes in one go."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(PIPELINE_RATE_HZ)
        sound.writeframes(samples.astype("<i2").tobytes())
    file.seek(0)
    return file


def _passages(found: Mapping[str, Any], seconds: float, wanted: Wanted) -> list[Passage]:
    """*found* as passages. Raises TranscriptionError if its segments lack what they should have."""
    language = wanted.language or code_of(str(found.get("language") or "en"))
    text = str(found["text"]).strip()
    try:
        words = [_word(word) for word in found.get("words") or ()]
        segments = [s for s in found.get("segments") or () if str(s["text"]).strip()]
        if not segments:
            return [Passage(0.0, seconds, text, language, tuple(words))] if text else []
        return [_passage(s, language, _within(words, s, is_last=s is segments[-1])) for s in segments]
    except (LookupError, TypeError, ValueError) as exc:
        raise TranscriptionError(f"The recogniser gave an answer that is not understood: {exc!r}.") from exc


def _passage(segment: Mapping[str, Any], language: str, words: tuple[TimedWord, ...]) -> Passage:
    return Passage(
        float(segment["start"]),
        float(segment["end"]),
        str(segment["text"]).strip(),
        language,
        words,
        tokens=tuple(int(token) for token in segment.get("tokens") or ()),
        temperature=float(segment.get("temperature") or 0.0),
        avg_logprob=float(segment.get("avg_logprob") or 0.0),
        compression_ratio=float(segment.get("compression_ratio") or 1.0),
        no_speech_prob=float(segment.get("no_speech_prob") or 0.0),
    )


def _word(told: Mapping[str, Any]) -> TimedWord:
    return TimedWord(str(told["word"]).strip(), float(told["start"]), float(told["end"]))


def _within(words: list[TimedWord], segment: Mapping[str, Any], *, is_last: bool) -> tuple[TimedWord, ...]:
    """Takes the words of *segment* from the front of *words*."""
    count = 0
    while count < len(words) and (is_last or words[count].start < float(segment["end"])):
        count += 1
    taken = tuple(words[:count])
    del words[:count]
    return taken
