"""What the audio thread tells the session: one report per event, never one per chunk of sound.

A report about a command bears the number of its capture. What of an earlier capture still arrives means nothing.
"""

from dataclasses import dataclass

from heisenberg.core.audio import Samples
from heisenberg.core.config import PresetConfig
from heisenberg.core.errors import AudioError
from heisenberg.core.stages import EndReason


@dataclass(frozen=True, slots=True, eq=False)
class WakeHeard:
    """The wake phrase was heard; the command that follows it is being captured."""

    name: str
    score: float
    audio_at: float
    """Seconds of audio since the input opened."""
    capture: int
    samples: Samples
    """The last seconds up to the detection."""


@dataclass(frozen=True, slots=True)
class SpokenOver:
    """Somebody speaks while the assistant does; it may be a command, and is being captured."""

    capture: int


@dataclass(frozen=True, slots=True, eq=False)
class Overheard:
    """The last seconds heard while on guard: a stop word may be among them."""

    samples: Samples


@dataclass(frozen=True, slots=True)
class CommandBegan:
    """The user began to speak."""

    capture: int


@dataclass(frozen=True, slots=True, eq=False)
class CommandHeard:
    """More of the command."""

    capture: int
    samples: Samples


@dataclass(frozen=True, slots=True, eq=False)
class CommandCut:
    """A command as far as it was spoken."""

    capture: int
    samples: Samples
    """The command, trimmed to its speech with pre-roll; empty if there was none."""
    speech_seconds: float
    """How much of it is speech."""
    waited_seconds: float
    """Audio that passed between the true end of speech and now."""
    has_wake_phrase: bool
    """Whether *samples* begin with the wake phrase."""


@dataclass(frozen=True, slots=True, eq=False)
class CommandPaused(CommandCut):
    """The user paused; perhaps this was all."""

    number: int
    """Of the pause within the command, 1 for the first."""


@dataclass(frozen=True, slots=True)
class CommandResumed:
    """It was not; the user speaks on."""

    capture: int


@dataclass(frozen=True, slots=True, eq=False)
class CommandDone(CommandCut):
    """The endpoint."""

    reason: EndReason
    was_paused: bool
    """Whether the command is the one of the last CommandPaused."""
    heard: Samples
    """Everything since listening began, silence included."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentHeard:
    """Ambient mode: more of a segment of speech, while it is spoken."""

    segment: int
    """Its number, 1 for the first."""
    samples: Samples
    from_s: float
    """Where *samples* begin, in seconds of audio since the input opened."""


@dataclass(frozen=True, slots=True, eq=False)
class SegmentDone:
    """Ambient mode: a segment of speech is over."""

    segment: int
    samples: Samples
    """All of it, with pre-roll; empty if it came to nothing."""
    from_s: float
    """Where *samples* begin, in seconds of audio since the input opened."""
    start_s: float
    """Where its speech began."""
    end_s: float
    """Where its speech ended."""
    at_s: float
    """When that was noticed."""
    is_pause: bool
    """Whether a pause follows; otherwise it was cut for its length, and the next one goes on."""


@dataclass(frozen=True, slots=True)
class TimePassed:
    """Ambient mode: nobody has spoken for a while."""

    at_s: float
    """Seconds of audio since the input opened."""


@dataclass(frozen=True, slots=True)
class InputGone:
    """The microphone stopped delivering."""

    error: AudioError


@dataclass(frozen=True, slots=True)
class InputBack:
    """It delivers again."""


@dataclass(frozen=True, slots=True)
class InputEnded:
    """The file is over."""


@dataclass(frozen=True, slots=True)
class NoMoreQuestions:
    """Nothing more will be typed; not of the audio thread, but to the same end."""


@dataclass(frozen=True, slots=True)
class EverythingStopped:
    """Silence, and nothing of what waits to be said or answered; not of the audio thread, but in its order."""


@dataclass(frozen=True, slots=True)
class ModeAsked:
    """Go on in this mode; not of the audio thread, but in its order."""

    mode: str
    """``assistant`` or ``ambient``."""


@dataclass(frozen=True, slots=True)
class PresetAsked:
    """Ambient mode is to have another style; not of the audio thread, but in its order."""

    name: str
    preset: PresetConfig


@dataclass(frozen=True, slots=True)
class AllUnderstood:
    """Ambient mode: the input is over, and all that was said was looked at; not of the audio thread either."""


@dataclass(frozen=True, slots=True)
class ListenerDied:
    """A fault in the audio thread; nothing is heard any more."""

    error: Exception


CommandReport = CommandBegan | CommandHeard | CommandPaused | CommandResumed | CommandDone
TurnReport = WakeHeard | SpokenOver | Overheard | CommandReport
SegmentReport = SegmentHeard | SegmentDone | TimePassed
Report = (
    TurnReport
    | SegmentReport
    | AllUnderstood
    | InputGone
    | InputBack
    | InputEnded
    | NoMoreQuestions
    | EverythingStopped
    | ModeAsked
    | PresetAsked
    | ListenerDied
)
