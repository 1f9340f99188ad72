"""What turns and ambient mode work with: the models' stages, warm, and how the assistant takes turns."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from heisenberg.core.config import Config
from heisenberg.core.stages import Analyst, AudioOutput, Brain
from heisenberg.llm import presets
from heisenberg.llm.sentences import sentences_of
from heisenberg.models import Runner
from heisenberg.orchestrator.ambient.ambience import AmbientStages
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.manners import Bounds, Manners
from heisenberg.orchestrator.patience import Patience, Pauses
from heisenberg.orchestrator.work import Stages
from heisenberg.sinks.speech import Performance
from heisenberg.vad.phrase_end import sounds_complete
from heisenberg.wiring.options import RunOptions

SPEAKING_BOUND_S = 180.0
BOUND_MARGIN_S = 10.0


async def warm_stages(
    config: Config, runner: Runner, brain: Brain, analyst: Analyst, output: AudioOutput, options: RunOptions
) -> tuple[Stages, AmbientStages]:
    """What turns and ambient mode need; what the mode at start uses is warm. Raises HeisenbergError."""
    recogniser, voice = runner.recogniser(), runner.voice()
    is_ambient = options.mode == "ambient"
    warmed = [recogniser.warm_up()]
    if is_ambient:
        warmed.append(analyst.warm_up())
    if not is_ambient or config.brain.commands:
        warmed += [brain.warm_up(), voice.warm_up()]
    await _all_of(warmed)
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


async def _all_of(works: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Wait for all; the first failure ends the others, which would go on complaining that everything is closed."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__


def bounds(config: Config) -> Bounds:
    """How long each state may last, from the timeouts of what happens in it."""
    vad, stt, llm = config.vad, config.stt, config.llm
    listening = 2 * (vad.no_speech_seconds + vad.max_command_seconds) + BOUND_MARGIN_S
    thinking = 2 * (stt.timeout_seconds + llm.timeout_seconds + config.tts.timeout_seconds) + BOUND_MARGIN_S
    return Bounds(listening, thinking, SPEAKING_BOUND_S)


def manners_of(config: Config) -> Manners:
    """How the assistant takes turns."""
    turn = config.turn
    return Manners(turn.followup_seconds, turn.resume_seconds, config.wakeword.words[0])


def patience_of(config: Config, runner: Runner, stack: AsyncExitStack) -> Patience | None:
    """What says how long to wait in a pause; None where it is always the same."""
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
