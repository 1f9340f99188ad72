"""The words of the turn's state machine: its states, what it remembers, what happened and what is to be done.

Nothing here decides: ``machine.py`` turns a message into commands, and ``turns.py`` performs them.
"""

from dataclasses import dataclass
from enum import StrEnum

from heisenberg.core.stages import EndReason


class State(StrEnum):
    """What the assistant is doing."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


class Stage(StrEnum):
    """The part of a turn's work that can fail and be tried again."""

    STT = "stt"
    LLM = "llm"
    TTS = "tts"


# ── messages: what happened ──────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Woke:
    """The wake word was heard."""

    name: str
    score: float
    audio_at: float
    """Seconds of audio since the input opened."""


@dataclass(frozen=True, slots=True)
class TextAsked:
    """Somebody typed a question."""

    text: str


@dataclass(frozen=True, slots=True)
class SayAsked:
    """Somebody gave a text to be said, as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class ListenAsked:
    """Somebody wants to be listened to, without the wake word."""


@dataclass(frozen=True, slots=True)
class MuteAsked:
    """Somebody wants the microphone ignored, or not any more."""

    is_muted: bool | None
    """None: the other way round."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The user paused: the command may be over."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """It was not."""


@dataclass(frozen=True, slots=True)
class CommandOver:
    """The endpointer is done."""

    reason: EndReason
    has_speech: bool
    was_paused: bool = False
    """The command is what was heard up to the last pause."""


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The transcript is there."""

    turn: int
    attempt: int
    text: str
    is_wake_only: bool = False
    """Nothing but the wake phrase was heard; the command may still come."""
    is_stop: bool = False
    """A stop word and nothing else."""


@dataclass(frozen=True, slots=True)
class Sounded:
    """The first sample of the reply was handed to the output."""

    turn: int


@dataclass(frozen=True, slots=True)
class ReplyOver:
    """The answer (or the apology) is complete and was heard."""

    turn: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StageFailed:
    """A stage raised an error."""

    turn: int
    attempt: int
    stage: Stage
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BoundReached:
    """The turn stayed in one state for too long."""

    turn: int
    state: State
    seconds: float


@dataclass(frozen=True, slots=True)
class StopAsked:
    """The user wants silence."""


@dataclass(frozen=True, slots=True)
class StopHeard:
    """A stop word was spoken over *turn*."""

    turn: int


@dataclass(frozen=True, slots=True)
class SpokenOver:
    """Somebody speaks while the assistant thinks or speaks."""


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """There are words in what was spoken over the reply of *turn*."""

    turn: int
    is_stop: bool


@dataclass(frozen=True, slots=True)
class NoWordsHeard:
    """There were none: a noise."""

    turn: int


Message = (
    Woke
    | TextAsked
    | SayAsked
    | ListenAsked
    | MuteAsked
    | Paused
    | Resumed
    | CommandOver
    | Transcribed
    | Sounded
    | ReplyOver
    | StageFailed
    | BoundReached
    | StopAsked
    | StopHeard
    | SpokenOver
    | WordsHeard
    | NoWordsHeard
)


# ── the state ────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Assistant:
    """Everything the machine remembers."""

    state: State = State.IDLE
    turn: int = 0
    """The current turn, or the last one while idle."""
    attempt: int = 0
    """The piece of work that counts; what an earlier one still says is ignored."""
    has_draft: bool = False
    """The current attempt began in a pause of the command."""
    draft: Transcribed | None = None
    """What it understood, once it has; its answer is under way then."""
    reason: str = ""
    """The endpoint's reason, once the command is over."""
    is_committed: bool = False
    """OSC and speech may leave."""
    retried: frozenset[Stage] = frozenset()
    """Stages of this turn that were tried a second time."""
    has_listened_again: bool = False
    """The first command of this turn was only the wake phrase."""
    is_apologising: bool = False
    """The turn failed and the apology is being said."""
    has_spoken: bool = False
    """Something of the answer was already heard."""
    is_typed: bool = False
    """The turn began with typed text, not with sound."""
    is_muted: bool = False
    """The microphone is ignored, whatever the turn."""
    is_followup: bool = False
    """The turn began without the wake word, after an answer."""
    follows_up: bool = False
    """Whether the assistant listens on after an answer; never changes."""


# ── commands: what to do ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Begin:
    """A turn begins; *message* says how (None: the assistant listens on after an answer)."""

    message: Message | None


@dataclass(frozen=True, slots=True)
class Draft:
    """Transcribe what was said before the pause, and answer it, unseen."""


@dataclass(frozen=True, slots=True)
class DropDraft:
    """It came to nothing."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The words up to the pause are known: they say how long to wait for more."""

    text: str


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Get the final transcript of the command."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for a command without a wake word."""

    is_followup: bool = False


@dataclass(frozen=True, slots=True)
class Commit:
    """From here on, OSC and speech may leave."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Ask the language model and speak while it answers; without *text*, the same question again."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Say:
    """Speak a text that needs no language model."""

    text: str


@dataclass(frozen=True, slots=True)
class Mute:
    """From here on, ignore the microphone, or hear it again."""

    is_muted: bool


@dataclass(frozen=True, slots=True)
class Apologise:
    """Tell the user that the turn failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Hush:
    """Hold the reply where it is, and find out whether words are spoken over it."""


@dataclass(frozen=True, slots=True)
class SpeakOn:
    """Let the reply go on where it stopped."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The turn was answered."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The turn ends without an answer (or in the middle of it), on purpose."""

    reason: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Cancel the turn's work and fall silent."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Cancel the turn's work, fall silent, and listen for the wake word again."""


Command = (
    Begin
    | Draft
    | DropDraft
    | Judge
    | Transcribe
    | Listen
    | Commit
    | Answer
    | Say
    | Mute
    | Apologise
    | Hush
    | SpeakOn
    | Complete
    | Drop
    | Cancel
    | Rest
)
