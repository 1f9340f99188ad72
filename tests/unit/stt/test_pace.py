"""How often a command is guessed at: quick machines often, slow ones seldom or never, and none for ever."""

from heisenberg.stt.pace import NEVER_S, PARTIAL_EVERY_S, Pace


def test_quick_guesses_come_often_but_take_half_of_the_time_at_most() -> None:
    pace = Pace()
    pace.guessed(0.1)

    assert PARTIAL_EVERY_S == pace.every_s

    pace.guessed(0.6)

    assert 1.2 == pace.every_s


def test_slow_guesses_become_rarer_and_then_end() -> None:
    pace, waits = Pace(), []
    while not pace.is_off:
        pace.guessed(1.0)
        waits.append(pace.every_s)

    assert [2.0, 4.0, 8.0, NEVER_S] == waits


def test_a_quick_final_transcript_brings_them_back() -> None:
    pace = Pace()
    for _ in range(9):
        pace.guessed(3.0)
    pace.finished(2.0)

    assert pace.is_off

    pace.finished(0.3)

    assert 0.6 == pace.every_s


def test_a_final_transcript_makes_no_guess_rarer() -> None:
    pace = Pace()
    pace.finished(0.7)
    pace.finished(5.0)

    assert PARTIAL_EVERY_S == pace.every_s
