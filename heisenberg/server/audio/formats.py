"""A transcript in each of OpenAI's forms. Pure: passages in, text out."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg.core.languages import ENGLISH_NAMES, joined
from heisenberg.core.recordings import Passage, RecordingEnd, TimedWord
from heisenberg.server.audio.asked import Asked

TEXT, JSON, VTT = b"text/plain; charset=utf-8", b"application/json", b"text/vtt; charset=utf-8"

AUDIO_TOKENS_PER_SECOND = 10
"""As OpenAI counts what it hears: https://developers.openai.com/api/docs/guides/realtime-costs"""


@dataclass(frozen=True, slots=True)
class Written:
    """An answer."""

    body: str
    content_type: bytes


def written(asked: Asked, passages: Sequence[Passage], end: RecordingEnd) -> Written:
    """The whole answer."""
    text = joined([passage.text for passage in passages], end.language)
    match asked.shape:
        case "text":
            return Written(f"{text}\n", TEXT)
        case "srt":
            return Written(srt(passages), TEXT)
        case "vtt":
            return Written(vtt(passages), VTT)
        case "json":
            return Written(_json({"text": text, "usage": usage(end)}), JSON)
        case "verbose_json":
            return Written(_json(verbose(asked, text, passages, end)), JSON)


def srt(passages: Sequence[Passage]) -> str:
    """SubRip."""
    return "".join(
        f"{number}\n{_clock(p.start, ',')} --> {_clock(p.end, ',')}\n{_line(p.text)}\n\n"
        for number, p in enumerate(passages, 1)
    )


def vtt(passages: Sequence[Passage]) -> str:
    """WebVTT. Its text knows entities, and a time is ended by an arrow."""
    cues = (f"{_clock(p.start, '.')} --> {_clock(p.end, '.')}\n{_escaped(_line(p.text))}\n\n" for p in passages)
    return "WEBVTT\n\n" + "".join(cues)


def verbose(asked: Asked, text: str, passages: Sequence[Passage], end: RecordingEnd) -> dict[str, Any]:
    """``verbose_json``. Its language is an English name, of the text and not of what was said."""
    language = "english" if asked.wanted.task == "translate" else ENGLISH_NAMES.get(end.language, end.language)
    found: dict[str, Any] = {
        "task": asked.wanted.task,
        "language": language,
        "duration": round(end.seconds, 3),
        "text": text,
    }
    if asked.words:
        found["words"] = [_word(word) for passage in passages for word in passage.words]
    if asked.segments:
        found["segments"] = [_segment(number, passage) for number, passage in enumerate(passages)]
    return {**found, "usage": usage(end)}


def usage(end: RecordingEnd) -> dict[str, Any]:
    """What it would cost."""
    return {"type": "duration", "seconds": math.ceil(end.seconds)}


def token_usage(written_tokens: int, end: RecordingEnd) -> dict[str, Any]:
    """The same in tokens, as the last event of a stream tells it; a prompt's are not counted."""
    heard_tokens = math.ceil(end.seconds * AUDIO_TOKENS_PER_SECOND)
    return {
        "type": "tokens",
        "input_tokens": heard_tokens,
        "input_token_details": {"audio_tokens": heard_tokens, "text_tokens": 0},
        "output_tokens": written_tokens,
        "total_tokens": heard_tokens + written_tokens,
    }


def _segment(number: int, passage: Passage) -> dict[str, Any]:
    return {
        "id": number,
        "seek": passage.seek,
        "start": round(passage.start, 3),
        "end": round(passage.end, 3),
        "text": f" {passage.text}",  # so that all of them together are the text
        "tokens": list(passage.tokens),
        "temperature": passage.temperature,
        "avg_logprob": passage.avg_logprob,
        "compression_ratio": passage.compression_ratio,
        "no_speech_prob": passage.no_speech_prob,
    }


def _word(word: TimedWord) -> dict[str, Any]:
    return {"word": word.word, "start": round(word.start, 3), "end": round(word.end, 3)}


def _clock(seconds: float, comma: str) -> str:
    """``00:01:02,345``."""
    minutes, milliseconds = divmod(round(max(0.0, seconds) * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{comma}{milliseconds % 1000:03}"


def _line(text: str) -> str:
    """An empty line would end the cue."""
    return " ".join(text.split())


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(found: object) -> str:
    return json.dumps(found, ensure_ascii=False, allow_nan=False)
