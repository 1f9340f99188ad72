"""What people read of the latency figures: tables and a verdict on each target, as Markdown. Pure.

In: ``latency.Figures``; out: text for the terminal and for ``docs/benchmarks.md``.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from heisenberg.bench import latency_summary as summary
from heisenberg.bench.latency import Figures, Turn
from heisenberg.bench.own_times import SERIAL_SILENCE_S
from heisenberg.bench.table import markdown, percentile

STEPS = {
    "endpoint": "the end is certain",
    "stt": "final transcript",
    "llm_first_token": "first word of the reply",
    "first_sentence": "first clause complete",
    "tts_first_audio": "first sound synthesised",
    "first_audio": "first sample at the output",
    "first_visual": "first OSC datagram",
}
"""Those of ``turn_completed.latency``, in the order in which they usually happen."""

OWN = {
    "stt": ("stt", "command to final transcript"),
    "llm_first_sentence": ("llm", "question to first clause"),
    "tts_first_audio": ("tts", "first clause to first sound"),
}
"""Fields of OwnTimes: the stage in which a turn spends that time, and what it means."""

EXPLANATION = f"""\
The true end of speech is known from the synthesised question itself. *streamed* and *serial* are the same models, run
alone and one after the other in the same run: the command ends after {SERIAL_SILENCE_S:g} s of silence, then comes the
transcript, then the answer (*streamed*: its first clause), then its sound. Whether a setting is slower is judged with
its own silence. Overhead is the time between two stages in which no model works for the turn although it could
(`bench/trace.py`)."""


def report(figures: Figures) -> str:
    """Every table, and what became of the targets."""
    if not figures.own:
        return f"No question was answered ({summary.outcomes(figures.turns)}). Try heisenberg doctor."
    tables = [_steps(figures), _settings(figures), _own(figures), _parts(figures)]
    return "\n\n".join([*tables, "\n".join(f"- {line}" for line in summary.verdicts(figures))])


def section(figures: Figures, command: str, machine: str, picture: str) -> str:
    """The part of a page that shows *figures*; *picture* is the name of the file beside it."""
    parts = [
        f"Measured on {machine}, with:",
        f"```\n{command}\n```",
        f"![One bar per stage, from the end of speech to the answer]({picture})",
        report(figures),
        EXPLANATION,
    ]
    return "\n\n".join(parts)


def _steps(figures: Figures) -> str:
    pipelines = summary.pipelines(figures)
    rows = [[meaning, *(_step(of, step) for of in pipelines.values())] for step, meaning in STEPS.items()]
    return markdown(["seconds after the true end of speech (p50 / p95)", *pipelines], rows)


def _step(latencies: Iterable[Mapping[str, float]], step: str) -> str:
    return _both([latency[step] for latency in latencies if step in latency])


def _both(values: Sequence[float], digits: int = 2) -> str:
    """The median and the 95th percentile; a dash if there are none."""
    return f"{percentile(values, 50):.{digits}f} / {percentile(values, 95):.{digits}f}" if values else "–"


def _settings(figures: Figures) -> str:
    """One column for each setting."""
    waits = [f"{s.soft_end:g}, {s.complete:g}, {s.silence:g}" for s in figures.settings]
    asked = [summary.outcomes(t for t in figures.turns if t.setting == s.name) for s in figures.settings]
    rows: list[list[str]] = [["silence: soft end, complete sentence, else (s)", *waits], ["questions", *asked]]

    def row(meaning: str, cell: Callable[[list[Turn]], str]) -> None:
        rows.append([meaning, *(cell(figures.answered(setting.name)) for setting in figures.settings)])

    row("overhang: the end of speech is noticed late by (s)", lambda turns: _both([t.overhang for t in turns]))
    row("first sample ÷ sum of the models' own times", lambda turns: _both(summary.ratios(figures, turns)))
    row("overhead (ms)", lambda turns: _both([1000 * turn.overhead for turn in turns], 1))
    row("as fast as the serial pipeline, or faster", lambda turns: _of(summary.as_fast_as_serial(figures, turns)))
    row("first datagram no later than first sample", lambda turns: _of(summary.visual_in_time(turns)))
    row("longest silence within a reply (s)", lambda turns: _both([turn.longest_silence for turn in turns]))
    return markdown(["p50 / p95", *(setting.name for setting in figures.settings)], rows)


def _of(counted: tuple[int, int]) -> str:
    return f"{counted[0]} of {counted[1]}"


def _own(figures: Figures) -> str:
    turns = figures.answered(summary.configured(figures))
    rows = []
    for name, (stage, meaning) in OWN.items():
        lengths = [turn.spans[stage][1] - turn.spans[stage][0] for turn in turns if stage in turn.spans]
        rows.append([meaning, _both([getattr(own, name) for own in figures.own]), _both(lengths)])
    rows.append(["sum", _both([own.sum for own in figures.own]), ""])
    return markdown(["the models' own seconds (p50 / p95)", "alone", "within a turn"], rows)


def _parts(figures: Figures) -> str:
    turns = figures.answered(summary.configured(figures))
    parts = [summary.critical_parts(turn.latency) for turn in turns]
    rows = [[part, _both([each[part] for each in parts])] for part in summary.PARTS.values()]
    return markdown(["as configured, the first sample waits for (s)", "p50 / p95"], rows)
