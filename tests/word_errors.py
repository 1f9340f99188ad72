"""Word error rate with a simple normaliser, for comparing transcripts."""

import re
from collections.abc import Sequence

NUMBERS = dict(
    zip("zero one two three four five six seven eight nine ten".split(), "0 1 2 3 4 5 6 7 8 9 10".split(), strict=True)
)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; small numbers as digits."""
    found = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower().replace("’", "'"))
    return [NUMBERS.get(word, word) for word in found]


def word_errors(expected: str, heard: str) -> int:
    """Insertions, deletions and substitutions."""
    wanted, got = words(expected), words(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1]


def word_error_rate(expected: str, heard: str) -> float:
    """Word errors per expected word."""
    return word_errors(expected, heard) / max(1, len(words(expected)))


def mistakes(expected: Sequence[str], heard: Sequence[str]) -> int:
    """Word errors of several transcripts together."""
    return sum(word_errors(text, other) for text, other in zip(expected, heard, strict=True))
