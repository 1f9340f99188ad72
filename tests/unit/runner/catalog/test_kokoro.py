"""Which voice of Kokoro's speaks what, and what makes a folder a Kokoro."""

from pathlib import Path

import pytest

from heisenberg.core.errors import ModelNotFound
from heisenberg.runner.catalog import kokoro
from heisenberg.runner.catalog.discover import discover
from heisenberg.runner.catalog.entry import Model

VOICES = ("af_bella", "af_heart", "bm_george", "ff_siwis", "im_nicola")


@pytest.mark.parametrize(
    ("language", "chosen", "spoken"),
    [
        ("fr", "ff_siwis", "ff_siwis"),
        ("en", "ff_siwis", "af_heart"),  # the preferred one, not the first
        ("en", "bm_george", "bm_george"),
        ("it", "ff_siwis", "im_nicola"),  # the only one
        (None, "bm_george", "bm_george"),
        ("de", "bm_george", "bm_george"),
    ],
)
def test_an_answer_is_spoken_by_a_voice_of_its_language(language: str | None, chosen: str, spoken: str) -> None:
    assert spoken == kokoro.voice_for(language, chosen, VOICES)


@pytest.mark.parametrize(
    ("configured", "model", "voice"),
    [
        ("ff_siwis", kokoro.MODEL, "ff_siwis"),
        ("", kokoro.MODEL, ""),
        ("piper-en_US-joe-medium", kokoro.MODEL, ""),
        ("kokoro-82m-int8", kokoro.MODEL, ""),
        ("kokoro-fp32/af_heart", "kokoro-fp32", "af_heart"),
        ("~/models/kokoro/ff_siwis", "~/models/kokoro", "ff_siwis"),
        ("~/models/kokoro", "~/models/kokoro", ""),
        ("siwis", kokoro.MODEL, "siwis"),  # said to be unknown later, with what there is
    ],
)
def test_the_setting_names_a_voice_or_a_model_and_a_voice(configured: str, model: str, voice: str) -> None:
    assert (model, voice) == kokoro.model_and_voice(configured)


def test_a_voice_that_is_not_there_is_answered_with_those_that_are() -> None:
    with pytest.raises(ModelNotFound, match='no voice "siwis" here. There are af_bella, .*, im_nicola'):
        kokoro.check_voice("siwis", VOICES)


def test_a_folder_with_a_model_and_voices_is_discovered_under_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "kokoro-fp32"
    folder.mkdir()
    for name in ("model.onnx", "ff_siwis.bin", "af_heart.bin", "tokenizer.bin", "jf_alpha.bin"):
        (folder / name).touch()

    (found,) = discover(tmp_path, pytest.fail)

    assert ("kokoro-fp32", "tts") == (found.name, found.kind)
    assert ["model.onnx", "af_heart.bin", "ff_siwis.bin"] == [file.name for file in found.files]
    assert ("af_heart", "ff_siwis") == Model("kokoro-fp32", "tts", files=found.files).voices


@pytest.mark.parametrize(
    "names", [("model.onnx",), ("ff_siwis.bin",), ("a.onnx", "a.onnx.json", "ff_siwis.bin")], ids=str
)
def test_a_model_without_voices_is_no_kokoro_and_neither_is_piper(names: tuple[str, ...]) -> None:
    assert () == kokoro.parts_of(names)


def test_what_is_pulled_speaks_every_language_that_is_promised() -> None:
    assert {"en", "fr", "es", "it", "pt", "hi"} == {kokoro.language_of(voice) for voice in kokoro.VOICE_SHA256}
