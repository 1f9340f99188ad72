"""Whether anything of what is played comes back to the microphone at all: with a headset nothing does.

On the audio thread, for ``echo.py``, chunk by chunk while something is played. Where no echo comes back whoever speaks
must be left alone, since a canceller that has never met an echo takes the first voice for one. That there is none is
concluded from silence, that there is one from likeness: it sounds like what was played at most half a second before,
which no other voice does. It cancels nothing and knows nothing of how well that goes.

Source of the likeness: C. Knapp, G. Carter, "The generalized correlation method for estimation of time delay" (IEEE
Transactions on Acoustics, Speech, and Signal Processing 24, 1976), with the phase transform.
"""

import numpy as np

from heisenberg.audio.resample import Floats

LOOKED_AT_SAMPLES = 4096
"""0.26 s of the microphone are compared with ..."""

KEPT_SAMPLES = 3 * LOOKED_AT_SAMPLES
"""... what was played in these 0.77 s: AEC3 finds no echo either that comes more than half a second later. In thirds:
what was played in the first must have been heard by now."""

ABOVE_ROOM = 4.0
"""6 dB: nothing is heard as long as it is no louder than the room's own noise by this."""

LOUD = 3e-5
"""−45 dB of full scale, as power: what is played more quietly than this need not be heard."""

ALIKE = 12.0
"""How far the best agreement must stand out of the usual one. Of an echo it does so by 15 to 70, of another voice by
5 to 10, and in rare single chunks by 20."""

SURE_CHUNKS = 2
"""An echo is there when so many chunks in a row say so."""


class Leak:
    """Follows whether what is played is heard. Costs 1.3 % of a core while there is no echo and somebody speaks."""

    def __init__(self) -> None:
        self.is_none = False
        """Whether it is certain that nothing comes back; at first, nothing is."""
        self._alike = 0
        self.forget_sound()

    def forget_sound(self) -> None:
        """There was a pause; what was concluded before it holds until something contradicts."""
        self._heard: Floats = np.zeros(KEPT_SAMPLES, dtype=np.float32)
        self._played: Floats = np.zeros(KEPT_SAMPLES, dtype=np.float32)

    def hear(self, heard: Floats, played: Floats, room: float) -> None:
        """A chunk of the microphone, what was played meanwhile, and the power of the room's own noise."""
        self._heard = np.concatenate([self._heard[len(heard) :], heard])
        self._played = np.concatenate([self._played[len(played) :], played])
        if not self.is_none:
            self.is_none = self._is_loud() and self._is_unheard(room) and not self._is_alike()
            return
        is_heard = float(np.mean(np.square(heard))) > ABOVE_ROOM * room
        self._alike = self._alike + 1 if is_heard and self._is_alike() else 0
        self.is_none = self._alike < SURE_CHUNKS

    def _is_loud(self) -> bool:
        """Whether something was played that must have come back by now."""
        return float(np.mean(np.square(self._played[:LOOKED_AT_SAMPLES]))) > LOUD

    def _is_unheard(self, room: float) -> bool:
        powers = np.mean(np.square(self._heard.reshape(-1, LOOKED_AT_SAMPLES)), axis=1)
        return float(powers.max()) <= ABOVE_ROOM * room

    def _is_alike(self) -> bool:
        """Whether what is heard now is, at any one delay of up to half a second, what was played."""
        heard = np.fft.rfft(self._heard[-LOOKED_AT_SAMPLES:], KEPT_SAMPLES + LOOKED_AT_SAMPLES)
        cross = heard * np.conj(np.fft.rfft(self._played, KEPT_SAMPLES + LOOKED_AT_SAMPLES))
        sizes = np.abs(cross)
        # The floor keeps bins out in which nothing was played; their phases would mean nothing.
        agreement = np.fft.irfft(cross / (sizes + 1e-9 * sizes.max() + 1e-12))
        usual = float(np.sqrt(np.mean(np.square(agreement))))
        # The two end together, so delays begin where the longer one is ahead by all it holds.
        possible = agreement[KEPT_SAMPLES - LOOKED_AT_SAMPLES :]
        return float(np.abs(possible).max()) > ALIKE * max(usual, 1e-12)
