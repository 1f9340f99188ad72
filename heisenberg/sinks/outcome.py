"""What became of one turn, told by its events: how it was heard, answered and ended.

The recorder keeps it beside a turn's sound, and ``heisenberg replay`` compares two of them. In: events as they
stand in JSON (``Event.as_dict()``), in order. It reads and writes no file.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

UNFINISHED = "unfinished"
INPUT_OVER = ("input_lost", "end_of_input")
"""Reasons of an endpoint after which no more sound came."""


@dataclass(slots=True)
class Outcome:
    """One turn, as far as its events have told it."""

    wake_word: str = ""
    """What woke it; empty if nothing did."""
    score: float | None = None
    """The wake word's confidence, 0–1."""
    typed: str | None = None
    """The question if it was typed (empty if its words are not known); None for a spoken one."""
    endpoint: str = ""
    """Why the command ended; empty if it never did."""
    speech_seconds: float | None = None
    """Length of the command, silence trimmed."""
    transcript: str | None = None
    """What was understood; None if it was never transcribed."""
    language: str = ""
    """ISO 639-1 code of the transcript."""
    reply: str | None = None
    """The whole answer in words; None if there was none."""
    visual: dict[str, Any] = field(default_factory=dict)
    """The visual fields of the answer."""
    played_seconds: float | None = None
    """How much of the reply was heard."""
    ended: str = UNFINISHED
    """``completed``, ``dropped``, ``failed``, or ``unfinished``."""
    reason: str = ""
    """Why it was dropped, or the code of the failure."""
    message: str = ""
    """The failure in words."""
    latency: dict[str, float] = field(default_factory=dict)
    """Seconds from the end of speech, as in ``turn_completed``."""

    @property
    def is_over(self) -> bool:
        """Whether its end was told."""
        return self.ended != UNFINISHED

    def take(self, event: Mapping[str, Any]) -> None:
        """Learn from the turn's next event. Raises KeyError, TypeError or ValueError for one that is damaged."""
        match event["type"]:
            case "wakeword_detected":
                self.wake_word, self.score = str(event["name"]), float(event["score"])
            case "speech_ended":
                self.endpoint, self.speech_seconds = str(event["reason"]), float(event["audio_seconds"])
            case "transcription_final":
                self.transcript, self.language = str(event["text"]), str(event["language"])
            case "turn_committed" if event["reason"] == "text":
                self.typed = str(event.get("text", ""))
            case "llm_complete":
                self.reply, self.visual = str(event["text"]), dict(event["visual"])
            case "speaking_finished":
                self.played_seconds = float(event["played_seconds"])
            case "turn_completed":
                self.latency = {str(step): float(seconds) for step, seconds in event["latency"].items()}
                self._end("completed")
            case "turn_dropped":
                self._end("dropped", str(event["reason"]))
            case "failed":
                self._end("failed", str(event["code"]), str(event["message"]))

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)

    def _end(self, ended: str, reason: str = "", message: str = "") -> None:
        """A turn ends once; what fails in the program afterwards is no part of it."""
        if not self.is_over:
            self.ended, self.reason, self.message = ended, reason, message
