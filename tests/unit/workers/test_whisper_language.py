"""Which language a segment is written in, where the recogniser is to find out."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heisenberg.workers.whisper import Options, Whisper

SOUND = np.zeros(16_000, dtype=np.float32)


class FakeModel:
    """Finds languages as scripted, and no words."""

    window_frames: int | None = None

    def __init__(self, *found: dict[str, float]) -> None:
        self.model = SimpleNamespace(is_multilingual=True)
        self._found = list(found)

    def detect_language(self, audio: object) -> tuple[str, float, list[tuple[str, float]]]:
        return "", 0.0, list(self._found.pop(0).items())

    def transcribe(self, audio: object, **options: Any) -> tuple[list[object], None]:
        return [], None


def languages(monkeypatch: pytest.MonkeyPatch, *found: tuple[dict[str, float], bool]) -> list[str]:
    """What is told of segments in which these probabilities are found (True: of a guess at one that is not over)."""
    monkeypatch.setattr(Whisper, "_load", lambda *arguments: FakeModel(*(each for each, _ in found)))
    whisper = Whisper("folder", "cpu", 1, Options(beam_size=1, languages=("en", "fr")))
    return [whisper.transcribe(SOUND, None, partial=is_guess)[1] for _, is_guess in found]


def test_each_segment_has_the_language_that_is_found_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = languages(monkeypatch, ({"en": 0.9}, False), ({"fr": 0.8, "en": 0.1}, False), ({"en": 0.6}, False))

    assert ["en", "fr", "en"] == found


def test_an_uncertain_segment_has_that_of_the_one_before(monkeypatch: pytest.MonkeyPatch) -> None:
    found = languages(monkeypatch, ({"fr": 0.9}, False), ({"en": 0.45, "fr": 0.3}, False), ({"nl": 0.9}, False))

    assert ["fr", "fr", "fr"] == found


def test_a_guess_at_a_segment_that_is_not_over_changes_nothing_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the text of a talk would depend on how many guesses the processor allows."""
    found = languages(monkeypatch, ({"fr": 0.9}, True), ({"en": 0.4}, False))

    assert ["fr", "en"] == found
