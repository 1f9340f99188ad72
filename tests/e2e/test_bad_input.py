"""Bad input gets one clear line or a correct result; never a traceback, never a hang."""

import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests import speech
from tests.e2e.program import Finished, heisenberg, run_file

pytestmark = pytest.mark.e2e


def question() -> speech.Sound:
    parts = (speech.silence(0.8), speech.say("Hey Jarvis."), speech.silence(0.3))
    return speech.join(*parts, speech.say("What is the capital of France?"), speech.silence(1.5))


def is_one_line(run: Finished, *parts: str) -> bool:
    """Exactly one line on standard error, with all *parts*, and no traceback."""
    lines = [line for line in run.stderr.splitlines() if line.startswith("heisenberg: ")]
    return len(lines) == 1 and "Traceback" not in run.stderr and all(part in lines[0] for part in parts)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("8khz.wav", lambda path, x: soundfile.write(path, x[::2], 8000, "PCM_16")),
        ("stereo44.wav", lambda path, x: soundfile.write(path, stereo(x, 44_100), 44_100, "PCM_16")),
        ("24bit.wav", lambda path, x: soundfile.write(path, x, 16_000, "PCM_24")),
        ("float.wav", lambda path, x: soundfile.write(path, x, 16_000, "FLOAT")),
        ("lossless.flac", lambda path, x: soundfile.write(path, x, 16_000, "PCM_16")),
    ],
)
def test_any_rate_depth_and_channel_count_is_understood(tmp_path: Path, name: str, write) -> None:  # type: ignore[no-untyped-def]
    """The same question in another file format is the same turn."""
    write(tmp_path / name, question().astype(np.float32) / 32768)

    run = run_file(tmp_path / name, tmp_path, "--once")

    assert run.status == 0, run.stderr
    assert "france" in run.values("transcription_final", "text")[0].lower()


def stereo(sound: np.ndarray, rate_hz: int) -> np.ndarray:
    import soxr

    mono = soxr.resample(sound, 16_000, rate_hz)
    return np.stack([mono, mono * 0.5], axis=1)


def test_a_missing_an_empty_and_a_foreign_file_are_one_line_each(tmp_path: Path) -> None:
    """Each names the file and exits 1, before any model is loaded."""
    empty, text = tmp_path / "empty.wav", tmp_path / "text.wav"
    empty.touch()
    text.write_text("This is not sound.")

    for path in (tmp_path / "missing.wav", empty, text, tmp_path):
        run = run_file(path, tmp_path)
        assert run.status == 1
        assert is_one_line(run, path.name), run.stderr


def test_a_truncated_file_is_heard_as_far_as_it_goes(tmp_path: Path) -> None:
    """The header promises more than there is; the question is in the part that is there."""
    whole = speech.write_wav(tmp_path / "whole.wav", question()).read_bytes()
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole[:40] + struct.pack("<I", len(whole) * 3) + whole[44:])

    run = run_file(cut, tmp_path, "--once")

    assert run.status == 0, run.stderr
    assert "france" in run.values("transcription_final", "text")[0].lower()


def test_mistyped_configuration_is_named_with_a_suggestion(tmp_path: Path) -> None:
    """An unknown key, exit 2."""
    (tmp_path / "config.toml").write_text("[vad]\nsilence_secnds = 0.5\n[stt]\nmodel = 3\n")

    run = heisenberg("run", "--config", str(tmp_path / "config.toml"))

    assert run.status == 2
    assert "silence_secnds" in run.stderr
    assert "silence_seconds" in run.stderr
    assert "stt.model" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_missing_model_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    """Known, but not installed."""
    run = heisenberg("ask", "Hello", "--set", f"models.folder={tmp_path}")

    assert run.status == 1
    assert is_one_line(run, "smollm2-135m", "heisenberg models pull smollm2-135m"), run.stderr


def test_a_busy_osc_port_is_named(tmp_path: Path) -> None:
    """Two monitors cannot share a port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as busy:
        busy.bind(("127.0.0.1", 0))
        port = str(busy.getsockname()[1])
        run = heisenberg("osc", "monitor", "--port", port)

    assert run.status == 1
    assert is_one_line(run, port), run.stderr


def test_an_unresolvable_osc_target_delays_and_stops_nothing(tmp_path: Path) -> None:
    """A warning with the remedy; the turn is as always."""
    wav = speech.write_wav(tmp_path / "question.wav", question())

    run = run_file(wav, tmp_path, "--once", settings=['osc.targets=["no-such-host.invalid:7000"]'])

    assert run.status == 0, run.stderr
    assert "no-such-host.invalid" in run.stderr
    assert len(run.of("turn_completed")) == 1


def test_no_such_microphone_is_one_line() -> None:
    """It says what is there instead, if anything."""
    run = heisenberg("run", "--set", "audio.input_device=No Such Device")

    assert run.status == 1
    assert is_one_line(run, 'No microphone named "No Such Device"') or is_one_line(run, "PortAudio"), run.stderr


def test_nonsense_on_the_command_line_is_usage(tmp_path: Path) -> None:
    """Exit 2, with the usage."""
    for arguments in (("frobnicate",), ("run", "--input"), ("ask",), ("bench", "everything")):
        run = heisenberg(*arguments)
        assert run.status == 2
        assert "usage: heisenberg" in run.stderr
