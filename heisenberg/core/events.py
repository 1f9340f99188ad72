"""What happens in a turn, as frozen dataclasses; the timing diagram of Heisenberg.

Every event has ``turn`` (0 before the first) and ``at`` (seconds since the session started, monotonic).
``docs/reference/events.md`` is generated from this file. An event exists because somebody consumes it:
the console, the JSON-lines file, OSC, the benchmark or a test.
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened."""

    type: ClassVar[str] = "event"

    turn: int
    """Turn number, 1 for the first; 0 before it."""

    at: float
    """Seconds since the session started."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        cls.type = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()

    def as_dict(self) -> dict[str, Any]:
        """``{"type": …, "turn": …, "at": …, …}``, ready for JSON."""
        return {"type": self.type, **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StateChanged(Event):
    """The assistant moved to another state."""

    state: str
    """``idle``, ``listening``, ``thinking`` or ``speaking``."""
    previous: str
    """The state it left; ``starting`` in the first event of a session, which says that it is ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WakewordDetected(Event):
    """The wake phrase was heard; a turn begins."""

    name: str
    """Which wake word, for example ``hey_jarvis``."""
    score: float
    """The engine's confidence, 0–1."""
    audio_at: float
    """Where it was heard, in seconds of audio since the input opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechStarted(Event):
    """The user began to speak the command."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechEnded(Event):
    """The endpoint: the command is over, or there was none."""

    audio_seconds: float
    """Length of the command, silence trimmed."""
    reason: str
    """``silence``, ``semantic`` (its words were complete), ``timeout``, ``no_speech``, ``input_lost`` or
    ``end_of_input``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionPartial(Event):
    """What was understood so far; may still change."""

    text: str
    """The words so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionFinal(Event):
    """What the user said."""

    text: str
    """The words, empty if there were none."""
    language: str
    """ISO 639-1 code, for example ``en``."""
    audio_seconds: float
    """How much audio was transcribed."""
    stt_seconds: float
    """How long the recogniser took for the final text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCommitted(Event):
    """The turn is certain; from here on OSC and speech may leave."""

    reason: str
    """Why it was certain: the endpoint's reason, ``text`` for typed input, ``say`` for a text that is said as it is."""
    text: str = ""
    """What was typed; empty for a spoken turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDropped(Event):
    """The turn ended without an answer, on purpose."""

    reason: str
    """``no_speech``, ``no_followup``, ``stt_empty``, ``stopped``, ``muted``, ``interrupted`` or ``input_lost``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmStarted(Event):
    """The language model was asked."""

    model: str
    """Its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmToken(Event):
    """A piece of the reply's text, as it grows."""

    text: str
    """The new characters of the reply (never JSON syntax)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmSentence(Event):
    """A stretch of the reply that is ready to be spoken."""

    text: str
    """A sentence or a first clause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisualUpdated(Event):
    """A visual field is complete and valid."""

    field: str
    """Its name in the schema."""
    value: str | float
    """Text, or a number within its range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmComplete(Event):
    """The language model finished."""

    text: str
    """The whole reply."""
    visual: dict[str, str | float]
    """All visual fields."""
    tokens: int
    """Generated tokens, 0 if the server does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingStarted(Event):
    """The first sample of the reply was handed to the output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingFinished(Event):
    """The reply has been played."""

    played_seconds: float
    """How much of it was heard."""
    interrupted: bool
    """Whether it was cut short."""
    underruns: int = 0
    """Gaps within the reply, because the voice was slower than speech."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingPaused(Event):
    """Somebody speaks over the reply; it waits until it is known whether there are words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakingResumed(Event):
    """There were none; the reply goes on where it stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeChanged(Event):
    """The assistant listens in another way."""

    mode: str
    """``assistant`` or ``ambient``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PresetChanged(Event):
    """Ambient mode has another style."""

    preset: str
    """Its name; empty is the plain schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalityChanged(Event):
    """The assistant speaks in another manner, from the next question on."""

    personality: str
    """Its name, as in ``llm.personality``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationChanged(Event):
    """The configuration file changed, and is obeyed."""

    keys: list[str]
    """What is in force now, for example ``visual.preset``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MuteChanged(Event):
    """The microphone is ignored, or is heard again."""

    is_muted: bool
    """Whether it is ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceHeard(Event):
    """Ambient mode: something was said, to its end."""

    text: str
    """The sentence, or what there was of it."""
    start: float
    """Where it began, in seconds of audio since the input opened."""
    end: float
    """Where it ended, in seconds of audio since the input opened."""
    reason: str
    """``complete``, ``timeout`` (it took too long), ``silence`` or ``end_of_input``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisStarted(Event):
    """Ambient mode: the language model looks at what was said."""

    analysis: int
    """Its number, 1 for the first."""
    model: str
    """The language model."""
    preset: str
    """The style it is to make."""
    audio_at: float
    """Up to where it was shown what was said, in seconds of audio since the input opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisCompleted(Event):
    """Ambient mode: it is done; the visuals are these now."""

    analysis: int
    """Its number."""
    visual: dict[str, str | float]
    """All visual fields."""
    changed: list[str]
    """Those that are not as before."""
    seconds: float
    """How long it took."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisFailed(Event):
    """Ambient mode: it failed or was given up; the visuals stay as they are."""

    analysis: int
    """Its number."""
    code: str
    """A stable code from docs/reference/errors.md, or ``interrupted`` by a spoken command or another style."""
    message: str
    """One line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OscSent(Event):
    """A datagram left for the OSC targets (levels and heartbeats excepted)."""

    address: str
    """Its OSC address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted(Event):
    """A model's process is ready."""

    model: str
    """The model's name."""
    reason: str
    """``start`` or ``restart``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFailed(Event):
    """A model's process ended unexpectedly."""

    model: str
    """The model's name."""
    reason: str
    """Exit status or signal, and its last line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputLost(Event):
    """The microphone stopped delivering audio; it is looked for again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRestored(Event):
    """Audio is flowing again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemsDropped(Event):
    """A full queue lost something; said once for each place and turn."""

    where: str
    """Which queue, for example ``osc``, ``microphone`` or ``inbox``."""
    count: int
    """How many items it lost since the program started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalled(Event):
    """Something stood still; it is started again, or the program ends."""

    what: str
    """``audio``, ``loop`` or ``inbox``: messages wait, and the session takes none."""
    seconds: float
    """For how long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnCompleted(Event):
    """The answer was given."""

    latency: dict[str, float]
    """Seconds from the true end of the user's speech: ``endpoint``, ``stt``, ``llm_first_token``,
    ``first_visual``, ``first_sentence``, ``tts_first_audio``, ``first_audio`` (those that happened)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """The turn, or a part of the program, failed."""

    code: str
    """A stable code from docs/reference/errors.md."""
    message: str
    """One line for people."""


def all_events() -> list[type[Event]]:
    """Every event class, in the order above."""
    # ``slots=True`` makes a second class of each; the first one may still be waiting for the garbage collector.
    return list({event.type: event for event in Event.__subclasses__()}.values())
