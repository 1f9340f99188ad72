"""The whole picture: a title, a panel for each of the first turns, and what happened outside of them.

In: events; out: the canvas and its height, for :mod:`heisenberg.sinks.timeline` to write down.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heisenberg.core import events
from heisenberg.core.events import Event
from heisenberg.sinks.picture import story as told
from heisenberg.sinks.picture.canvas import Canvas, Label
from heisenberg.sinks.picture.lanes import draw_lanes
from heisenberg.sinks.picture.lettering import clean, cut, text_width
from heisenberg.sinks.picture.panel import (
    BODY,
    GAP_PX,
    MARGIN_PX,
    PLOT_LEFT_PX,
    PLOT_RIGHT_PX,
    SMALL,
    TEXT_RIGHT_PX,
    Panel,
)
from heisenberg.sinks.picture.story import Story, Trouble

WIDTH_PX = 1200
MAX_TURNS = 3
MAX_OUTSIDE = 5
MAX_OUTCOME_PX = 460
HEADING = 17.0
NO_TURN = "No turn: nobody said the wake word, and nothing was typed."


@dataclass(frozen=True, slots=True)
class Page:
    """A finished picture."""

    svg: str
    labels: tuple[Label, ...]
    """Every text and its box, in the order in which they were drawn."""
    height: float
    """Pixels."""


def lay_out(happened: Iterable[Event]) -> Page:
    """Draw at most the first :data:`MAX_TURNS` turns of *happened*."""
    canvas = Canvas(WIDTH_PX)
    turns, outside = told.stories(happened)
    title = _title(turns)
    canvas.text(MARGIN_PX, 32, "Heisenberg", size=SMALL, tone="soft", is_bold=True)
    canvas.text(PLOT_RIGHT_PX, 32, title, size=SMALL, tone="soft", anchor="end")
    y = 48.0
    if not turns:
        canvas.text(MARGIN_PX, y + 28, NO_TURN, size=HEADING, is_bold=True)
        y += 56
    for story in turns[:MAX_TURNS]:
        y = _draw_turn(canvas, y, story)
    y = _draw_outside(canvas, y, told.troubles([event for event in outside if event.turn <= MAX_TURNS]))
    height = y + 12
    summary = " ".join(f"Turn {story.turn}: {story.question or 'no words'}; {_outcome(story)[0]}." for story in turns)
    return Page(canvas.svg(height, f"Heisenberg: {title}", summary or NO_TURN), tuple(canvas.labels), height)


def _title(turns: Sequence[Story]) -> str:
    unit = "seconds since the start"
    if not turns:
        return "no turn"
    last = turns[-1].turn
    return f"the first {MAX_TURNS} of {last} turns, {unit}" if last > MAX_TURNS else unit


def _draw_turn(canvas: Canvas, top: float, story: Story) -> float:
    """Draw one turn from *top* down; where it ends."""
    _draw_heading(canvas, top + 24, story)
    panel = Panel(canvas, top + 44, story.start, story.end)
    draw_lanes(panel, story)
    return panel.y + 20


def _draw_heading(canvas: Canvas, middle: float, story: Story) -> None:
    outcome, tone = _outcome(story)
    outcome = cut(clean(outcome), MAX_OUTCOME_PX, BODY)
    canvas.text(PLOT_RIGHT_PX, middle, outcome, size=BODY, tone=tone, anchor="end")
    asked = f" · “{story.question.strip()}”" if story.question else " · a typed question" if story.is_typed else ""
    room = PLOT_RIGHT_PX - MARGIN_PX - text_width(outcome, BODY) - 3 * GAP_PX
    shown = cut(clean(f"Turn {story.turn}{asked}"), room, HEADING, is_bold=True)
    canvas.text(MARGIN_PX, middle, shown, size=HEADING, is_bold=True, hint=story.question)


def _outcome(story: Story) -> tuple[str, str]:
    """How the turn ended, in words, and their tone."""
    if failures := story.of(events.Failed):
        return f"failed: {failures[0].code}", "alarm"
    if drops := told.troubles(story.of(events.TurnDropped)):
        return drops[-1].text, "alarm"
    if not story.of(events.TurnCompleted):
        return "not finished", "soft"
    heard = story.latency.get("first_audio")
    return ("answered", "soft") if heard is None else (f"first sound {heard:.2f} s after the question", "voice")


def _draw_outside(canvas: Canvas, top: float, troubles: Sequence[Trouble]) -> float:
    """What went wrong before, between and after the turns; where it ends."""
    if not troubles:
        return top
    canvas.text(MARGIN_PX, top + 12, "Outside of turns", size=BODY, is_bold=True)
    more = f"{len(troubles) - MAX_OUTSIDE} more" if len(troubles) > MAX_OUTSIDE else ""
    canvas.text(PLOT_LEFT_PX, top + 12, more, size=SMALL, tone="soft")
    y = top + 24
    for trouble in troubles[:MAX_OUTSIDE]:
        y += 22
        canvas.text(MARGIN_PX, y - 11, f"{trouble.at:.1f} s", size=SMALL, tone="soft")
        shown = cut(clean(trouble.text), TEXT_RIGHT_PX - PLOT_LEFT_PX, BODY)
        canvas.text(PLOT_LEFT_PX, y - 11, shown, size=BODY, tone=trouble.tone, hint=trouble.text)
    return y + 8
