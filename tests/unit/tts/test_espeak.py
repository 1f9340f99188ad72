"""What espeak-ng does badly is one clear error. What it says is in ``tests/contract/test_voice.py``."""

import asyncio
from pathlib import Path

import pytest

from heisenberg.core.errors import SpeechError
from heisenberg.tts.espeak import EspeakVoice


@pytest.fixture
def espeak_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Puts a program of that name, with this shell code, on the PATH."""

    def put(code: str) -> EspeakVoice:
        program = tmp_path / "espeak-ng"
        program.write_text(f"#!/bin/sh\n{code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        return EspeakVoice("en", speed=1.0, timeout_s=0.5)

    return put


async def failure(voice: EspeakVoice) -> SpeechError:
    with pytest.raises(SpeechError) as caught:
        await anext(voice.speak("Hello."))
    return caught.value


async def test_where_it_is_not_installed_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    voice = EspeakVoice("en", speed=1.0, timeout_s=5)
    error = await failure(voice)

    assert "missing-program" == error.code
    assert "apt install espeak-ng" in error.message

    with pytest.raises(SpeechError, match="not installed"):
        await voice.warm_up()


async def test_its_own_words_are_told(espeak_that) -> None:  # type: ignore[no-untyped-def]
    error = await failure(espeak_that("echo 'The specified voice does not exist.' >&2; exit 1"))

    assert "espeak-ng failed: The specified voice does not exist." == error.message


async def test_no_sound_is_an_error(espeak_that) -> None:  # type: ignore[no-untyped-def]
    assert "espeak-ng failed" in (await failure(espeak_that("cat >/dev/null"))).message


async def test_rubbish_is_an_error(espeak_that) -> None:  # type: ignore[no-untyped-def]
    assert "espeak-ng gave no sound" in (await failure(espeak_that("cat >/dev/null; echo rubbish"))).message


async def test_a_program_that_hangs_is_ended(espeak_that) -> None:  # type: ignore[no-untyped-def]
    """The conftest sees that it is gone."""
    error = await failure(espeak_that("exec sleep 600"))

    assert ("tts-timeout", "espeak-ng was silent for 0.5 s.") == (error.code, error.message)


async def test_who_leaves_ends_the_program(espeak_that) -> None:  # type: ignore[no-untyped-def]
    voice = espeak_that("exec sleep 600")
    speaking = asyncio.ensure_future(anext(voice.speak("Hello.")))
    await asyncio.wait({speaking}, timeout=0.1)
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking


@pytest.mark.parametrize(
    ("configured", "language", "spoken_with"),
    [
        ("en-gb+f3", "en", "en-gb+f3"),
        ("en-gb+f3", None, "en-gb+f3"),
        ("en-gb+f3", "fr", "fr"),
        ("gmw/en-US", "en", "gmw/en-US"),
        ("mb-fr4", "fr", "mb-fr4"),
        ("en", "en-us", "en-us"),
        ("English", "fr", "fr"),
    ],
)
async def test_the_configured_voice_speaks_its_own_language(
    espeak_that,
    configured: str,
    language: str | None,
    spoken_with: str,  # type: ignore[no-untyped-def]
) -> None:
    """The session always says what language a reply is in; that must not cost the user the chosen voice."""
    espeak_that('echo "voice $2" >&2; exit 1')
    with pytest.raises(SpeechError) as caught:
        await anext(EspeakVoice(configured, speed=1.0, timeout_s=5).speak("Hello.", language))

    assert f"espeak-ng failed: voice {spoken_with}" == caught.value.message
