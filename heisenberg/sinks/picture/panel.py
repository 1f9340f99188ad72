"""One time axis with lanes below each other: where a second is, where the next row goes, where a label has room.

In: seconds and texts; out: shapes and labels on the canvas. It knows nothing of events.
"""

from dataclasses import dataclass

from heisenberg.sinks.picture.canvas import Canvas
from heisenberg.sinks.picture.lettering import clean, cut, cut_head, text_width

MARGIN_PX = 28
PLOT_LEFT_PX = 216
PLOT_RIGHT_PX = 1168
TEXT_RIGHT_PX = 1176
"""Labels may reach a little further than the axis."""
BODY = 13.5
SMALL = 12.0
GAP_PX = 8
"""Between a mark and its label, and between two labels."""
MIN_CUT_PX = 60
"""A label cut shorter than this says nothing; it is left out."""
LANE_GAP_PX = 13
MIN_AXIS_LABEL_GAP_PX = 84
AXIS_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
MIN_WINDOW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a label goes and what of it fits."""

    x: float
    text: str
    left: float
    """The leftmost pixel of the mark and its label together."""
    right: float


class Row:
    """What of one row is taken, as stretches in pixels."""

    def __init__(self, middle: float) -> None:
        self.middle = middle
        self._taken: list[tuple[float, float]] = []

    def is_free(self, left: float, right: float) -> bool:
        """Whether nothing stands there or close by."""
        return all(right + GAP_PX <= start or end + GAP_PX <= left for start, end in self._taken)

    def take(self, left: float, right: float) -> None:
        """Something stands there now."""
        self._taken.append((left, right))


class Panel:
    """The lanes of one turn.

    Args:
        canvas: what is drawn on.
        top: where the panel begins, in pixels.
        start: the first second that matters.
        end: the last one.
    """

    def __init__(self, canvas: Canvas, top: float, start: float, end: float) -> None:
        self.canvas = canvas
        self.y = top
        lacking = max(0.0, MIN_WINDOW_SECONDS - (end - start))
        margin = max(0.2, (end - start) * 0.025) + lacking / 2
        self.start, self.end = max(0.0, start - margin), end + margin
        self._scale = (PLOT_RIGHT_PX - PLOT_LEFT_PX) / (self.end - self.start)

    def x(self, seconds: float) -> float:
        """The pixel of a moment; what lies outside the axis is moved to its edge."""
        inside = min(max(seconds, self.start), self.end)
        return PLOT_LEFT_PX + (inside - self.start) * self._scale

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────

    def row(self, height: float) -> Row:
        """The next row."""
        self.y += height
        return Row(self.y - height / 2)

    def lane(self, title: str, note: str = "") -> None:
        """Begin a lane: a rule above it, its title on the left of the rows that follow, a *note* beside the title."""
        self.y += LANE_GAP_PX / 2
        self.canvas.rule((MARGIN_PX, self.y, PLOT_RIGHT_PX, self.y), "grid")
        self.y += LANE_GAP_PX / 2
        middle = self.y + 11
        self.canvas.text(MARGIN_PX, middle, title, size=BODY, is_bold=True)
        x = MARGIN_PX + text_width(title, BODY, is_bold=True) + GAP_PX
        room = PLOT_LEFT_PX - GAP_PX - x
        self.canvas.text(x, middle, cut(note, room, SMALL), size=SMALL, tone="soft")

    def name_row(self, row: Row, name: str) -> None:
        """Write *name* on the left of one row; of a long one, the end is kept."""
        room = PLOT_LEFT_PX - GAP_PX - MARGIN_PX
        self.canvas.text(MARGIN_PX, row.middle, cut_head(clean(name), room, SMALL), size=SMALL, tone="soft", hint=name)

    # ── labels ───────────────────────────────────────────────────────────────────────────────────

    def beside(
        self,
        left: float,
        right: float,
        text: str,
        size: float = BODY,
        *,
        is_bold: bool = False,
        within: tuple[float, float] = (PLOT_LEFT_PX, TEXT_RIGHT_PX),
    ) -> Place:
        """Room for *text* beside a mark: on its right, else on its left, else cut on the roomier side.

        *within*: the pixels that it may use.
        """
        text = clean(text)
        width = text_width(text, size, is_bold=is_bold)
        room_right = within[1] - right - GAP_PX
        room_left = left - GAP_PX - within[0]
        if width > room_right and (width <= room_left or room_left > room_right):
            text = cut(text, room_left, size, is_bold=is_bold)
            x = left - GAP_PX - text_width(text, size, is_bold=is_bold)
            return Place(x, text, x, right)
        text = cut(text, room_right, size, is_bold=is_bold)
        x = right + GAP_PX
        return Place(x, text, left, x + text_width(text, size, is_bold=is_bold))

    def label(
        self,
        row: Row,
        left: float,
        right: float,
        text: str,
        *,
        size: float = BODY,
        tone: str = "ink",
        is_bold: bool = False,
        within: tuple[float, float] = (PLOT_LEFT_PX, TEXT_RIGHT_PX),
    ) -> bool:
        """Label a mark if its row still has room for both; whether it did."""
        if not row.is_free(left, right):
            return False
        place = self.beside(left, right, text, size, is_bold=is_bold, within=within)
        is_cut = place.text != clean(text)
        too_short = is_cut and text_width(place.text, size, is_bold=is_bold) < MIN_CUT_PX
        if too_short or not row.is_free(place.left, place.right):
            return False
        row.take(place.left, place.right)
        hint = text if is_cut else ""
        self.canvas.text(place.x, row.middle, place.text, size=size, tone=tone, is_bold=is_bold, hint=hint)
        return True

    def note(self, row: Row, left: float, right: float, text: str) -> None:
        """Remark on a bar: beside it if all of *text* fits, else in a row of its own below."""
        if self.beside(left, right, text, SMALL).text != clean(text) and row.is_free(left, right):
            row.take(left, right)
            row, left, right = self.row(18), left - GAP_PX, left - GAP_PX
        self.label(row, left, right, text, size=SMALL, tone="soft")

    def write(self, row: Row, text: str, *, tone: str) -> None:
        """Write *text* across the whole row, cut if need be."""
        row.take(PLOT_LEFT_PX, TEXT_RIGHT_PX)
        shown = cut(clean(text), TEXT_RIGHT_PX - PLOT_LEFT_PX, SMALL)
        self.canvas.text(PLOT_LEFT_PX, row.middle, shown, size=SMALL, tone=tone, hint=text)

    # ── the axis ─────────────────────────────────────────────────────────────────────────────────

    def axis(self) -> float:
        """Write the seconds; returns the top of the grid, for :meth:`grid`."""
        middle = self.row(20).middle
        for second, text in self._axis_labels():
            self.canvas.text(self.x(second), middle, text, size=SMALL, tone="soft", anchor="middle")
        return self.y

    def grid(self, top: float) -> None:
        """Draw the lines of the axis from *top* down to the last row."""
        for second, _ in self._axis_labels():
            self.canvas.rule((self.x(second), top, self.x(second), self.y), "grid")

    def _axis_labels(self) -> list[tuple[float, str]]:
        steps = (step for step in AXIS_STEPS if step * self._scale >= MIN_AXIS_LABEL_GAP_PX)
        step = next(steps, (self.end - self.start) / 4)
        first = int(-(-self.start // step))
        seconds = [n * step for n in range(first, int(self.end // step) + 1)]
        return [(second, f"{second:.1f} s" if step < 1 else f"{second:.0f} s") for second in seconds]
