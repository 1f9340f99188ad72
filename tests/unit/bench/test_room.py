"""The room as an AudioSource: everything is heard in order, devices come back, and it ends calmly."""

import threading

import numpy as np
import pytest

from heisenberg.bench.room import CALM_QUESTIONS, Room
from heisenberg.bench.room_life import Loss, Scene, Scenes
from heisenberg.core.audio import CHUNK_SAMPLES, Samples
from heisenberg.core.errors import AudioError


def sound(value: int, chunks: float = 2) -> Samples:
    return np.full(round(chunks * CHUNK_SAMPLES), value, dtype=np.int16)


class FewScenes(Scenes):
    """The same scene again and again; calm ones are all 9."""

    def __init__(self, *pieces: Samples | Loss) -> None:
        self._pieces = pieces

    def draw(self) -> Scene:
        return Scene("something", self._pieces, 1)

    def calm(self) -> Scene:
        return Scene("calm question", [sound(9, 1)], 1)

    def pause(self, seconds: float) -> Samples:
        return sound(0, round(seconds * 16_000 / CHUNK_SAMPLES))


SCENE_S = 2 * CHUNK_SAMPLES / 16_000


def heard(room: Room, chunks: int = 10_000) -> list[Samples | str]:
    """What is read, losses as their code."""
    found: list[Samples | str] = []
    for _ in range(chunks):
        try:
            chunk = room.read()
        except AudioError as exc:
            found.append(exc.code)
            continue
        if chunk is None:
            break
        found.append(chunk)
    return found


def test_a_room_ends_with_calm_questions() -> None:
    room = Room(FewScenes(sound(1)), 3 * SCENE_S)

    values = [int(chunk[0]) for chunk in heard(room) if not isinstance(chunk, str)]

    assert [1] * 6 + [9] * CALM_QUESTIONS == values
    assert {"something": 3, "calm question": CALM_QUESTIONS} == room.script
    assert 3 + CALM_QUESTIONS == room.wakes
    assert room.is_calm


def test_it_is_not_calm_before() -> None:
    room = Room(FewScenes(sound(1)), 3 * SCENE_S)
    heard(room, 3)

    assert not room.is_calm


@pytest.mark.parametrize(("wants_more", "scenes"), [(False, 4), (True, 8)])
def test_a_room_goes_on_at_most_twice_as_long(wants_more: bool, scenes: int) -> None:
    room = Room(FewScenes(sound(1)), 4 * SCENE_S, lambda: wants_more)
    heard(room)

    assert scenes == room.script["something"]


def test_a_lost_device_comes_back() -> None:
    """What was heard before it went comes first, even if it is no whole chunk."""
    room = Room(FewScenes(sound(1, 1.5), Loss(3), sound(2, 1)), 0.01)

    first, second, *rest = heard(room)

    assert isinstance(first, np.ndarray)
    assert isinstance(second, np.ndarray)
    assert [CHUNK_SAMPLES, CHUNK_SAMPLES // 2] == [len(first), len(second)]
    assert ["audio-input-lost"] * 3 == rest[:3]
    assert isinstance(rest[3], np.ndarray)
    assert 2 == rest[3][0]


def test_a_room_that_waits_is_not_live_and_one_with_a_speed_is() -> None:
    assert not Room(FewScenes(sound(1)), 1.0).live
    assert Room(FewScenes(sound(1)), 1.0, speed=2.0).live


def test_a_live_room_leaves_time_for_answers() -> None:
    """It is so fast here that nobody waits: 6 s of wall time are much sound."""
    room = Room(FewScenes(sound(1)), 0.01, speed=2000.0)
    values = [int(chunk[0]) for chunk in heard(room, 1000) if not isinstance(chunk, str)]

    assert [1, 1, 0, 0] == values[:4]
    assert 0 == values[-1]


def test_a_closed_room_is_silent_for_ever() -> None:
    room = Room(FewScenes(sound(1)), 1.0)
    room.read()
    room.close()
    room.close()

    assert room.read() is None
    assert room.read() is None


def test_closing_frees_a_reader_that_waits() -> None:
    """At a thousandth of real time, one chunk takes half a minute."""
    room, begun = Room(FewScenes(sound(1)), 1.0, speed=0.001), threading.Event()

    def read() -> None:
        begun.set()
        while room.read() is not None:
            pass

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(5)
    room.close()
    reader.join(5)

    assert not reader.is_alive()
