"""What a talk through ambient mode came to: sentences against what was spoken, OSC against the log, growth over time.

Pure: everything it judges is in a ``Talked``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heisenberg.bench.ambient import Talked
from heisenberg.bench.ambient_texts import HARD_FRENCH
from heisenberg.bench.ambient_words import Understood, compare, same_in_both
from heisenberg.bench.table import markdown, percentile
from heisenberg.core.config import Config, VisualField
from heisenberg.core.events import (
    AnalysisCompleted,
    AnalysisFailed,
    AnalysisStarted,
    ItemsDropped,
    SentenceHeard,
    VisualUpdated,
    WorkerFailed,
)
from heisenberg.orchestrator.ambient.sentences import Sentences, spread
from heisenberg.sinks.decoding import decode


@dataclass(frozen=True, slots=True)
class Figures:
    """The judgement."""

    audio_s: float
    wall_s: float
    is_fast: bool
    is_recorded: bool
    others_share: float
    """Of the processor (0–1), that other programs took."""
    sentences_spoken: int
    sentences_heard: int
    understood: list[Understood]
    """By language."""
    french_right: float
    """Share of the hard French sentences that are cut right, given their text."""
    same_when_fast: tuple[int, int] | None
    """How many sentences, with the reasons for their ends, came out the same as fast as can be; of how many."""
    fast_wall_s: float
    """How long that took; 0 if it was not done."""
    sentence_late_s: float
    """From a sentence's end to its being told, median; NaN for a file that was read as fast as can be."""
    analyses: int
    completed: int
    failed: int
    valid: float
    """Share of the analyses whose visuals fit the schema."""
    analysis_s: tuple[float, float]
    """Median and 95th percentile."""
    age_s: tuple[float, float]
    """Age of the newest sentence when an analysis begins, median: first and last third of the talk."""
    osc_matches: bool
    """Whether the datagrams are those of the log, in its order."""
    datagrams: int
    most_waiting: int
    dropped: int
    """What was lost since something was too slow, or died."""
    restarts: int
    """Of models that died."""
    memory_mb: tuple[float, float, float]
    """After a sixth of the talk, after half, and at its end."""
    children_mb: tuple[float, float, float]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong that does not depend on how clever the models are."""
        is_same = self.same_when_fast is None or self.same_when_fast[0] == self.same_when_fast[1]
        is_something = self.completed > 0 and self.sentences_heard > 0
        return self.osc_matches and self.valid == 1.0 and is_something and is_same


def judge(talked: Talked, config: Config) -> Figures:
    """The figures of *talked*."""
    heard = talked.sentences
    completed = [event for event in talked.events if isinstance(event, AnalysisCompleted)]
    started = [event for event in talked.events if isinstance(event, AnalysisStarted)]
    seconds = [event.seconds for event in completed]
    lates = [event.at - event.end for event in heard]
    count = len(talked.samples)
    points = [talked.samples[at] for at in (count // 6, count // 2, count - 1)]
    expected = _expected(talked)
    again = talked.again
    return Figures(
        audio_s=talked.talk.seconds,
        wall_s=talked.wall_s,
        is_fast=talked.is_fast,
        is_recorded=talked.talk.is_recorded,
        others_share=talked.others_share,
        sentences_spoken=len(talked.talk.spoken),
        sentences_heard=len(heard),
        understood=compare(talked.talk.spoken, [event.text for event in heard]),
        french_right=french_cut_right(),
        same_when_fast=None if again is None else same_in_both(_ends(talked), _ends(again)),
        fast_wall_s=0.0 if again is None else again.wall_s,
        sentence_late_s=float("nan") if talked.is_fast else percentile(lates, 50),
        analyses=len(started),
        completed=len(completed),
        failed=sum(isinstance(event, AnalysisFailed) for event in talked.events),
        valid=sum(fits(event.visual, config.visual.fields) for event in completed) / max(1, len(completed)),
        analysis_s=(percentile(seconds, 50), percentile(seconds, 95)),
        age_s=_ages(started, talked),
        osc_matches=expected == _received(talked),
        datagrams=len(expected),
        most_waiting=max((sample.waiting for sample in talked.samples), default=0),
        dropped=_dropped(talked),
        restarts=sum(isinstance(event, WorkerFailed) for event in talked.events),
        memory_mb=(points[0].memory_mb, points[1].memory_mb, points[2].memory_mb),
        children_mb=(points[0].children_mb, points[1].children_mb, points[2].children_mb),
    )


def french_cut_right() -> float:
    """Share of the French talk's sentences that come out as they are written, fed word by word."""
    sentences = Sentences(timeout_s=1_000.0)
    found = sentences.hear(spread(" ".join(HARD_FRENCH), 0.0, 100.0)) + sentences.flush("end_of_input")
    return len(set(HARD_FRENCH) & {sentence.text for sentence in found}) / len(HARD_FRENCH)


def fits(visual: dict[str, Any], fields: dict[str, VisualField]) -> bool:
    """Whether *visual* has all *fields*, and each is as its schema says."""
    return set(visual) == set(fields) and all(_is_valid(visual[name], fields[name]) for name in fields)


def report(figures: Figures) -> str:
    """A table for people."""
    how = "as fast as it is understood" if figures.is_fast else "in real time"
    named = ", ".join(LANGUAGES.get(each.language, each.language) for each in figures.understood)
    rows = [
        ["talk", f"{figures.audio_s:.0f} s ({named}), heard {how} in {figures.wall_s:.0f} s"],
        ["processor time that other programs took meanwhile", f"{figures.others_share:.0%} of all cores"],
        *_rows_of_words(figures),
        ["analyses begun / completed / failed", f"{figures.analyses} / {figures.completed} / {figures.failed}"],
        ["analyses that fit the schema", f"{figures.valid:.1%}"],
        ["time of an analysis, p50 / p95", f"{figures.analysis_s[0]:.2f} / {figures.analysis_s[1]:.2f} s"],
        *_rows_of_times(figures),
        ["OSC datagrams as in the log, in its order", f"{'yes' if figures.osc_matches else 'NO'}, {figures.datagrams}"],
        ["most that waited to be understood", str(figures.most_waiting)],
        ["lost / models that died", f"{figures.dropped} / {figures.restarts}"],
        ["memory after a sixth / half / all of it", "{:.0f} / {:.0f} / {:.0f} MB".format(*figures.memory_mb)],
        ["the models' memory then", "{:.0f} / {:.0f} / {:.0f} MB".format(*figures.children_mb)],
    ]
    return markdown(["ambient mode", ""], rows)


def section(figures: Figures, command: str, machine: str) -> str:
    """The part of the benchmarks page."""
    return f"""## Ambient mode

{_about(figures)} The cuts are compared with the written
sentences word by word. The models' memory grows by what llama.cpp keeps of old prompts, 128 MB at most.

{report(figures)}

`{command}` on {machine}."""


def machine_and_models(machine: str, talked: Talked, config: Config) -> str:
    """What was measured, for :func:`section`."""
    return f"{machine}; {Path(talked.model).name}, {config.llm.model}"


LANGUAGES = {"en": "English", "fr": "French"}


def _about(figures: Figures) -> str:
    through = "with pauses of 0.4 to 4 s between\nthem, through the whole program and to a real OSC receiver."
    if figures.is_recorded:
        return "A recorded talk, through the whole program and to a real OSC receiver."
    if len(figures.understood) > 1:
        return f"A synthesised talk of short sentences, four in English and four in French, {through}"
    return f"A synthesised talk of short English sentences, {through} Without the French kit, French is text only."


def _rows_of_words(figures: Figures) -> list[list[str]]:
    rows = [["sentences spoken / heard", f"{figures.sentences_spoken} / {figures.sentences_heard}"]]
    for each in figures.understood:
        language = LANGUAGES.get(each.language, each.language)
        rows += [
            [f"{language}: words wrong, missing or too many", f"{each.wrong:.1%}"],
            [f"{language}: ends of sentences that were found", f"{each.ends_found:.1%}"],
            [f"{language}: cuts that are ends of sentences", f"{each.cuts_right:.1%}"],
        ]
    rows += [["hard French sentences cut right, as text", f"{figures.french_right:.0%}"]]
    if figures.same_when_fast is not None:
        same, count = figures.same_when_fast
        what = f"heard again as fast as it is understood ({figures.fast_wall_s:.0f} s): sentences that are the same"
        rows += [[what, f"{same} of {count}"]]
    return rows


def _rows_of_times(figures: Figures) -> list[list[str]]:
    """They mean something where the talk was heard in real time."""
    if figures.is_fast:
        return []
    ages = "{:.1f} / {:.1f} s".format(*figures.age_s)
    return [
        ["from a sentence's end to its being told, p50", f"{figures.sentence_late_s:.1f} s"],
        ["age of the newest sentence at its begin, first / last third", ages],
    ]


def _dropped(talked: Talked) -> int:
    """Each event has the count since the program's start."""
    counts: dict[str, int] = {}
    for event in talked.events:
        if isinstance(event, ItemsDropped):
            counts[event.where] = event.count
    return sum(counts.values())


def _ends(talked: Talked) -> Sequence[tuple[str, str]]:
    return [(event.text, event.reason) for event in talked.sentences]


def _is_valid(value: object, schema: VisualField) -> bool:
    match schema.type:
        case "string":
            return isinstance(value, str) and len(value) <= schema.max_length
        case "enum":
            return value in schema.values
        case _:
            return isinstance(value, int | float) and schema.minimum <= value <= schema.maximum


def _ages(started: list[AnalysisStarted], talked: Talked) -> tuple[float, float]:
    ages = [event.at - event.audio_at for event in started]
    third = max(1, len(ages) // 3)
    if talked.is_fast:
        return float("nan"), float("nan")
    return percentile(ages[:third], 50), percentile(ages[-third:], 50)


def _expected(talked: Talked) -> list[tuple[str, object]]:
    expected: list[tuple[str, object]] = []
    for event in talked.events:
        match event:
            case SentenceHeard(text=text):
                expected.append(("/heisenberg/transcript/final", text))
            case VisualUpdated(field=field, value=value):
                expected.append((f"/visual/{field}", value if isinstance(value, str) else round(float(value), 4)))
            case AnalysisCompleted(visual=visual):
                expected.append(("/visual/json", visual))
    return expected


def _received(talked: Talked) -> list[tuple[str, object]]:
    """Without the prompt that heartbeats repeat."""
    found: list[tuple[str, object]] = []
    prompt: object = None
    for datagram in talked.datagrams:
        for address, _, (value, *_) in decode(datagram):
            if address == "/visual/prompt":
                if value == prompt:
                    continue
                prompt = value
            if address == "/visual/json":
                value = json.loads(str(value))
            found.append((address, round(value, 4) if isinstance(value, float) else value))
    return found
