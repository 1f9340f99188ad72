"""Word error rate with a simple normaliser, for comparing transcripts."""

import re

NUMBERS = dict(
    zip("zero one two three four five six seven eight nine ten".split(), "0 1 2 3 4 5 6 7 8 9 10".split(), strict=True)
)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; small numbers as digits."""
    found = re.findall(r"[^\W_]+(?:['’][^\W_]+)*", text.lower().replace("’", "'"))
    return [NUMBERS.get(word, word) for word in found]


def word_error_rate(expected: str, heard: str) -> float:
    """Insertions, deletions and substitutions, per expected word."""
    wanted, got = words(expected), words(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, 1):
        previous, row[0] = row[0], i
        for j, other in enumerate(got, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (word != other))
    return row[-1] / max(1, len(wanted))
