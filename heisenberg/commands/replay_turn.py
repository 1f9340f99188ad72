"""Runs one recorded turn through today's pipeline. In: its folder; out: what became of it then and now.

Nothing leaves meanwhile: no OSC, no recording of the recording, and no sound but a file that was asked for. A spoken
turn runs as ``heisenberg run`` would, a typed one asks the language model only.
"""

import asyncio
import tempfile
from pathlib import Path

import numpy as np

from heisenberg.audio.wavfile import read_all
from heisenberg.audio.wavwriter import WavWriter
from heisenberg.commands.differences import changed_settings, differences
from heisenberg.commands.replay_report import Result
from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ, AudioChunk, Samples
from heisenberg.core.config import Config
from heisenberg.core.errors import AudioError, BrainError, SinkError
from heisenberg.core.events import Event
from heisenberg.core.stages import Answer
from heisenberg.main import run_session
from heisenberg.models import Runner
from heisenberg.sinks.outcome import INPUT_OVER, Outcome
from heisenberg.sinks.recordings import COMMAND, WAKE, Recording, read_recording, settings_that_matter
from heisenberg.wiring.options import RunOptions

SILENCE_S = 1.5
"""Follows the recorded sound, beside the longest wait of today's configuration: the command must end by itself."""


async def replay_turn(folder: Path, config: Config, runner: Runner, *, is_paced: bool, output: Path | None) -> Result:
    """Replay the turn in *folder*; a recording that cannot be used is told in the result.

    Args:
        folder: of one turn.
        config: today's.
        runner: today's models.
        is_paced: in real time. Else the sound is over before the recogniser has understood the first pause in it,
            and a command may end elsewhere than it did.
        output: where to keep the new reply.

    Raises: HeisenbergError if today's models or files cannot be used.
    """
    try:
        recording = read_recording(folder)
        obstacle = _obstacle(recording)
        if obstacle:
            return Result(folder, obstacle, recording)
        sound = await asyncio.to_thread(_sound, recording, config)
    except (SinkError, AudioError) as exc:
        return Result(folder, exc.message)
    if recording.outcome.typed is not None:
        replayed = await _ask_again(recording.outcome.typed, runner)
    else:
        replayed = await _hear_again(sound, config, runner, is_paced, output)
    found = differences(recording.outcome, replayed)
    changed = changed_settings(recording.settings, settings_that_matter(config))
    return Result(folder, "", recording, replayed, found, changed, is_paced)


def _obstacle(recording: Recording) -> str:
    """Why *recording* cannot be replayed; empty if it can."""
    outcome = recording.outcome
    if outcome.typed is not None:
        return "" if outcome.typed else "its question was typed, and its words were not recorded"
    if not outcome.wake_word:
        return "it began without the wake word (a follow-up, or words over a reply), and a replay waits for that"
    missing = [name for name in (WAKE, COMMAND) if not (recording.folder / name).exists()]
    return f"there is no {' and no '.join(missing)}" if missing else ""


def _sound(recording: Recording, config: Config) -> Samples:
    """What the microphone delivered, and silence, unless it ended there. Raises AudioError."""
    if recording.outcome.typed is not None:
        return np.zeros(0, dtype=np.int16)
    wake, command = (read_all(recording.folder / name) for name in (WAKE, COMMAND))
    heard = [wake[len(wake) % CHUNK_SAMPLES :], command]  # the pipeline's chunks end where they ended then
    if recording.outcome.endpoint not in INPUT_OVER:
        longest_s = max(config.vad.no_speech_seconds, config.vad.incomplete_silence_seconds)
        heard.append(AudioChunk.silence(longest_s + SILENCE_S, PIPELINE_RATE_HZ).samples)
    return np.concatenate(heard)


async def _hear_again(sound: Samples, config: Config, runner: Runner, is_paced: bool, output: Path | None) -> Outcome:
    listening = _Listening()
    with tempfile.TemporaryDirectory(prefix="heisenberg-replay-") as folder:
        options = RunOptions(
            input=str(_written(sound, Path(folder) / "heard.wav")),
            is_paced=is_paced,
            output="none" if output is None else str(output),
            once=True,
            is_quiet=True,
            sinks=(listening,),
        )
        await run_session(_kept_to_itself(config), runner, options)
    return listening.outcome


def _written(sound: Samples, path: Path) -> Path:
    writer = WavWriter(path, PIPELINE_RATE_HZ)
    writer.write(sound)
    writer.close()
    return path


def _kept_to_itself(config: Config) -> Config:
    """A replay must not disturb a running show, nor be recorded."""
    osc = config.osc.model_copy(update={"targets": []})
    debug = config.debug.model_copy(update={"record_dir": ""})
    return config.model_copy(update={"osc": osc, "debug": debug})


class _Listening:
    """A sink that learns what becomes of the first turn."""

    def __init__(self) -> None:
        self.outcome = Outcome()

    def handle(self, event: Event) -> None:
        """Take note."""
        if event.turn == 1:
            self.outcome.take(event.as_dict())

    async def close(self) -> None:
        """Nothing to release."""


async def _ask_again(text: str, runner: Runner) -> Outcome:
    """The brain alone: there was no sound to hear."""
    brain, outcome = runner.brain(), Outcome(typed=text)
    try:
        async for thought in brain.think(text, (), None):
            if isinstance(thought, Answer):
                outcome.reply, outcome.visual, outcome.ended = thought.text, dict(thought.visual), "completed"
    except BrainError as exc:
        outcome.ended, outcome.reason, outcome.message = "failed", exc.code, exc.message
    finally:
        await brain.close()
    return outcome
