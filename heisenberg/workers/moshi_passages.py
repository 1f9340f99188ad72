"""Joins words into the passages that a recording's transcript has: a sentence each, where there are sentences. Pure."""

from collections.abc import Iterable
from typing import Any

from heisenberg.workers.moshi_text import Word

LONGEST_GAP_S = 1.0
"""A longer silence ends a passage."""

LONGEST_S = 30.0
ENDS = (".", "?", "!", "…")


class Passages:
    """Words in, passages out.

    Args:
        language: to be told with each.
        with_words: whether each passage lists its words.
    """

    def __init__(self, language: str, with_words: bool) -> None:
        self._language = language
        self._with_words = with_words
        self._words: list[Word] = []

    def add(self, words: Iterable[Word]) -> list[dict[str, Any]]:
        """Passages that *words* end."""
        done = []
        for word in words:
            if self._words and word.start_s - self._words[-1].end_s > LONGEST_GAP_S:
                done += self.rest()
            self._words.append(word)
            if word.text.endswith(ENDS) or word.end_s - self._words[0].start_s > LONGEST_S:
                done += self.rest()
        return done

    def rest(self) -> list[dict[str, Any]]:
        """The passage that nothing has ended, if there is one."""
        words, self._words = self._words, []
        if not words:
            return []
        passage: dict[str, Any] = {
            "start": round(words[0].start_s, 3),
            "end": round(words[-1].end_s, 3),
            "text": " ".join(word.text for word in words),
            "language": self._language,
        }
        if self._with_words:
            passage["words"] = told(words)
        return [passage]


def told(words: Iterable[Word]) -> list[list[object]]:
    """Words as they go over the wire: text, first and last second."""
    return [[word.text, round(word.start_s, 3), round(word.end_s, 3)] for word in words]
