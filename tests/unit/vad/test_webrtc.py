"""WebRTC's own matters; what it makes of sound is in tests/contract/test_vad.py."""

import sys

import numpy as np
import pytest

from heisenberg.core.audio import CHUNK_SAMPLES
from heisenberg.core.errors import VadError
from heisenberg.vad.webrtc import FRAME_SAMPLES, WebrtcVad
from tests import speech


def test_no_sample_is_lost_between_chunks() -> None:
    """Frames of 160 samples do not fit into chunks of 512: every fifth chunk completes a fourth frame."""
    vad = WebrtcVad()
    voice = speech.say("The quick brown fox jumps over the lazy dog.")
    fractions = [vad.process(chunk) for chunk in speech.chunks(voice)[:20]]
    frames = [3, 3, 3, 3, 4] * 4

    assert CHUNK_SAMPLES * 20 == sum(frames) * FRAME_SAMPLES
    assert all(
        (fraction * n) == pytest.approx(round(fraction * n)) for fraction, n in zip(fractions, frames, strict=True)
    )


@pytest.mark.parametrize("samples", [0, CHUNK_SAMPLES - 1, CHUNK_SAMPLES + 1])
def test_another_number_of_samples_is_refused(samples: int) -> None:
    with pytest.raises(ValueError, match=f"{samples} samples given"):
        WebrtcVad().process(np.zeros(samples, dtype=np.int16))


def test_what_is_quieter_than_a_quiet_room_is_never_speech() -> None:
    vad = WebrtcVad()
    whisper = speech.quieter(speech.say("Is anybody there?"), 60)

    assert 0.0 == max(vad.process(chunk) for chunk in speech.chunks(whisper))


def test_a_missing_library_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "webrtcvad", None)
    with pytest.raises(VadError, match=r'pip install webrtcvad-wheels.*vad\.engine = "silero"') as caught:
        WebrtcVad()

    assert "vad-failed" == caught.value.code
