"""What differs between a recorded turn and its replay. Pure: two outcomes in, differences out; how they
are shown is the affair of ``replay_report.py``.

Hearing, answering and ending are told apart: a language model that samples words its answer differently every time,
while the same sound should be heard the same way.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heisenberg.sinks.outcome import INPUT_OVER, Outcome

SAME_SPEECH_S = 0.2
"""Two lengths of the same command may differ by so much: the replay's chunks of 32 ms begin elsewhere."""

_WORD = re.compile(r"\w+(?:['’]\w+)*")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not as it was."""

    part: str
    """``hearing``, ``answer`` or ``ending``."""
    what: str
    """For example ``transcript``."""
    recorded: Any
    """What it was."""
    replayed: Any
    """What it is."""

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {"part": self.part, "what": self.what, "recorded": self.recorded, "replayed": self.replayed}


def differences(recorded: Outcome, replayed: Outcome) -> list[Difference]:
    """Everything that is not as it was, hearing first."""
    if recorded.typed is None and replayed.wake_word != recorded.wake_word:
        return [Difference("hearing", "wake word", recorded.wake_word, replayed.wake_word)]
    return [*_of_hearing(recorded, replayed), *_of_answer(recorded, replayed), *_of_ending(recorded, replayed)]


def changed_settings(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Settings that are not as they were when the turn was recorded."""
    return [
        Difference("settings", key, was.get(key), now.get(key))
        for key in dict.fromkeys((*was, *now))
        if was.get(key) != now.get(key)
    ]


def _of_hearing(recorded: Outcome, replayed: Outcome) -> list[Difference]:
    if recorded.typed is not None:
        return []
    found = []
    if _endpoint(recorded) != _endpoint(replayed):
        found.append(Difference("hearing", "endpoint", recorded.endpoint, replayed.endpoint))
    was, now = recorded.speech_seconds or 0.0, replayed.speech_seconds or 0.0
    if abs(was - now) > SAME_SPEECH_S:
        found.append(Difference("hearing", "speech seconds", was, now))
    if words(recorded.transcript) != words(replayed.transcript):
        found.append(Difference("hearing", "transcript", recorded.transcript, replayed.transcript))
    if recorded.transcript and replayed.transcript and recorded.language != replayed.language:
        found.append(Difference("hearing", "language", recorded.language, replayed.language))
    return found


def _of_answer(recorded: Outcome, replayed: Outcome) -> list[Difference]:
    found = []
    if recorded.reply != replayed.reply:
        found.append(Difference("answer", "reply", recorded.reply, replayed.reply))
    for name in dict.fromkeys((*recorded.visual, *replayed.visual)):
        was, now = recorded.visual.get(name), replayed.visual.get(name)
        if was != now:
            found.append(Difference("answer", f"visual {name}", was, now))
    return found


def _of_ending(recorded: Outcome, replayed: Outcome) -> list[Difference]:
    was, now = ending(recorded), ending(replayed)
    return [Difference("ending", "end", was, now)] if was != now else []


def _endpoint(outcome: Outcome) -> str:
    """What counts of an endpoint's reason.

    A replay cannot lose its input; its sound is over there. And whether the words were known to be complete before
    the silence was long enough hangs on how busy the machine was.
    """
    if outcome.endpoint in INPUT_OVER:
        return "end_of_input"
    return "silence" if outcome.endpoint == "semantic" else outcome.endpoint


def ending(outcome: Outcome) -> str:
    """How it ended in words: ``dropped (no_speech)``."""
    reason = "input_lost" if outcome.reason in INPUT_OVER else outcome.reason
    return f"{outcome.ended} ({reason})" if reason else outcome.ended


# ── words ────────────────────────────────────────────────────────────────────────────────────────


def words(text: str | None) -> list[str]:
    """The words of *text*: case and punctuation do not count."""
    return [word.casefold().replace("’", "'") for word in _WORD.findall(text or "")]


def word_diff(was: str | None, now: str | None) -> str:
    """One line: ``what is the [-tallest-] {+smallest+} mountain``."""
    before, after = words(was), words(now)
    pieces: list[str] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces += before[a:b]
            continue
        if a < b:
            pieces.append(f"[-{' '.join(before[a:b])}-]")
        if c < d:
            pieces.append(f"{{+{' '.join(after[c:d])}+}}")
    return " ".join(pieces)
