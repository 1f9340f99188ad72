"""What the latency figures say: pipelines side by side, what the first sample waits for, and which targets are met.

Pure. In: ``latency.Figures``; out: numbers and sentences for the tables and the picture.
"""

from collections.abc import Iterable, Mapping, Sequence

from heisenberg.bench.latency import Figures, Turn
from heisenberg.bench.table import percentile

PARTS = {
    "endpoint": "the wait for the end",
    "stt": "the recogniser",
    "first_sentence": "the language model",
    "tts_first_audio": "the voice",
    "first_audio": "the output",
}
"""What the first sample waits for, by the step that ends the wait."""

FIRST_SAMPLE_S = 1.0
FIRST_SAMPLE_STRETCH_S = 0.7
OVERHEAD_MS = 30.0
"""Targets: for the first sample the median, for the overhead the 95th percentile."""

Spans = Mapping[str, tuple[float, float]]
"""When each stage worked, in seconds from the true end of speech."""


def outcomes(turns: Iterable[Turn]) -> str:
    """How many turns ended in which way."""
    all_outcomes = [turn.outcome for turn in turns]
    return ", ".join(f"{all_outcomes.count(outcome)} {outcome}" for outcome in sorted(set(all_outcomes)))


def configured(figures: Figures) -> str:
    """The name of the setting in the middle: that of the configuration."""
    return figures.settings[len(figures.settings) // 2].name


def overhang(figures: Figures) -> float:
    """By how many seconds the endpointer believes that speech ends later than it does; the median."""
    return percentile([turn.overhang for turn in figures.turns if turn.outcome == "answered"], 50)


def pipelines(figures: Figures) -> dict[str, list[dict[str, float]]]:
    """The steps of every pipeline by its name: one for each setting, then the two baselines."""
    late = overhang(figures)
    found = {setting.name: [turn.latency for turn in figures.answered(setting.name)] for setting in figures.settings}
    found["streamed"] = [own.streamed(late) for own in figures.own]
    found["serial"] = [own.serial(late) for own in figures.own]
    return found


def worked(figures: Figures) -> dict[str, list[Spans]]:
    """When the stages of every pipeline worked, by its name, as in :func:`pipelines`."""
    found: dict[str, list[Spans]] = {
        setting.name: [turn.spans for turn in figures.answered(setting.name)] for setting in figures.settings
    }
    for name, steps in pipelines(figures).items():
        if name not in found:
            found[name] = [_one_after_the_other(each) for each in steps]
    return found


def _one_after_the_other(steps: Mapping[str, float]) -> Spans:
    return {
        "endpoint": (0.0, steps["endpoint"]),
        "stt": (steps["endpoint"], steps["stt"]),
        "llm": (steps["stt"], steps["first_sentence"]),
        "visual": (steps["stt"], steps["first_visual"]),
        "tts": (steps["first_sentence"], steps["tts_first_audio"]),
    }


def critical_parts(latency: Mapping[str, float]) -> dict[str, float]:
    """Seconds that the first sample waits for each part; they add up to its latency.

    A part counts only from the moment in which all before it were done: what was ready before the end was certain
    costs nothing.
    """
    reached, parts = 0.0, {}
    for step, part in PARTS.items():
        done = max(reached, latency.get(step, reached))
        parts[part], reached = done - reached, done
    return parts


def visual_in_time(turns: Iterable[Turn]) -> tuple[int, int]:
    """In how many turns the first datagram left no later than the first sample, of how many with both."""
    both = [turn.latency for turn in turns if {"first_visual", "first_audio"} <= turn.latency.keys()]
    return sum(latency["first_visual"] <= latency["first_audio"] for latency in both), len(both)


def as_fast_as_serial(figures: Figures, turns: Iterable[Turn]) -> tuple[int, int]:
    """How many of *turns* were as fast as the serial pipeline with the same question and silence, of how many."""
    silence = {setting.name: setting.silence for setting in figures.settings}
    pairs = [
        (turn.latency["first_audio"], own.serial(turn.overhang, silence[turn.setting])["first_audio"])
        for turn in turns
        for own in figures.own
        if own.number == turn.number and "first_audio" in turn.latency
    ]
    return sum(ours <= serial for ours, serial in pairs), len(pairs)


def ratios(figures: Figures, turns: Iterable[Turn]) -> list[float]:
    """The latency of the first sample as a multiple of the models' own times with the same question."""
    return [
        turn.latency["first_audio"] / own.sum
        for turn in turns
        for own in figures.own
        if own.number == turn.number and own.sum and "first_audio" in turn.latency
    ]


def verdicts(figures: Figures) -> list[str]:
    """What became of each target, with the setting as configured; what is missed names what takes longest."""
    turns = figures.answered(configured(figures))
    samples = [turn.latency["first_audio"] for turn in turns if "first_audio" in turn.latency]
    if not samples:
        return ["Nothing was said with the settings as configured."]
    sample, overhead_ms = percentile(samples, 50), 1000 * percentile([turn.overhead for turn in turns], 95)
    in_time, spoken = visual_in_time(turns)
    fast, of = as_fast_as_serial(figures, turns)
    stretch = "met, too" if sample <= FIRST_SAMPLE_STRETCH_S else "missed"
    return [
        f"First sample at most {FIRST_SAMPLE_S:g} s after the end of speech (p50): {_met(sample <= FIRST_SAMPLE_S)} "
        f"with {sample:.2f} s; the stretch of {FIRST_SAMPLE_STRETCH_S:g} s is {stretch}. {_cause(turns)}",
        f"First datagram no later than the first sample: {_met(in_time == spoken)} in {in_time} of {spoken} turns.",
        f"Overhead below {OVERHEAD_MS:g} ms (p95): {_met(overhead_ms < OVERHEAD_MS)} with {overhead_ms:.1f} ms.",
        f"Never slower than the serial pipeline: {_met(fast == of)} in {fast} of {of} turns.",
    ]


def _met(is_met: bool) -> str:
    return "met" if is_met else "**missed**"


def _cause(turns: Sequence[Turn]) -> str:
    """Which parts take longest, in words."""
    parts = [critical_parts(turn.latency) for turn in turns]
    medians = {part: percentile([each[part] for each in parts], 50) for part in PARTS.values()}
    longest = sorted(medians, key=lambda part: -medians[part])[:2]
    return "It waits longest for " + " and ".join(f"{part} ({medians[part]:.2f} s)" for part in longest) + "."
