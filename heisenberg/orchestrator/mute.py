"""The switch that closes the ears: whoever reads the microphone through it hears silence while it is on.

The session turns it; the audio thread obeys at its next chunk. Because the very first stage sees zeros, nothing behind
it (wake word, VAD, ring, ambient mode, a service on the network) needs to know. What happens to a command that is
being spoken meanwhile is ``machine.py``'s affair.
"""

import numpy as np

from heisenberg.core.audio import Samples
from heisenberg.core.stages import AudioSource


class Mute:
    """Whether the microphone is ignored. Set on the event loop, read on any thread."""

    def __init__(self) -> None:
        self.is_on = False


class MutableSource:
    """*source*, or silence of the same length while *mute* is on. Time passes either way.

    Args:
        source: the microphone or file; closed with this.
        mute: the switch.
    """

    def __init__(self, source: AudioSource, mute: Mute) -> None:
        self._source = source
        self._mute = mute
        self.live = source.live

    def read(self) -> Samples | None:
        """The next samples, see :class:`~heisenberg.core.stages.AudioSource`."""
        samples = self._source.read()
        return np.zeros_like(samples) if samples is not None and self._mute.is_on else samples

    def close(self) -> None:
        """Close the source."""
        self._source.close()
