"""Notices a recogniser that says the same thing over and over. Pure.

Whisper has a few phrases for sounds that are no words ("Thank you."). People repeat themselves, too, but hardly a
third time in segments of speech with nothing else in them.
"""

MOST_WORDS = 12
"""Only short texts are made up again and again."""

ALLOWED = 2
"""So often in a row the same text is believed."""


class Repeats:
    """The texts of segments, one after the other."""

    def __init__(self) -> None:
        self._last = ""
        self._times = 0

    def is_one_too_many(self, text: str) -> bool:
        """Whether *text* was the whole of the last two segments, too."""
        words = ["".join(filter(str.isalnum, word)) for word in text.lower().split()]
        plain = " ".join(word for word in words if word)
        self._times = self._times + 1 if plain == self._last else 1
        self._last = plain
        return self._times > ALLOWED and 0 < len(plain.split()) <= MOST_WORDS
