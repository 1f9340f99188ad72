"""Silero's own matters; what it makes of sound is in tests/contract/test_vad.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from heisenberg.core.audio import CHUNK_SAMPLES
from heisenberg.core.errors import VadError
from heisenberg.vad.silero import SileroVad


def test_a_missing_model_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        VadError, match=r'There is no Silero VAD model at .*gone\.onnx.*vad\.engine = "webrtc"'
    ) as caught:
        SileroVad(tmp_path / "gone.onnx")

    assert "vad-failed" == caught.value.code


def test_a_missing_package_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(VadError, match="faster-whisper package, which is not installed"):
        SileroVad()


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    model = tmp_path / "damaged.onnx"
    model.write_bytes(b"not a model")
    with pytest.raises(VadError, match=r"damaged\.onnx") as caught:
        SileroVad(model)

    assert "\n" not in caught.value.message


@pytest.mark.parametrize("samples", [0, CHUNK_SAMPLES - 1, CHUNK_SAMPLES + 1])
def test_another_number_of_samples_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=f"{samples} samples given"):
        SileroVad().process(np.zeros(samples, dtype=np.int16))


def test_the_runtime_is_loaded_only_for_this_engine_and_whisper_never() -> None:
    """The main process stays small: the WebRTC engine needs no onnxruntime, neither needs faster-whisper."""
    script = (
        "import sys, heisenberg.vad.silero, heisenberg.vad.webrtc as webrtc; webrtc.WebrtcVad()\n"
        "assert 'onnxruntime' not in sys.modules\n"
        "heisenberg.vad.silero.SileroVad()\n"
        "assert 'faster_whisper' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)
