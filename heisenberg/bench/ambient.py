"""A synthesised talk through the whole of ambient mode: what was heard, where it was cut, what was made of it, and
whether anything grew.

The assistant is the product's own composition, with a real OSC receiver; the talk is ``ambient_talk.py``, what is
judged in ``ambient_report.py``.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from heisenberg.bench.ambient_talk import Spoken, write_talk
from heisenberg.bench.troubled_ends import OscEar
from heisenberg.core.config import Config
from heisenberg.core.events import Event
from heisenberg.main import RunOptions, run_session
from heisenberg.models import Runner
from heisenberg.orchestrator.session import Session

SAMPLE_EVERY_S = 1.0
SAY_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at the running program."""

    at_s: float
    memory_mb: float
    """Resident memory of this process."""
    children_mb: float
    """Of the models' processes together."""
    waiting: int
    """What waited to be understood."""


@dataclass(slots=True)
class Talked:
    """Everything there is to judge."""

    seconds: float
    """Of audio."""
    wall_s: float
    is_fast: bool
    spoken: list[Spoken]
    events: list[Event] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


class KeepingEar(OscEar):
    """An OSC receiver that keeps what it gets, except levels."""

    def __init__(self) -> None:
        super().__init__()
        self.datagrams: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Keep it."""
        super().datagram_received(data, addr)
        if data.startswith((b"/visual/", b"/heisenberg/transcript/final")):
            self.datagrams.append(data)


class _Kept:
    """A sink that keeps what is judged."""

    def __init__(self, events: list[Event]) -> None:
        self._events = events

    def handle(self, event: Event) -> None:
        """Keep it."""
        if event.type not in ("osc_sent", "transcription_partial"):
            self._events.append(event)

    async def close(self) -> None:
        """Nothing to release."""


async def measure(config: Config, seconds: float, *, is_fast: bool, say: Callable[[str], None]) -> Talked:
    """Give a talk of so many *seconds* and listen to it. Raises HeisenbergError."""
    ear = KeepingEar()
    await ear.open()
    osc = config.osc.model_copy(update={"targets": [f"127.0.0.1:{ear.port}"], "heartbeat_seconds": 60.0})
    brain = config.brain.model_copy(update={"commands": False})
    config = config.model_copy(update={"osc": osc, "brain": brain})
    try:
        with tempfile.TemporaryDirectory(prefix="heisenberg-bench-") as folder:
            wav = Path(folder) / "talk.wav"
            async with Runner(config) as runner:
                spoken = await write_talk(runner, wav, seconds, say)
                talked = Talked(seconds, 0.0, is_fast, spoken, datagrams=ear.datagrams)
                await _listen(config, runner, wav, talked, say)
    finally:
        ear.close()
    return talked


async def _listen(config: Config, runner: Runner, wav: Path, talked: Talked, say: Callable[[str], None]) -> None:
    watching: list[asyncio.Task[None]] = []

    def watch(session: Session) -> None:
        watching.append(asyncio.create_task(_watch(session, talked, say), name="watch"))

    options = RunOptions(
        input=str(wav), is_paced=not talked.is_fast, output="none", mode="ambient", is_quiet=True,
        sinks=[_Kept(talked.events)], on_session=watch,
    )  # fmt: skip
    began = time.monotonic()
    try:
        await run_session(config, runner, options)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    talked.wall_s = time.monotonic() - began
    await asyncio.sleep(0.2)  # the last datagrams are on their way


async def _watch(session: Session, talked: Talked, say: Callable[[str], None]) -> None:
    process, began, said_at = psutil.Process(), time.monotonic(), 0.0
    while True:
        at_s = time.monotonic() - began
        memory_mb, children_mb = await asyncio.to_thread(_memory_mb, process)
        waiting = 0 if session.ambience is None else session.ambience.waiting
        talked.samples.append(Sample(at_s, memory_mb, children_mb, waiting))
        if at_s - said_at >= SAY_EVERY_S:
            said_at = at_s
            say(f"{at_s:.0f} s: {sum(event.type == 'sentence_heard' for event in talked.events)} sentences")
        await asyncio.sleep(SAMPLE_EVERY_S)


def _memory_mb(process: psutil.Process) -> tuple[float, float]:
    children = 0
    for child in process.children(recursive=True):
        with suppress(psutil.Error):
            children += child.memory_info().rss
    return process.memory_info().rss / 1e6, children / 1e6
