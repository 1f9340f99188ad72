"""The conversation is bounded in turns and in time."""

import pytest

from heisenberg.core.stages import Exchange
from heisenberg.orchestrator.history import History


class Clock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def exchange(number: int) -> Exchange:
    return Exchange(f"Question {number}?", f"Answer {number}.")


def test_the_oldest_exchange_is_forgotten_first(clock: Clock) -> None:
    history = History(2, 300.0, clock)
    for number in range(4):
        history.add(exchange(number))

    assert (exchange(2), exchange(3)) == history.recent()


def test_no_turns_are_no_memory(clock: Clock) -> None:
    history = History(0, 300.0, clock)
    history.add(exchange(1))

    assert () == history.recent()


def test_an_exchange_is_forgotten_after_its_time(clock: Clock) -> None:
    history = History(6, 300.0, clock)
    history.add(exchange(1))
    clock.now += 200
    history.add(exchange(2))
    clock.now += 100

    assert (exchange(1), exchange(2)) == history.recent()

    clock.now += 1

    assert (exchange(2),) == history.recent()


def test_what_was_given_out_does_not_change_later(clock: Clock) -> None:
    history = History(6, 300.0, clock)
    history.add(exchange(1))
    given_out = history.recent()
    history.add(exchange(2))

    assert (exchange(1),) == given_out
