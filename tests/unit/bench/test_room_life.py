"""The room of a soak: the same for a seed, with everything in it, and quiet often enough."""

from collections.abc import Callable

import numpy as np
import pytest

from heisenberg.bench import room_sounds
from heisenberg.bench.room_life import QUESTIONS, TALK, WAKE, WORDS, Bank, Loss, Scene, Scenes
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples, level
from heisenberg.core.config import VadConfig

KINDS = 14
QUIET = 0.005
"""Louder than an empty room's hiss, quieter than everything else."""


def spoken(seconds: float, seed: int = 0) -> Samples:
    """Something as loud as speech."""
    return room_sounds.noise("pink", seconds, np.random.default_rng(seed), 0.5)


@pytest.fixture(scope="module")
def bank() -> Bank:
    return {text: spoken(0.5 + 0.02 * len(text), seed) for seed, text in enumerate((WAKE, *QUESTIONS, *WORDS, *TALK))}


@pytest.fixture
def new_scenes(bank: Bank) -> Callable[[int], Scenes]:
    return lambda seed: Scenes(bank, VadConfig(), seed)


def as_bytes(scene: Scene) -> list[bytes]:
    return [repr(piece).encode() if isinstance(piece, Loss) else piece.tobytes() for piece in scene.pieces]


def test_the_same_seed_gives_the_same_room(new_scenes: Callable[[int], Scenes]) -> None:
    one, same, other = new_scenes(7), new_scenes(7), new_scenes(8)
    first = [as_bytes(one.draw()) for _ in range(KINDS)]

    assert first == [as_bytes(same.draw()) for _ in range(KINDS)]
    assert first != [as_bytes(other.draw()) for _ in range(KINDS)]


def test_everything_happens_before_anything_happens_again(new_scenes: Callable[[int], Scenes]) -> None:
    scenes = new_scenes(1)

    drawn = [scenes.draw().kind.partition(":")[0] for _ in range(KINDS)]

    assert len(set(drawn)) == KINDS


def test_a_turn_can_end_before_the_next_scene(new_scenes: Callable[[int], Scenes]) -> None:
    """After whatever was said there is the longest silence that the endpointer waits for."""
    scenes, needed_s = new_scenes(3), VadConfig().incomplete_silence_seconds
    for scene in (scenes.draw() for _ in range(KINDS)):
        if scene.wakes:
            last = scene.pieces[-1]
            assert not isinstance(last, Loss)
            heard = np.concatenate([piece for piece in scene.pieces if not isinstance(piece, Loss)])
            end = heard[-round(needed_s * PIPELINE_RATE_HZ) :]

            assert level(end) < QUIET, scene.kind


def test_a_ramble_is_longer_than_a_command_may_be(new_scenes: Callable[[int], Scenes]) -> None:
    pieces = new_scenes(1).ramble().pieces

    assert max(len(piece) for piece in pieces if not isinstance(piece, Loss)) > 15 * PIPELINE_RATE_HZ


def test_a_muted_microphone_delivers_zeros(new_scenes: Callable[[int], Scenes]) -> None:
    *_, off, _ = new_scenes(1).muted().pieces

    assert not isinstance(off, Loss)
    assert not np.any(off)
    assert len(off) > VadConfig().no_speech_seconds * PIPELINE_RATE_HZ


@pytest.mark.parametrize("kind", room_sounds.NOISES)
def test_each_noise_has_the_asked_length_and_loudness(kind: str) -> None:
    sound = room_sounds.noise(kind, 2.0, np.random.default_rng(1), peak=0.5)

    assert sound.dtype == np.int16
    assert len(sound) == 2 * PIPELINE_RATE_HZ
    assert np.abs(sound.astype(int)).max() == pytest.approx(0.5 * 32_767, rel=0.01)


def test_noise_lies_so_many_decibels_below_speech() -> None:
    speech, hum = spoken(1.0), room_sounds.noise("hum", 0.3, np.random.default_rng(1))

    mixed = room_sounds.over(speech, hum, snr_db=20.0)

    added = level((mixed.astype(int) - speech).astype(np.int16))
    assert 20 * np.log10(level(speech) / added) == pytest.approx(20.0, abs=0.3)


def test_what_is_too_loud_is_clipped() -> None:
    assert {-32_768, 32_767} <= set(room_sounds.louder(spoken(0.5), 30.0).tolist())


def test_babble_is_several_voices() -> None:
    sound = room_sounds.babble([spoken(0.4, seed) for seed in range(5)], 1.5, np.random.default_rng(1))

    assert len(sound) == 1.5 * PIPELINE_RATE_HZ
    assert level(sound) > QUIET
