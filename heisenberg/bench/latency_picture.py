"""The latency figures as a picture: for each pipeline one bar per stage, from the true end of speech to the right.

In: ``latency.Figures``; out: SVG text. A bar spans the medians of when its stage began and ended; the thin line after
it reaches to the 95th percentile. Bars that lie above each other ran at the same time. A diamond is the moment in
which something leaves: the first sample in the voice's row, the first datagram in that of the visuals.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from heisenberg.bench.latency import Figures
from heisenberg.bench.latency_summary import FIRST_SAMPLE_S, Spans, pipelines, worked
from heisenberg.bench.table import percentile
from heisenberg.sinks.picture.canvas import Canvas, Label

STAGES = {
    "endpoint": ("until the end is certain", "user-tint"),
    "stt": ("recogniser: transcript", "user"),
    "llm": ("language model: first clause", "mind"),
    "tts": ("voice: first sound", "voice"),
    "visual": ("language model: first visual", "view"),
}
"""What is drawn of each stage: its name and its colour."""

LEAVES = {"tts": ("first_audio", "first sample"), "visual": ("first_visual", "first datagram")}
"""What leaves after a stage: the step of a turn's latency and its name."""

BASELINES = {
    "streamed": "without work ahead: the models alone, each taking what the one before it streams; ",
    "serial": "without streaming: the models alone, one after the other, each to the end of its work; ",
}

WIDTH_PX = 1200
LEFT_PX, RIGHT_PX = 280, 1100
MARGIN_PX = 28
TOP_PX = 92
ROW_PX, BAR_PX, HEADING_PX, GAP_PX = 21, 13, 28, 14
SMALL, BODY, HEADING = 12.0, 13.5, 16.0


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture."""

    svg: str
    labels: tuple[Label, ...]
    """Every text and its box."""


@dataclass(frozen=True, slots=True)
class Panel:
    """What is drawn of one pipeline."""

    name: str
    note: str
    spans: Sequence[Spans]
    leaving: Mapping[str, float]
    """Stage → the median of when what comes after it left, in seconds (those that did)."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Where a second is."""

    longest_s: float

    def x(self, seconds: float) -> float:
        """The pixel of a moment; what came before the end of speech is moved to the edge."""
        inside = min(max(seconds, 0.0), self.longest_s)
        return LEFT_PX + inside / self.longest_s * (RIGHT_PX - LEFT_PX)


def draw(figures: Figures, machine: str) -> Picture:
    """One panel for each pipeline; *machine* is written below the title."""
    panels = _panels(figures)
    axis = Axis(_longest(panels))
    canvas = Canvas(WIDTH_PX)
    canvas.text(MARGIN_PX, 34, "From the end of speech to the answer", size=HEADING, is_bold=True)
    canvas.text(MARGIN_PX, 58, f"seconds, medians; thin lines reach to p95 · {machine}", size=SMALL, tone="soft")
    y = float(TOP_PX)
    for panel in panels:
        y = _draw_panel(canvas, axis, y, panel) + GAP_PX
    height = y + 30
    _scale(canvas, axis, height - 22)
    summary = "; ".join(f"{panel.name}: {_leaving(panel)}" for panel in panels)
    return Picture(canvas.svg(height, "Latency by stage", summary), tuple(canvas.labels))


def _panels(figures: Figures) -> list[Panel]:
    notes = BASELINES | {
        s.name: f"{s.soft_end:g} s of silence to a soft end, {s.complete:g} s or {s.silence:g} s to the end; "
        for s in figures.settings
    }
    spans, steps = worked(figures), pipelines(figures)
    leaving = {name: _medians(steps[name]) for name in spans}
    return [Panel(name, notes[name], spans[name], leaving[name]) for name in spans if spans[name]]


def _medians(latencies: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Stage → when what comes after it left."""
    found = {stage: [of[step] for of in latencies if step in of] for stage, (step, _) in LEAVES.items()}
    return {stage: percentile(seconds, 50) for stage, seconds in found.items() if seconds}


def _draw_panel(canvas: Canvas, axis: Axis, top: float, panel: Panel) -> float:
    """Draw one pipeline from *top* down; where it ends."""
    canvas.rule((MARGIN_PX, top, WIDTH_PX - MARGIN_PX, top), "grid")
    middle = top + HEADING_PX / 2 + 3
    canvas.text(MARGIN_PX, middle, panel.name, size=BODY, is_bold=True)
    canvas.text(LEFT_PX, middle, panel.note + _leaving(panel), size=SMALL, tone="soft")
    y = top + HEADING_PX
    for stage, (meaning, tone) in STAGES.items():
        spans, leaves = [of[stage] for of in panel.spans if stage in of], panel.leaving.get(stage)
        _bar(canvas, axis, y, spans, meaning, tone, leaves or 0.0)
        if leaves is not None:
            canvas.diamond(axis.x(leaves), y + ROW_PX / 2, 7, "ink", hint=f"{LEAVES[stage][1]}: {leaves:.2f} s")
        y += ROW_PX
    return y


def _leaving(panel: Panel) -> str:
    return ", ".join(f"{LEAVES[stage][1]} {at:.2f} s" for stage, at in panel.leaving.items()) or "nothing left"


def _bar(
    canvas: Canvas,
    axis: Axis,
    top: float,
    spans: Sequence[tuple[float, float]],
    meaning: str,
    tone: str,
    leaves: float,
) -> None:
    """One stage; its label keeps clear of what *leaves* after it."""
    middle = top + ROW_PX / 2
    canvas.text(MARGIN_PX, middle, meaning, size=SMALL, tone="soft")
    if not spans:
        canvas.text(LEFT_PX, middle, "–", size=SMALL, tone="soft")
        return
    began, ended = (percentile([span[edge] for span in spans], 50) for edge in (0, 1))
    late = percentile([span[1] for span in spans], 95)
    hint = f"{meaning}: {began:.2f} s to {ended:.2f} s, p95 {late:.2f} s, in {len(spans)} turns"
    canvas.bar(axis.x(began), axis.x(ended), middle - BAR_PX / 2, BAR_PX, tone, hint=hint)
    canvas.rule((axis.x(ended), middle, axis.x(late), middle), "soft")
    canvas.text(max(axis.x(late), axis.x(ended), axis.x(leaves) + 4) + 8, middle, f"{ended:.2f}", size=SMALL)


def _scale(canvas: Canvas, axis: Axis, bottom: float) -> None:
    step = 0.1 if axis.longest_s <= 1 else 0.2 if axis.longest_s <= 2.5 else 0.5 if axis.longest_s <= 6 else 2.0
    for tick in range(math.floor(axis.longest_s / step + 1e-9) + 1):
        x = axis.x(tick * step)
        is_target = math.isclose(tick * step, FIRST_SAMPLE_S)
        canvas.rule((x, TOP_PX, x, bottom - 10), "alarm" if is_target else "grid", is_dashed=is_target)
        name = f"{tick * step:.1f}" + " (target)" * is_target
        canvas.text(x, bottom, name, size=SMALL, tone="alarm" if is_target else "soft", anchor="middle")


def _longest(panels: Iterable[Panel]) -> float:
    """How far the axis reaches: to the latest 95th percentile, in whole fifths of a second."""
    lates = [
        percentile([of[stage][1] for of in panel.spans if stage in of], 95)
        for panel in panels
        for stage in STAGES
        if any(stage in of for of in panel.spans)
    ]
    return max(1.2, math.ceil(max(lates, default=0.0) * 5) / 5)
