"""Where a sentence ends, told from one word and the next: abbreviations, initials, ordinals, quotes, French spacing.

Pure, and blind to time. English and French are known well; other languages by their punctuation.
"""

import re
from enum import Enum, auto

from heisenberg.core.abbreviations import BEFORE_NUMBERS, NEVER_AN_END

CLOSERS = "\"'”’»)]›"
"""What may stand behind the end of a sentence and still belongs to it."""

_ENDS = ".!?…。！？"
_ONLY_MARKS = re.compile(rf"[{re.escape(_ENDS + CLOSERS)}]+")
_ELLIPSIS = re.compile(r"(?:…|\.\.+)$")

_BEFORE_NUMBERS = BEFORE_NUMBERS | {"p"}
"""Not an end if a number follows; a single letter in small is a page."""

_INITIALS = re.compile(r"(?:[A-ZÀ-Þ]\.)+|(?:[a-zà-ÿ]\.){2,}")
_DOTTED_LOWER = re.compile(r"(?:[a-zà-ÿ]\.){2,}")
_MYSELF = re.compile(r"I(?:['’](?:m|ve|ll|d))?,?")
"""English writes it with a capital wherever it stands."""

_ORDINAL = re.compile(r"\d{1,2}\.")


class End(Enum):
    """What a word says about its sentence."""

    NO = auto()
    """It goes on."""
    OPEN = auto()
    """It may be over: if what follows does not contradict, or if nothing follows for long."""
    SURE = auto()
    """It is over, unless what follows contradicts."""


def belongs_behind(word: str) -> bool:
    """Whether *word* is nothing but the end of the sentence before it: ``?`` after a French space, ``»``."""
    return bool(_ONLY_MARKS.fullmatch(word))


def end_of(word: str, *, is_first: bool) -> End:
    """Whether a sentence may end with *word*, which is its first word or not."""
    bare = word.rstrip(CLOSERS)
    if not bare or bare[-1] not in _ENDS:
        return End.NO
    if bare[-1] != ".":
        return End.OPEN if bare[-1] == "…" else End.SURE
    if _ELLIPSIS.search(bare):
        return End.OPEN
    stem = bare[:-1].lower().lstrip("\"'“‘«([")
    if stem in NEVER_AN_END or (is_first and _ORDINAL.fullmatch(bare)):
        return End.NO
    if stem in _BEFORE_NUMBERS or (_INITIALS.fullmatch(bare) and bare != "I."):
        return End.OPEN
    return End.SURE


def contradicts(last: str, following: str) -> bool:
    """Whether the sentence that seemed to end with *last* goes on, since *following* comes next."""
    bare = last.rstrip(CLOSERS)
    begins = following.lstrip("\"'“‘«([—–-")[:1]
    if _ELLIPSIS.search(bare) and _MYSELF.fullmatch(following):
        return True
    if belongs_behind(following):
        return True
    if bare.endswith("."):
        stem = bare[:-1].lower()
        if begins.islower():
            return True
        if stem in _BEFORE_NUMBERS and begins.isdigit():
            return True
        return bool(_INITIALS.fullmatch(bare)) and bare != "I." and not _DOTTED_LOWER.fullmatch(bare)
    if bare.endswith("…"):
        return begins.islower()
    return bare != last and begins.islower()  # "Quoi ?" dit-il
