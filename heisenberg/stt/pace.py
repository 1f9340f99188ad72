"""How often the recogniser may guess at a command that is not over. Pure; it starts no guess itself.

Guesses cost the CPU that the final transcript, the model and the voice want, too: at most half of the time is spent
on them, and where one takes too long the next waits twice as long, until there are none. Whatever is quick again,
a guess or a final transcript, brings them back.
"""

PARTIAL_EVERY_S = 0.5
"""New speech between two guesses, in seconds of audio, where they are quick."""

SLOW_S = 0.8
"""A guess that takes longer shows words that are old, and a final transcript may have to wait as long for it."""

NEVER_S = 16.0
"""Where guesses would come as rarely as this, there are none: hardly any command is as long."""


class Pace:
    """One for all commands, so that the load of the last one counts for the next."""

    def __init__(self) -> None:
        self.every_s = PARTIAL_EVERY_S
        """New speech between two guesses, in seconds of audio."""

    @property
    def is_off(self) -> bool:
        """Whether the machine is too slow for any guess."""
        return self.every_s >= NEVER_S

    def guessed(self, took_s: float) -> None:
        """A guess took so long, waiting included."""
        if took_s > SLOW_S:
            self.every_s = min(NEVER_S, 2 * max(took_s, self.every_s))
        else:
            self.every_s = max(PARTIAL_EVERY_S, 2 * took_s)

    def finished(self, took_s: float) -> None:
        """A final transcript took so long; a guess takes less. A slow one says nothing: it may just have been long."""
        if took_s <= SLOW_S:
            self.every_s = min(self.every_s, max(PARTIAL_EVERY_S, 2 * took_s))
