"""The default wake-word engine: microWakeWord's small streaming models, several phrases at once.

In: 16 kHz samples, as the audio thread reads them; out: the phrase that just ended, with its score. The sound is
turned into features once and every phrase's model reads those. It does not cut out the command that follows, nor
decide what is a command at all (``vad/endpoint.py``), and it does not train models.

One phrase costs a quarter of a percent of a core, each further one 0.1 %. How early and how surely phrases are
reported is in docs/decisions/0001-wake-word-tail.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pymicro_wakeword import MicroWakeWord, MicroWakeWordFeatures

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.stages import Wake
from heisenberg.wakeword import phrases

DITHER_LEVEL = 6.0
"""Root mean square of the hiss that is added to what the models hear: −75 dB of full scale, less than any microphone's
own. The features are relative to the background, and against digital silence (files, muted microphones) the models
hear a phrase worse."""

SAME_UTTERANCE_S = 0.3
"""A score that stays high, or comes back within this time, is the same utterance, whatever the configuration says."""

_DITHER_SAMPLES = 1 << 15


@dataclass(slots=True)
class _Word:
    """One phrase: its model and when it was last heard."""

    name: str
    model: MicroWakeWord
    threshold: float
    deaf_until: int = 0
    """Number of the first sample at which it may be reported again."""

    def hear(self, features: Sequence[npt.NDArray[np.float64]], at: int, refractory: int) -> float | None:
        """Its score if it ends within *features* (one for each 10 ms up to sample *at*), else None."""
        scores = [self.model.process_streaming_prob(feature) or 0.0 for feature in features]
        score = max(scores, default=0.0)
        if score < self.threshold:
            return None
        was_deaf = at < self.deaf_until
        self.deaf_until = max(self.deaf_until, at + _samples(SAME_UTTERANCE_S), 0 if was_deaf else at + refractory)
        return None if was_deaf else score


class MicroWakeWordEngine:
    """Listens for the configured phrases.

    Raises: WakewordError (``wakeword-unknown`` for a phrase without a model, ``wakeword-failed`` for a model that
        cannot be used).
    """

    def __init__(self, config: WakewordConfig) -> None:
        self._refractory = _samples(config.refractory_seconds)
        self._words = [_Word(phrase.name, phrase.model, phrase.threshold) for phrase in phrases.load(config)]
        self._features = MicroWakeWordFeatures()
        hiss = np.random.default_rng(0).normal(0.0, DITHER_LEVEL, _DITHER_SAMPLES)
        # Its beginning once more behind its end: a chunk's hiss is then one slice, for a sixth of the time.
        self._dither = np.concatenate([hiss, hiss[:CHUNK_SAMPLES]]).round().astype(np.int32)
        self._heard = 0

    def process(self, samples: Samples) -> Wake | None:
        """Advance by *samples* (16 kHz mono int16, any number); a phrase that ended in them, the surest of several.

        The same utterance is reported once, and the same phrase not again for ``wakeword.refractory_seconds``
        of sound.
        """
        features = list(self._features.process_streaming(self._dithered(samples).tobytes()))
        self._heard += len(samples)
        heard = [(word.hear(features, self._heard, self._refractory), word.name) for word in self._words]
        found = [Wake(name, min(score, 1.0)) for score, name in heard if score is not None]
        return max(found, key=lambda wake: wake.score, default=None)

    def reset(self) -> None:
        """Forget what was heard, half-heard phrases too; takes 0.1 ms for each phrase.

        Raises: WakewordError (``wakeword-failed``) if a model's file is gone.
        """
        self._features.reset()
        for word in self._words:
            phrases.check_file(Path(word.model.tflite_model))
            # Reads the file anew: a streaming model keeps what it heard in memory that nothing else clears.
            word.model.reset()
            word.deaf_until = 0

    def close(self) -> None:
        """Free the models; nothing is heard from then on. May be called twice."""
        for word in self._words:
            word.model.close()
        self._words = []

    def _dithered(self, samples: Samples) -> Samples:
        start = self._heard % _DITHER_SAMPLES
        hiss = self._dither[start : start + len(samples)]
        if len(hiss) < len(samples):
            hiss = np.take(self._dither[:_DITHER_SAMPLES], range(start, start + len(samples)), mode="wrap")
        heard: Samples = np.clip(samples + hiss, -32768, 32767).astype("<i2")
        return heard


def _samples(seconds: float) -> int:
    return round(seconds * PIPELINE_RATE_HZ)
