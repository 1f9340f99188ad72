"""Who is told of a session: the console, files, the recorder of turns, and short sounds."""

import functools
import sys
from contextlib import AsyncExitStack

from heisenberg import __version__
from heisenberg.audio.earcons import EARCONS
from heisenberg.audio.recorded import ChunkFile, RecordedOutput
from heisenberg.core.audio import AudioChunk
from heisenberg.core.config import Config
from heisenberg.core.drops import Drops
from heisenberg.core.stages import AudioOutput, Sink
from heisenberg.orchestrator.session import Session
from heisenberg.sinks.console import ConsoleSink
from heisenberg.sinks.earcons import EarconSink
from heisenberg.sinks.jsonl import JsonLinesSink
from heisenberg.sinks.recorder import TurnRecorder
from heisenberg.sinks.timeline import TimelineSink
from heisenberg.wiring.options import RunOptions


async def open_sinks(
    config: Config, options: RunOptions, session: Session, stack: AsyncExitStack, drops: Drops
) -> None:
    """Tell those whom *options* name. Raises SinkError if a file cannot be written."""

    def opened(sink: Sink) -> None:
        stack.push_async_callback(sink.close)
        session.add_sink(sink)

    if options.events is not None:
        opened(JsonLinesSink(options.events, drops=drops))
    if options.timeline is not None:
        opened(TimelineSink(options.timeline))
    if not options.is_quiet:
        opened(ConsoleSink(sys.stderr, shows_osc=options.shows_osc, waiting_for=what_wakes(config, options)))


def what_wakes(config: Config, options: RunOptions) -> str:
    """What a turn begins with, in words for people."""
    if options.reads_text:
        return "a question"
    if options.mode == "ambient":
        return "something to be said"
    return " or ".join(f'"{word.replace("_", " ").title()}"' for word in config.wakeword.words)


def new_recorder(config: Config, drops: Drops) -> TurnRecorder | None:
    """Keeps what was heard and said, where ``debug.record_dir`` says so."""
    return TurnRecorder(config, __version__, ChunkFile, drops) if config.debug.record_dir else None


def recorded(output: AudioOutput, recorder: TurnRecorder) -> AudioOutput:
    """*output*; *recorder* keeps what it plays."""
    return RecordedOutput(output, functools.partial(_keep_spoken, recorder))


def _keep_spoken(recorder: TurnRecorder, chunk: AudioChunk) -> None:
    recorder.spoken(recorder.turn, chunk)


def open_earcons(config: Config, output: AudioOutput, session: Session, stack: AsyncExitStack) -> None:
    """Let *output* play the short sounds of ``audio.earcons``."""
    if config.audio.earcons:
        sink = EarconSink(output, {name: EARCONS[name]() for name in config.audio.earcons})
        stack.push_async_callback(sink.close)
        session.add_sink(sink)
