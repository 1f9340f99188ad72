"""What a session is told about taking turns, and its count of how they ended."""

from dataclasses import dataclass

from heisenberg.orchestrator.states import State


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long the assistant may stay in each state, in seconds of wall time."""

    listening: float
    thinking: float
    speaking: float

    def of(self, state: State) -> float | None:
        """The bound of *state*; idle has none."""
        return {State.LISTENING: self.listening, State.THINKING: self.thinking, State.SPEAKING: self.speaking}.get(
            state
        )


@dataclass(frozen=True, slots=True)
class Manners:
    """How the assistant takes turns with people."""

    followup_seconds: float = 0.0
    """It listens for so long after an answer, without the wake word; 0 for not at all."""
    resume_seconds: float = 2.0
    """What is spoken over a reply without words in this time was a noise."""
    wake_phrase: str = ""
    """The phrase that a command without a detected wake word may still begin with."""


@dataclass(slots=True)
class Tally:
    """How the turns so far ended."""

    completed: int = 0
    dropped: int = 0
    failed: int = 0

    @property
    def turns(self) -> int:
        """All of them."""
        return self.completed + self.dropped + self.failed
