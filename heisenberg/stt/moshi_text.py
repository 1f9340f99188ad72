"""The text of one utterance, put together from the streams in which it was heard. Pure but for its callback.

Usually that is one stream. If the worker was replaced, a second one begins at the oldest sound that was kept: its
words are told once, and what the first one knew of the time before stays.
"""

from heisenberg.core.audio import PIPELINE_RATE_HZ
from heisenberg.core.recordings import TimedWord
from heisenberg.core.stages import OnWords

SAME_S = 0.04
"""Half a frame: of two words at most one begins in it."""

HEARD_AGAIN_S = 0.25
"""Another device may hear a word so much later than the first one did."""


class StreamText:
    """What is written so far.

    Args:
        on_words: told each word once, when it will not change any more.
    """

    def __init__(self, on_words: OnWords | None) -> None:
        self.on_words = on_words
        self.clear()

    def clear(self) -> None:
        """It was another utterance."""
        self._told: list[TimedWord] = []
        self._told_to = -1.0
        self._before = ""
        self._text = ""
        self._from_s = 0.0
        self._heard_to = -1.0

    @property
    def whole(self) -> str:
        """The text so far."""
        return " ".join(part for part in (self._before, self._text.strip()) if part)

    def begin(self, first_sample: int) -> None:
        """A new stream begins at this sample (16 kHz) of the utterance."""
        self._from_s = first_sample / PIPELINE_RATE_HZ
        self._before = " ".join(word.word for word in self._told if word.start < self._from_s - SAME_S)
        self._text = ""
        self._heard_to = self._told_to

    def add(self, text: str, words: tuple[TimedWord, ...]) -> None:
        """New characters, and words that ended; times count from the stream's beginning."""
        self._text += text
        self._tell(words)

    def settle(self, text: str, words: tuple[TimedWord, ...]) -> None:
        """All characters of the stream, and words that ended or all of them."""
        self._text = text
        self._tell(words)

    def _tell(self, words: tuple[TimedWord, ...]) -> None:
        new: list[TimedWord] = []
        for word in words:
            placed = TimedWord(word.word, word.start + self._from_s, word.end + self._from_s, word.probability)
            is_first = self._told_to == self._heard_to  # of this stream: it may be one that is heard again
            if placed.start > self._told_to + (HEARD_AGAIN_S if is_first else SAME_S):
                new.append(placed)
                self._told_to = placed.start
        self._told += new
        if new and self.on_words is not None:
            self.on_words(new)
