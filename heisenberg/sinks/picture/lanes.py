"""What a reader sees of a turn: its lanes, from top to bottom in the order in which things happen.

In: a story and the panel to draw it on. A lane for which the turn has nothing is left out.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heisenberg.core import events
from heisenberg.sinks.picture import story as told
from heisenberg.sinks.picture.canvas import MIN_TICK_GAP_PX
from heisenberg.sinks.picture.datagrams import draw_datagrams
from heisenberg.sinks.picture.lettering import clean, cut_head, text_width
from heisenberg.sinks.picture.panel import SMALL, Panel, Row
from heisenberg.sinks.picture.story import Generation, Speech, Story

MAX_PARTIAL_ROWS = 4
MAX_PARTIAL_PX = 320
MAX_FINALS = 3
MAX_SENTENCE_ROWS = 6
MAX_TROUBLES = 5

_STATE_TONES = {"listening": "user-tint", "thinking": "mind-tint", "speaking": "voice-tint"}
_LATENCIES = {
    "endpoint": ("endpoint decided", "user"),
    "stt": ("transcript", "user"),
    "llm_first_token": ("first token", "mind"),
    "first_visual": ("first visual", "view"),
    "first_sentence": ("first sentence", "mind"),
    "tts_first_audio": ("voice ready", "voice"),
    "first_audio": ("first sound heard", "voice"),
}


def draw_lanes(panel: Panel, story: Story) -> None:
    """Draw all of them; the dashed line through them is the true end of the user's speech."""
    top = panel.axis()
    _states(panel, story)
    _wake_word(panel, story)
    _speech(panel, story)
    middle = panel.y
    _transcript(panel, story)
    _generation(panel, story)
    _sentences(panel, story)
    _reply(panel, story)
    draw_datagrams(panel, story)
    _latency(panel, story)
    bottom = panel.y
    _troubles(panel, story)
    panel.grid(top)
    if story.latency:
        x = panel.x(story.zero)
        panel.canvas.rule((x, middle, x, bottom), "soft", is_dashed=True)


# ── the user ─────────────────────────────────────────────────────────────────────────────────────


def _states(panel: Panel, story: Story) -> None:
    spans = told.states(story, panel.end)
    if not spans:
        return
    panel.lane("State")
    middle = panel.row(24).middle
    for span in spans:
        left, right = panel.x(span.start), panel.x(span.end)
        if right <= left:
            continue
        timed = span.text if span.text == "idle" else f"{span.text} {span.end - span.start:.1f} s"
        panel.canvas.bar(left, right - 1, middle - 12, 24, _STATE_TONES.get(span.text, "rest"), hint=timed)
        text = next((words for words in (timed, span.text) if text_width(clean(words), SMALL) + 10 <= right - left), "")
        panel.canvas.text((left + right) / 2, middle, text, size=SMALL, anchor="middle", is_inside=True)


def _wake_word(panel: Panel, story: Story) -> None:
    wakes = story.of(events.WakewordDetected)
    if not wakes:
        return
    panel.lane("Wake word")
    row = panel.row(22)
    for wake in wakes:
        x = panel.x(wake.at)
        panel.canvas.diamond(x, row.middle, 6, "user")
        panel.label(row, x - 6, x + 6, f"{wake.name} · score {wake.score:.2f}")


def _speech(panel: Panel, story: Story) -> None:
    speeches = told.speeches(story)
    if not speeches:
        return
    panel.lane("Your speech")
    row = panel.row(22)
    for speech in speeches:
        left, silent, decided = panel.x(speech.start), panel.x(speech.fell_silent), panel.x(speech.decided)
        if decided > silent:
            panel.canvas.bar(silent, decided, row.middle - 7, 14, "user-tint", hint="waiting whether more comes")
        if silent > left:
            panel.canvas.bar(left, silent, row.middle - 7, 14, "user")
        panel.note(row, left, decided, _speech_words(speech))


def _speech_words(speech: Speech) -> str:
    spoken, waited = speech.fell_silent - speech.start, speech.decided - speech.fell_silent
    if speech.reason == "no_speech":
        return "no speech"
    heard = f"{spoken:.1f} s" + (f", then {waited:.2f} s of silence" if waited >= 0.005 else "")
    return heard if speech.reason in ("", "silence") else f"{heard} ({speech.reason.replace('_', ' ')})"


def _transcript(panel: Panel, story: Story) -> None:
    partials, finals = story.of(events.TranscriptionPartial), story.of(events.TranscriptionFinal)
    if not partials and not finals:
        return
    panel.lane("Transcript", finals[-1].language if finals else "")
    growing = [
        _Item(partial.at, partial.at, cut_head(clean(partial.text), MAX_PARTIAL_PX, SMALL)) for partial in partials
    ]
    for row, left, right in _packed(panel, growing, MAX_PARTIAL_ROWS, tone="soft"):
        panel.canvas.ticks([(left + right) / 2], row.middle - 6, 12, "user")
    for final in finals[-MAX_FINALS:]:
        row, x = panel.row(22), panel.x(final.at)
        panel.canvas.diamond(x, row.middle, 6, "user")
        panel.label(row, x - 6, x + 6, f"“{clean(final.text)}”" if clean(final.text) else "(no words)", is_bold=True)


# ── the answer ───────────────────────────────────────────────────────────────────────────────────


def _generation(panel: Panel, story: Story) -> None:
    runs = told.generations(story)
    if not runs:
        return
    panel.lane("Language model")
    row = panel.row(22)
    for run in runs:
        left, right = panel.x(run.start), panel.x(run.end)
        panel.canvas.bar(left, right, row.middle - 8, 16, "mind-tint")
        panel.canvas.ticks(map(panel.x, run.tokens), row.middle - 8, 16, "mind")
    for run in reversed(runs):  # the last is the one that answered; it gets the room
        panel.note(row, panel.x(run.start), panel.x(run.end), _generation_words(run))


def _generation_words(run: Generation) -> str:
    speed = run.tokens_per_second
    words = f"{run.count} token" + "s" * (run.count != 1)
    return " · ".join([words, *([f"{speed:.0f} per second"] if speed is not None else []), run.model])


def _sentences(panel: Panel, story: Story) -> None:
    spans = told.sentences(story)
    if not spans:
        return
    panel.lane("Sentences")
    items = [_Item(span.start, span.end, f"“{clean(span.text)}”") for span in spans]
    for row, left, right in _packed(panel, items, MAX_SENTENCE_ROWS):
        panel.canvas.bar(left, right, row.middle - 4, 8, "mind")


def _reply(panel: Panel, story: Story) -> None:
    replies = told.replies(story)
    if not replies:
        return
    panel.lane("Spoken reply")
    row = panel.row(22)
    for reply in replies:
        left, right = panel.x(reply.parts[0].start), panel.x(reply.parts[-1].end)
        for before, after in itertools.pairwise(reply.parts):
            panel.canvas.bar(
                panel.x(before.end), panel.x(after.start), row.middle - 1, 2, "voice-tint", hint="it waited"
            )
        for part in reply.parts:
            panel.canvas.bar(panel.x(part.start), panel.x(part.end), row.middle - 7, 14, "voice")
        if reply.is_interrupted:
            panel.canvas.diamond(right, row.middle, 6, "alarm", hint="interrupted")
            right += 6
        panel.note(row, left, right, reply.text)


# ── measurements and troubles ────────────────────────────────────────────────────────────────────


def _latency(panel: Panel, story: Story) -> None:
    latency = story.latency
    if not latency:
        return
    panel.lane("Latency", "" if len(latency) > 1 else "after speech")
    left = panel.x(story.zero)
    for n, (name, seconds) in enumerate(latency.items()):
        words, tone = _LATENCIES.get(name, (name.replace("_", " "), "soft"))
        row, right = panel.row(19), panel.x(story.zero + seconds)
        if n == 1:
            panel.name_row(row, "from the end of speech" if story.of(events.SpeechEnded) else "from the question")
        panel.canvas.bracket(min(left, right), max(left, right), row.middle, tone)
        panel.label(row, min(left, right), max(left, right), f"{seconds:.2f} s  {words}", size=SMALL)


def _troubles(panel: Panel, story: Story) -> None:
    found = told.troubles(story.events)
    if not found:
        return
    panel.lane("Trouble", f"{len(found) - MAX_TROUBLES} more" if len(found) > MAX_TROUBLES else "")
    for trouble in found[:MAX_TROUBLES]:
        row, x = panel.row(22), panel.x(trouble.at)
        panel.canvas.diamond(x, row.middle, 6, trouble.tone)
        if panel.beside(x - 6, x + 6, trouble.text).text == clean(trouble.text):
            panel.label(row, x - 6, x + 6, trouble.text, tone=trouble.tone)
            continue
        code, _, message = trouble.text.partition(": ")
        panel.label(row, x - 6, x + 6, code, tone=trouble.tone)
        panel.write(panel.row(18), message, tone=trouble.tone)


# ── rows that are shared ─────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Item:
    start: float
    end: float
    text: str


def _packed(
    panel: Panel, items: Sequence[_Item], limit: int, *, tone: str = "ink"
) -> Iterator[tuple[Row, float, float]]:
    """Label *items* in the first row with room, in at most *limit* rows; yields each one's row and mark.

    Those without room get no label; their marks share one more row.
    """
    rows: list[Row] = []
    homeless: list[tuple[float, float]] = []
    for item in items:
        left, right = panel.x(item.start), panel.x(item.end)
        row = next((row for row in rows if panel.label(row, left, right, item.text, size=SMALL, tone=tone)), None)
        if row is None and len(rows) < limit:
            row = panel.row(20)
            rows.append(row)
            panel.label(row, left, right, item.text, size=SMALL, tone=tone)
        if row is None:
            homeless.append((left, right))
        else:
            yield row, left, right
    if homeless:
        last = panel.row(16)
        drawn_to = 0.0
        for left, right in homeless:
            if right >= drawn_to + MIN_TICK_GAP_PX:
                yield last, left, right
                drawn_to = right
