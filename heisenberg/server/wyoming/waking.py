"""Wake words for Wyoming clients: sound comes in for as long as they like, and the moment of a phrase goes out."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Info, WakeModel, WakeProgram
from wyoming.wake import Detect, Detection, NotDetected

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ
from heisenberg.core.stages import WakewordEngine
from heisenberg.server.wyoming.hearing import BY, convert
from heisenberg.server.wyoming.protocol import Answers


class WakeWords(Protocol):
    """The phrases of this machine; ``wakeword/offered.py`` is it."""

    def names(self) -> list[str]:
        """Those that can be listened for, the configured ones first."""

    def open(self, names: Sequence[str]) -> WakewordEngine:
        """An engine of one's own for *names*; those that are configured if there are none of ours among them.

        Takes some 10 ms. Raises WakewordError.
        """


class Waking:
    """One client's microphone."""

    def __init__(self, wake_words: WakeWords, answers: Answers) -> None:
        self._wake_words = wake_words
        self._answers = answers
        self._names: list[str] = []
        self._engine: WakewordEngine | None = None
        self._has_detected = False
        self._heard = 0
        self._converter = AudioChunkConverter(rate=PIPELINE_RATE_HZ, width=2, channels=1)

    async def handle(self, event: Event) -> None:
        """``detect``, ``audio-start``, ``audio-chunk``…, ``audio-stop``. Raises HeisenbergError."""
        if Detect.is_type(event.type):
            names = Detect.from_event(event).names or []
            self._names = [name for name in names if isinstance(name, str)]
            await self.close()
        elif AudioStart.is_type(event.type):
            self._has_detected, self._heard = False, 0
            if self._engine is not None:
                self._engine.reset()
        elif AudioChunk.is_type(event.type):
            await self._hear(event)
        elif AudioStop.is_type(event.type) and not self._has_detected:
            await self._answers.send(NotDetected())

    async def close(self) -> None:
        """Free the models."""
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()

    async def _hear(self, event: Event) -> None:
        if self._engine is None:
            self._engine = await asyncio.to_thread(self._wake_words.open, self._names)
        samples = np.frombuffer(convert(self._converter, event), dtype="<i2")
        began_ms = event.data.get("timestamp")
        for at in range(0, len(samples), CHUNK_SAMPLES):
            block = samples[at : at + CHUNK_SAMPLES].astype(np.int16)
            self._heard += len(block)
            if (wake := self._engine.process(block)) is not None:
                self._has_detected = True
                into_ms = round((at + len(block)) * 1000 / PIPELINE_RATE_HZ)
                heard_ms = round(self._heard * 1000 / PIPELINE_RATE_HZ)
                at_ms = began_ms + into_ms if isinstance(began_ms, int) else heard_ms
                await self._answers.send(Detection(name=wake.name, timestamp=at_ms))
            await asyncio.sleep(0)  # a large event is no reason to keep others waiting


def described(wake_words: WakeWords) -> Info:
    """Which phrases there are."""
    models = [
        WakeModel(
            name=name, attribution=BY, installed=True, description=name, version=None,
            languages=["en"], phrase=name.replace("_", " "),
        )
        for name in wake_words.names()
    ]  # fmt: skip
    return Info(
        wake=[
            WakeProgram(
                name="heisenberg",
                attribution=BY,
                installed=True,
                description="Wake words",
                version=None,
                models=models,
            )
        ]
    )
