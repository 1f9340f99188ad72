"""Decodes one audio file of a stranger: 16 kHz mono PCM (int16, little-endian) goes to standard output.

Usage: python -m heisenberg.workers.decode FILE

A process of its own, for one file: a decoder that crashes or eats memory takes nothing else with it, least of all the
recogniser that the assistant listens with. Only containers that hold their sound themselves are opened; playlists,
which name other files and addresses, are not. Whoever starts it bounds its time (``stt/decoding.py``).

Exit status 1 and one line on standard error: the file cannot be decoded.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import av

from heisenberg.workers.lifeline import end_with_parent

RATE_HZ = 16_000
MOST_MEMORY_BYTES = 2_000_000_000
"""Of addresses, not of real memory: FFmpeg's libraries alone take a quarter of it."""

MOST_CPU_S = 900
"""MP3 decodes about 500 times as fast as it plays."""

CONTAINERS = (
    "wav,w64,aiff,au,caf,mp3,aac,adts,flac,ogg,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegts,asf,avi,flv,amr,ac3,wv"
)
"""Those that are opened, by FFmpeg's names."""


def limit_resources() -> None:
    """Where the system can: no more memory and time than a decoder needs, and no file written."""
    try:
        import resource
    except ImportError:  # Windows
        return
    limits = {"RLIMIT_AS": MOST_MEMORY_BYTES, "RLIMIT_CPU": MOST_CPU_S, "RLIMIT_FSIZE": 0, "RLIMIT_CORE": 0}
    for name, most in limits.items():
        kind = getattr(resource, name, None)
        if kind is None or (name == "RLIMIT_AS" and sys.platform != "linux"):
            continue  # macOS counts what it shares with everybody
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The first audio stream of *file* as PCM. Raises av.error.FFmpegError or IndexError."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
    options = {"format_whitelist": CONTAINERS, "protocol_whitelist": "none"}
    with av.open(file, mode="r", metadata_errors="ignore", options=options) as container:
        stream = container.streams.audio[0]
        stream.codec_context.thread_count = 1
        for frame in _frames(container, stream):
            frame.pts = None  # damaged files jump in time
            yield from _pcm(resampler.resample(frame))
        yield from _pcm(resampler.resample(None))


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    frames = container.decode(stream)
    while True:
        try:
            yield next(frames)
        except StopIteration:
            return
        except av.error.InvalidDataError:
            continue  # a damaged frame among good ones


def _pcm(frames: Iterable[Any]) -> Iterator[bytes]:
    return (bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)


def main(argv: list[str]) -> int:
    """Decode the file; the exit status."""
    end_with_parent()
    limit_resources()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=64 * 1024)
    try:
        with open(argv[1], "rb") as file, out:  # noqa: PTH123 - no need for pathlib in a process of milliseconds
            for block in blocks(file):
                out.write(block)
    except BrokenPipeError:
        return 0
    except (av.error.FFmpegError, IndexError, OSError, ValueError, MemoryError) as exc:
        reason = "it has no sound" if isinstance(exc, IndexError) else getattr(exc, "strerror", None) or str(exc)
        print(reason or type(exc).__name__, file=sys.stderr)  # noqa: T201 - this is its answer
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
