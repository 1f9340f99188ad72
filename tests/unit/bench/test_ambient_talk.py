"""The talk that ambient mode is measured with: its texts, and talks that people bring."""

from pathlib import Path

import numpy as np
import pytest

from heisenberg.bench.ambient_talk import Spoken, recorded
from heisenberg.bench.ambient_texts import ENGLISH, FRENCH, PARAGRAPH, paragraphs
from heisenberg.core.errors import AudioError
from tests import speech


def test_two_languages_take_turns() -> None:
    found = paragraphs(("en", "fr"))

    assert ["en", "fr"] * (len(ENGLISH) // PARAGRAPH) == [language for language, _ in found]
    assert ENGLISH == tuple(text for language, texts in found if language == "en" for text in texts)
    assert FRENCH == tuple(text for language, texts in found if language == "fr" for text in texts)


def test_one_language_is_all_of_it() -> None:
    assert ENGLISH == tuple(text for _, texts in paragraphs(("en",)) for text in texts)


def test_recordings_are_one_talk(tmp_path: Path) -> None:
    for name, told in (("2", "The sea is calm.\n\nA boat comes by.\n"), ("1", "La mer est calme.\nOui ?\n")):
        speech.write_wav(tmp_path / f"{name}.wav", np.full(16_000, 7, dtype=np.int16))
        (tmp_path / f"{name}.txt").write_text(told, encoding="utf-8")

    talk = recorded(tmp_path, tmp_path / "talk.wav", ["en", "fr"])

    assert [
        Spoken("La mer est calme.", "fr"),
        Spoken("Oui ?", "fr"),
        Spoken("The sea is calm."),
        Spoken("A boat comes by."),
    ] == talk.spoken
    assert ("fr", "en") == talk.languages
    assert 6.0 == pytest.approx(talk.seconds, abs=0.1)
    assert talk.is_recorded


def test_a_folder_without_a_text_is_refused(tmp_path: Path) -> None:
    speech.write_wav(tmp_path / "talk.wav", speech.silence(1.0))

    with pytest.raises(AudioError, match="a sentence per line"):
        recorded(tmp_path, tmp_path / "all.wav", ["en", "fr"])
