"""A talk through the whole of ambient mode: what was heard, where it was cut, what was made of it, and whether
anything grew.

The assistant is the product's own composition, with a real OSC receiver; the talk is ``ambient_talk.py``, what is
judged in ``ambient_report.py``.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heisenberg.bench.ambient_talk import Talk, hearing_both, recorded, synthesised
from heisenberg.bench.ambient_watch import Processor, Sample, watch
from heisenberg.bench.troubled_ends import OscEar
from heisenberg.core.config import Config
from heisenberg.core.events import Event, SentenceHeard
from heisenberg.core.stages import Sink
from heisenberg.main import run_session
from heisenberg.models import Runner
from heisenberg.orchestrator.session import Session
from heisenberg.wiring.options import RunOptions

WAV = "talk.wav"


@dataclass(slots=True)
class Talked:
    """Everything there is to judge."""

    talk: Talk
    model: str
    """Which recogniser heard it."""
    is_fast: bool
    wall_s: float = 0.0
    others_share: float = 0.0
    """Of the processor (0–1), that other programs took meanwhile."""
    events: list[Event] = field(default_factory=list)
    datagrams: list[bytes] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    again: "Talked | None" = None
    """The same talk, as fast as it is understood."""

    @property
    def sentences(self) -> list[SentenceHeard]:
        """What was heard."""
        return [event for event in self.events if isinstance(event, SentenceHeard)]


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


async def measure(
    config: Config,
    seconds: float,
    *,
    is_fast: bool,
    say: Callable[[str], None],
    recordings: Path | None = None,
    compares: bool = False,
    sinks: Sequence[Sink] = (),
) -> Talked:
    """Give a talk of so many *seconds* and listen to it.

    Args:
        config: with its recogniser, except that one of English alone is replaced for a talk in two languages.
        is_fast: as fast as it is understood.
        say: told what goes on.
        recordings: a folder with the talk, in place of a synthesised one (see ``ambient_talk.recorded``).
        compares: listen to it once more, as fast as it is understood.
        sinks: told of the first time's events.

    Raises: HeisenbergError.
    """
    with tempfile.TemporaryDirectory(prefix="heisenberg-bench-") as folder:
        config, talk = await _prepared(config, seconds, Path(folder) / WAV, recordings, say)
        talked = await _heard(config, talk, is_fast, sinks, say)
        if compares:
            say("once more, as fast as it is understood")
            talked.again = await _heard(config, talk, True, (), say)
    return talked


async def _prepared(
    config: Config, seconds: float, wav: Path, recordings: Path | None, say: Callable[[str], None]
) -> tuple[Config, Talk]:
    """The talk, and who hears it. The voices that speak it have ended then."""
    if recordings is not None:
        return config, await asyncio.to_thread(recorded, recordings, wav, config.stt.languages)
    async with Runner(config) as runner:
        both = hearing_both(config, runner)
        if both is None:
            say("The talk is in English only. For French, too: heisenberg models pull french")
            return config, await synthesised(runner, wav, seconds, ("en",), say)
        return both, await synthesised(runner, wav, seconds, ("en", "fr"), say)


async def _heard(
    config: Config, talk: Talk, is_fast: bool, sinks: Sequence[Sink], say: Callable[[str], None]
) -> Talked:
    ear = KeepingEar()
    await ear.open()
    osc = config.osc.model_copy(update={"targets": [f"127.0.0.1:{ear.port}"], "heartbeat_seconds": 60.0})
    brain = config.brain.model_copy(update={"commands": False})
    config = config.model_copy(update={"osc": osc, "brain": brain})
    talked = Talked(talk, config.stt.model, is_fast, datagrams=ear.datagrams)
    try:
        async with Runner(config) as runner:
            await _listen(config, runner, talked, sinks, say)
    finally:
        ear.close()
    return talked


async def _listen(
    config: Config, runner: Runner, talked: Talked, sinks: Sequence[Sink], say: Callable[[str], None]
) -> None:
    watching: list[asyncio.Task[None]] = []

    def begin_watching(session: Session) -> None:
        looking = watch(session, talked.samples, lambda: f"{len(talked.sentences)} sentences", say)
        watching.append(asyncio.create_task(looking, name="watch"))

    options = RunOptions(
        input=str(talked.talk.wav), is_paced=not talked.is_fast, output="none", mode="ambient", is_quiet=True,
        sinks=[_Kept(talked.events), *sinks], on_session=begin_watching,
    )  # fmt: skip
    processor, began = Processor(), time.monotonic()
    try:
        await run_session(config, runner, options)
    finally:
        for task in watching:
            task.cancel()
        await asyncio.gather(*watching, return_exceptions=True)
    talked.wall_s = time.monotonic() - began
    talked.others_share = processor.others_share()
    await asyncio.sleep(0.2)  # the last datagrams are on their way
