"""How a replayed turn is told: lines for people, JSON for scripts. It replays and compares nothing."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heisenberg.commands.differences import Difference, ending, word_diff
from heisenberg.sinks.outcome import Outcome
from heisenberg.sinks.recordings import Recording
from heisenberg.sinks.sanitise import printable

PARTS = ("hearing", "answer", "ending")
LABEL_WIDTH = 18


@dataclass(frozen=True, slots=True)
class Result:
    """One turn, replayed or not."""

    folder: Path
    obstacle: str = ""
    """Why it cannot be replayed."""
    recording: Recording | None = None
    replayed: Outcome | None = None
    found: Sequence[Difference] = ()
    """What differs."""
    settings: Sequence[Difference] = ()
    """What is configured differently today."""
    is_paced: bool = True
    """Whether it was replayed in real time."""

    @property
    def is_heard_the_same(self) -> bool:
        """Whether it was replayed, and understood as it was."""
        return not self.obstacle and self.verdict("hearing") == "same"

    def verdict(self, part: str) -> str:
        """``same``, ``differs``, or – if it did not come to that."""
        if any(difference.part == part for difference in self.found):
            return "differs"
        return "same" if self.replayed is not None and _took_place(self.replayed) else "–"


def print_json(result: Result) -> None:
    """One object on one line."""
    told: dict[str, Any] = {"folder": str(result.folder), "heard_the_same": result.is_heard_the_same}
    if result.recording is None or result.replayed is None:
        told["cannot_be_replayed"] = result.obstacle
    else:
        told |= {
            "turn": result.recording.turn,
            "incomplete": result.recording.is_incomplete,
            "paced": result.is_paced,
            "differences": [difference.as_dict() for difference in result.found],
            "settings": [difference.as_dict() for difference in result.settings],
            "recorded": result.recording.outcome.as_dict(),
            "replayed": result.replayed.as_dict(),
        }
    print(json.dumps(told, ensure_ascii=False), flush=True)


def print_result(result: Result) -> None:
    """A turn in some lines; what differs is shown as ``was → is``."""
    if result.recording is None or result.replayed is None:
        print(f"heisenberg: {result.folder.name} cannot be replayed: {printable(result.obstacle)}", file=sys.stderr)
        return
    print(f"{result.folder.name}, recorded by Heisenberg {printable(result.recording.version)}")
    for label, text in _lines(result, result.recording, result.replayed):
        print(f"  {label:<{LABEL_WIDTH}} {printable(text)}".rstrip())
    print(flush=True)


def print_summary(results: Sequence[Result]) -> None:
    """All turns, a line each."""
    widest = max(len(result.folder.name) for result in results)
    print(f"{'turn':<{widest}}  " + "  ".join(f"{part:<8}" for part in PARTS).rstrip())
    for result in results:
        print(f"{result.folder.name:<{widest}}  " + "  ".join(f"{result.verdict(part):<8}" for part in PARTS).rstrip())
    same = sum(result.is_heard_the_same for result in results)
    not_replayed = sum(bool(result.obstacle) for result in results)
    print(f"\n{same} of {len(results)} heard the same, {not_replayed} not replayed")


# ── lines ────────────────────────────────────────────────────────────────────────────────────────


def _lines(result: Result, recording: Recording, replayed: Outcome) -> Iterator[tuple[str, str]]:
    """A label and a text each."""
    recorded = recording.outcome
    changed = {difference.what: difference for difference in result.found}
    if recording.is_incomplete:
        yield "note", "the recording has gaps: the disk was too slow"
    for setting in result.settings:
        yield "setting", f"{setting.what}: {_text(setting.recorded)} → {_text(setting.replayed)}"
    if recorded.typed is not None:
        yield "typed", recorded.typed
    else:
        yield from _heard(recorded, replayed, changed)
    if _took_place(replayed):
        yield from _answered(recorded, replayed, changed)
    if result.is_paced and _took_place(replayed):
        yield from _latencies(recorded, replayed)
    yield "", "  ".join(f"{part}: {result.verdict(part)}" for part in PARTS) + _excuse(result, recording)


def _heard(recorded: Outcome, replayed: Outcome, changed: dict[str, Difference]) -> Iterator[tuple[str, str]]:
    yield "wake word", f"{_woke(recorded)} → {_woke(replayed)}"
    if not replayed.wake_word:
        return
    endpoints = dict.fromkeys((_text(recorded.endpoint), _text(replayed.endpoint)))
    yield "endpoint", " → ".join(endpoints)
    yield "speech", f"{_seconds(recorded.speech_seconds)} → {_seconds(replayed.speech_seconds)}"
    is_other = "transcript" in changed
    yield "transcript", word_diff(recorded.transcript, replayed.transcript) if is_other else _text(recorded.transcript)
    yield "language", _shown("language", recorded.language, changed)


def _answered(recorded: Outcome, replayed: Outcome, changed: dict[str, Difference]) -> Iterator[tuple[str, str]]:
    yield "reply", _text(recorded.reply)
    if "reply" in changed:
        yield "", f"→ {_text(replayed.reply)}"
    for name in dict.fromkeys((*recorded.visual, *replayed.visual)):
        yield f"visual {name}", _shown(f"visual {name}", recorded.visual.get(name), changed)
    yield "end", _shown("end", ending(recorded), changed)
    if replayed.message:
        yield "", replayed.message


def _latencies(recorded: Outcome, replayed: Outcome) -> Iterator[tuple[str, str]]:
    """Both, side by side."""
    steps = dict.fromkeys((*recorded.latency, *replayed.latency))
    if steps:
        yield "latency", "seconds after the end of speech"
    for step in steps:
        yield f"  {step}", f"{_figure(recorded.latency.get(step))} → {_figure(replayed.latency.get(step))}"


def _excuse(result: Result, recording: Recording) -> str:
    """Why a difference may be none."""
    temperature = recording.settings.get("llm.temperature")
    if result.verdict("answer") == "differs" and temperature:
        return f"  (the model samples its words: llm.temperature was {temperature})"
    if recording.outcome.reason in ("interrupted", "stopped") and result.verdict("ending") == "differs":
        return "  (what interrupted it is not replayed)"
    return ""


def _took_place(replayed: Outcome) -> bool:
    """Whether there was a turn at all."""
    return bool(replayed.wake_word) or replayed.typed is not None


def _shown(what: str, same: object, changed: dict[str, Difference]) -> str:
    difference = changed.get(what)
    return _text(same) if difference is None else f"{_text(difference.recorded)} → {_text(difference.replayed)}"


def _woke(outcome: Outcome) -> str:
    return f"{outcome.wake_word} {outcome.score or 0.0:.2f}" if outcome.wake_word else "not heard"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _text(value: object) -> str:
    return "–" if value is None or value == "" else str(value)
