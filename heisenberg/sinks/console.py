"""The live timeline of a turn, for people: the first thing a newcomer sees.

In: events; out: lines of text that begin with the time. On a terminal the words being heard and the answer being
written grow in place, on the last line; elsewhere only what is final is printed. It shows no levels and no logs.
"""

import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from heisenberg.core.events import (
    AnalysisFailed,
    ConfigurationChanged,
    Event,
    Failed,
    InputLost,
    InputRestored,
    ItemsDropped,
    LlmComplete,
    LlmSentence,
    LlmStarted,
    LlmToken,
    ModeChanged,
    MuteChanged,
    OscSent,
    PersonalityChanged,
    PresetChanged,
    SentenceHeard,
    SpeakingFinished,
    SpeakingPaused,
    SpeakingResumed,
    Stalled,
    StateChanged,
    TranscriptionFinal,
    TranscriptionPartial,
    TurnCompleted,
    TurnDropped,
    VisualUpdated,
    WakewordDetected,
    WorkerFailed,
    WorkerStarted,
)
from heisenberg.sinks.sanitise import printable
from heisenberg.sinks.writer import Writer

LABEL_WIDTH = 9
INDENT = " " * (8 + 2 + LABEL_WIDTH + 1)
NARROWEST, WIDEST = 40, 110

DROPPED = {
    "no_speech": "nothing was said after the wake word",
    "stt_empty": "no words were understood",
    "stopped": "stopped, as asked",
    "interrupted": "interrupted by a new question",
    "input_lost": "the microphone was lost",
    "muted": "the microphone was muted",
}
REFUSED = "osc_in"
"""Commands that were ignored are lost under this name; why is in the log."""
LATENCIES = {
    "endpoint": "end noticed",
    "stt": "transcript",
    "llm_first_token": "first word",
    "first_visual": "first visual",
    "first_sentence": "first sentence",
    "tts_first_audio": "first sound made",
    "first_audio": "first sound heard",
}
STALLED = {"audio": "listening", "loop": "the program"}
MODES = {
    "assistant": "the wake word starts a command",
    "ambient": "the visuals follow what is said",
}
STATES = {
    "idle": "waiting for {}",
    "listening": "listening …",
    "thinking": "thinking …",
    "speaking": "speaking …",
}

_PLAIN, _CLEAR_LINE = "\x1b[0m", "\r\x1b[2K"
_DIM, _BOLD, _RED, _GREEN, _YELLOW, _MAGENTA, _CYAN = (f"\x1b[{n}m" for n in ("2", "1", "31", "32", "33", "35", "36"))


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the stream can do."""

    rewrites: bool
    """Whether the last line may be written again."""
    is_coloured: bool
    columns: int
    """Width to wrap at; 0 is endless."""

    @classmethod
    def of(cls, stream: TextIO) -> "Terminal":
        """Ask *stream* and the environment."""
        try:
            is_terminal = stream.isatty()
        except ValueError:  # closed
            is_terminal = False
        speaks_ansi = sys.platform != "win32" or bool({"WT_SESSION", "TERM", "ANSICON"} & os.environ.keys())
        if not is_terminal or not speaks_ansi or os.environ.get("TERM") == "dumb":
            return cls(rewrites=False, is_coloured=False, columns=0)
        columns = shutil.get_terminal_size().columns
        return cls(True, not os.environ.get("NO_COLOR"), max(NARROWEST, min(columns, WIDEST)))


class ConsoleSink:
    """Prints the timeline of each turn.

    Args:
        stream: where to, usually standard error. A reader that leaves is no failure.
        shows_osc: print a line for each OSC datagram, too.
        waiting_for: what begins a turn, in words.
        terminal: what the stream can do; found out if not given.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        shows_osc: bool = False,
        waiting_for: str = "the wake word",
        terminal: Terminal | None = None,
    ) -> None:
        self._stream = stream
        self._waiting_for = waiting_for
        self._shows_osc = shows_osc
        self._terminal = terminal or Terminal.of(stream)
        self._is_gone = False
        self._live = ""
        self._answer = ""
        self._refused = 0
        self._writer = Writer(self._write, "console")

    def handle(self, event: Event) -> None:
        """Show *event*, if it is of interest to people."""
        match event:
            case TranscriptionPartial(text=text):
                self._grow(event.at, "hearing", text, _DIM)
            case LlmToken(text=text):
                self._answer += text
                self._grow(event.at, "answer", self._answer.strip(), _GREEN)
            case LlmStarted():
                self._answer = ""
            case LlmSentence(text=text):
                self._answer = self._answer.lstrip().removeprefix(text.strip())
                self._line(event.at, "answer", text, _GREEN)
            case OscSent(address=address):
                if self._shows_osc:
                    self._line(event.at, "osc", address, _DIM)
            case LlmComplete():
                self._answer = ""
                self._forget_live()
            case _:
                self._show(event)

    async def close(self) -> None:
        """Leave the cursor at the beginning of a line."""
        self._forget_live()
        await self._writer.close()

    # ── one line for each event ──────────────────────────────────────────────────────────────────

    def _show(self, event: Event) -> None:
        at = event.at
        match event:
            case StateChanged(state=state):
                self._line(at, "state", STATES.get(state, state).format(self._waiting_for), _DIM, value_colour=_DIM)
            case WakewordDetected(name=name, score=score):
                self._line(at, "wake", f"{name} ({score:.2f})", _CYAN)
            case TranscriptionFinal(text=text, language=language):
                said = f'"{text}"' if text else "(no words)"
                self._line(at, "you", f"{said}  [{language}]", _BOLD, value_colour=_BOLD)
            case ModeChanged(mode=mode):
                self._line(at, "mode", MODES.get(mode, mode), _DIM)
            case PresetChanged(preset=preset):
                self._line(at, "style", preset or "plain", _DIM)
            case PersonalityChanged(personality=personality):
                self._line(at, "manner", f"{personality}, from the next answer on", _DIM)
            case ConfigurationChanged(keys=keys):
                self._line(at, "config", f"the file changed; in force now: {', '.join(keys)}", _CYAN)
            case SentenceHeard(text=text):
                self._line(at, "heard", text, _BOLD)
            case AnalysisFailed(code=code, message=message) if code != "interrupted":
                self._line(at, "visuals", f"stay as they are: {message} [{code}]", _YELLOW, value_colour=_YELLOW)
            case VisualUpdated(field=field, value=value):
                self._line(at, "visual", f"{field} = {_shown(value)}", _MAGENTA)
            case SpeakingPaused():
                self._line(at, "paused", "somebody speaks; the answer waits", _DIM)
            case SpeakingResumed():
                self._line(at, "resumed", "those were no words; the answer goes on", _DIM)
            case SpeakingFinished(played_seconds=seconds, interrupted=is_interrupted):
                self._line(at, "spoke", f"{seconds:.1f} s" + (", cut short" if is_interrupted else ""), _DIM)
            case TurnCompleted(latency=latency):
                self._line(at, "done", latencies(latency), _CYAN)
            case TurnDropped(reason=reason):
                self._line(at, "dropped", DROPPED.get(reason, reason), _YELLOW, value_colour=_YELLOW)
            case Failed(code=code, message=message):
                self._line(at, "failed", f"{message} [{code}]", _RED, value_colour=_RED)
            case InputLost():
                self._line(at, "input", "the microphone was lost; looking for it …", _RED, value_colour=_RED)
            case MuteChanged(is_muted=is_muted):
                self._line(
                    at, "input", "the microphone is muted" if is_muted else "the microphone is heard again", _CYAN
                )
            case InputRestored():
                self._line(at, "input", "the microphone is back", _GREEN)
            case ItemsDropped(where=where, count=count):
                self._show_loss(at, where, count)
            case Stalled(what=what, seconds=seconds):
                stood = f"{STALLED.get(what, what)} stood still for {seconds:.1f} s"
                self._line(at, "stalled", stood, _RED, value_colour=_RED)
            case WorkerFailed(model=model, reason=reason):
                self._line(
                    at,
                    "model",
                    f"{model} ended: {reason.rstrip('.')}; it is started again",
                    _YELLOW,
                    value_colour=_YELLOW,
                )
            case WorkerStarted(model=model):
                self._line(at, "model", f"{model} is ready", _DIM)

    def _show_loss(self, at: float, where: str, count: int) -> None:
        if where != REFUSED:
            what = f"{where} was too slow or out of reach; lost so far: {count}"
            self._line(at, "lost", what, _YELLOW, value_colour=_YELLOW)
            return
        ignored, self._refused = count - self._refused, count
        if ignored > 1:  # a single one has a log line that says more
            self._line(at, "ignored", f"{ignored} OSC commands (see the log)", _YELLOW, value_colour=_YELLOW)

    def _line(self, at: float, label: str, text: str, colour: str, *, value_colour: str = "") -> None:
        """A line that stays, wrapped below its own beginning."""
        shown = printable(" ".join(text.split()))
        if self._terminal.columns:
            width = self._terminal.columns - 1
            shown = textwrap.fill(shown, width, initial_indent=INDENT, subsequent_indent=INDENT)[len(INDENT) :]
        erased = _CLEAR_LINE if self._live else ""
        self._live = ""
        self._writer.put(f"{erased}{self._start(at, label, colour)}{self._coloured(shown, value_colour)}\n")

    def _grow(self, at: float, label: str, text: str, colour: str) -> None:
        """The line that is written again with every word; its end is shown if it is too long."""
        if not self._terminal.rewrites:
            return
        room = self._terminal.columns - len(INDENT) - 1
        shown = _tail(printable(" ".join(text.split())), room)
        line = self._start(at, label, colour) + self._coloured(shown, _DIM)
        if line != self._live:
            self._live = line
            self._writer.put(_CLEAR_LINE + line)

    def _forget_live(self) -> None:
        if self._live:
            self._live = ""
            self._writer.put(_CLEAR_LINE)

    def _start(self, at: float, label: str, colour: str) -> str:
        return f"{self._coloured(f'{at:6.2f}s', _DIM)}   {self._coloured(f'{label:<{LABEL_WIDTH}}', colour)} "

    def _coloured(self, text: str, colour: str) -> str:
        return f"{colour}{text}{_PLAIN}" if colour and self._terminal.is_coloured else text

    def _write(self, text: str) -> None:
        """On the writer's thread."""
        if self._is_gone:
            return
        try:
            self._stream.write(_encodable(text, self._stream.encoding))
            self._stream.flush()
        except (OSError, ValueError):  # the reader has left, or the stream was closed
            self._is_gone = True


def latencies(latency: Mapping[str, float]) -> str:
    """The latencies of a turn in words, for example ``transcript 0.31 s · first visual 0.80 s``."""
    parts = [f"{LATENCIES.get(name, name)} {seconds:.2f} s" for name, seconds in latency.items()]
    return "after the last word: " + " · ".join(parts) if parts else "answered"


def _shown(value: str | float) -> str:
    return f"{value:g}" if isinstance(value, int | float) else value


def _tail(text: str, columns: int) -> str:
    """The end of *text*, at most *columns* wide."""
    if sum(map(_width, text)) <= columns:
        return text
    width, start = len("… "), len(text)
    while width + _width(text[start - 1]) <= columns:
        start -= 1
        width += _width(text[start])
    return "… " + text[start:]


def _width(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _encodable(text: str, encoding: str | None) -> str:
    """*text* with ``?`` for what the stream's encoding lacks."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "replace").decode(encoding)
