"""What a talk through ambient mode came to: sentences against what was spoken, OSC against the log, growth over time.

Pure: everything it judges is in a ``Talked``.
"""

import json
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from heisenberg.bench.ambient import Talked
from heisenberg.bench.ambient_talk import FRENCH
from heisenberg.bench.table import markdown, percentile
from heisenberg.core.config import Config, VisualField
from heisenberg.core.events import AnalysisCompleted, AnalysisFailed, AnalysisStarted, SentenceHeard, VisualUpdated
from heisenberg.orchestrator.ambient.sentences import Sentences, spread
from heisenberg.sinks.decoding import decode


@dataclass(frozen=True, slots=True)
class Figures:
    """The judgement."""

    audio_s: float
    wall_s: float
    sentences_spoken: int
    sentences_heard: int
    words_heard: float
    """Share of the spoken words that were understood."""
    cuts_found: float
    """Share of the spoken sentences' ends at which a sentence was cut."""
    cuts_right: float
    """Share of the cuts that are at the end of a spoken sentence."""
    french_right: float
    """Share of the French sentences that are cut right, given their text."""
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
    memory_mb: tuple[float, float, float]
    """After a sixth of the talk, after half, and at its end."""
    children_mb: tuple[float, float, float]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong that does not depend on how clever the models are."""
        return self.osc_matches and self.valid == 1.0 and self.completed > 0 and self.sentences_heard > 0


def judge(talked: Talked, config: Config) -> Figures:
    """The figures of *talked*."""
    heard = [event for event in talked.events if isinstance(event, SentenceHeard)]
    completed = [event for event in talked.events if isinstance(event, AnalysisCompleted)]
    started = [event for event in talked.events if isinstance(event, AnalysisStarted)]
    words, found, right = compare([each.text for each in talked.spoken], [event.text for event in heard])
    seconds = [event.seconds for event in completed]
    lates = [event.at - event.end for event in heard]
    count = len(talked.samples)
    points = [talked.samples[at] for at in (count // 6, count // 2, count - 1)]
    expected = _expected(talked)
    return Figures(
        audio_s=talked.seconds,
        wall_s=talked.wall_s,
        sentences_spoken=len(talked.spoken),
        sentences_heard=len(heard),
        words_heard=words,
        cuts_found=found,
        cuts_right=right,
        french_right=french_cut_right(),
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
        memory_mb=(points[0].memory_mb, points[1].memory_mb, points[2].memory_mb),
        children_mb=(points[0].children_mb, points[1].children_mb, points[2].children_mb),
    )


def compare(spoken: list[str], heard: list[str]) -> tuple[float, float, float]:
    """Share of words understood, of ends found, and of cuts that are ends."""
    wanted, ends = _words_and_ends(spoken)
    got, cuts = _words_and_ends(heard)
    same: dict[int, int] = {}
    for a, b, size in SequenceMatcher(None, wanted, got, autojunk=False).get_matching_blocks():
        same.update({a + i: b + i for i in range(size)})
    back = {b: a for a, b in same.items()}
    # A last word that was misheard counts by the one before it.
    found = sum(same.get(end) in cuts or same.get(end - 1, -9) + 1 in cuts for end in ends)
    right = sum(back.get(cut) in ends or back.get(cut - 1, -9) + 1 in ends for cut in cuts)
    return len(same) / max(1, len(wanted)), found / max(1, len(ends)), right / max(1, len(cuts))


def french_cut_right() -> float:
    """Share of the French talk's sentences that come out as they are written, fed word by word."""
    sentences = Sentences(timeout_s=1_000.0)
    found = sentences.hear(spread(" ".join(FRENCH), 0.0, 100.0)) + sentences.flush("end_of_input")
    return len(set(FRENCH) & {sentence.text for sentence in found}) / len(FRENCH)


def fits(visual: dict[str, Any], fields: dict[str, VisualField]) -> bool:
    """Whether *visual* has all *fields*, and each is as its schema says."""
    return set(visual) == set(fields) and all(_is_valid(visual[name], fields[name]) for name in fields)


def report(figures: Figures) -> str:
    """A table for people."""
    how = "as fast as it is understood" if figures.sentence_late_s != figures.sentence_late_s else "in real time"
    late = "" if figures.sentence_late_s != figures.sentence_late_s else f"{figures.sentence_late_s:.1f} s"
    rows = [
        ["talk", f"{figures.audio_s:.0f} s, heard {how} in {figures.wall_s:.0f} s"],
        ["sentences spoken / heard", f"{figures.sentences_spoken} / {figures.sentences_heard}"],
        ["spoken words understood", f"{figures.words_heard:.1%}"],
        ["ends of sentences that were found", f"{figures.cuts_found:.1%}"],
        ["cuts that are ends of sentences", f"{figures.cuts_right:.1%}"],
        ["French sentences cut right, as text", f"{figures.french_right:.0%}"],
        *([["from a sentence's end to its being told, p50", late]] if late else []),
        ["analyses begun / completed / failed", f"{figures.analyses} / {figures.completed} / {figures.failed}"],
        ["analyses that fit the schema", f"{figures.valid:.1%}"],
        ["time of an analysis, p50 / p95", f"{figures.analysis_s[0]:.2f} / {figures.analysis_s[1]:.2f} s"],
        *(
            [
                [
                    "age of the newest sentence at its begin, first / last third",
                    "{:.1f} / {:.1f} s".format(*figures.age_s),
                ]
            ]
            if late
            else []
        ),
        ["OSC datagrams as in the log, in its order", f"{'yes' if figures.osc_matches else 'NO'}, {figures.datagrams}"],
        ["most that waited to be understood", str(figures.most_waiting)],
        ["memory after a sixth / half / all of it", "{:.0f} / {:.0f} / {:.0f} MB".format(*figures.memory_mb)],
        ["the models' memory then", "{:.0f} / {:.0f} / {:.0f} MB".format(*figures.children_mb)],
    ]
    return markdown(["ambient mode", ""], rows)


def section(figures: Figures, command: str, machine: str) -> str:
    """The part of the benchmarks page."""
    return f"""## Ambient mode

A synthesised talk of short English sentences, with pauses of 0.4 to 4 s between them, through the whole program and to
a real OSC receiver. The cuts are compared with the written sentences word by word. No French voice comes with the
starter kit, so the French talk is measured as text. The models' memory grows by what llama.cpp keeps of old prompts,
128 MB at most.

{report(figures)}

`{command}` on {machine}."""


def _words_and_ends(sentences: list[str]) -> tuple[list[str], set[int]]:
    words: list[str] = []
    ends: set[int] = set()
    for sentence in sentences:
        words += ["".join(filter(str.isalnum, word.lower())) for word in sentence.split()]
        ends.add(len(words) - 1)
    return words, ends


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
