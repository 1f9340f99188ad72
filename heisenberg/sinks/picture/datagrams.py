"""The lane of what left for the visuals: one row an OSC address, with the values of the visual fields.

In: a story and the panel. Without OSC targets there are no datagrams; the fields are shown all the same.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable

from heisenberg.core import events
from heisenberg.sinks.picture.canvas import thinned
from heisenberg.sinks.picture.lettering import clean
from heisenberg.sinks.picture.panel import GAP_PX, PLOT_LEFT_PX, SMALL, TEXT_RIGHT_PX, Panel
from heisenberg.sinks.picture.story import Story
from heisenberg.sinks.sanitise import address_part

MAX_ADDRESSES = 14
PREFIX = "/visual/"


def draw_datagrams(panel: Panel, story: Story) -> None:
    """Draw the lane, if anything left or any field was set."""
    sent, values = _sent(story), _values(story)
    if not sent and not values:
        return
    count = sum(map(len, sent.values()))
    panel.lane("OSC" if sent else "Visual fields", f"{count} datagram" + "s" * (count != 1) if sent else "")
    panel.row(22)
    addresses = sorted({**sent, **values}, key=lambda address: not address.startswith(PREFIX))
    shown, others = addresses[:MAX_ADDRESSES], addresses[MAX_ADDRESSES:]
    for address in shown:
        _draw_address(panel, address, sent.get(address, []), values.get(address, []))
    if others:
        row = panel.row(19)
        panel.name_row(row, f"{len(others)} other address" + "es" * (len(others) != 1))
        _draw_ticks(panel, row.middle, (at for address in others for at in sent.get(address, [])))


def _sent(story: Story) -> dict[str, list[float]]:
    times: dict[str, list[float]] = defaultdict(list)
    for event in story.of(events.OscSent):
        times[event.address].append(event.at)
    return times


def _values(story: Story) -> dict[str, list[events.VisualUpdated]]:
    updates: dict[str, list[events.VisualUpdated]] = defaultdict(list)
    for event in story.of(events.VisualUpdated):
        updates[PREFIX + address_part(event.field)].append(event)
    return updates


def _draw_address(panel: Panel, address: str, sent: list[float], updates: list[events.VisualUpdated]) -> None:
    row = panel.row(19)
    panel.name_row(row, address if sent else address.removeprefix(PREFIX))
    times = sent or [update.at for update in updates]
    _draw_ticks(panel, row.middle, times)
    marks = thinned(panel.x(at) for at in times)
    for update in reversed(updates):  # the last one holds; it gets the room
        n = bisect_left(times, update.at)
        x = panel.x(times[n] if n < len(times) else update.at)
        before = max((mark for mark in marks if mark < x), default=PLOT_LEFT_PX)
        after = min((mark for mark in marks if mark > x), default=TEXT_RIGHT_PX)
        panel.label(row, x, x, _value_words(update.value), size=SMALL, within=(before + GAP_PX, after - GAP_PX))


def _draw_ticks(panel: Panel, middle: float, times: Iterable[float]) -> None:
    panel.canvas.ticks(map(panel.x, times), middle - 6, 12, "view")


def _value_words(value: str | float) -> str:
    return f"“{clean(value)}”" if isinstance(value, str) else f"{value:.4g}"
