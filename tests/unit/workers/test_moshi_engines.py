"""Which device hears, and what the user is told when another one has to."""

import weakref

import pytest

from heisenberg.workers import moshi_engines
from heisenberg.workers.moshi_checkpoint import Checkpoint, Unusable
from heisenberg.workers.moshi_engines import Engines, Load
from heisenberg.workers.moshi_stream import Frame, Listener, Step, Stepper
from tests.fakes.moshi_stepper import FakeStepper, marked

CHECKPOINT = Checkpoint("kyutai/stt-1b-en_fr", None, {})


class Weights:
    """Much memory."""


class HeavyStepper(FakeStepper):
    """A model that is in the middle of something when its device fails."""

    def __init__(self, words: tuple[str, ...], *, device: str, fails_at: int) -> None:
        super().__init__(words, device=device, fails_at=fails_at)
        self.weights = Weights()

    def step(self, frame: Frame) -> Step:
        weights = self.weights
        assert weights is not None
        return super().step(frame)

    def close(self) -> None:
        del self.weights


def loading(**options: int) -> Load:
    def load(checkpoint: Checkpoint, device: str) -> Stepper:
        return FakeStepper(("word",), device=device, **options)

    return load


def raising(error: Exception) -> Load:
    def load(checkpoint: Checkpoint, device: str) -> Stepper:
        raise error

    return load


def engines(*candidates: tuple[str, Load]) -> Engines:
    return Engines(CHECKPOINT, "auto", 1, list(candidates))


def test_the_first_device_that_works_is_taken_silently() -> None:
    chosen = engines(("mps", loading()), ("cpu", loading()))

    assert "mps" == chosen.stepper.device
    assert [] == chosen.notices
    assert 0.0 <= chosen.real_time_factor < 0.9


@pytest.mark.parametrize(
    ("broken", "reason"),
    [(raising(RuntimeError("no such device")), "no such device"), (loading(fails_at=2), "mps is lost")],
    ids=["while it is loaded", "while it warms up"],
)
def test_a_device_that_fails_at_the_start_is_given_up_with_a_notice(broken: Load, reason: str) -> None:
    chosen = engines(("mps", broken), ("cpu", loading()))

    assert "cpu" == chosen.stepper.device
    assert [f"mps cannot run the recogniser ({reason}); cpu does."] == chosen.notices


def test_the_last_ones_failure_is_told() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        engines(("cpu", raising(RuntimeError("out of memory"))))


def test_files_that_are_no_model_are_no_devices_fault() -> None:
    with pytest.raises(Unusable):
        engines(("mps", raising(Unusable("damaged"))), ("cpu", loading()))


def test_in_mid_run_the_next_device_takes_over_until_there_is_none() -> None:
    chosen = engines(("cuda", loading()), ("cpu", loading()))

    assert "cpu" == chosen.fall_back(RuntimeError("lost")).device
    with pytest.raises(RuntimeError, match="lost too"):
        chosen.fall_back(RuntimeError("lost too"))


def test_a_model_whose_device_failed_is_out_of_memory_before_the_next_is_loaded() -> None:
    """Also where the failure came out of the model itself, or while it was being measured."""
    first: list[weakref.ref[Weights]] = []

    def failing_at(step: int) -> Load:
        def load(checkpoint: Checkpoint, device: str) -> Stepper:
            stepper = HeavyStepper(("word",), device=device, fails_at=step)
            first.append(weakref.ref(stepper.weights))
            return stepper

        return load

    def load_last(checkpoint: Checkpoint, device: str) -> Stepper:
        assert [None, None] == [weights() for weights in first]
        return FakeStepper(("word",), device=device)

    chosen = engines(("mlx", failing_at(5)), ("mps", failing_at(20)), ("cpu", load_last))
    listener = Listener(chosen.stepper, chosen.fall_back)
    for frame in marked(10, {}):
        listener.hear(frame)

    assert "cpu" == listener.stepper.device


def test_where_mlx_is_half_installed_pytorch_takes_over() -> None:
    broken = raising(ModuleNotFoundError("No module named 'rustymimi'"))

    assert "cpu" == engines(("mlx", broken), ("cpu", loading())).stepper.device
    with pytest.raises(ImportError):
        engines(("auto", raising(ModuleNotFoundError("No module named 'torch'"))), ("cpu", loading()))


def test_who_cannot_keep_up_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moshi_engines, "measured", lambda stepper: 3.8)
    (told,) = engines(("cpu", loading())).notices

    assert told.startswith("The recogniser needs 3.8 s for a second of sound on cpu: it cannot keep up.")


@pytest.mark.parametrize(
    ("asked", "has_mlx", "devices"),
    [
        ("cpu", True, ["cpu"]),
        ("auto", True, ["mlx", "auto", "cpu"]),
        ("mps", True, ["mlx", "mps", "cpu"]),
        ("cuda", True, ["cuda", "cpu"]),
        ("auto", False, ["auto", "cpu"]),
    ],
)
def test_the_order_of_devices(monkeypatch: pytest.MonkeyPatch, asked: str, has_mlx: bool, devices: list[str]) -> None:
    monkeypatch.setattr(moshi_engines, "_has_mlx", lambda: has_mlx)

    assert devices == [device for device, _ in moshi_engines._candidates(asked, 1)]
