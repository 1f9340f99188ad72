"""How things stand: what an OSC receiver that comes late has to know, and which events come too late themselves.

In: events, in order. It sends nothing; ``osc.py`` does.
"""

from collections.abc import Mapping

from heisenberg.core.events import (
    Event,
    InputLost,
    InputRestored,
    ItemsDropped,
    LlmComplete,
    LlmSentence,
    ModeChanged,
    MuteChanged,
    PersonalityChanged,
    PresetChanged,
    Stalled,
    TranscriptionFinal,
    TranscriptionPartial,
    TurnDropped,
    VisualUpdated,
)

STATES = {"idle": 0.0, "listening": 1.0, "thinking": 2.0, "speaking": 3.0, "error": -1.0}

ABOUT_THE_PROGRAM = (
    *(InputLost, InputRestored, MuteChanged, ModeChanged, PresetChanged, PersonalityChanged),
    *(ItemsDropped, Stalled),
)
"""Events that hold whichever turn it is."""

WORDS_AND_VISUALS = (TranscriptionPartial, TranscriptionFinal, LlmSentence, VisualUpdated, LlmComplete)
"""What a turn says; nothing of it leaves once the turn was dropped."""


class Standing:
    """The latest of everything that lasts."""

    def __init__(self) -> None:
        self.state = "idle"
        self.turn = 0
        self.wakes = 0
        """How often the wake word was heard."""
        self.has_input = True
        """Whether there is sound from the microphone."""
        self.is_muted = False
        """Whether the microphone is ignored, on request."""
        self.mode = "assistant"
        self.preset = ""
        """The style of ambient mode."""
        self.addresses: Mapping[str, str] = {}
        """Where that style wants its fields, in place of ``/visual/<field>``."""
        self.personality = ""
        """How the assistant speaks; empty where nobody is spoken to."""
        self.is_paused = False
        """Whether the answer waits because somebody speaks."""
        self.stalls = 0
        self.prompt: str | None = None
        """The last visual prompt; None before the first."""
        self._is_turn_dropped = False

    def is_stale(self, event: Event) -> bool:
        """Whether *event* belongs to an earlier turn, or is something said in a turn that was dropped."""
        if isinstance(event, ABOUT_THE_PROGRAM):
            return False
        if self.mode == "ambient" and self.state == "idle" and event.turn == self.turn:
            return False  # ambient mode goes on after a turn, and speaks for itself
        is_late = event.turn == self.turn and self._is_turn_dropped and isinstance(event, WORDS_AND_VISUALS)
        return is_late or event.turn < self.turn

    def enter(self, event: Event) -> bool:
        """Whether *event* is the first of a turn; notes where the turn is dropped."""
        is_new = event.turn > self.turn
        self.turn = max(self.turn, event.turn)
        self._is_turn_dropped = (self._is_turn_dropped and not is_new) or (
            isinstance(event, TurnDropped) and event.turn == self.turn
        )
        return is_new

    def wear(self, preset: str, addresses: Mapping[str, str]) -> None:
        """Another style is chosen; what it does not show is not repeated."""
        if addresses.get("prompt") != self.addresses.get("prompt"):
            self.prompt = None
        self.preset, self.addresses = preset, addresses

    def messages(self, dropped: int) -> list[tuple[str, object]]:
        """What each heartbeat repeats; *dropped* is the number of lost items."""
        values: list[tuple[str, object]] = [
            ("/heisenberg/state", STATES.get(self.state, -1.0)),
            ("/heisenberg/state_name", self.state),
            ("/heisenberg/turn", self.turn),
            ("/heisenberg/wake", self.wakes),
            ("/heisenberg/input", float(self.has_input)),
            ("/heisenberg/muted", float(self.is_muted)),
            ("/heisenberg/mode", self.mode),
            ("/heisenberg/preset", self.preset),
        ]
        if self.personality:
            values.append(("/heisenberg/personality", self.personality))
        if self.prompt is not None:
            values.append((self.addresses.get("prompt", "/visual/prompt"), self.prompt))
        troubles = {"/heisenberg/dropped": dropped, "/heisenberg/stalls": self.stalls}
        return values + [(address, count) for address, count in troubles.items() if count]
