"""The composition root: configuration in, wired stages out. The only file that knows concrete classes."""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import CancelledError
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from heisenberg import __version__
from heisenberg.audio.both import BothOutputs
from heisenberg.audio.earcons import EARCONS
from heisenberg.audio.echo import WebrtcEchoCanceller
from heisenberg.audio.played import PlayedSound
from heisenberg.audio.recorded import ChunkFile, RecordedOutput
from heisenberg.audio.ring import SampleRing
from heisenberg.audio.wavfile import NoOutput, WavOutput, WavSource
from heisenberg.core.audio import PIPELINE_RATE_HZ, AudioChunk, Meters
from heisenberg.core.config import Config
from heisenberg.core.config_watch import ConfigFile, ConfigWatch
from heisenberg.core.drops import Drops
from heisenberg.core.errors import AudioError
from heisenberg.core.events import LlmComplete, VisualUpdated
from heisenberg.core.service_manager import ServiceManager
from heisenberg.core.stages import (
    Analyst,
    Answer,
    AudioOutput,
    AudioSource,
    Brain,
    PlayedTap,
    Sink,
    VadEngine,
    WakewordEngine,
)
from heisenberg.llm import presets
from heisenberg.llm.sentences import sentences_of
from heisenberg.llm.switchable import SwitchableAnalyst, SwitchableBrain
from heisenberg.models import Runner
from heisenberg.orchestrator.ambient.ambience import AmbientStages
from heisenberg.orchestrator.ambient.no_wake_word import NoWakeWord
from heisenberg.orchestrator.ambient.segments import STREAMED
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.guard import BargeIn
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.listener import Ears, Listener
from heisenberg.orchestrator.manners import Bounds, Manners, Tally
from heisenberg.orchestrator.mute import MutableSource, Mute
from heisenberg.orchestrator.patience import Patience, Pauses
from heisenberg.orchestrator.reports import Report
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.steering import Others, Steering
from heisenberg.orchestrator.watchdog import LoopPulse, Watchdog, Watched, end_process
from heisenberg.orchestrator.work import Stages
from heisenberg.sinks.console import ConsoleSink
from heisenberg.sinks.earcons import EarconSink
from heisenberg.sinks.jsonl import JsonLinesSink
from heisenberg.sinks.osc import OscSink
from heisenberg.sinks.osc_input import OscInput, bound_to
from heisenberg.sinks.recorder import TurnRecorder
from heisenberg.sinks.speech import Performance
from heisenberg.sinks.timeline import TimelineSink
from heisenberg.vad.endpoint import CommandEndpointer
from heisenberg.vad.phrase_end import sounds_complete
from heisenberg.vad.silero import SileroVad
from heisenberg.vad.webrtc import WebrtcVad
from heisenberg.wakeword.wyoming import WyomingWakeWordEngine, refuse_unknown_words

log = logging.getLogger(__name__)

RING_MARGIN_S = 10.0
"""Sound that is kept beyond the longest command."""

SPEAKING_BOUND_S = 180.0
BOUND_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What ``heisenberg run`` was asked to do."""

    input: str = "mic"
    """``mic``, ``none``, an audio file, or ``-`` for standard input."""
    is_paced: bool = True
    """Read a file in real time."""
    output: str = "speakers"
    """``speakers``, ``none`` or a file."""
    mode: str = "assistant"
    """``assistant`` or ``ambient``, at start."""
    once: bool = False
    """End after the first turn."""
    reads_text: bool = False
    """Questions are typed on standard input."""
    events: str | None = None
    """File for events as JSON lines, ``-`` for standard output."""
    timeline: Path | None = None
    """File for the picture of the first turns."""
    is_quiet: bool = False
    """No timeline on the console."""
    listens: bool = False
    """Play what goes to a file through the speakers, too."""
    shows_osc: bool = False
    """The console shows each OSC message."""
    sinks: Sequence[Sink] = ()
    """More sinks; the caller closes them."""
    source: AudioSource | None = None
    """In place of what *input* names; closed in the end."""
    sound_output: AudioOutput | None = None
    """In place of what *output* names; closed in the end."""
    played: PlayedSound | None = None
    """What *sound_output* tells of, for echo cancellation."""
    config_file: ConfigFile | None = None
    """Watched, and applied where that is safe."""
    on_session: Callable[[Session], None] = lambda session: None
    """Told of the session before it serves."""
    on_served: Callable[[list[str]], None] | None = None
    """Serve models to other programs meanwhile, and give it lines to print."""


async def run_assistant(config: Config, options: RunOptions) -> Tally:
    """Run the assistant until its input ends or it is asked to stop."""
    async with Runner(config, serves=options.on_served is not None) as runner, AsyncExitStack() as stack:
        if options.on_served is not None:
            # These cost start-up time that few need.
            from heisenberg.server.announcement import announcement
            from heisenberg.server.serving import serving

            addresses = await stack.enter_async_context(serving(config, runner.fleet, speech=runner))
            models = [model.name for model in runner.fleet.catalog.all()]
            options.on_served(announcement(config.server, addresses, models))
        return await run_session(config, runner, options)


async def run_session(config: Config, runner: Runner, options: RunOptions) -> Tally:
    """Serve turns with the models of *runner*; how they ended."""
    meters = Meters()
    async with AsyncExitStack() as stack:
        # Whatever can be wrong with files and devices is found before seconds are spent on models.
        drops, service, mute = Drops(), ServiceManager(), Mute()
        commands = None if not config.osc.listen else stack.enter_context(bound_to(config.osc.listen))
        played = _played(config, options)
        new_ears = functools.partial(_ears, config, options, meters, drops, played, mute)
        ears = None
        if options.input != "none" or options.source is not None:
            if _has_wake_word(config, options):
                await refuse_unknown_words(config.wakeword)
            ears = new_ears()
            stack.callback(ears.source.close)
        recorder = _recorder(config, drops)
        output = options.sound_output or _output(config, options.output, meters, options.listens, played)
        if recorder is not None:
            stack.push_async_callback(recorder.close)
            output = RecordedOutput(output, functools.partial(_keep_spoken, recorder))
        stack.push_async_callback(output.close)
        service.status("loading the models")
        brain, analyst = SwitchableBrain(runner.brain()), SwitchableAnalyst(runner.analyst())
        stack.push_async_callback(brain.close)
        stack.push_async_callback(analyst.close)
        stages, ambient = await _warm_stages(config, runner, brain, analyst, output, options)
        session = Session(
            stages,
            [*options.sinks, *([] if recorder is None else [recorder])],
            bounds(config),
            manners=_manners(config),
            patience=_patience(config, runner, stack),
            drops=drops,
            recorder=recorder,
            mute=mute,
            ambient=ambient,
            once=options.once,
        )

        def rephrase(changed: Config) -> None:
            brain.replace(runner.brain(changed))
            analyst.replace(runner.analyst(config=changed))

        await _open_sinks(config, options, session, stack, drops)
        steering = await _open_osc(config, options, meters, session, rephrase, commands, stack, drops)
        _watch_config(options, steering, stack)
        _open_earcons(config, output, session, stack)
        if ears is not None:
            session.hear_from(functools.partial(_new_listener, config, new_ears, [ears]))
        runner.pool.watch(session.worker_changed)
        stack.callback(runner.pool.unwatch, session.worker_changed)
        _watch(config, runner, session, service, stack)
        options.on_session(session)
        service.ready()
        stack.callback(service.stopping)
        await _serve(session, options, stack)
        return session.tally


def _played(config: Config, options: RunOptions) -> PlayedSound | None:
    """What the loudspeaker plays, where its echo comes back into a microphone and is to be cancelled."""
    if not config.audio.echo_cancellation:
        return None
    if options.played is not None:
        return options.played
    are_devices = options.source is None and options.sound_output is None and options.input == "mic"
    return PlayedSound() if are_devices and (options.output == "speakers" or options.listens) else None


def _echo_canceller(played: PlayedSound | None) -> WebrtcEchoCanceller | None:
    try:
        return None if played is None else WebrtcEchoCanceller(played)
    except AudioError as exc:
        log.warning("It will hardly hear you while it speaks. %s", exc)
        return None


def _recorder(config: Config, drops: Drops) -> TurnRecorder | None:
    return TurnRecorder(config, __version__, ChunkFile, drops) if config.debug.record_dir else None


def _keep_spoken(recorder: TurnRecorder, chunk: AudioChunk) -> None:
    recorder.spoken(recorder.turn, chunk)


def _open_earcons(config: Config, output: AudioOutput, session: Session, stack: AsyncExitStack) -> None:
    if config.audio.earcons:
        sink = EarconSink(output, {name: EARCONS[name]() for name in config.audio.earcons})
        stack.push_async_callback(sink.close)
        session.add_sink(sink)


def _watch(config: Config, runner: Runner, session: Session, service: ServiceManager, stack: AsyncExitStack) -> None:
    """Let the watchdog look after the audio thread, the event loop and what waits for the session."""
    pulse = LoopPulse()
    pulse.start()
    stack.callback(pulse.stop)

    def heal_audio() -> bool:
        error = AudioError("The audio thread stands still.", code="audio-unavailable")
        return session.audio_stalled(error)

    watchdog = Watchdog(
        # Nothing but time can heal an event loop, or a session that waits: they get as long once more.
        [
            Watched("loop", lambda: pulse.count, lambda: True),
            Watched("audio", lambda: session.audio_progress, heal_audio),
            Watched("inbox", lambda: session.inbox_progress, lambda: True),
        ],
        stall_s=config.watchdog.stall_seconds,
        on_stall=lambda name, seconds, is_healed: session.stalled(name, seconds),
        give_up=functools.partial(end_process, kill_children=runner.pool.kill),
        on_alive=service.alive,
    )
    watchdog.start()
    stack.push_async_callback(asyncio.to_thread, watchdog.stop)


async def _warm_stages(
    config: Config, runner: Runner, brain: Brain, analyst: Analyst, output: AudioOutput, options: RunOptions
) -> tuple[Stages, AmbientStages]:
    recogniser, voice = runner.recogniser(), runner.voice()
    is_ambient = options.mode == "ambient"
    warmed = [recogniser.warm_up()]
    if is_ambient:
        warmed.append(analyst.warm_up())
    if not is_ambient or config.brain.commands:
        warmed += [brain.warm_up(), voice.warm_up()]
    await asyncio.gather(*warmed)
    clock = asyncio.get_running_loop().time
    stages = Stages(
        recogniser,
        brain,
        lambda on_progress: Performance(voice, output, on_progress),
        output,
        History(config.llm.history_turns, config.llm.history_seconds, clock),
        config.llm.language,
        config.turn.stop_words,
        sentences_of,
    )
    name, timeout_s = config.visual.preset, config.llm.timeout_seconds
    style = presets.resolve(name, config.visual.presets)
    return stages, AmbientStages(recogniser, analyst, config.brain, timeout_s, name, style, is_ambient)


def _has_wake_word(config: Config, options: RunOptions) -> bool:
    return options.mode != "ambient" or config.brain.commands


def _manners(config: Config) -> Manners:
    turn = config.turn
    return Manners(turn.followup_seconds, turn.resume_seconds, config.wakeword.words[0])


def _patience(config: Config, runner: Runner, stack: AsyncExitStack) -> Patience | None:
    vad = config.vad
    if vad.turn_detector == "none":
        return None
    pauses = Pauses(
        complete=min(vad.complete_silence_seconds, vad.silence_seconds),
        incomplete=max(vad.incomplete_silence_seconds, vad.silence_seconds),
        usual=vad.silence_seconds,
    )
    detector = runner.turn_detector() if vad.turn_detector == "smart_turn" else None
    if detector is not None:
        stack.callback(detector.close)
    heads = runner.signs if config.stt.engine == "moshi" else None
    return Patience(pauses, sounds_complete, detector, heads=heads, head_threshold=config.stt.pause_threshold)


def _new_listener(
    config: Config, new_ears: Callable[[], Ears], first: list[Ears], report: Callable[[Report], None]
) -> Listener:
    """The audio thread; with the ears that are open already, or with new ones if it is the second."""
    ears = first.pop() if first else new_ears()
    return Listener(ears, report, preroll_s=config.audio.preroll_seconds)


async def _open_sinks(
    config: Config, options: RunOptions, session: Session, stack: AsyncExitStack, drops: Drops
) -> None:
    def opened(sink: Sink) -> None:
        stack.push_async_callback(sink.close)
        session.add_sink(sink)

    if options.events is not None:
        opened(JsonLinesSink(options.events, drops=drops))
    if options.timeline is not None:
        opened(TimelineSink(options.timeline))
    if not options.is_quiet:
        opened(ConsoleSink(sys.stderr, shows_osc=options.shows_osc, waiting_for=_what_wakes(config, options)))


async def _open_osc(
    config: Config,
    options: RunOptions,
    meters: Meters,
    session: Session,
    rephrase: Callable[[Config], None],
    commands: socket.socket | None,
    stack: AsyncExitStack,
    drops: Drops,
) -> Steering:
    """OSC out, and commands in: over OSC, and from whoever else is given the controls."""
    osc = OscSink(
        config.osc,
        meters,
        session.osc_sent,
        __version__,
        drops=drops,
        addresses_of=lambda name: steering.style(name).addresses,
    )
    stack.push_async_callback(osc.close)
    others = Others(presets.resolve, rephrase, osc.retarget)
    steering = Steering(session, config, others, can_wake=_has_wake_word(config, options))
    session.add_sink(osc)
    await osc.start()
    if commands is not None:
        osc_input = OscInput(commands, steering, drops, answers=osc, on_ignored=session.tell_losses)
        stack.push_async_callback(osc_input.close)
        await osc_input.start()
    return steering


def _watch_config(options: RunOptions, steering: Steering, stack: AsyncExitStack) -> None:
    """Apply changes of the configuration file; at once after a SIGHUP, where nobody sits at a terminal."""
    if options.config_file is None:
        return
    loop = asyncio.get_running_loop()
    watch = ConfigWatch(options.config_file, steering.apply, loop)
    watch.start()
    stack.callback(watch.stop)
    has_terminal = sys.stdin is not None and sys.stdin.isatty()  # one that is closed sends SIGHUP to end the program
    if hasattr(signal, "SIGHUP") and not has_terminal:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            loop.add_signal_handler(signal.SIGHUP, watch.look_now)
            stack.callback(loop.remove_signal_handler, signal.SIGHUP)


def _what_wakes(config: Config, options: RunOptions) -> str:
    if options.reads_text:
        return "a question"
    if options.mode == "ambient":
        return "something to be said"
    return " or ".join(f'"{word.replace("_", " ").title()}"' for word in config.wakeword.words)


async def _serve(session: Session, options: RunOptions, stack: AsyncExitStack) -> None:
    """Run the session until it ends; the first SIGTERM or Ctrl-C ends it in good order."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # Windows, or not the main thread
        loop.add_signal_handler(signal.SIGTERM, session.end)
        stack.callback(loop.remove_signal_handler, signal.SIGTERM)
    if options.reads_text:
        reader = threading.Thread(target=_read_questions, args=(session, loop), name="questions", daemon=True)
        reader.start()
    await session.run()


def _read_questions(session: Session, loop: asyncio.AbstractEventLoop) -> None:
    """A thread, since standard input cannot be waited for on every platform."""
    with contextlib.suppress(RuntimeError, CancelledError):  # the loop is closed
        for line in sys.stdin:
            if line.strip():
                asyncio.run_coroutine_threadsafe(session.ask_in_turn(line.strip()), loop).result()
        loop.call_soon_threadsafe(session.end_input)


def open_source(config: Config, options: RunOptions, drops: Drops | None = None) -> AudioSource:
    """Where sound comes from. Raises AudioError."""
    if options.input != "mic":
        return WavSource(options.input, pacing=options.is_paced)
    from heisenberg.audio.microphone import Microphone  # needs PortAudio; files do not

    return Microphone(config.audio, drops)


@asynccontextmanager
async def open_output(
    config: Config, output: str, meters: Meters | None = None, *, listens: bool = False
) -> AsyncIterator[AudioOutput]:
    """Where the reply is heard. Raises AudioError."""
    opened = _output(config, output, meters or Meters(), listens)
    try:
        yield opened
    finally:
        await opened.close()


def _output(config: Config, output: str, meters: Meters, listens: bool, tap: PlayedTap | None = None) -> AudioOutput:
    if output == "none":
        return NoOutput()
    if output == "speakers":
        return _speakers(config, meters, tap)
    if listens:
        try:
            speakers = _speakers(config, meters, tap)
        except AudioError as exc:
            log.warning("%s", exc)
        else:
            return BothOutputs(WavOutput(output), speakers)
    return WavOutput(output, paced=True)


def _speakers(config: Config, meters: Meters, tap: PlayedTap | None) -> AudioOutput:
    from heisenberg.audio.speakers import Speakers  # needs PortAudio; files do not

    return Speakers(config.audio, meters, tap)


def _ears(
    config: Config, options: RunOptions, meters: Meters, drops: Drops, played: PlayedSound | None, mute: Mute
) -> Ears:
    echo = _echo_canceller(played)
    wakeword = _wakeword(config, drops) if _has_wake_word(config, options) else NoWakeWord()
    endpointer = CommandEndpointer(config.vad)
    vad: VadEngine = SileroVad() if config.vad.engine == "silero" else WebrtcVad()
    longest_s = max(config.vad.max_command_seconds + config.vad.no_speech_seconds, STREAMED.longest_s)
    ring = SampleRing(int((longest_s + RING_MARGIN_S) * PIPELINE_RATE_HZ))
    background = Background(is_used=config.vad.engine == "silero")
    source = MutableSource(options.source or open_source(config, options, drops), mute)
    barge_in = BargeIn[config.turn.barge_in.upper()]
    follows_pauses = config.stt.engine == "moshi"
    return Ears(source, wakeword, vad, endpointer, ring, background, meters, echo, barge_in, config.vad, follows_pauses)


def _wakeword(config: Config, drops: Drops) -> WakewordEngine:
    if config.wakeword.engine == "wyoming":
        return WyomingWakeWordEngine(config.wakeword, drops)
    from heisenberg.wakeword.microwakeword import MicroWakeWordEngine  # needs its library; a service does not

    return MicroWakeWordEngine(config.wakeword)


def bounds(config: Config) -> Bounds:
    """How long each state may last, from the timeouts of what happens in it."""
    vad, stt, llm = config.vad, config.stt, config.llm
    listening = 2 * (vad.no_speech_seconds + vad.max_command_seconds) + BOUND_MARGIN_S
    thinking = 2 * (stt.timeout_seconds + llm.timeout_seconds + config.tts.timeout_seconds) + BOUND_MARGIN_S
    return Bounds(listening, thinking, SPEAKING_BOUND_S)


async def send_visuals(config: Config, answer: Answer) -> None:
    """Send one answer's visuals to the OSC targets."""
    osc = OscSink(config.osc, Meters(), None, __version__)
    await osc.start()
    try:
        await osc.looked_up()
        for field, value in answer.visual.items():
            osc.handle(VisualUpdated(turn=1, at=0.0, field=field, value=value))
        osc.handle(LlmComplete(turn=1, at=0.0, text=answer.text, visual=answer.visual, tokens=answer.tokens))
    finally:
        await osc.close()
