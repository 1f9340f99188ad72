"""The turn as a pure state machine: ``advance(state, message) → (state, commands)``.

    IDLE ──woke──▶ LISTENING ──command over──▶ THINKING ──first sound──▶ SPEAKING ──reply over──▶ IDLE
      │                 └──nothing said, stop──▶ IDLE      │                             ▲
      └──text asked────────────────────────────▶ THINKING ─┴──reply over, apology over───┘

Nothing here waits, sends or knows the clock: ``session.py`` performs the commands. A message that bears
an old turn, or does not fit the state, changes nothing.
"""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True, slots=True)
class Assistant:
    """Everything the machine remembers."""

    state: State = State.IDLE
    turn: int = 0
    """The current turn, or the last one while idle."""
    retried: frozenset[Stage] = frozenset()
    """Stages of this turn that were tried a second time."""
    has_listened_again: bool = False
    """The first command of this turn was only the wake phrase."""
    is_apologising: bool = False
    """The turn failed and the apology is being said."""
    has_spoken: bool = False
    """Something of the answer was already heard."""


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
class CommandOver:
    """The endpointer is done."""

    reason: EndReason
    has_speech: bool


@dataclass(frozen=True, slots=True)
class Transcribed:
    """The final transcript is there."""

    turn: int
    text: str
    reason: str
    """The endpoint's reason."""
    is_wake_only: bool = False
    """Nothing but the wake phrase was heard; the command may still come."""


@dataclass(frozen=True, slots=True)
class Sounded:
    """The first sample of the reply was handed to the output."""

    turn: int


@dataclass(frozen=True, slots=True)
class ReplyOver:
    """The answer (or the apology) is complete and was heard."""

    turn: int


@dataclass(frozen=True, slots=True)
class StageFailed:
    """A stage raised an error."""

    turn: int
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


Message = Woke | TextAsked | CommandOver | Transcribed | Sounded | ReplyOver | StageFailed | BoundReached | StopAsked


# ── commands: what to do ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Get the final transcript of the command."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for the command once more."""


@dataclass(frozen=True, slots=True)
class Commit:
    """From here on, OSC and speech may leave."""

    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Ask the language model and speak while it answers; without *text*, the same question again."""

    text: str | None


@dataclass(frozen=True, slots=True)
class Apologise:
    """Tell the user that the turn failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Complete:
    """The turn was answered."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The turn ends without an answer, on purpose."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rest:
    """Cancel the turn's work, fall silent, and listen for the wake word again."""


Command = Transcribe | Listen | Commit | Answer | Apologise | Complete | Drop | Rest
Step = tuple[Assistant, tuple[Command, ...]]


def advance(now: Assistant, message: Message) -> Step:
    """What follows from *message*; total: whatever does not fit is ignored."""
    turn = getattr(message, "turn", now.turn)
    if turn != now.turn:
        return now, ()
    match now.state, message:
        case State.IDLE, Woke():
            return _begin(now, State.LISTENING), ()
        case State.IDLE, TextAsked(text):
            return _begin(now, State.THINKING), (Commit("text"), Answer(text))
        case State.LISTENING, CommandOver(_, True):
            return replace(now, state=State.THINKING), (Transcribe(),)
        case State.LISTENING, CommandOver(reason, False):
            return _end(now, Drop("input_lost" if reason is EndReason.INPUT_LOST else "no_speech"))
        case _, Transcribed() if now.is_apologising:
            return now, ()  # it came just after its bound
        case State.THINKING, Transcribed(_, "", _, True) if not now.has_listened_again:
            return replace(now, state=State.LISTENING, has_listened_again=True), (Listen(),)
        case State.THINKING, Transcribed(_, "", _, _):
            return _end(now, Drop("stt_empty"))
        case State.THINKING, Transcribed(_, text, reason, _):
            return now, (Commit(reason), Answer(text))
        case State.THINKING, Sounded():
            return replace(now, state=State.SPEAKING, has_spoken=True), ()
        case ((State.THINKING | State.SPEAKING), ReplyOver()):
            return _end(now) if now.is_apologising else _end(now, Complete())
        case _, StageFailed():
            return _failed(now, message)
        case State.LISTENING | State.THINKING | State.SPEAKING, BoundReached(_, state, seconds) if state is now.state:
            text = f"The turn was {now.state.value} for {seconds:g} s, which is its bound."
            return _give_up(now, "turn-timeout", text)
        case State.LISTENING | State.THINKING | State.SPEAKING, StopAsked():
            return _end(now) if now.is_apologising else _end(now, Drop("stopped"))
    return now, ()


def _begin(now: Assistant, state: State) -> Assistant:
    return Assistant(state, now.turn + 1)


def _end(now: Assistant, *commands: Command) -> Step:
    return Assistant(State.IDLE, now.turn), (*commands, Rest())


def _failed(now: Assistant, failure: StageFailed) -> Step:
    """Once more where nothing was heard yet; else an apology."""
    if now.state is State.IDLE:
        return now, ()
    may_retry = failure.stage not in now.retried and not now.has_spoken and not now.is_apologising
    if may_retry and failure.stage in (Stage.STT, Stage.LLM):
        again = replace(now, retried=now.retried | {failure.stage})
        return again, (Transcribe() if failure.stage is Stage.STT else Answer(None),)
    return _give_up(now, failure.code, failure.message)


def _give_up(now: Assistant, code: str, message: str) -> Step:
    """Apologise; a failure of the apology itself ends the turn."""
    if now.is_apologising:
        return _end(now)
    return replace(now, state=State.THINKING, is_apologising=True), (Apologise(code, message),)
