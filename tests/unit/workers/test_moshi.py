"""The Moshi worker's side of the wire, without a process around it."""

import asyncio
import threading

import pytest
from wyoming.asr import Transcribe
from wyoming.audio import AudioChunk
from wyoming.event import Event

from heisenberg.workers import moshi
from heisenberg.workers.moshi_checkpoint import Checkpoint
from heisenberg.workers.moshi_engines import Engines
from heisenberg.workers.moshi_stream import FRAME_SAMPLES, RATE_HZ, Stepper
from tests.fakes.moshi_stepper import FakeStepper

CHECKPOINT = Checkpoint("kyutai/stt-1b-en_fr", None, {})


class Handler(moshi.MoshiHandler):
    """Writes down what it would send."""

    def __init__(self, service: moshi.Service) -> None:
        reader = asyncio.StreamReader()
        super().__init__(service, moshi.describe("tiny", ["en"]), reader, None)
        self.told: list[str] = []
        self.was_changing = threading.Event()

    async def write_event(self, event: Event) -> None:
        self.told.append(event.type)
        if event.type == "changing":
            self.was_changing.set()


async def test_a_client_is_told_that_it_is_not_forgotten_while_another_device_takes_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Loading the model once more takes longer than clients wait for one that says nothing."""
    monkeypatch.setattr(moshi, "SIGN_OF_LIFE_S", 0.01)
    handlers: list[Handler] = []

    def load_failing(checkpoint: Checkpoint, device: str) -> Stepper:
        return FakeStepper(("word",), device=device, fails_at=20)

    def load_slowly(checkpoint: Checkpoint, device: str) -> Stepper:
        assert handlers[0].was_changing.wait(10)
        return FakeStepper(("word",), device=device)

    service = moshi.Service(Engines(CHECKPOINT, "auto", 1, [("mps", load_failing), ("cpu", load_slowly)]))
    handler = Handler(service)
    handlers.append(handler)
    await handler.serve(Transcribe(context={"stream": True}).event())
    sound = bytes(2 * 10 * FRAME_SAMPLES)
    await handler.serve(AudioChunk(rate=RATE_HZ, width=2, channels=1, audio=sound).event())
    service.thread._executor.shutdown()

    assert ["notice"] == sorted({told for told in handler.told if told not in ("changing", "transcript-chunk")})
    assert 10 == handler.told.count("transcript-chunk")
    assert "cpu" == service.speed()["device"]
