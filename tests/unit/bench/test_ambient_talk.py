"""The talk that ambient mode is measured with: its texts, and talks that people bring."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heisenberg.bench.ambient_talk import Spoken, hearing_both, recorded
from heisenberg.bench.ambient_texts import ENGLISH, FRENCH, PARAGRAPH, paragraphs
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError, ModelNotFound
from tests import speech


def test_two_languages_take_turns() -> None:
    found = paragraphs(("en", "fr"))

    assert ["en", "fr"] * (len(ENGLISH) // PARAGRAPH) == [language for language, _ in found]
    assert ENGLISH == tuple(text for language, texts in found if language == "en" for text in texts)
    assert FRENCH == tuple(text for language, texts in found if language == "fr" for text in texts)


def test_one_language_is_all_of_it() -> None:
    assert ENGLISH == tuple(text for _, texts in paragraphs(("en",)) for text in texts)


def runner_with(*models: str) -> Any:
    def find(name: str) -> str:
        if name not in models:
            raise ModelNotFound(name)
        return name

    return SimpleNamespace(fleet=SimpleNamespace(catalog=SimpleNamespace(find=find)))


def test_a_talk_in_two_languages_is_heard_by_a_model_that_knows_both() -> None:
    config = hearing_both(Config(), runner_with("kokoro-82m-int8", "whisper-base"))

    assert config is not None
    assert ("whisper-base", "auto") == (config.stt.model, config.stt.language)


def test_a_configured_model_that_knows_both_is_the_one_that_is_measured() -> None:
    given = Config.model_validate({"stt": {"model": "whisper-small", "language": "fr"}})
    config = hearing_both(given, runner_with("kokoro-82m-int8"))

    assert config is not None
    assert ("whisper-small", "auto") == (config.stt.model, config.stt.language)


@pytest.mark.parametrize("installed", [(), ("whisper-base",), ("kokoro-82m-int8",)])
def test_without_the_french_kit_nothing_is_said_in_french(installed: tuple[str, ...]) -> None:
    assert hearing_both(Config(), runner_with(*installed)) is None


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
