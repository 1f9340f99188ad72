"""Where a command's sound begins: pure arithmetic on speech probabilities (docs/decisions/0003).

Times are seconds relative to the moment in which the wake phrase was noticed (or listening began).
"""

from collections.abc import Sequence

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ

WAKE_PHRASE_S = 1.5
"""How far before its detection a wake phrase may begin. A command in the same breath is cut from there."""

SAME_BREATH_S = 0.06
"""A command that begins within this time of the detection was under way by then."""

PAUSE_SEARCH_S = 0.45
"""So long before the detection the phrase may have ended; a pause between it and the command is looked for there."""

PAUSE_PREROLL_S = 0.15
"""So much of that pause stays before the command."""

PAUSE_PROBABILITY = 0.35
PAUSE_CHUNKS = 2
"""A pause is at least so many chunks in a row (64 ms) below that speech probability."""

CHUNK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ
PAUSE_SEARCH_CHUNKS = int(PAUSE_SEARCH_S / CHUNK_S)


def cut(start_s: float, before: Sequence[float | None] | None, preroll_s: float) -> tuple[float, bool]:
    """Where the command's sound begins, and whether the wake phrase is in it.

    Args:
        start_s: where its speech begins.
        before: speech probabilities of the chunks before the detection, the last one last; None in it is a chunk of
            which nothing is known. None altogether if there was no wake phrase.
        preroll_s: seconds of sound that belong to a command from before its speech was noticed.
    """
    if before is None:
        return start_s - preroll_s, False
    if start_s >= SAME_BREATH_S:
        # Never reach back over the wake phrase, whose end sounds like speech, too.
        return max(0.0, start_s - preroll_s), False
    pause_s = _last_pause(before)
    return (-WAKE_PHRASE_S, True) if pause_s is None else (-pause_s, False)


def _last_pause(before: Sequence[float | None]) -> float | None:
    """How many seconds ago the last pause was about to end; None if there is none."""
    quiet = 0
    for chunks_ago, probability in enumerate((*reversed(before), None)):
        if probability is not None and probability < PAUSE_PROBABILITY:
            quiet += 1
        elif quiet >= PAUSE_CHUNKS:
            return (chunks_ago - quiet) * CHUNK_S + min(quiet * CHUNK_S, PAUSE_PREROLL_S)
        else:
            quiet = 0
    return None
