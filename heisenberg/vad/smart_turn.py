"""Smart Turn v3: hears from the melody and the words of a command whether more is to come.

In: a command up to its pause; out: the probability that it is over. How long a pause is then waited for is decided
elsewhere. It costs tens of milliseconds a call, so it is asked once a pause, on a thread of its own, and never for
each chunk. The model is optional (``heisenberg models pull smart-turn``); what it gains is in docs/decisions/0007.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import VadError

if TYPE_CHECKING:
    import onnxruntime

Floats = npt.NDArray[np.float64]

HEARD_SAMPLES = 8 * PIPELINE_RATE_HZ
"""The model hears the last 8 s; what is shorter begins with silence."""

PAUSE_SAMPLES = PIPELINE_RATE_HZ // 5
"""It was trained on sound that ends with 0.2 s of silence. Without it, half of all complete questions are taken for
incomplete ones."""

WINDOW_SAMPLES = 400
HOP_SAMPLES = 160
BANDS = 80
"""Whisper's picture of sound: 80 bands, every 10 ms, of 25 ms each."""

FRAMES = HEARD_SAMPLES // HOP_SAMPLES
SHAPE = (BANDS, FRAMES)

QUIETEST_POWER = 1e-10
RANGE_DECADES = 8.0
"""What is more than 80 dB below the loudest is as good as silent."""


class SmartTurn:
    """A TurnDetector that listens. About 9 MB on disk.

    Args:
        model: ``smart-turn-v3.2-cpu.onnx``, or another of the third generation.

    Raises: VadError (``vad-failed``) if the model is missing or cannot be used.
    """

    def __init__(self, model: Path) -> None:
        self._session: onnxruntime.InferenceSession | None = _open_session(model)
        self._input = _input_name(self._session, model)

    def is_complete(self, command: Samples) -> float:
        """The probability (0–1) that nothing more comes after *command* (int16 mono, 16 kHz, up to the pause).

        Raises: VadError if it was closed, or if the runtime fails.
        """
        session = self._session
        if session is None:
            raise VadError("The turn detector was asked after it had been closed.")
        try:
            (answer,) = session.run(None, {self._input: _features(command)[np.newaxis]})
        except Exception as exc:  # onnxruntime's errors have no common class
            raise VadError(f"The turn detector failed: {_first_line(exc)}. Or set {_WAY_OUT}.") from exc
        return float(np.clip(answer.reshape(-1)[0], 0.0, 1.0))

    def close(self) -> None:
        """Free the model. May be called twice."""
        self._session = None


def _features(command: Samples) -> npt.NDArray[np.float32]:
    """What the model sees: the end of *command*, silence before it and a pause after it."""
    heard = np.zeros(HEARD_SAMPLES, dtype=np.float32)
    last = command[-(HEARD_SAMPLES - PAUSE_SAMPLES) :]
    end = HEARD_SAMPLES - PAUSE_SAMPLES
    heard[end - len(last) : end] = last.astype(np.float32) / np.float32(32768)
    return log_mel(heard)


# ── Whisper's picture of sound ───────────────────────────────────────────────────────────────────


def log_mel(heard: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The loudness of 8 s of sound (−1 to 1, shape (128 000,)) in 80 bands, every 10 ms: −1.5 to 2.5.

    Shape (80, 800). The sound is first brought to zero mean and unit variance, silence around it and all, which is
    how the model was trained. Source: the feature extractor of Whisper in transformers, with ``do_normalize``.
    """
    heard = (heard - heard.mean()) / np.sqrt(heard.var() + np.float32(1e-7))
    loudness = np.log10(np.maximum(_bands() @ _powers(heard), QUIETEST_POWER))
    loudness = np.maximum(loudness, loudness.max() - RANGE_DECADES)
    picture: npt.NDArray[np.float32] = ((loudness + 4.0) / 4.0).astype(np.float32)
    return picture


def _powers(sound: npt.NDArray[np.float32]) -> Floats:
    """The power spectrum around every 160th sample, shape (201, 800). Its ends see the sound mirrored."""
    mirrored = np.pad(sound.astype(np.float64), WINDOW_SAMPLES // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(mirrored, WINDOW_SAMPLES)[::HOP_SAMPLES][:FRAMES]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    spectra = np.fft.rfft(frames * hann)
    return (spectra.real**2 + spectra.imag**2).T


@functools.cache
def _bands() -> Floats:
    """How much of each of 201 frequencies belongs to each of 80 bands, shape (80, 201).

    The bands are triangles of the same area; their corners are evenly spaced on Slaney's mel scale.
    """
    corners = _hertz(np.linspace(0.0, _mel(PIPELINE_RATE_HZ / 2), BANDS + 2))[:, np.newaxis]
    frequencies = np.linspace(0.0, PIPELINE_RATE_HZ / 2, WINDOW_SAMPLES // 2 + 1)
    low, peak, high = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - low) / (peak - low), (high - frequencies) / (high - peak)
    return np.clip(np.minimum(rising, falling), 0.0, None) * 2 / (high - low)


_KNEE_HZ, _KNEE_MEL, _MEL_PER_E = 1000.0, 15.0, 27 / np.log(6.4)
"""Slaney's scale is straight up to 1 kHz, logarithmic from there on."""


def _mel(hertz: float) -> float:
    """Of a frequency above 1 kHz."""
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HZ) * _MEL_PER_E)


def _hertz(mel: Floats) -> Floats:
    straight = mel * _KNEE_HZ / _KNEE_MEL
    return np.where(mel < _KNEE_MEL, straight, _KNEE_HZ * np.exp((mel - _KNEE_MEL) / _MEL_PER_E))


# ── the model ────────────────────────────────────────────────────────────────────────────────────

_WAY_OUT = 'vad.turn_detector = "text"'


def _open_session(model: Path) -> "onnxruntime.InferenceSession":
    if not model.is_file():
        raise VadError(
            f"There is no turn detector at {model}. Run heisenberg models pull smart-turn, or set {_WAY_OUT}."
        )
    try:
        import onnxruntime  # 20 MB; not loaded unless this detector is configured

        # One thread that does not spin while it waits: the recogniser works on the same command at that moment.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no common class
        raise _unusable(model, _first_line(exc)) from exc


def _input_name(session: "onnxruntime.InferenceSession", model: Path) -> str:
    """The model's only input. Raises VadError if the model is another one than expected."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or tuple(inputs[0].shape[1:]) != SHAPE:
        shapes = ", ".join(str(taken.shape) for taken in inputs)
        raise _unusable(model, f"it takes {shapes}, where Smart Turn v3 takes [1, {BANDS}, {FRAMES}]")
    return str(inputs[0].name)


def _unusable(model: Path, reason: str) -> VadError:
    return VadError(f"The turn detector cannot use {model}: {reason}. Or set {_WAY_OUT}.")


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0].rstrip(".")
