"""How much of a text an image model reads: CLIP takes 77 tokens, and nobody hears of what comes after.

An estimate, because CLIP's vocabulary of 49 000 pieces is not ours to carry. The pieces are cut as CLIP's tokenizer
cuts them (words, digits one by one, punctuation); what a word costs is guessed from its length, and docs/presets.md
says how well. It changes nothing but the length of a text.
"""

import bisect
import re

MARKERS = 2
"""CLIP's begin and end count, too."""

WORD_CHARS = ((5, 1), (8, 2), (12, 3))
"""Longest word, and its tokens. Short words are one piece nearly always, and long ones rarely more than these."""

LONG_WORD_CHARS = 4
"""Beyond the longest of those, so many characters are a token."""

LATIN_END = "\u024f"
"""Letters up to here are Latin; one with an accent costs a token more. Of other scripts each byte costs one."""

_PIECE = re.compile(r"'(?:s|t|re|ve|m|ll|d)\b|[^\W\d_]+|\d|(?:[^\s\w]|_)+")
_PHRASE_END = re.compile(r"[,;.!?:](?=\s|$)")


def estimate(text: str) -> int:
    """How many tokens CLIP makes of *text*, its two markers included; rather too many than too few."""
    return MARKERS + sum(map(_cost, _PIECE.findall(text.lower())))


def cut(text: str, most_tokens: int) -> str:
    """*text*, or as much of it as fits *most_tokens* (8 or more): whole phrases, else whole words.

    Only a single word that is too long is broken.
    """
    if estimate(text) <= most_tokens:
        return text
    phrases = [mark.start() for mark in _PHRASE_END.finditer(text)]
    words = [mark.start() for mark in re.finditer(r"\s+", text)]
    for ends in (phrases, words, range(1, len(text))):
        fitting = _longest(text, ends, most_tokens)
        if fitting:
            return fitting
    return text[:1]


def _longest(text: str, ends: "list[int] | range", most_tokens: int) -> str:
    """The longest beginning of *text* that stops at one of *ends* and fits; empty if none does."""
    # A longer beginning costs no less, but where an apostrophe gets its letters: so only a few are looked at.
    fitting = bisect.bisect_right(ends, most_tokens, key=lambda end: estimate(_beginning(text, end)))
    for end in reversed(ends[:fitting]):
        beginning = _beginning(text, end)
        if beginning and estimate(beginning) <= most_tokens:
            return beginning
    return ""


def _beginning(text: str, end: int) -> str:
    return text[:end].rstrip(" ,;:-")


def _cost(piece: str) -> int:
    if piece[0] == "'" and len(piece) > 1 and piece[1].isalpha():
        return 1
    if not piece[0].isalpha():
        return len(piece.encode("utf-8", "replace"))
    foreign = sum(len(letter.encode("utf-8", "replace")) for letter in piece if letter > LATIN_END)
    latin = [letter for letter in piece if letter <= LATIN_END]
    accents = sum(not letter.isascii() for letter in latin)
    return foreign + accents + (_word(len(latin)) if latin else 0)


def _word(chars: int) -> int:
    for longest, tokens in WORD_CHARS:
        if chars <= longest:
            return tokens
    longest, tokens = WORD_CHARS[-1]
    return tokens + -(-(chars - longest) // LONG_WORD_CHARS)
