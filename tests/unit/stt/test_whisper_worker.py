"""The guards around Whisper, over a scripted model; what the real one hears is in the contract suite."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from heisenberg.workers.whisper import RATE_HZ, Abandoned, Options, Whisper

LOOP = "Turn on the light. " * 4


@dataclass
class Said:
    """A segment, as the library gives it."""

    text: str
    compression_ratio: float = 1.0
    avg_logprob: float = -0.2
    no_speech_prob: float = 0.01


class Model:
    """Says what is scripted, one text for each decode; remembers the window of each."""

    class model:
        is_multilingual = False

    def __init__(self, *texts: Said) -> None:
        self.window_frames: int | None = None
        self.windows: list[int | None] = []
        self._texts = list(texts)

    def transcribe(self, audio: Any, **options: Any) -> tuple[Iterator[Said], None]:
        self.windows.append(self.window_frames)
        return iter([self._texts.pop(0)]), None


@pytest.fixture
def hear(monkeypatch: pytest.MonkeyPatch) -> Any:
    def transcribe(model: Model, seconds: float = 3.0, **options: Any) -> str:
        monkeypatch.setattr(Whisper, "_load", staticmethod(lambda *args: model))
        audio = np.zeros(int(seconds * RATE_HZ), dtype=np.float32)
        return Whisper("", "cpu", 1, Options(3, ("en",))).transcribe(audio, "en", **{"partial": False, **options})[0]

    return transcribe


@pytest.mark.parametrize(("seconds", "frames"), [(0.5, 1000), (8.0, 1000), (12.0, 1400), (28.0, None), (50.0, None)])
def test_the_window_is_as_short_as_accuracy_allows(hear: Any, seconds: float, frames: int | None) -> None:
    model = Model(Said("Hello."))
    hear(model, seconds)

    assert [frames] == model.windows


@pytest.mark.parametrize("looped", [Said(LOOP), Said("la " * 60), Said("lights", compression_ratio=3.0)])
def test_a_loop_is_decoded_again_in_the_whole_window(hear: Any, looped: Said) -> None:
    model = Model(looped, Said("Turn on the light."))

    assert "Turn on the light." == hear(model)
    assert [1000, None] == model.windows


def test_what_is_repeated_in_both_windows_was_said(hear: Any) -> None:
    assert LOOP.strip() == hear(Model(Said(LOOP), Said(LOOP)))


def test_a_loop_in_both_windows_that_nobody_can_say_is_nothing(hear: Any) -> None:
    looped = Said("lights and so on", compression_ratio=9.0)

    assert "" == hear(Model(looped, looped))


def test_a_partial_transcript_is_worth_one_decode(hear: Any) -> None:
    model = Model(Said(LOOP))

    assert "" == hear(model, partial=True)
    assert [1000] == model.windows


@pytest.mark.parametrize(
    "invented",
    [
        Said(" . . . . ."),
        Said("♪"),
        Said("You", no_speech_prob=0.5),
        Said("Thank you.", avg_logprob=-1.0),
        Said("Something", no_speech_prob=0.9, avg_logprob=-1.2),
    ],
    ids=lambda said: said.text.strip(),
)
def test_what_nobody_said_is_nothing(hear: Any, invented: Said) -> None:
    assert "" == hear(Model(invented))


def test_who_is_sure_of_thank_you_said_it(hear: Any) -> None:
    assert "Thank you." == hear(Model(Said("Thank you.", avg_logprob=-0.3)))


def test_nothing_is_decoded_for_a_client_that_left(hear: Any) -> None:
    model = Model()
    with pytest.raises(Abandoned):
        hear(model, is_wanted=lambda: False)

    assert [] == model.windows


def test_a_client_that_leaves_between_two_decodes_costs_one(hear: Any) -> None:
    model, answers = Model(Said(LOOP)), iter([True, False])
    with pytest.raises(Abandoned):
        hear(model, is_wanted=lambda: next(answers))

    assert [1000] == model.windows
    assert model.window_frames is None
