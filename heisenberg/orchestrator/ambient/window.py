"""The last minute of what was said, as context for the language model. Pure; audio time only."""

from collections import deque

from heisenberg.orchestrator.ambient.sentences import Sentence

MOST_SENTENCES = 500
"""However short they are."""


class Window:
    """The last sentences.

    Args:
        seconds: how far back it reaches from the end of the newest one.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._sentences: deque[Sentence] = deque(maxlen=MOST_SENTENCES)

    def add(self, sentence: Sentence) -> None:
        """Something more was said; what lies too far back is forgotten."""
        self._sentences.append(sentence)
        while self._sentences[0].end <= sentence.end - self.seconds:
            self._sentences.popleft()

    def forget(self) -> None:
        """Nothing was said."""
        self._sentences.clear()

    @property
    def text(self) -> str:
        """The sentences, one a line, the newest last; empty if there are none."""
        return "\n".join(sentence.text for sentence in self._sentences)

    @property
    def until_s(self) -> float:
        """Where the newest ends, in seconds of audio; 0 without any."""
        return self._sentences[-1].end if self._sentences else 0.0
