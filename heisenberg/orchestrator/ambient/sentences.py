"""Words and their times become sentences. Pure: it knows the time of what was said, never the clock.

A word that ends a sentence is believed when the next one does not contradict (``sentence_end.py``), or when
:meth:`Sentences.settle` says that a pause follows. What stays unfinished is given out as it is once the timeout has
passed since its first word, or after a long silence. How the words are fed, one by one or many at once, makes no
difference; nor does how fast.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from heisenberg.core.recordings import TimedWord
from heisenberg.orchestrator.ambient.sentence_end import End, belongs_behind, contradicts, end_of

LONG_SILENCE_S = 2.0
"""Nobody takes up a sentence again after so much silence."""

Reason = Literal["complete", "timeout", "silence", "end_of_input"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """What was said, to its end or as far as it came."""

    text: str
    start: float
    """Seconds of audio."""
    end: float
    """Seconds of audio."""
    reason: Reason


class Sentences:
    """What is being said.

    Args:
        timeout_s: an unfinished sentence is given out so many seconds of audio after its first word.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._words: list[TimedWord] = []
        self._end = End.NO

    @property
    def unfinished(self) -> str:
        """What there is of a sentence that has not ended."""
        return " ".join(word.word for word in self._words)

    def hear(self, words: Iterable[TimedWord]) -> list[Sentence]:
        """Words of a recogniser that hears each as it is said; the sentences that they end."""
        found: list[Sentence] = []
        for word in words:
            found += self._next(word, self.pass_time(word.start))
        return found

    def hear_stretch(self, words: Sequence[TimedWord]) -> list[Sentence]:
        """Words that became known together: a sentence within them may take longer than the timeout."""
        if not words:
            return []
        found = self.pass_time(words[0].start)
        for word in words:
            found += self._next(word, [])
        return found

    def unsay(self, from_s: float) -> None:
        """What was said from then on is nobody's business, if it is not told yet: the wake phrase."""
        while self._words and self._words[-1].start >= from_s:
            self._words.pop()
            self._end = End.NO

    def settle(self) -> list[Sentence]:
        """A pause follows: what seems to be a whole sentence is one. Three dots may still go on."""
        return self._take("complete") if self._end is End.SURE else []

    def pass_time(self, at_s: float) -> list[Sentence]:
        """It is *at_s* seconds of audio; what was not finished for too long is given out."""
        if not self._words:
            return []
        silent_at, late_at = self._words[-1].end + LONG_SILENCE_S, self._words[0].start + self.timeout_s
        if at_s >= min(silent_at, late_at):
            return self.flush("silence" if silent_at <= late_at else "timeout")
        return []

    def flush(self, reason: Reason) -> list[Sentence]:
        """Give out what there is."""
        return self._take("complete" if self._end is not End.NO else reason)

    def _next(self, word: TimedWord, found: list[Sentence]) -> list[Sentence]:
        if self._end is not End.NO:
            if not contradicts(self._words[-1].word, word.word):
                found = found + self._take("complete")
            elif belongs_behind(word.word):
                self._words.append(word)
                self._end = End.OPEN if self._end is End.OPEN and word.word[0] not in "!?" else End.SURE
                return found
        is_first = not self._words
        self._words.append(word)
        self._end = end_of(word.word, is_first=is_first)
        return found

    def _take(self, reason: Reason) -> list[Sentence]:
        if not self._words:
            return []
        sentence = Sentence(self.unfinished, self._words[0].start, self._words[-1].end, reason)
        self._words, self._end = [], End.NO
        return [sentence]


def spread(text: str, start_s: float, end_s: float) -> list[TimedWord]:
    """The words of *text*, said between two times, each given as much of them as it is long."""
    words = text.split()
    letters = sum(len(word) for word in words) or 1
    timed, said, at = list[TimedWord](), 0, start_s
    for word in words:
        said += len(word)
        until = end_s if said == letters else start_s + (end_s - start_s) * said / letters
        timed.append(TimedWord(word, at, until))
        at = until
    return timed
