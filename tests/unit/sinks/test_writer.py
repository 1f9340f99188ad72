"""Somebody who does not read holds up nobody."""

import threading

from heisenberg.sinks.writer import Writer


async def test_everything_is_written_in_order_before_closing_ends() -> None:
    written: list[str] = []
    writer = Writer(written.append, "test")
    for number in range(100):
        writer.put(str(number))

    await writer.close()
    await writer.close()
    writer.put("late")

    assert written == [str(number) for number in range(100)]


async def test_a_blocked_reader_costs_the_oldest_lines_only() -> None:
    """Given a terminal in which somebody selects text, when more is put than fits, then the newest survives."""
    written: list[str] = []
    is_blocked, may_go = threading.Event(), threading.Event()

    def write(text: str) -> None:
        is_blocked.set()
        may_go.wait(10)
        written.append(text)

    writer = Writer(write, "test", size=3)
    writer.put("first")
    is_blocked.wait(10)
    for number in range(10):
        writer.put(str(number))
    may_go.set()
    await writer.close()

    assert written == ["first", "7", "8", "9"]
    assert writer.dropped == 7


async def test_without_text_there_is_no_thread() -> None:
    before = threading.active_count()
    writer = Writer(lambda text: None, "test")

    assert threading.active_count() == before
    await writer.close()
