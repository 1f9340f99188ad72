import numpy as np
import pytest

from heisenberg.audio.resample import Resampler, mix_down, resample, to_int16
from tests.unit.audio.tones import AMPLITUDE, amplitude, pitch, tone

RATES = [8_000, 11_025, 22_050, 44_100, 48_000, 96_000]


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_tone_keeps_its_pitch_its_level_and_its_length(rate_hz: int) -> None:
    resampled = resample(tone(1.0, rate_hz), rate_hz, 16_000)

    assert len(resampled) == pytest.approx(16_000, abs=2)
    assert pitch(resampled) == pytest.approx(440, abs=1)
    assert amplitude(resampled) == pytest.approx(AMPLITUDE, rel=0.01)


@pytest.mark.parametrize("block", [1, 160, 441, 512, 5000])
def test_the_size_of_the_blocks_changes_nothing(block: int) -> None:
    whole = tone(0.3, 44_100)
    resampler = Resampler(44_100, 16_000)
    pieces = [resampler.process(whole[at : at + block]) for at in range(0, len(whole), block)]
    pieces.append(resampler.flush())

    assert np.array_equal(np.concatenate(pieces), resample(whole, 44_100, 16_000))


def test_equal_rates_pass_through_bit_for_bit() -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, 5000).astype(np.int16)

    assert np.array_equal(resample(noise, 16_000, 16_000), noise)


def test_what_the_lower_rate_cannot_hold_is_filtered_out() -> None:
    """A tone of 11 kHz must not come back as one of 5 kHz."""
    resampled = resample(tone(0.5, 48_000, hz=11_000), 48_000, 16_000)

    assert amplitude(resampled) < 0.001


def test_a_flushed_resampler_begins_a_new_stream() -> None:
    resampler = Resampler(22_050, 48_000)
    first = np.concatenate([resampler.process(tone(0.2, 22_050)), resampler.flush()])
    second = np.concatenate([resampler.process(tone(0.2, 22_050)), resampler.flush()])

    assert np.array_equal(first, second)


def test_flushing_without_input_gives_nothing() -> None:
    resampler = Resampler(22_050, 48_000)

    assert len(resampler.flush()) == 0
    assert len(resampler.process(np.zeros(0, dtype=np.int16))) == 0
    assert len(resampler.flush()) == 0


def test_floats_beyond_full_scale_are_clipped_and_nonsense_is_silence() -> None:
    floats = np.array([0.0, 1.5, -1.5, np.inf, -np.inf, np.nan, 0.5], dtype=np.float32)

    assert to_int16(floats).tolist() == [0, 32767, -32768, 32767, -32768, 0, 16384]


def test_a_full_scale_tone_does_not_wrap_around() -> None:
    """Resampling overshoots at the peaks; an overflow would be a loud crack."""
    resampled = resample(tone(0.2, 44_100, hz=3000, amplitude=1.0), 44_100, 16_000)

    assert np.abs(np.diff(resampled[200:-200].astype(int))).max() < 2 * 32768 * np.sin(np.pi * 3000 / 16_000) + 700


def test_channels_are_averaged() -> None:
    frames = np.array([[16384, 0], [-32768, -32768]], dtype=np.int16)

    assert mix_down(frames).tolist() == [0.25, -1.0]
