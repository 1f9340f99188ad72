"""What a talk through ambient mode came to."""

from heisenberg.bench.ambient import Sample, Talked
from heisenberg.bench.ambient_report import compare, fits, french_cut_right, judge, report
from heisenberg.bench.ambient_talk import Spoken
from heisenberg.core.config import Config
from heisenberg.core.events import AnalysisCompleted, AnalysisStarted, Event, SentenceHeard, VisualUpdated
from heisenberg.sinks.datagram import encode, encode_json

SPOKEN = ["The sea is calm.", "A boat comes by.", "Who is it?"]
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
    spoken = [Spoken(text, 1.0) for text in SPOKEN[:2]]
    return Talked(10.0, 11.0, False, spoken, events, datagrams, [Sample(1.0, 100.0, 500.0, 2)])


def test_a_talk_that_was_understood_to_the_word() -> None:
    assert (1.0, 1.0, 1.0) == compare(SPOKEN, SPOKEN)


def test_sentences_that_were_joined_or_cut_in_two() -> None:
    assert (1.0, 2 / 3, 1.0) == compare(SPOKEN, ["The sea is calm a boat comes by.", "Who is it?"])
    assert (1.0, 1.0, 3 / 4) == compare(SPOKEN, ["The sea", "is calm.", *SPOKEN[1:]])


def test_a_last_word_that_was_misheard_is_still_an_end() -> None:
    words, found, right = compare(SPOKEN, ["The sea is palm.", *SPOKEN[1:]])

    assert words < 1.0
    assert (1.0, 1.0) == (found, right)


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
