"""How long after the end of speech each thing happens: synthesised questions, paced in real time.

Every figure counts from the true end of the user's speech, so it includes the silence that the endpointer
waits for. Nothing is played: the reply goes to a null output, whose first sample counts as heard.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from heisenberg.bench.questions import synthesise_question
from heisenberg.bench.table import markdown, percentile
from heisenberg.core.config import Config
from heisenberg.core.events import Event, TurnCompleted
from heisenberg.main import Runner, RunOptions, run_session

QUESTIONS = (
    "Hey Jarvis, what is the capital of France?",
    "Hey Jarvis, tell me about the ocean at night.",
    "Hey Jarvis, paint me a quiet forest in the morning.",
    "Hey Jarvis, who invented the telephone?",
    "Hey Jarvis, describe a storm over the mountains.",
)

STEPS = {
    "endpoint": "the end is certain",
    "stt": "final transcript",
    "llm_first_token": "first word of the reply",
    "first_sentence": "first clause complete",
    "tts_first_audio": "first sound synthesised",
    "first_audio": "first sample at the output",
    "first_visual": "first OSC datagram",
}


@dataclass(slots=True)
class Collector:
    """A sink that keeps the latencies of completed turns."""

    latencies: list[dict[str, float]]

    def handle(self, event: Event) -> None:
        """Keep what is of interest."""
        if isinstance(event, TurnCompleted):
            self.latencies.append(event.latency)

    async def close(self) -> None:
        """Nothing to release."""


async def measure(config: Config, turns: int) -> list[dict[str, float]]:
    """The latencies of *turns* turns, in seconds from the true end of speech."""
    collector = Collector([])
    with tempfile.TemporaryDirectory(prefix="heisenberg-bench-") as folder:
        async with Runner(config) as runner:
            for turn in range(turns):
                wav = Path(folder) / f"{turn}.wav"
                await synthesise_question(runner, QUESTIONS[turn % len(QUESTIONS)], wav)
                options = RunOptions(input=str(wav), output="none", once=True, is_quiet=True, sinks=(collector,))
                await run_session(config, runner, options)
    return collector.latencies


def report(latencies: list[dict[str, float]]) -> str:
    """The figures as a table."""
    rows = []
    for step, meaning in STEPS.items():
        seconds = [latency[step] for latency in latencies if step in latency]
        if seconds:
            rows.append([meaning, f"{percentile(seconds, 50):.2f}", f"{percentile(seconds, 95):.2f}", len(seconds)])
    return markdown(["seconds after the end of speech", "p50", "p95", "turns"], rows)
