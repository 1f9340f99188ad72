"""Learns how a room changes what is played in it, and subtracts that: the linear half of echo cancellation.

A Kalman filter in the frequency domain. It weighs every bin of every block by how much of it is unexplained, so
somebody who speaks at the same time neither throws it off nor is damaged by it; in return it leaves what a loudspeaker
distorts and what drifting clocks smear. Taking that away, too, is the affair of ``echo.py``.

Source: G. Enzner, P. Vary, "Frequency-domain adaptive Kalman filter for acoustic echo control in hands-free
telephones" (Signal Processing 86, 2006); in partitions after F. Kuech, E. Mabande, G. Enzner, "State-space
architecture of the partitioned-block-based acoustic echo controller" (ICASSP 2014).
"""

import numpy as np
import numpy.typing as npt

from heisenberg.audio.resample import Floats

BLOCK_SAMPLES = 256
"""16 ms: two blocks are a chunk, so it adds no delay."""

PARTITIONS = 20
"""Blocks of the past that are looked at: 0.32 s for the devices' delay and the room's reverberation.
With twice as many it takes almost twice as long to learn."""

FORGETTING = 0.998
"""How sure the filter stays of the room from block to block. 0.9995 is 2 dB better in a room where nothing ever moves,
and 3 to 5 dB worse where the clocks of the devices drift."""

DOUBT = 0.02
"""How large, squared, a coefficient may be that nothing is known of. Three times more begins with a louder echo."""

UNEXPLAINED_KEPT = 0.6
"""Smoothing of the power that the filter cannot explain: noise, and whoever else speaks."""

PRUNED_EACH = 4
"""In each block every fourth partition is held to its length; all of them cost twice as much and gain 1 dB."""

Spectra = npt.NDArray[np.complex64]


class RoomFilter:
    """Subtracts from the microphone what it can explain by what was played. 1 % of a core while it is used."""

    def __init__(self) -> None:
        shape = (PARTITIONS, BLOCK_SAMPLES + 1)
        self._played: Spectra = np.zeros(shape, dtype=np.complex64)
        self._room: Spectra = np.zeros(shape, dtype=np.complex64)
        self._doubt = np.full(shape, DOUBT, dtype=np.float32)
        self._unexplained = np.zeros(shape[1], dtype=np.float32)
        self._last: Floats = np.zeros(BLOCK_SAMPLES, dtype=np.float32)
        self._turn = 0

    def process(self, near: Floats, far: Floats) -> Floats:
        """*near* without the echo of *far*. A whole number of blocks; as much of both."""
        blocks = range(0, len(near), BLOCK_SAMPLES)
        return np.concatenate([self._block(near[i : i + BLOCK_SAMPLES], far[i : i + BLOCK_SAMPLES]) for i in blocks])

    def doubt(self) -> None:
        """Something may have moved, such as the clocks of two devices: learn faster for a while."""
        np.maximum(self._doubt, DOUBT / 4, out=self._doubt)

    def _block(self, near: Floats, far: Floats) -> Floats:
        self._played = np.roll(self._played, 1, axis=0)
        self._played[0] = np.fft.rfft(np.concatenate([self._last, far]))
        self._last = far
        echo = np.fft.irfft((self._played * self._room).sum(axis=0))[BLOCK_SAMPLES:]
        left: Floats = near - echo.astype(np.float32)
        self._learn(np.fft.rfft(np.concatenate([np.zeros_like(left), left])).astype(np.complex64))
        return left

    def _learn(self, left: Spectra) -> None:
        power = np.square(self._played.real) + np.square(self._played.imag)
        # Half of each transform is zeros, so of the doubt only half is seen in what is left.
        seen = 0.5 * self._doubt * power
        self._unexplained *= UNEXPLAINED_KEPT
        self._unexplained += (1 - UNEXPLAINED_KEPT) * (np.square(left.real) + np.square(left.imag))
        total = seen.sum(axis=0) + self._unexplained + 1e-6
        self._room += self._doubt * np.conj(self._played) * (left / total)
        self._prune()
        size = np.square(self._room.real) + np.square(self._room.imag)
        self._doubt *= FORGETTING**2 * (1 - seen / total)
        self._doubt += (1 - FORGETTING**2) * size

    def _prune(self) -> None:
        """Each partition describes one block of the past; what grew beyond that is taken off, some at a time."""
        chosen = slice(self._turn, None, PRUNED_EACH)
        self._turn = (self._turn + 1) % PRUNED_EACH
        response = np.fft.irfft(self._room[chosen], axis=1)
        response[:, BLOCK_SAMPLES:] = 0
        self._room[chosen] = np.fft.rfft(response, axis=1)
