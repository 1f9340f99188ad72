"""What the session asks of the audio thread; each order takes effect at the next chunk of sound.

Whoever gives one calls a method of ``listener.py``, which says what it means in full.
"""

from dataclasses import dataclass
from enum import Enum, auto

from heisenberg.orchestrator.ambient.segments import Shape


class Mode(Enum):
    """What the thread is listening for."""

    WAKE = auto()
    COMMAND = auto()
    GUARD = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Enter:
    """Listen for something else from now on."""

    mode: Mode
    is_sounding: bool
    """The loudspeaker begins to sound."""
    known: int
    """The last capture that the sender knew of; a newer one is not given up for an old order."""


@dataclass(frozen=True, slots=True)
class Capture:
    """Capture a command without a wake word."""

    capture: int
    no_speech_s: float | None
    """How long to wait for its beginning; None as configured."""
    after_s: float
    """What is heard in these first seconds does not count."""


@dataclass(frozen=True, slots=True)
class WaitFor:
    """The *pause*-th pause of a command ends it after so much silence."""

    capture: int
    pause: int
    silence_s: float


@dataclass(frozen=True, slots=True)
class Overhear:
    """Report in segments what is said while nobody commands; None for none of it."""

    shape: Shape | None
    minds_wake_word: bool


@dataclass(frozen=True, slots=True)
class Understood:
    """What was overheard up to *at_s* seconds has been understood."""

    at_s: float


Order = Enter | Capture | WaitFor | Overhear | Understood
