"""Compares what was said with what was heard: wrong words, and where sentences were cut. Pure.

Words are those of ``stt.py``; the two texts are laid beside each other once, so a language's figures are of its own
sentences, whatever was heard between them.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from heisenberg.bench.ambient_talk import Spoken
from heisenberg.bench.stt import words


@dataclass(frozen=True, slots=True)
class Understood:
    """How well one language was heard."""

    language: str
    sentences: int
    """That were spoken."""
    wrong: float
    """Words that are wrong, missing or too many, for each spoken word."""
    ends_found: float
    """Share of the spoken sentences' ends at which a sentence was cut."""
    cuts_right: float
    """Share of the cuts that are at the end of a spoken sentence."""


def compare(spoken: Sequence[Spoken], heard: Sequence[str]) -> list[Understood]:
    """The figures of each language that was spoken."""
    wanted, ends = _words_and_ends([sentence.text for sentence in spoken])
    got, cuts = _words_and_ends(heard)
    of_word = [sentence.language for sentence in spoken for _ in words(sentence.text)]
    matcher = SequenceMatcher(None, wanted, got, autojunk=False)
    same = {a + i: b + i for a, b, size in matcher.get_matching_blocks() for i in range(size)}
    back = {b: a for a, b in same.items()}
    known = sorted(back)

    def language_at(cut: int) -> str:
        """Of the last word up to *cut* that was understood."""
        before = bisect_right(known, cut)
        return of_word[back[known[before - 1]]] if before else of_word[0]

    found = []
    for language in dict.fromkeys(of_word):
        mine = [end for end in ends if of_word[end] == language]
        # A last word that was misheard counts by the one before it.
        hits = sum(same.get(end) in cuts or same.get(end - 1, -9) + 1 in cuts for end in mine)
        those = [cut for cut in cuts if language_at(cut) == language]
        right = sum(back.get(cut) in ends or back.get(cut - 1, -9) + 1 in ends for cut in those)
        found.append(
            Understood(
                language=language,
                sentences=len(mine),
                wrong=_wrong(matcher, of_word, language) / max(1, of_word.count(language)),
                ends_found=hits / max(1, len(mine)),
                cuts_right=right / max(1, len(those)),
            )
        )
    return found


def same_in_both(one: Sequence[object], other: Sequence[object]) -> tuple[int, int]:
    """How many of the longer one's sentences both have, in order; and how many it has."""
    blocks = SequenceMatcher(None, [repr(each) for each in one], [repr(each) for each in other], autojunk=False)
    return sum(block.size for block in blocks.get_matching_blocks()), max(len(one), len(other))


def _wrong(matcher: "SequenceMatcher[str]", of_word: list[str], language: str) -> int:
    """Words of *language* that must be changed, dropped or added."""
    wrong = 0
    for kind, first, last, got_first, got_last in matcher.get_opcodes():
        if kind != "equal" and of_word[min(first, len(of_word) - 1)] == language:
            wrong += max(last - first, got_last - got_first)
    return wrong


def _words_and_ends(sentences: Sequence[str]) -> tuple[list[str], set[int]]:
    found: list[str] = []
    ends: set[int] = set()
    for sentence in sentences:
        said = words(sentence)
        found += said
        ends |= {len(found) - 1} if said else set()
    return found, ends
