"""WebRTC's voice-activity detector: very light, but it takes typing and music for speech.

For small machines in quiet rooms. It decides by frames of 10 ms; the fraction of voiced frames in a chunk is
what this file reports as a probability. Where a command starts and ends is decided in ``vad/endpoint.py``.
"""

from typing import Any

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples, level
from heisenberg.core.errors import VadError

AGGRESSIVENESS = 3
"""0–3; 3 rejects most of what is not speech. Lower ones hold a turn open in music."""

FRAME_SAMPLES = 160
"""10 ms, the shortest frame: three or four of them in a chunk."""

QUIETEST_LEVEL = 0.001
"""−60 dB of full scale (root mean square). Quieter frames are silence, whatever the detector says of their hiss."""


class WebrtcVad:
    """WebRTC's detector. About 0.03 ms of one core per chunk.

    Raises: VadError (``vad-failed``) if the library is missing.
    """

    def __init__(self) -> None:
        self.reset()

    def process(self, samples: Samples) -> float:
        """The fraction (0–1) of voiced frames that end within these 512 samples (16 kHz mono int16).

        Raises: ValueError for another number of samples.
        """
        if len(samples) != CHUNK_SAMPLES:
            raise ValueError(f"{len(samples)} samples given; the VAD takes {CHUNK_SAMPLES} at a time")
        heard = np.concatenate((self._leftover, samples))
        whole = len(heard) // FRAME_SAMPLES * FRAME_SAMPLES
        self._leftover: Samples = heard[whole:]
        frames = heard[:whole].reshape(-1, FRAME_SAMPLES)
        return sum(self._is_voiced(frame) for frame in frames) / len(frames)

    def reset(self) -> None:
        """Forget what was heard."""
        self._vad = _open()
        self._leftover = np.zeros(0, dtype=np.int16)

    def _is_voiced(self, frame: Samples) -> bool:
        # Asked in any case: the detector learns what the room sounds like.
        is_voiced = bool(self._vad.is_speech(frame.tobytes(), PIPELINE_RATE_HZ))
        return is_voiced and level(frame) >= QUIETEST_LEVEL


def _open() -> Any:
    try:
        import webrtcvad  # here, because whoever uses the other engine need not have it

        return webrtcvad.Vad(AGGRESSIVENESS)
    except ImportError as exc:
        raise VadError(
            f"The WebRTC VAD is not installed ({exc}). "
            'Run "pip install webrtcvad-wheels", or set vad.engine = "silero".'
        ) from exc
