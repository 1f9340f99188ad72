"""Cuts a long recording into stretches of at most half a minute, between words if that can be helped.

Why: a recogniser that had a whole hour in hand could not be had for a spoken command before the hour was over. Between
two stretches whoever is more urgent gets his turn (``recordings.py``). Half a minute is Whisper's own window.
"""

from collections.abc import AsyncGenerator, AsyncIterator

import numpy as np

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples

LONGEST_S = 30.0
CUT_WITHIN_S = 10.0
"""The cut is made where the last seconds of a stretch are quietest."""

WINDOW_SAMPLES = PIPELINE_RATE_HZ // 5
"""Quiet for so long is a pause rather than the inside of a word."""

STEP_SAMPLES = PIPELINE_RATE_HZ // 50

_LONGEST = int(LONGEST_S * PIPELINE_RATE_HZ)
_SEARCHED = int(CUT_WITHIN_S * PIPELINE_RATE_HZ)


async def stretches(blocks: AsyncIterator[Samples]) -> AsyncGenerator[tuple[int, Samples], None]:
    """The stretches of *blocks* (16 kHz): the number of each one's first sample, and its samples."""
    at = 0
    held: list[Samples] = []
    count = 0
    async for block in blocks:
        held.append(block)
        count += len(block)
        while count >= _LONGEST:
            whole = np.concatenate(held)
            cut = quietest_cut(whole[:_LONGEST])
            yield at, whole[:cut]
            at += cut
            held, count = [whole[cut:]], count - cut
    if count:
        yield at, np.concatenate(held)


def quietest_cut(samples: Samples) -> int:
    """The middle of the quietest moment in the last ten seconds of *samples*; the latest, of several."""
    first = max(0, len(samples) - _SEARCHED)
    steps = (len(samples) - first) // STEP_SAMPLES
    tail = samples[first : first + steps * STEP_SAMPLES].astype(np.float64).reshape(steps, STEP_SAMPLES)
    energy = np.convolve(np.square(tail).sum(axis=1), np.ones(WINDOW_SAMPLES // STEP_SAMPLES), mode="valid")
    latest = len(energy) - 1 - int(np.argmin(energy[::-1]))
    return first + latest * STEP_SAMPLES + WINDOW_SAMPLES // 2
