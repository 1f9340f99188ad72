"""Tells turns apart and reads off each what the picture shows: spans, marks, measurements, troubles.

In: events in any number; out: one :class:`Story` a turn. Seconds only; it knows nothing of pixels.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from heisenberg.core import events
from heisenberg.core.events import Event

E = TypeVar("E", bound=Event)

AFTER_THE_END_SECONDS = 0.5
"""What still belongs to a turn that is over: its last datagrams, the reply falling silent."""

_DROPPED = {
    "no_speech": "nobody spoke",
    "stt_empty": "no words were understood",
    "stopped": "it was told to stop",
    "interrupted": "another turn began",
    "input_lost": "the microphone went away",
}


@dataclass(frozen=True, slots=True)
class Span:
    """Something that lasted."""

    start: float
    """Seconds since the session started."""
    end: float
    """Seconds since the session started."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Speech:
    """The user spoke, and the endpointer waited to be sure."""

    start: float
    fell_silent: float
    """The true end of speech."""
    decided: float
    """When the endpoint was reported."""
    reason: str
    """That of ``speech_ended``; empty if it never came."""


@dataclass(frozen=True, slots=True)
class Generation:
    """The language model answered."""

    start: float
    end: float
    model: str
    tokens: tuple[float, ...]
    """When each token came."""
    count: int
    """Tokens as the server counted them, else as they came."""

    @property
    def tokens_per_second(self) -> float | None:
        """How fast it wrote, first token to last; None if that cannot be said."""
        seconds = self.tokens[-1] - self.tokens[0] if self.tokens else 0.0
        return (len(self.tokens) - 1) / seconds if seconds > 0 else None


@dataclass(frozen=True, slots=True)
class Reply:
    """Heisenberg spoke."""

    parts: tuple[Span, ...]
    """Where it was heard; between two parts it waited, because somebody spoke. At least one."""
    text: str
    """For how long; empty if the end is not known."""
    is_interrupted: bool


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something went wrong, or works again."""

    at: float
    """Seconds since the session started."""
    text: str
    is_mended: bool

    @property
    def tone(self) -> str:
        """The colour's name."""
        return "voice" if self.is_mended else "alarm"


@dataclass(frozen=True, slots=True)
class Story:
    """One turn, as its events tell it (in the order of time)."""

    turn: int
    events: tuple[Event, ...]

    @property
    def start(self) -> float:
        """When its first event happened."""
        return self.events[0].at

    @property
    def end(self) -> float:
        """When its last event happened."""
        return self.events[-1].at

    def of(self, kind: type[E]) -> list[E]:
        """Its events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def latency(self) -> dict[str, float]:
        """Seconds from the true end of speech, shortest first; empty if the turn was not completed."""
        marks = [event.latency for event in self.of(events.TurnCompleted)]
        sane = {name: value for name, value in (marks[-1] if marks else {}).items() if math.isfinite(value)}
        return dict(sorted(sane.items(), key=lambda item: item[1]))

    @property
    def zero(self) -> float:
        """Where latencies are measured from: the true end of speech, or the beginning of a typed turn."""
        ends = self.of(events.SpeechEnded)
        return max(self.start, ends[-1].at - self.latency.get("endpoint", 0.0)) if ends else self.start

    @property
    def is_typed(self) -> bool:
        """Whether the question was not spoken."""
        return any(event.reason == "text" for event in self.of(events.TurnCommitted))

    @property
    def question(self) -> str:
        """What was asked, as it was understood."""
        return next((event.text for event in reversed(self.of(events.TranscriptionFinal)) if event.text), "")


def stories(happened: Iterable[Event]) -> tuple[list[Story], list[Event]]:
    """The turns in order, and what happened outside of them."""
    turns: dict[int, list[Event]] = defaultdict(list)
    ended: dict[int, float] = {}
    outside: list[Event] = []
    for event in sorted(happened, key=lambda event: event.at):
        over = event.at - ended.get(event.turn, math.inf) > AFTER_THE_END_SECONDS
        (outside if event.turn < 1 or over else turns[event.turn]).append(event)
        if _ends_a_turn(event):
            ended.setdefault(event.turn, event.at)
    return [Story(turn, tuple(turns[turn])) for turn in sorted(turns)], outside


def _ends_a_turn(event: Event) -> bool:
    match event:
        case events.TurnCompleted() | events.TurnDropped() | events.StateChanged(state="idle"):
            return True
    return False


def states(story: Story, until: float) -> list[Span]:
    """The states one after the other, up to *until*; the one before the first change is given its time, too."""
    changes = story.of(events.StateChanged)
    if not changes:
        return []
    names = [changes[0].previous, *(change.state for change in changes)]
    times = [-math.inf, *(change.at for change in changes), max(until, changes[-1].at)]
    return [Span(times[n], times[n + 1], name) for n, name in enumerate(names)]


def speeches(story: Story) -> list[Speech]:
    """Each stretch of the user's speech; the last one's end is the true end."""
    found: list[Speech] = []
    began: float | None = None
    last = story.of(events.SpeechEnded)[-1:]
    for event in story.events:
        if isinstance(event, events.SpeechStarted):
            began = event.at
        elif isinstance(event, events.SpeechEnded):
            silent = story.zero if event in last else event.at
            start = began if began is not None else silent - event.audio_seconds
            start = max(story.start, min(start, silent))
            found.append(Speech(start, silent, event.at, event.reason))
            began = None
    if began is not None:
        found.append(Speech(began, story.end, story.end, ""))
    return [speech for speech in found if speech.decided > speech.start or speech.reason]


def generations(story: Story) -> list[Generation]:
    """Each time the language model was asked; more than once after a failure."""
    begun: list[tuple[events.LlmStarted, list[Event]]] = []
    for event in story.events:
        if isinstance(event, events.LlmStarted):
            begun.append((event, []))
        elif begun and isinstance(event, events.LlmToken | events.LlmComplete):
            begun[-1][1].append(event)
    return [_generation(start, came) for start, came in begun]


def _generation(start: events.LlmStarted, came: Sequence[Event]) -> Generation:
    tokens = tuple(event.at for event in came if isinstance(event, events.LlmToken))
    counted = max((event.tokens for event in came if isinstance(event, events.LlmComplete)), default=0)
    end = came[-1].at if came else start.at
    return Generation(start.at, end, start.model, tokens, counted or len(tokens))


def sentences(story: Story) -> list[Span]:
    """Each sentence, from its first token until it was ready to be spoken."""
    found: list[Span] = []
    began: float | None = None
    for event in story.events:
        if isinstance(event, events.LlmStarted):
            began = None
        elif isinstance(event, events.LlmToken):
            began = event.at if began is None else began
        elif isinstance(event, events.LlmSentence):
            found.append(Span(event.at if began is None else began, event.at, event.text))
            began = None
    return found


def replies(story: Story) -> list[Reply]:
    """Each time that Heisenberg spoke, in the parts that its pauses leave."""
    found: list[Reply] = []
    parts: list[Span] = []
    began: float | None = None
    for event in story.events:
        match event:
            case events.SpeakingStarted():
                parts, began = [], event.at
            case events.SpeakingResumed() if parts:
                began = event.at if began is None else began
            case events.SpeakingPaused() | events.SpeakingFinished():
                parts += [Span(began, event.at)] if began is not None else []
                began = None
        if isinstance(event, events.SpeakingFinished) and parts:
            words = f"{event.played_seconds:.1f} s spoken" + (", interrupted" if event.interrupted else "")
            found.append(Reply(tuple(parts), words, event.interrupted))
            parts = []
    parts += [Span(began, story.end)] if began is not None else []
    return [*found, Reply(tuple(parts), "", False)] if parts else found


def troubles(happened: Sequence[Event]) -> list[Trouble]:
    """What went wrong, and what was mended, in words."""
    worded = [(event, _trouble(event)) for event in happened]
    mended = (events.WorkerStarted, events.InputRestored)
    return [Trouble(event.at, words, isinstance(event, mended)) for event, words in worded if words]


def _trouble(event: Event) -> str:
    match event:
        case events.Failed(code=code, message=message):
            return f"{code}: {message}"
        case events.TurnDropped(reason=reason):
            return f"dropped: {_DROPPED[reason]}" if reason in _DROPPED else f"dropped: {reason}"
        case events.WorkerFailed(model=model, reason=reason):
            return f"{model} ended: {reason}"
        case events.WorkerStarted(model=model, reason="restart"):
            return f"{model} is ready again"
        case events.InputLost():
            return "the microphone stopped delivering audio"
        case events.InputRestored():
            return "audio is flowing again"
        case events.ItemsDropped(where=where, count=count):
            return f"{where}: {count} lost so far"
        case events.Stalled(what=what, seconds=seconds):
            return f"{what} stood still for {seconds:.1f} s"
    return ""
