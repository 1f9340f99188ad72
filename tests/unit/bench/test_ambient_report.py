"""What a talk through ambient mode came to."""

from dataclasses import replace
from pathlib import Path

from heisenberg.bench.ambient import Talked
from heisenberg.bench.ambient_report import fits, french_cut_right, judge, report, section
from heisenberg.bench.ambient_talk import Spoken, Talk
from heisenberg.bench.ambient_watch import Sample
from heisenberg.core.config import Config
from heisenberg.core.events import (
    AnalysisCompleted,
    AnalysisStarted,
    Event,
    ItemsDropped,
    SentenceHeard,
    VisualUpdated,
    WorkerFailed,
)
from heisenberg.sinks.datagram import encode, encode_json

SPOKEN = ["The sea is calm.", "A boat comes by."]
VISUAL: dict[str, str | float] = {"prompt": "a calm sea", "mood": "calm", "intensity": 0.4}


def talked(*, loses: bool = False) -> Talked:
    """Two sentences and one analysis, and their datagrams (*loses*: but one)."""
    events: list[Event] = [
        SentenceHeard(turn=0, at=3.1, text=SPOKEN[0], start=1.0, end=2.0, reason="complete"),
        AnalysisStarted(turn=0, at=3.2, analysis=1, model="m", preset="", audio_at=2.0),
        *(VisualUpdated(turn=0, at=4.0, field=field, value=value) for field, value in VISUAL.items()),
        AnalysisCompleted(turn=0, at=4.1, analysis=1, visual=VISUAL, changed=list(VISUAL), seconds=0.9),
        SentenceHeard(turn=0, at=7.0, text=SPOKEN[1], start=4.0, end=6.0, reason="complete"),
    ]
    datagrams = [encode("/heisenberg/transcript/final", SPOKEN[0], max_bytes=1400)[0]]
    datagrams += [encode(f"/visual/{field}", value, max_bytes=1400)[0] for field, value in VISUAL.items()]
    datagrams += [encode("/visual/prompt", "a calm sea", max_bytes=1400)[0]]  # a heartbeat
    datagrams += [datagram for _, datagram in encode_json("/visual/json", VISUAL, 0, 1400)]
    datagrams += [] if loses else [encode("/heisenberg/transcript/final", SPOKEN[1], max_bytes=1400)[0]]
    talk = Talk(Path("talk.wav"), 10.0, [Spoken(text) for text in SPOKEN])
    return Talked(talk, "whisper-base", False, 11.0, 0.25, events, datagrams, [Sample(1.0, 100.0, 500.0, 2)])


def test_the_french_talk_is_cut_where_a_reader_would() -> None:
    assert 1.0 == french_cut_right()


def test_visuals_that_do_not_fit_are_told() -> None:
    fields = Config().visual.fields

    assert fits(VISUAL, fields)
    assert not fits(VISUAL | {"mood": "bored"}, fields)
    assert not fits(VISUAL | {"intensity": 1.5}, fields)
    assert not fits({"prompt": "a calm sea"}, fields)


def test_datagrams_that_match_the_log() -> None:
    figures = judge(talked(), Config())

    assert figures.is_clean
    assert (2, 1, 1, 0) == (figures.sentences_heard, figures.analyses, figures.completed, figures.failed)
    assert "yes, 6" in report(figures)


def test_a_lost_datagram_is_noticed() -> None:
    figures = judge(talked(loses=True), Config())

    assert not figures.is_clean
    assert "NO" in report(figures)


def test_sentences_that_come_out_otherwise_as_fast_as_can_be_are_noticed() -> None:
    same, other = talked(), talked()
    same.again, other.again = talked(), talked()
    other.again.events[-1] = replace(other.again.sentences[-1], reason="silence")

    assert judge(same, Config()).is_clean
    assert "2 of 2" in report(judge(same, Config()))
    assert not judge(other, Config()).is_clean
    assert "1 of 2" in report(judge(other, Config()))


def test_what_was_lost_and_what_died_is_told() -> None:
    found = talked()
    found.events += [ItemsDropped(turn=0, at=8.0, where="ambient", count=count) for count in (1, 3)]
    found.events.append(WorkerFailed(turn=0, at=8.0, model="whisper-base", reason="signal 9"))

    assert "3 / 1" in report(judge(found, Config()))


def test_a_busy_machine_is_told() -> None:
    assert "25% of all cores" in report(judge(talked(), Config()))


def test_the_page_tells_what_was_given() -> None:
    figures = judge(talked(), Config())

    assert "Without the French kit" in section(figures, "heisenberg bench ambient", "a machine")
    assert "A recorded talk" in section(replace(figures, is_recorded=True), "heisenberg bench ambient", "a machine")
