"""How long after the end of speech each thing happens: synthesised questions, paced in real time.

Each question is asked once with every silence setting; then its models run alone and one after the other
(``own_times.py``), so that the pipeline and the serial baseline alternate on the same machine in the same minute. How
moments become figures is in ``trace.py``, what people read in ``latency_report.py`` and ``latency_picture.py``.

Nothing is played: the reply goes to an output that takes note of its first sample. Datagrams go to a socket of our own.
Answers are made repeatable with a fixed seed, so that all pipelines have the same words to say.
"""

import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from heisenberg.audio.wavfile import read_all_aside
from heisenberg.bench import own_times
from heisenberg.bench.own_times import OwnTimes
from heisenberg.bench.questions import end_of_speech, questions, synthesise_question
from heisenberg.bench.trace import Trace, answered_path, gaps, latencies, longest_gap, spans
from heisenberg.bench.watched import WatchedEvents, WatchedOutput, WatchedRunner, WatchedSource
from heisenberg.core.config import Config, VadConfig
from heisenberg.core.events import SpeechEnded
from heisenberg.main import run_session
from heisenberg.wiring.options import RunOptions

SEED = 7


@dataclass(frozen=True, slots=True)
class Setting:
    """How patient the endpointer is; all in seconds of silence."""

    name: str
    soft_end: float
    complete: float
    silence: float

    def applied(self, config: Config) -> Config:
        """*config* with this setting."""
        vad = config.vad.model_dump() | {
            "soft_end_seconds": self.soft_end,
            "complete_silence_seconds": self.complete,
            "silence_seconds": self.silence,
            "incomplete_silence_seconds": max(self.silence, config.vad.incomplete_silence_seconds),
        }
        return config.model_copy(update={"vad": VadConfig.model_validate(vad)})


def settings(config: Config) -> tuple[Setting, ...]:
    """What is compared: a hasty endpointer, the configured one, a patient one."""
    vad = config.vad
    configured = Setting("as configured", vad.soft_end_seconds, vad.complete_silence_seconds, vad.silence_seconds)
    return (Setting("fast", 0.15, 0.3, 0.5), configured, Setting("careful", 0.3, 0.8, 1.0))


@dataclass(frozen=True, slots=True)
class Turn:
    """One question that was asked."""

    number: int
    """Which question of the run; the same for every setting and for the models alone."""
    question: str
    setting: str
    outcome: str
    """``answered``, ``cut short`` (the endpoint came before the end of speech) or ``not answered``."""
    latency: dict[str, float]
    """The steps of ``turn_completed.latency`` in seconds from the true end of speech."""
    overhang: float
    """Seconds by which the endpointer believes that speech ended later than it did."""
    spans: dict[str, tuple[float, float]]
    """When each stage worked, in seconds from the true end of speech."""
    gaps: dict[str, float]
    """Seconds between stages in which no model worked for the turn."""
    longest_silence: float
    """Seconds; the longest gap that a listener would hear in the reply."""

    @property
    def overhead(self) -> float:
        """Seconds that neither a model nor the wait for the end accounts for."""
        return sum(self.gaps.values())


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured."""

    settings: tuple[Setting, ...]
    turns: tuple[Turn, ...]
    own: tuple[OwnTimes, ...]
    """One for each question that was understood."""

    def answered(self, setting: str) -> list[Turn]:
        """The turns of *setting* that were answered."""
        return [turn for turn in self.turns if turn.setting == setting and turn.outcome == "answered"]


async def measure(config: Config, turns: int, say: Callable[[str], None] = lambda text: None) -> Figures:
    """Ask *turns* questions with each setting; *say* is told what goes on. Raises HeisenbergError."""
    compared, asked = settings(config), questions(config.wakeword.words[0], config.stt.language)
    done: list[Turn] = []
    own: list[OwnTimes] = []
    with tempfile.TemporaryDirectory(prefix="heisenberg-bench-") as folder, _nobody_listening() as target:
        config = _repeatable(config, target)
        runner = WatchedRunner(config)
        async with runner:
            for number in range(turns):
                question = asked[number % len(asked)]
                wav = await synthesise_question(runner, question, Path(folder) / "question.wav", _language(config))
                traces = [await _ask(setting.applied(config), runner, wav) for setting in compared]
                end_s = end_of_speech(await read_all_aside(wav))
                new = [seen(t, s.name, number, question, end_s) for s, t in zip(compared, traces, strict=True)]
                say(f"{number + 1} of {turns}: {question} {', '.join(turn.outcome for turn in new)}")
                done += new
                whole = [t for t, turn in zip(traces, new, strict=True) if turn.outcome == "answered"]
                if whole:
                    own.append(await _alone(runner, whole[0], number))
    return Figures(compared, tuple(done), tuple(own))


async def _ask(config: Config, runner: WatchedRunner, wav: Path) -> Trace:
    """Ask the question in *wav* once."""
    trace = runner.trace = Trace()
    options = RunOptions(
        input=str(wav),
        once=True,
        is_quiet=True,
        sinks=(WatchedEvents(trace),),
        source=WatchedSource(str(wav), trace),
        sound_output=WatchedOutput(trace),
    )
    await run_session(config, runner, options)
    return trace


def seen(trace: Trace, setting: str, number: int, question: str, end_s: float) -> Turn:
    """What *trace* says of the turn; *end_s*: where speech ends in the question, in seconds."""
    end = trace.moment(end_s) if trace.chunks else 0.0
    latency, overhang = latencies(trace, end)
    path = answered_path(trace)
    if not latency or path is None:
        return Turn(number, question, setting, "not answered", {}, 0.0, {}, {}, 0.0)
    outcome = "cut short" if _ended_before(trace, end) else "answered"
    worked, between = spans(trace, path, end), gaps(trace, path)
    return Turn(number, question, setting, outcome, latency, overhang, worked, between, longest_gap(trace.played))


def _ended_before(trace: Trace, end: float) -> bool:
    certain = trace.first(SpeechEnded)
    return certain is not None and certain < end


async def _alone(runner: WatchedRunner, trace: Trace, number: int) -> OwnTimes:
    path = answered_path(trace)
    assert path is not None, "an answered turn has a path"
    runner.trace = Trace()  # what is measured here is no turn
    brain = runner.brain()
    try:
        return await own_times.measure(number, runner.recogniser(), brain, runner.voice(), path.stt.command)
    finally:
        await brain.close()


def _language(config: Config) -> str:
    return config.stt.language if config.stt.language != "auto" else "en"


def _repeatable(config: Config, target: str) -> Config:
    """The same answers each time, sent to *target* only."""
    seed = config.llm.seed if config.llm.seed >= 0 else SEED
    return config.model_copy(
        update={
            "llm": config.llm.model_copy(update={"seed": seed}),
            "osc": config.osc.model_copy(update={"targets": [target]}),
        }
    )


@contextmanager
def _nobody_listening() -> Iterator[str]:
    """The address of a socket that takes every datagram and reads none; the system drops what is too much."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{udp.getsockname()[1]}"
