"""Silero's neural voice-activity detector, one chunk at a time.

It ignores typing and music, which simpler detectors take for speech. The model is the ONNX file that comes
inside the faster-whisper package; that package itself is not imported (it would load its own runtime).
It gives probabilities only: where a command starts and ends is decided in ``vad/endpoint.py``.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import VadError

if TYPE_CHECKING:
    import onnxruntime

CONTEXT_SAMPLES = 64
"""The model sees the end of the previous chunk before each chunk."""

MODEL = Path("assets", "silero_vad_v6.onnx")
"""Within the faster-whisper package."""

FRESH_AFTER_CHUNKS = 8 * PIPELINE_RATE_HZ // CHUNK_SAMPLES
"""After 8 s without speech the model's memory is cleared. It was trained on short recordings: left alone in a quiet
room its memory grows without bound, and after five minutes it misses the first 0.16 s of a sentence and a quarter
of the rest (with this: 0.04 s and 3 %)."""

QUIET_BELOW = 0.35
"""A probability below this is not speech."""

_STATE_SHAPE = (1, 1, 128)


class SileroVad:
    """Streaming Silero v6. About 0.06 ms of one core per chunk, and 35 MB of memory.

    Args:
        model: the ONNX file; by default the one in the faster-whisper package.

    Raises: VadError (``vad-failed``) if the model is missing or cannot be used.
    """

    def __init__(self, model: Path | None = None) -> None:
        self._session = _open_session(model or _packaged_model())
        self._input = np.zeros((1, CONTEXT_SAMPLES + CHUNK_SAMPLES), dtype=np.float32)
        self.reset()

    def reset(self) -> None:
        """Forget what was heard."""
        self._input.fill(0)
        self._forget()

    def _forget(self) -> None:
        """Clear the model's memory, but not the sound just before the next chunk."""
        self._quiet_chunks = 0
        self._h: npt.NDArray[np.float32] = np.zeros(_STATE_SHAPE, dtype=np.float32)
        self._c: npt.NDArray[np.float32] = np.zeros(_STATE_SHAPE, dtype=np.float32)

    def process(self, samples: Samples) -> float:
        """The probability (0–1) that these 512 samples (16 kHz mono int16) hold speech.

        Raises: ValueError for another number of samples.
        """
        if len(samples) != CHUNK_SAMPLES:
            raise ValueError(f"{len(samples)} samples given; the VAD takes {CHUNK_SAMPLES} at a time")
        heard = self._input
        heard[0, :CONTEXT_SAMPLES] = heard[0, -CONTEXT_SAMPLES:]
        np.multiply(samples, np.float32(1 / 32768), out=heard[0, CONTEXT_SAMPLES:])
        probability, self._h, self._c = self._session.run(None, {"input": heard, "h": self._h, "c": self._c})
        self._quiet_chunks = self._quiet_chunks + 1 if probability[0] < QUIET_BELOW else 0
        if self._quiet_chunks >= FRESH_AFTER_CHUNKS:
            self._forget()
        return float(probability[0])


def _packaged_model() -> Path:
    found = importlib.util.find_spec("faster_whisper")
    if found is None or found.origin is None:
        raise VadError(
            "The Silero VAD model comes with the faster-whisper package, which is not installed. "
            'Run "pip install faster-whisper", or set vad.engine = "webrtc".'
        )
    return Path(found.origin).parent / MODEL


def _open_session(model: Path) -> "onnxruntime.InferenceSession":
    if not model.is_file():
        raise VadError(
            f"There is no Silero VAD model at {model}. "
            'Run "pip install --force-reinstall faster-whisper", or set vad.engine = "webrtc".'
        )
    try:
        import onnxruntime  # 20 MB; not loaded for the other engine

        # One thread that sleeps when it has nothing to do: the model is small, and it runs all day.
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as exc:  # onnxruntime's errors have no common class
        reason = str(exc).splitlines()[0]
        raise VadError(f'The Silero VAD cannot use {model}: {reason}. Or set vad.engine = "webrtc".') from exc
