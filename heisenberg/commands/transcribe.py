"""``heisenberg transcribe``: the recogniser alone. Segments are printed as they are decoded."""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heisenberg.core.audio import Samples
    from heisenberg.core.config import Config
    from heisenberg.core.recordings import Passage


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = subparsers.add_parser("transcribe", help="write down what is said in audio files")
    parser.add_argument("files", nargs="+", metavar="FILE", help='audio files; "-" reads a WAV from standard input')
    parser.add_argument("--language", metavar="L", help='ISO 639-1 code, or "auto" (default: stt.language)')
    parser.add_argument(
        "--format", choices=["text", "json", "srt", "vtt"], default="text", help="output format (default: text)"
    )
    parser.set_defaults(run=execute)


def execute(args: argparse.Namespace, config: "Config") -> int:
    """Print the transcripts."""
    asyncio.run(_transcribe(args, config))
    return 0


async def _transcribe(args: argparse.Namespace, config: "Config") -> None:
    from heisenberg.audio.wavfile import read_all_aside
    from heisenberg.core.recordings import Passage, Wanted
    from heisenberg.models import Runner

    async with Runner(config) as runner:
        transcriber = runner.transcriber()
        language = args.language or config.stt.language
        wanted = Wanted(None if language == "auto" else language)
        for file in args.files:
            found = transcriber.listen(_whole(await read_all_aside(file)), wanted)
            await _PRINTERS[args.format](file, (part async for part in found if isinstance(part, Passage)))


async def _whole(samples: "Samples") -> "AsyncIterator[Samples]":
    yield samples


async def _as_text(file: str, segments: "AsyncIterator[Passage]") -> None:
    async for segment in segments:
        print(segment.text, flush=True)


async def _as_json(file: str, segments: "AsyncIterator[Passage]") -> None:
    found = [segment async for segment in segments]
    listed = [{"start": s.start, "end": s.end, "text": s.text} for s in found]
    language = found[0].language if found else ""
    text = " ".join(s.text for s in found)
    print(json.dumps({"file": file, "language": language, "text": text, "segments": listed}, ensure_ascii=False))


async def _as_srt(file: str, segments: "AsyncIterator[Passage]") -> None:
    number = 0
    async for s in segments:
        number += 1
        print(f"{number}\n{_clock(s.start, ',')} --> {_clock(s.end, ',')}\n{s.text}\n", flush=True)


async def _as_vtt(file: str, segments: "AsyncIterator[Passage]") -> None:
    print("WEBVTT\n")
    async for s in segments:
        print(f"{_clock(s.start, '.')} --> {_clock(s.end, '.')}\n{s.text}\n", flush=True)


_PRINTERS: dict[str, "Callable[[str, AsyncIterator[Passage]], Awaitable[None]]"] = {
    "text": _as_text,
    "json": _as_json,
    "srt": _as_srt,
    "vtt": _as_vtt,
}


def _clock(seconds: float, comma: str) -> str:
    """``00:01:02,345``."""
    minutes, milliseconds = divmod(round(seconds * 1000), 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02}{comma}{milliseconds % 1000:03}"
