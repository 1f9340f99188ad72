"""Scripted turns for the picture: event lists as a session emits them."""

from collections.abc import Sequence
from typing import Any

from heisenberg.core import events
from heisenberg.core.events import Event

REPLY = (
    "At night the ocean glows where the waves break, because tiny plankton shine when they are touched.",
    "Further out it is black and calm, and the stars lie on it like spilled salt.",
)
VISUAL: dict[str, str | float] = {
    "prompt": "moonlit ocean, bioluminescent waves, slow drift",
    "mood": "calm",
    "energy": 0.25,
    "hue": 0.583,
}


class Script:
    """Writes one session's events.

    Args:
        begin: seconds that are added to every time.
    """

    def __init__(self, turn: int = 1, begin: float = 0.0) -> None:
        self.turn = turn
        self.begin = begin
        self.events: list[Event] = []

    def add(self, at: float, kind: type[Event], **fields: Any) -> "Script":
        """One event, *at* seconds after the beginning."""
        self.events.append(kind(turn=self.turn, at=round(self.begin + at, 4), **fields))
        return self

    def state(self, at: float, state: str, previous: str) -> "Script":
        """A change of state and its two datagrams."""
        self.add(at, events.StateChanged, state=state, previous=previous)
        return self.sent(at, "/heisenberg/state", "/heisenberg/state_name")

    def sent(self, at: float, *addresses: str) -> "Script":
        """Datagrams."""
        for address in addresses:
            self.add(at, events.OscSent, address=address)
        return self

    def tokens(self, start: float, end: float, words: Sequence[str]) -> "Script":
        """Tokens, evenly spread."""
        for n, word in enumerate(words):
            self.add(start + (end - start) * n / max(1, len(words) - 1), events.LlmToken, text=word)
        return self


def spoken_turn(
    turn: int = 1,
    begin: float = 0.0,
    *,
    question: str = "Tell me about the ocean at night.",
    language: str = "en",
    reply: Sequence[str] = REPLY,
    pace: float = 1.0,
) -> list[Event]:
    """A whole turn of about 8 s times *pace*, from the wake word to the end of the reply."""
    s = Script(turn, begin)
    p = pace
    words = question.split()
    s.add(1.1 * p, events.WakewordDetected, name="hey_jarvis", score=0.972, audio_at=1.08)
    s.state(1.1 * p, "listening", "idle").sent(1.1 * p, "/heisenberg/wake", "/heisenberg/turn")
    s.add(1.3 * p, events.SpeechStarted)
    for n, at in enumerate((1.9, 2.4, 2.95)):
        s.add(at * p, events.TranscriptionPartial, text=" ".join(words[: 2 + len(words) * n // 3]))
        s.sent(at * p, "/heisenberg/transcript/partial")
    s.add(3.6 * p, events.SpeechEnded, audio_seconds=1.7 * p, reason="silence")
    s.state(3.6 * p, "thinking", "listening")
    s.add(3.8 * p, events.TranscriptionFinal, text=question, language=language, audio_seconds=1.9, stt_seconds=0.2)
    s.sent(3.8 * p, "/heisenberg/transcript/final")
    s.add(3.8 * p, events.TurnCommitted, reason="silence")
    s.add(3.8 * p, events.LlmStarted, model="smollm2-135m")
    half = len(reply[0].split())
    s.tokens(3.95 * p, 4.25 * p, reply[0].split())
    s.add(4.26 * p, events.LlmSentence, text=reply[0]).sent(4.26 * p, "/heisenberg/llm/sentence")
    s.tokens(4.3 * p, 4.7 * p, reply[1].split())
    s.add(4.71 * p, events.LlmSentence, text=reply[1]).sent(4.71 * p, "/heisenberg/llm/sentence")
    for n, (field, value) in enumerate(VISUAL.items()):
        s.add((4.8 + n * 0.05) * p, events.VisualUpdated, field=field, value=value)
        s.sent((4.8 + n * 0.05) * p + 0.001, f"/visual/{field}")
    s.add(5.0 * p, events.LlmComplete, text=" ".join(reply), visual=VISUAL, tokens=half + 24)
    s.sent(5.0 * p, "/visual/json")
    s.add(4.4 * p, events.SpeakingStarted)
    s.state(4.4 * p, "speaking", "thinking")
    s.add(8.2 * p, events.SpeakingFinished, played_seconds=3.8 * p, interrupted=False)
    s.state(8.2 * p, "idle", "speaking")
    marks = {
        "endpoint": 0.6,
        "stt": 0.8,
        "llm_first_token": 0.95,
        "first_sentence": 1.26,
        "tts_first_audio": 1.39,
        "first_audio": 1.4,
        "first_visual": 1.801,
    }
    s.add(8.2 * p, events.TurnCompleted, latency={name: round(value * p, 4) for name, value in marks.items()})
    return sorted(s.events, key=lambda event: event.at)


def dropped_turn(turn: int = 1, begin: float = 0.0) -> list[Event]:
    """The wake word, and then silence."""
    s = Script(turn, begin)
    s.add(0.5, events.WakewordDetected, name="hey_jarvis", score=0.81, audio_at=0.5).state(0.5, "listening", "idle")
    s.add(5.5, events.SpeechEnded, audio_seconds=0.0, reason="no_speech").state(5.5, "idle", "listening")
    return s.add(5.5, events.TurnDropped, reason="no_speech").events


def failed_turn(turn: int = 1, begin: float = 0.0) -> list[Event]:
    """A typed question; the model's process dies, is started again, and then does not answer."""
    s = Script(turn, begin).state(0, "thinking", "idle").add(0, events.TurnCommitted, reason="text")
    s.add(0, events.LlmStarted, model="smollm2").tokens(1, 1.5, "The sea is".split())
    s.add(2, events.WorkerFailed, model="smollm2", reason="exit status 1")
    s.add(3, events.WorkerStarted, model="smollm2", reason="restart").add(3, events.LlmStarted, model="smollm2")
    s.add(6, events.Failed, code="llm-timeout", message="The language model did not answer within 30 s.")
    return s.state(20, "idle", "thinking").events


def typed_turn() -> list[Event]:
    """A typed question and a written answer, without a voice and without OSC."""
    s = Script(1, 2.0).add(0, events.StateChanged, state="thinking", previous="idle")
    s.add(0, events.TurnCommitted, reason="text").add(0.01, events.LlmStarted, model="smollm2")
    s.tokens(0.3, 1.5, ["a"] * 30).add(1.0, events.LlmSentence, text="Hello.")
    s.add(1.2, events.VisualUpdated, field="hue", value=0.25)
    s.add(1.6, events.LlmComplete, text="Hello.", visual={"hue": 0.25}, tokens=30)
    s.add(1.8, events.StateChanged, state="idle", previous="thinking")
    return s.add(1.8, events.TurnCompleted, latency={"llm_first_token": 0.3, "first_sentence": 1.0}).events


def long_turn() -> list[Event]:
    """An hour's worth of everything in 62 s: 50 partials, 1500 tokens, 14 sentences, 21 fields, an interruption."""
    words = ("I would like to know everything about the deep and dark ocean, its currents, its animals " * 6).split()
    s = Script().add(3, events.WakewordDetected, name="okay_nabu", score=0.6, audio_at=3.0)
    s.state(3, "listening", "idle").add(3.4, events.SpeechStarted)
    for n in range(50):
        s.add(4 + n / 2, events.TranscriptionPartial, text=" ".join(words[: 2 * n + 1]))
    s.add(30, events.SpeechEnded, audio_seconds=26.0, reason="timeout").state(30, "thinking", "listening")
    s.add(31, events.TranscriptionFinal, text=" ".join(words), language="en", audio_seconds=26.0, stt_seconds=1.0)
    s.add(31, events.LlmStarted, model="a-model-with-a-name-that-is-as-long-as-they-often-are-Q4_K_M.gguf")
    s.tokens(31.5, 55, ["a"] * 1500)
    for n in range(14):
        s.add(33 + n * 1.6, events.LlmSentence, text=f"Sentence {n} is here" + " and goes on" * (n % 5 * 4))
    for n in range(20):
        s.add(35 + n, events.VisualUpdated, field=f"field_{n}", value="blue " * n if n % 2 else n / 7)
        s.sent(35 + n, f"/visual/field_{n}")
    for n in range(30):
        s.add(34 + n * 0.7, events.VisualUpdated, field="prompt", value=f"prompt {n}")
        s.sent(34 + n * 0.7, "/visual/prompt")
    s.add(33.5, events.SpeakingStarted).state(33.5, "speaking", "thinking")
    s.add(62, events.SpeakingFinished, played_seconds=28.4, interrupted=True).state(62, "idle", "speaking")
    s.add(62, events.TurnCompleted, latency={"endpoint": 0.01, "stt": 1.01, "first_sentence": 3.0, "first_audio": 3.5})
    return sorted(s.events, key=lambda event: event.at)
