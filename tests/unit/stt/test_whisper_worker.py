"""The guards around Whisper, over a scripted model; what the real one hears is in the contract suite."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heisenberg.workers import whisper
from heisenberg.workers.whisper import RATE_HZ, Abandoned, Options, Wanted, Whisper

LOOP = "Turn on the light. " * 4


@dataclass
class Said:
    """A segment, as the library gives it."""

    text: str
    compression_ratio: float = 1.0
    avg_logprob: float = -0.2
    no_speech_prob: float = 0.01
    start: float = 0.0
    end: float = 30.0
    seek: int = 0
    words: None = None
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0


class Model:
    """Says what is scripted, one text for each decode; remembers the window of each."""

    class model:
        is_multilingual = False

    def __init__(self, *texts: Said) -> None:
        self.window_frames: int | None = None
        self.windows: list[int | None] = []
        self._texts = list(texts)

    supported_languages = ("en",)

    def transcribe(self, audio: Any, **options: Any) -> tuple[Iterator[Said], Any]:
        self.windows.append(self.window_frames)
        return iter([self._texts.pop(0)]), SimpleNamespace(language="en")


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


# ── recordings ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def write_down(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Half a minute in which somebody speaks for two seconds, three times."""
    spoken = [{"start": at * RATE_HZ, "end": (at + 2) * RATE_HZ} for at in (1, 10, 20)]
    monkeypatch.setattr(whisper, "get_speech_timestamps", lambda audio, **options: spoken)

    def segments(model: Model) -> list[tuple[float, float, str]]:
        monkeypatch.setattr(Whisper, "_load", staticmethod(lambda *args: model))
        audio = np.zeros(30 * RATE_HZ, dtype=np.float32)
        found = Whisper("", "cpu", 1, Options(3, ("en",))).segments(audio, Wanted("en"))
        return [(each["start"], each["end"], each["text"]) for each in found]

    return segments


@pytest.mark.parametrize("window", [Said(LOOP * 4, compression_ratio=9.0), Said("Turn on.")])
def test_a_window_that_is_hard_to_believe_is_heard_again_from_pause_to_pause(write_down: Any, window: Said) -> None:
    """A loop, or a sentence that was said again and again; or little text for much speech."""
    model = Model(window, *[Said("Turn on the light.")] * 3)

    assert [(1.0, 3.0), (10.0, 12.0), (20.0, 22.0)] == [(start, end) for start, end, _ in write_down(model)]
    assert [None, 1000, 1000, 1000] == model.windows


def test_a_window_that_can_be_believed_is_not(write_down: Any) -> None:
    model = Model(Said("I said much, and I said nothing twice; so it is believed at once, all of it, to the end."))

    assert 1 == len(write_down(model))
    assert [None] == model.windows


def test_a_loop_that_stays_one_is_nothing(write_down: Any) -> None:
    loop = Said(LOOP * 4, compression_ratio=9.0)

    assert [] == write_down(Model(*[loop] * 7))
