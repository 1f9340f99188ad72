"""Cuts a text into what is spoken in one go: sentences, and parts of very long ones.

The voice is leased for one of them at a time, so that the assistant waits for a sentence of somebody else's book at
most, and the first sound comes when the first sentence is done. Pure.
"""

import re
from collections.abc import Iterator

LONGEST = 240
"""Characters; about a quarter of a minute."""

_END = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])|\n\s*\n")
"""Where a sentence is over."""

_PAUSE = re.compile(r"(?<=[,;:，；、])\s*|\s+[–—-]\s+")
"""Where a long one may be cut."""


def sentences(text: str) -> Iterator[str]:
    """The parts of *text*, none longer than 240 characters, none without words."""
    for part in _split(_END, text):
        yield from _bounded(part)


def complete(text: str) -> tuple[list[str], str]:
    """The sentences that are certainly over in a text that grows, and the rest of it."""
    ends = [match.end() for match in _END.finditer(text)]
    if not ends:
        return ([], text) if len(text) <= 4 * LONGEST else (list(sentences(text)), "")
    return list(sentences(text[: ends[-1]])), text[ends[-1] :]


def _bounded(part: str) -> Iterator[str]:
    if len(part) <= LONGEST:
        yield part
        return
    taken = ""
    for piece in _split(_PAUSE, part):
        for words in _by_length(piece):
            if taken and len(taken) + 1 + len(words) > LONGEST:
                yield taken
                taken = words
            else:
                taken = f"{taken} {words}".strip()
    if taken:
        yield taken


def _by_length(piece: str) -> Iterator[str]:
    """*piece*, cut at its last space before the limit; in mid-word if there is none."""
    while len(piece) > LONGEST:
        cut = piece.rfind(" ", 1, LONGEST)
        cut = cut if cut > 0 else LONGEST
        yield piece[:cut].strip()
        piece = piece[cut:].strip()
    if piece:
        yield piece


def _split(where: re.Pattern[str], text: str) -> list[str]:
    at = 0
    found = []
    for match in where.finditer(text):
        found.append(text[at : match.end()])
        at = match.end()
    found.append(text[at:])
    return [part.strip() for part in found if any(character.isalnum() for character in part)]
