"""How long a pause is waited for, by what the witnesses say."""

import numpy as np
import pytest

from heisenberg.orchestrator.patience import Patience, Pauses
from heisenberg.stt.moshi import Signs
from heisenberg.stt.moshi_wire import Heard

SHORT, USUAL, LONG = 0.45, 0.6, 1.2
PAUSES = Pauses(complete=SHORT, incomplete=LONG, usual=USUAL)
COMMAND = np.zeros(1600, dtype=np.int16)

COMPLETE, BROKEN_OFF, UNKNOWN = True, False, None


class Scene:
    """A pause in which the pause heads and the words speak, one after the other."""

    def __init__(self, words: bool | None) -> None:
        self.signs = Signs()
        self.waits: list[float] = []
        self.patience = Patience(PAUSES, lambda text, language: words, heads=self.signs, head_threshold=0.6)

    async def begin(self) -> None:
        await self.patience.begin(COMMAND, self.waits.append)

    def hear(self, *probabilities: float | None) -> None:
        for probability in probabilities:
            self.signs.pause(Heard("", (), 2.0, probability))

    def judge(self) -> None:
        self.patience.judge("some words", "en")


@pytest.mark.parametrize(
    ("words", "heads", "expected"),
    [
        (UNKNOWN, [0.9], SHORT),
        (UNKNOWN, [0.1], LONG),
        (UNKNOWN, [0.1, 0.3, 0.7], SHORT),
        (UNKNOWN, [0.6], SHORT),
        (COMPLETE, [0.9], SHORT),
        (COMPLETE, [0.1], USUAL),
        (BROKEN_OFF, [0.9], LONG),
        (BROKEN_OFF, [0.1], LONG),
    ],
)
@pytest.mark.parametrize("are_words_first", [True, False])
async def test_the_words_come_first_and_the_pause_heads_decide_where_they_say_nothing(
    words: bool | None, heads: list[float], expected: float, are_words_first: bool
) -> None:
    scene = Scene(words)
    await scene.begin()
    if are_words_first:
        scene.judge()
    scene.hear(*heads)
    if not are_words_first:
        scene.judge()

    assert expected == scene.waits[-1]


@pytest.mark.parametrize(("words", "expected"), [(COMPLETE, [SHORT]), (BROKEN_OFF, [LONG]), (UNKNOWN, [])])
async def test_a_model_without_pause_heads_leaves_it_to_the_words(words: bool | None, expected: list[float]) -> None:
    scene = Scene(words)
    await scene.begin()
    scene.hear(None, None)
    scene.judge()

    assert expected == scene.waits


async def test_the_same_is_not_said_twice() -> None:
    """Twelve frames a second come; the audio thread need not hear of each."""
    scene = Scene(UNKNOWN)
    await scene.begin()
    scene.hear(0.7, 0.8, 0.9)

    assert [SHORT] == scene.waits


async def test_what_is_heard_outside_of_a_pause_means_nothing() -> None:
    scene = Scene(UNKNOWN)
    scene.hear(0.9)
    await scene.begin()
    await scene.patience.close()
    scene.hear(0.9)

    assert [] == scene.waits
