"""The VAD may rest when the room was alone for a second, and only then."""

import pytest

from heisenberg.orchestrator.background import SETTLED_CHUNKS, Background


def settled(loudness: float) -> Background:
    """A room that has been this loud for a while."""
    room = Background()
    for _ in range(2 * SETTLED_CHUNKS):
        room.is_alone(loudness)
    return room


def test_a_short_pause_is_not_the_room() -> None:
    """What is said has pauses, and the VAD must see them."""
    room = settled(0.01)
    room.is_alone(0.3)

    assert [False] * SETTLED_CHUNKS + [True] == [room.is_alone(0.01) for _ in range(SETTLED_CHUNKS + 1)]


@pytest.mark.parametrize("factor", [2.0, 10.0])
def test_anything_louder_is_heard_at_once(factor: float) -> None:
    assert not settled(0.01).is_alone(0.01 * factor)


def test_a_room_that_stays_louder_becomes_the_background() -> None:
    room = settled(0.01)

    assert [False, True] == [room.is_alone(0.1) for _ in range(400)][::399]


def test_after_digital_silence_a_quiet_room_becomes_the_background() -> None:
    room = settled(0.0)

    assert [False, True] == [room.is_alone(0.002) for _ in range(500)][::499]


def test_a_vad_that_must_hear_everything_never_rests() -> None:
    room = Background(is_used=False)

    assert not any(room.is_alone(0.01) for _ in range(10 * SETTLED_CHUNKS))
