"""How loud the room is when nobody speaks, so that the VAD can rest meanwhile (docs/decisions/0005).

The VAD costs more than the wake word, and an idle assistant hears an empty room most of the time.
"""

from dataclasses import dataclass

FACTOR = 1.6
"""A chunk up to 4 dB louder than the quietest lately is the room's own noise; speech rises far above it."""

RISE = 1.01
"""How fast a room may grow louder, for each chunk: three times louder is the new background after 3.5 s."""

QUIETEST = 1e-4
"""−80 dB of full scale; digital silence must not make everything else loud for ever."""

SETTLED_CHUNKS = 31
"""The room counts as empty after a second without anything louder. Shorter pauses are part of what is said, and the
VAD must see them."""


@dataclass(slots=True)
class Background:
    """The room.

    Args:
        is_used: whether the VAD may rest. WebRTC's learns the room from every chunk and may not.
    """

    is_used: bool = True
    _loudness: float = 1.0
    _alone_chunks: int = 0

    def is_alone(self, loudness: float) -> bool:
        """Whether nothing but the room was heard for a second, this chunk of *loudness* (0–1) included."""
        self._loudness = max(QUIETEST, min(loudness, self._loudness * RISE))
        self._alone_chunks = self._alone_chunks + 1 if loudness <= self._loudness * FACTOR else 0
        return self.is_used and self._alone_chunks > SETTLED_CHUNKS
