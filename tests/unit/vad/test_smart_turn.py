"""Smart Turn's own matters; what it makes of sound is in tests/contract/test_turn_detector.py."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from faster_whisper.feature_extractor import FeatureExtractor

from heisenberg.core.errors import VadError
from heisenberg.vad import silero
from heisenberg.vad.smart_turn import HEARD_SAMPLES, SHAPE, SmartTurn, log_mel
from tests import speech
from tests.unit.audio.tones import tone


def as_floats(sound: speech.Sound) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """*sound* as the last of eight seconds."""
    return np.pad(sound.astype(np.float32) / 32768, (HEARD_SAMPLES - len(sound), 0))


def test_a_missing_model_is_named_with_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(
        VadError, match=r'no turn detector at .*gone\.onnx.*models pull smart-turn.*vad\.turn_detector = "text"'
    ) as caught:
        SmartTurn(tmp_path / "gone.onnx")

    assert "vad-failed" == caught.value.code


def test_a_damaged_model_is_one_line(tmp_path: Path) -> None:
    model = tmp_path / "damaged.onnx"
    model.write_bytes(b"not a model")
    with pytest.raises(VadError, match=r"cannot use .*damaged\.onnx") as caught:
        SmartTurn(model)

    assert "\n" not in caught.value.message


def test_another_model_is_refused() -> None:
    """Given the voice-activity model in its place. Then it says what that takes, and what was expected."""
    with pytest.raises(VadError, match=r"takes \[.*where Smart Turn v3 takes \[1, 80, 800\]"):
        SmartTurn(silero._packaged_model())


def test_the_runtime_is_loaded_only_when_it_is_used() -> None:
    script = "import sys, heisenberg.vad.smart_turn; sys.exit('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize(
    "sound",
    [speech.noise("pink", 8.0), speech.noise("typing", 3.0), tone(1.0, 16_000), speech.silence(1.0)],
    ids=["noise", "clicks", "tone", "silence"],
)
def test_it_sees_what_whisper_would_see(sound: speech.Sound) -> None:
    """Given another program's picture of the same sound, of zero mean and unit variance. Then both are the same."""
    heard = as_floats(sound)
    level = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(1e-7))

    expected = FeatureExtractor(chunk_length=8)(level, padding=0)

    assert SHAPE == log_mel(heard).shape
    assert np.float32 == log_mel(heard).dtype
    np.testing.assert_allclose(log_mel(heard), expected, atol=2e-3)


def test_loudness_does_not_matter() -> None:
    """Given a whisper and a shout. Then both look the same."""
    shout = speech.noise("white", 8.0)

    np.testing.assert_allclose(log_mel(as_floats(shout)), log_mel(as_floats(speech.quieter(shout, 12))), atol=0.05)
