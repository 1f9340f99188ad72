"""Wake words by a Wyoming service on another machine, in place of the local model.

In: 16 kHz samples, as the audio thread reads them; out: the phrase that the service heard, and how long ago that was.
The audio thread only puts sound into a queue here and looks whether something came back; the connection has a thread of
its own (``wyoming_link.py``). How sure a phrase has to be is the service's affair.
"""

import asyncio
from collections.abc import Sequence

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.config import WakewordConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import WakewordError
from heisenberg.core.stages import Wake
from heisenberg.runner.connection import NOT_WYOMING
from heisenberg.wakeword.wyoming_link import PAUSES_S, Detected, Link, offered_words
from heisenberg.wakeword.wyoming_words import known_words

FORGOTTEN_S = 5.0
"""What a service says of sound that is older than this comes after a disturbance; whoever spoke has given up."""

SAME_UTTERANCE_S = 0.3
"""A detection that comes again within this time is the same utterance, whatever the configuration says."""

SURE = 1.0
"""The score of each detection: services do not say theirs."""

ASK_TIMEOUT_S = 2.0
"""Longest wait at the start for a service to say what it knows."""


class WyomingWakeWordEngine:
    """Listens for the configured phrases through the service at ``wakeword.url``.

    The connection is made with the first sound. Without it nothing wakes, and it is tried again.

    Args:
        config: the words are looked for among the service's models: by name or phrase, its version aside.
        drops: told of sound that the service was too slow for, as ``wakeword``.
        pauses_s: seconds between attempts to connect; the last one counts for all that follow.
    """

    def __init__(
        self, config: WakewordConfig, drops: Drops | None = None, *, pauses_s: Sequence[float] = PAUSES_S
    ) -> None:
        self._link = Link(config.url, config.words, drops or Drops(), pauses_s)
        self._refractory = _samples(max(config.refractory_seconds, SAME_UTTERANCE_S))
        self._deaf_until: dict[str, int] = {}
        self._heard = self._reset_at = self._stream = 0

    def process(self, samples: Samples) -> Wake | None:
        """Advance by *samples* (16 kHz mono int16, any number); a phrase that the service has reported since.

        The same phrase is not reported again for ``wakeword.refractory_seconds`` of sound. Never waits. Raises
        WakewordError (``wakeword-failed``) if the connection's thread has died.
        """
        if len(samples):
            self._link.send(self._stream, self._heard, samples)
        self._heard += len(samples)
        wakes = (self._wake(detected) for detected in self._link.detected())
        return next((wake for wake in wakes if wake is not None), None)

    def reset(self) -> None:
        """Forget what was heard: the service begins anew, and what it still says of earlier sound is ignored."""
        self._stream += 1
        self._reset_at = self._heard
        self._deaf_until = {}

    def close(self) -> None:
        """End the connection and its thread; nothing is heard from then on. May be called twice."""
        self._link.close()

    def _wake(self, detected: Detected) -> Wake | None:
        at = self._heard if detected.at is None else min(detected.at, self._heard)
        is_old = at <= self._reset_at or self._heard - at > _samples(FORGOTTEN_S)
        if is_old or at < self._deaf_until.get(detected.word, 0):
            return None
        self._deaf_until[detected.word] = at + self._refractory
        return Wake(detected.word, SURE, (self._heard - at) / PIPELINE_RATE_HZ)


async def refuse_unknown_words(config: WakewordConfig) -> None:
    """Raise WakewordError (``wakeword-unknown``) if the service answers, and knows none of the configured words.

    One that does not answer is no reason not to start; the engine tells of it. Other engines check their words
    themselves.
    """
    if config.engine != "wyoming":
        return
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            offered = await offered_words(config.url)
    except NOT_WYOMING:
        return
    if not known_words(config.words, offered):
        wanted, names = ", ".join(config.words), ", ".join(word.name for word in offered) or "none"
        raise WakewordError(
            f'The service at {config.url} knows none of wakeword.words ("{wanted}"). It has {names}. '
            "Correct wakeword.words, or wakeword.url.",
            code="wakeword-unknown",
        )


def _samples(seconds: float) -> int:
    return round(seconds * PIPELINE_RATE_HZ)
