"""Chooses what runs a Kyutai recogniser, and takes the CPU when the choice fails. Imports model libraries late.

On Apple silicon that is MLX where ``moshi_mlx`` is installed (Kyutai's own advice), else PyTorch. A device
that is missing, that fails while loading or warming up, or later while somebody speaks, is given up for the CPU: with a
notice for the user, never silently.
"""

import gc
import importlib.util
import logging
import platform
import sys
import traceback
from collections.abc import Callable

from heisenberg.workers.moshi_checkpoint import Checkpoint, Unusable
from heisenberg.workers.moshi_stream import Stepper, measured

log = logging.getLogger(__name__)

TOO_SLOW = 0.9
"""A real-time factor above which a moment of other work is never made up for."""

Load = Callable[[Checkpoint, str], Stepper]


class Engines:
    """The model on one device, then perhaps on the CPU.

    Args:
        asked: ``auto``, ``cpu``, ``mps`` or ``cuda``.
        threads: of the CPU; 0 leaves it to the library.
        candidates: devices in the order to try, each with how its model is loaded; for tests.
    """

    def __init__(
        self, checkpoint: Checkpoint, asked: str, threads: int, candidates: list[tuple[str, Load]] | None = None
    ) -> None:
        self._checkpoint = checkpoint
        self._candidates = candidates if candidates is not None else _candidates(asked, threads)
        self.notices: list[str] = []
        """What the user should know about the choice; the reader clears it."""
        self.real_time_factor = 0.0
        """Of the device in use; 0.5 leaves half of the time."""
        self.is_changing = False
        """Another device is about to take over. Read on any thread."""
        self.stepper = self._open()

    def fall_back(self, error: Exception) -> Stepper:
        """Another model for the one that raised *error*. Raises *error* where there is no other."""
        if not self._candidates:
            raise error
        log.warning("%s failed, the next device is tried", self.stepper.device, exc_info=error)
        self.is_changing = True
        try:
            self.stepper.close()
            traceback.clear_frames(error.__traceback__)  # it failed in the middle of something
            gc.collect()
            self.stepper = self._open()
        finally:
            self.is_changing = False
        return self.stepper

    def _open(self) -> Stepper:
        while True:
            device, load = self._candidates.pop(0)
            try:
                stepper = self._loaded(device, load)
            except Unusable:
                raise
            except Exception as exc:
                is_all_there = not isinstance(exc, ImportError) or device == "mlx"  # PyTorch may be, without MLX
                if not (self._candidates and is_all_there):
                    raise
                best = "The best device here" if device == "auto" else device
                self._tell(f"{best} cannot run the recogniser ({exc}); {self._candidates[0][0]} does.")
                traceback.clear_frames(exc.__traceback__)  # a model that was loaded is still in there
            else:
                if stepper.device == "cpu":  # what fails here fails again
                    self._candidates.clear()
                self._say_how_fast(stepper)
                return stepper

    def _loaded(self, device: str, load: Load) -> Stepper:
        stepper = load(self._checkpoint, device)
        self.real_time_factor = measured(stepper)
        return stepper

    def _say_how_fast(self, stepper: Stepper) -> None:
        factor = self.real_time_factor
        log.info(
            "%s runs on %s in %s, real-time factor %.2f",
            self._checkpoint.repository,
            stepper.device,
            stepper.dtype,
            factor,
        )
        if factor > TOO_SLOW:
            self._tell(
                f"The recogniser needs {factor:.1f} s for a second of sound on {stepper.device}: it cannot keep up. "
                'Use a faster device (stt.device) or stt.engine = "whisper".'
            )

    def _tell(self, notice: str) -> None:
        log.warning(notice)
        self.notices.append(notice)


def _candidates(asked: str, threads: int) -> list[tuple[str, Load]]:
    def with_torch(checkpoint: Checkpoint, device: str) -> Stepper:
        from heisenberg.workers import moshi_torch

        moshi_torch.use_threads(threads)
        return moshi_torch.TorchStepper(checkpoint, moshi_torch.available(device))

    def with_mlx(checkpoint: Checkpoint, _device: str) -> Stepper:
        from heisenberg.workers import moshi_mlx_engine

        return moshi_mlx_engine.opened(checkpoint)

    found: list[tuple[str, Load]] = []
    if asked in ("auto", "mps") and _has_mlx():
        found.append(("mlx", with_mlx))
    if asked == "cpu":
        return [("cpu", with_torch)]
    return [*found, (asked, with_torch), ("cpu", with_torch)]


def _has_mlx() -> bool:
    is_apple_silicon = sys.platform == "darwin" and platform.machine() == "arm64"
    return is_apple_silicon and importlib.util.find_spec("moshi_mlx") is not None
