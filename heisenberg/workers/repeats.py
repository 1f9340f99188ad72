"""Tells what was said again and again from a decoder in a loop: hears it once more, from pause to pause.

Both look alike in the text of half a minute; some decoders write once what was said ten times. Between two pauses a
sentence is there once, unless the decoder loops: what still looks like a loop there is left out. Knows no model:
``whisper.py`` decodes.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

COMPRESSION_LIMIT = 2.4
"""Text that compresses better is repetitive."""

WORDS_PER_SECOND_LIMIT = 6.0
"""Nobody speaks faster for long; a decoder in a loop does."""

SLOWEST_CHARACTERS_PER_S = 3.0
"""Slow speech has five, also where a character is a syllable."""

PAUSE_MS = 200
"""Between two sentences; hardly ever within one."""

PADDING_MS = 100

LONGEST_PIECE_S = 8.0

Piece = tuple[float, float]
"""Where speech begins and ends, in seconds."""

Segments = list[Any]
"""As the library gives them."""

Decode = Callable[[float, float, bool], Segments]
"""The segments between two times, in seconds; in a window of half a minute, or in a short one."""


def windows(segments: Iterable[Any]) -> Iterator[Segments]:
    """The segments of each window, which were decoded together."""
    for _, window in groupby(segments, key=lambda segment: segment.seek):
        yield list(window)


def loops(segments: Sequence[Any]) -> bool:
    """Whether a decoder that loops would write this. The ratio is that of the whole window."""
    return any(segment.compression_ratio > COMPRESSION_LIMIT for segment in segments)


def is_scarce(segments: Sequence[Any], seconds: float) -> bool:
    """Whether this is little for what takes so long: a decoder may write once what was said ten times."""
    return len(_text(segments)) < SLOWEST_CHARACTERS_PER_S * seconds


def is_repeated(text: str) -> bool:
    """Whether the whole text is one sentence over and over, as a decoder in a loop writes it."""
    words = re.findall(r"\w+", text.lower())
    return any(words[:n] * (len(words) // n) == words for n in range(3, len(words) // 2 + 1) if len(words) % n == 0)


def is_too_fast(text: str, seconds: float) -> bool:
    """Whether nobody could say it in that time."""
    return len(text.split()) > max(4.0, WORDS_PER_SECOND_LIMIT * seconds)


def heard_again(pieces: Iterable[Piece], decode: Decode) -> Iterator[Any]:
    """What is said in each of *pieces*, without what looks like a loop there, too."""
    for start, end in pieces:
        yield from _sane(decode, start, end) or _sane(decode, start, end, in_whole_window=True)


def _sane(decode: Decode, start: float, end: float, *, in_whole_window: bool = False) -> Segments:
    """The segments between these times; none if they look like a loop."""
    found = decode(start, end, in_whole_window)
    return [] if loops(found) or is_too_fast(_text(found), end - start) else found


def _text(segments: Sequence[Any]) -> str:
    return " ".join(segment.text.strip() for segment in segments)
