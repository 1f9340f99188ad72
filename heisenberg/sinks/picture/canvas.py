"""Draws shapes and labels, and writes them down as one self-contained SVG.

In: pixels and texts; out: SVG text, and the box of every label, so that a test can see whether two of them
overlap. It knows nothing of turns or seconds. Two palettes travel with the picture: it has its own
background and follows the reader's light or dark theme where the viewer tells it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape, quoteattr

from heisenberg.sinks.picture.lettering import clean, text_width

Anchor = Literal["start", "middle", "end"]

FONTS = "-apple-system, 'Segoe UI', Roboto, 'Noto Sans', Helvetica, Arial, 'DejaVu Sans', sans-serif"
MIN_TICK_GAP_PX = 1.5
"""Ticks that are closer together than this cannot be told apart; one is drawn for all."""
MAX_HINT_CHARACTERS = 500

LIGHT = {
    "card": "#fdfcf9",
    "edge": "#dedad0",
    "grid": "#ece8df",
    "ink": "#22262b",
    "soft": "#69707a",
    "rest": "#eceae5",
    "user": "#2f6db5",
    "user-tint": "#d6e4f4",
    "mind": "#b5730f",
    "mind-tint": "#f7e6c8",
    "voice": "#2a8560",
    "voice-tint": "#d2ebdf",
    "view": "#7a57c2",
    "alarm": "#c0362c",
}
DARK = {
    "card": "#14181f",
    "edge": "#323a46",
    "grid": "#232a34",
    "ink": "#e8eaee",
    "soft": "#98a1ad",
    "rest": "#242b35",
    "user": "#79b0f0",
    "user-tint": "#1f3a5c",
    "mind": "#e3ae55",
    "mind-tint": "#4d3a17",
    "voice": "#67c79c",
    "voice-tint": "#1b4734",
    "view": "#b79df0",
    "alarm": "#ff8178",
}


@dataclass(frozen=True, slots=True)
class Label:
    """A text in the picture and the box that it needs, in pixels from the top left."""

    text: str
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "Label") -> bool:
        """Whether the two boxes share more than an edge."""
        is_beside = self.right <= other.left or other.right <= self.left
        return not (is_beside or self.bottom <= other.top or other.bottom <= self.top)


class Canvas:
    """A picture in the making; what is drawn later lies on top, except *rule* and *panel*, which lie below all.

    Args:
        width: in pixels.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.labels: list[Label] = []
        self._below: list[str] = []
        self._shapes: list[str] = []

    def text(
        self,
        x: float,
        middle: float,
        text: str,
        *,
        size: float,
        tone: str = "ink",
        anchor: Anchor = "start",
        is_bold: bool = False,
        is_inside: bool = False,
        hint: str = "",
    ) -> None:
        """Write *text* with its vertical middle at *middle*.

        *is_inside*: on a coloured bar, where no halo keeps grid lines away. *hint*: the whole text, if it was cut.
        """
        text = clean(text)
        if not text:
            return
        width = text_width(text, size, is_bold=is_bold)
        left = x - {"start": 0.0, "middle": width / 2, "end": width}[anchor]
        self.labels.append(Label(text, left, middle - size * 0.6, left + width, middle + size * 0.6))
        names = " ".join([tone, *["b"] * is_bold, *["in"] * is_inside])
        place = f'x="{x:.1f}" y="{middle + size * 0.35:.1f}" font-size="{size:g}"'
        anchored = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self._shapes.append(f'<text class="{names}" {place}{anchored}>{_hint(hint)}{escape(text)}</text>')

    def bar(self, left: float, right: float, top: float, height: float, tone: str, *, hint: str = "") -> None:
        """A rounded bar, at least 2 px wide so that the shortest event is seen."""
        width = max(right - left, 2.0)
        radius = min(3.0, width / 2, height / 2)
        box = f'x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}"'
        self._shapes.append(f'<rect class="{tone}" {box}>{_hint(hint)}</rect>')

    def ticks(self, xs: Iterable[float], top: float, height: float, tone: str, *, hint: str = "") -> None:
        """Upright strokes, as one shape."""
        strokes = "".join(f"M{x:.1f} {top:.1f}v{height:.1f}" for x in thinned(xs))
        if strokes:
            self._shapes.append(f'<path class="line {tone}-line" d="{strokes}">{_hint(hint)}</path>')

    def diamond(self, x: float, middle: float, radius: float, tone: str, *, hint: str = "") -> None:
        """A point in time that matters."""
        path = f"M{x:.1f} {middle - radius:.1f}l{radius} {radius}l-{radius} {radius}l-{radius} -{radius}z"
        self._shapes.append(f'<path class="{tone}" d="{path}">{_hint(hint)}</path>')

    def bracket(self, left: float, right: float, middle: float, tone: str) -> None:
        """A measured distance: a line between two upright ends."""
        path = f"M{left:.1f} {middle - 4:.1f}v8M{left:.1f} {middle:.1f}H{right:.1f}M{right:.1f} {middle - 4:.1f}v8"
        self._shapes.append(f'<path class="line {tone}-line" d="{path}"/>')

    def rule(self, points: Sequence[float], tone: str, *, is_dashed: bool = False) -> None:
        """A thin line, [x1, y1, x2, y2], below everything."""
        x1, y1, x2, y2 = points
        names = f"thin {tone}-line" + " dashed" * is_dashed
        self._below.append(f'<path class="{names}" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>')

    def svg(self, height: float, title: str, summary: str) -> str:
        """The whole picture, *height* pixels high, with what a screen reader says of it."""
        size = f'width="{self.width}" height="{height:.0f}" viewBox="0 0 {self.width} {height:.0f}"'
        card = f'<rect class="card" x="1" y="1" width="{self.width - 2}" height="{height - 2:.0f}" rx="12"/>'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={quoteattr(clean(title))}>',
                f"<title>{escape(clean(title))}</title>",
                f"<desc>{escape(clean(summary))}</desc>",
                f"<style>{_style()}</style>",
                card,
                *self._below,
                *self._shapes,
                "</svg>\n",
            ]
        )


def thinned(xs: Iterable[float]) -> list[float]:
    """*xs* in order, without those that would lie on top of their neighbour."""
    kept: list[float] = []
    for x in sorted(xs):
        if not kept or x - kept[-1] >= MIN_TICK_GAP_PX:
            kept.append(x)
    return kept


def _hint(text: str) -> str:
    return f"<title>{escape(clean(text)[:MAX_HINT_CHARACTERS])}</title>" if text else ""


def _style() -> str:
    fixed = (
        f"text{{font-family:{FONTS};paint-order:stroke;stroke-width:4px;stroke-linejoin:round}}"
        ".b{font-weight:600}text.in{stroke:none}"
        ".line{fill:none;stroke-width:1.5}.thin{fill:none;stroke-width:1}.dashed{stroke-width:1.4;stroke-dasharray:3 4}"
    )
    return f"{fixed}{_colours(LIGHT)}@media (prefers-color-scheme:dark){{{_colours(DARK)}}}"


def _colours(palette: dict[str, str]) -> str:
    fills = "".join(f".{tone}{{fill:{colour}}}.{tone}-line{{stroke:{colour}}}" for tone, colour in palette.items())
    halo = f"text{{stroke:{palette['card']}}}"
    return f"{halo}{fills}rect.card{{stroke:{palette['edge']}}}"
