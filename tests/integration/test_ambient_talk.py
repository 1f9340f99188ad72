"""Ambient mode from sound to visuals, over the real audio thread: a talk whose sound carries its words."""

import asyncio
from typing import Any

import numpy as np
import pytest

from heisenberg.core.config import BrainConfig
from heisenberg.core.errors import AudioError, TranscriptionError
from heisenberg.core.events import (
    AnalysisStarted,
    ItemsDropped,
    SentenceHeard,
    TranscriptionPartial,
    TurnCompleted,
    TurnDropped,
)
from heisenberg.orchestrator.ambient.ambience import AmbientStages
from heisenberg.orchestrator.background import Background
from heisenberg.orchestrator.ears import Ears
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.listener import Listener
from heisenberg.orchestrator.session import Session
from heisenberg.orchestrator.work import Stages
from heisenberg.sinks.speech import Performance
from tests.fakes.ambient import FIRST_WORD, FakeAnalyst, Talk, TalkRecogniser, TalkVad
from tests.fakes.stages import (
    QUIET,
    WAKE,
    FakeBrain,
    FakeEndpointer,
    FakeOutput,
    FakeRing,
    FakeVoice,
    FakeWakeword,
    RecordingSink,
    chunks,
    reply,
)
from tests.integration.scene import BOUNDS

TALK = (
    1.0, "Tonight we walk along the sea.", 0.9, "A lighthouse turns, Dr. Brandt says, slowly. Then", 0.4,
    "a storm comes up! « Vous venez ? » Oui.", 1.5, "We wait…", 0.8, "and the gulls are", 3.0, "Morning is",
    0.9, "quiet.", 0.8, "one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty one and two and three and four and five and six and seven "
    "and eight and nine and ten and so on for ever and ever and ever. The end.", 1.0, "And", 0.2,
)  # fmt: skip


class Hall:
    """Somebody speaks, and ambient mode listens."""

    def __init__(self, talk: Talk, recogniser: TalkRecogniser, *, live: bool = False, takes_s: float = 0.0) -> None:
        self.recogniser, self.analyst, self.sink = recogniser, FakeAnalyst(takes_s), RecordingSink()
        output = FakeOutput()
        clock = asyncio.get_running_loop().time
        self.brain = FakeBrain()
        stages = Stages(
            recogniser,
            self.brain,
            lambda on_progress: Performance(FakeVoice(), output, on_progress),
            output,
            History(6, 300.0, clock),
            "auto",
        )
        ambient = AmbientStages(recogniser, self.analyst, BrainConfig(), 60.0, is_on=True)
        self.session = Session(stages, (self.sink,), BOUNDS, ambient=ambient)
        background = Background(is_used=False)
        self.source = talk.source(live=live)
        ears = Ears(self.source, FakeWakeword(), TalkVad(), FakeEndpointer(), FakeRing(), background)
        self.session.hear_from(lambda report: Listener(ears, report, preroll_s=0.5))

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.sink.events if isinstance(event, kind)]

    @property
    def sentences(self) -> list[tuple[str, str]]:
        return [(event.text, event.reason) for event in self.of(SentenceHeard)]


async def heard(*parts: str | float, live: bool = False, is_streaming: bool = False, seed: int | None = None) -> Hall:
    talk = Talk(*parts)
    hall = Hall(talk, TalkRecogniser(talk, is_streaming=is_streaming, seed=seed), live=live)
    await asyncio.wait_for(hall.session.run(), 60)
    return hall


async def test_sentences_are_cut_where_a_reader_would() -> None:
    hall = await heard(*TALK[:12])

    assert [
        ("Tonight we walk along the sea.", "complete"),
        ("A lighthouse turns, Dr. Brandt says, slowly.", "complete"),
        ("Then a storm comes up!", "complete"),
        ("« Vous venez ? »", "complete"),
        ("Oui.", "complete"),
        ("We wait… and the gulls are", "silence"),
        ("Morning is", "end_of_input"),
    ] == hall.sentences


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_a_file_as_fast_as_can_be_gives_the_same_sentences_as_a_paced_one(is_streaming: bool) -> None:
    """Whatever the recogniser takes for each segment."""
    fast = await heard(*TALK, is_streaming=is_streaming)
    slow = await heard(*TALK, is_streaming=is_streaming, seed=1)
    paced = await heard(*TALK, is_streaming=is_streaming, seed=2, live=True)

    assert fast.sentences == slow.sentences == paced.sentences
    words = " ".join(part for part in TALK if isinstance(part, str))
    assert words == " ".join(text for text, _ in fast.sentences)


async def test_the_last_sentence_is_looked_at_before_the_end() -> None:
    hall = await heard(0.5, "The sea is calm.", 1.0, "A boat comes")

    assert "The sea is calm.\nA boat comes" == hall.analyst.asked[-1][0]
    assert "analysis_completed" == hall.sink.types()[-1]


async def test_a_long_file_is_not_read_further_than_it_is_understood() -> None:
    """An hour of talk, as fast as it is understood; memory stays bounded since the reader waits."""
    parts: list[str | float] = []
    for number in range(60):
        parts += [f"Sentence {number} is here.", 1.0]
    talk = Talk(*parts)
    hall = Hall(talk, TalkRecogniser(talk, seed=3))
    assert hall.session.ambience is not None
    ambience, most = hall.session.ambience, 0

    class Looking:
        def handle(self, event: object) -> None:
            nonlocal most
            most = max(most, ambience.waiting)

        async def close(self) -> None:
            """Nothing to close."""

    hall.session.add_sink(Looking())
    await asyncio.wait_for(hall.session.run(), 60)

    assert [f"Sentence {number} is here." for number in range(60)] == [text for text, _ in hall.sentences]
    assert most <= 60


async def test_a_segment_that_fails_once_is_understood_the_second_time() -> None:
    talk = Talk(0.5, "The sea is calm.", 1.0, "A boat comes.", 1.0)
    hall = Hall(talk, TalkRecogniser(talk))
    hall.recogniser.failures.append(TranscriptionError("it died"))
    await asyncio.wait_for(hall.session.run(), 60)

    assert ["The sea is calm.", "A boat comes."] == [text for text, _ in hall.sentences]
    assert [] == [event for event in hall.sink.types() if event == "items_dropped"]


async def test_a_segment_that_cannot_be_understood_is_lost_and_said_so() -> None:
    talk = Talk(0.5, "The sea is calm.", 1.0, "A boat comes.", 1.0)
    hall = Hall(talk, TalkRecogniser(talk))
    hall.recogniser.failures.extend([TranscriptionError("it died"), TranscriptionError("again")])
    await asyncio.wait_for(hall.session.run(), 60)

    assert ["A boat comes."] == [text for text, _ in hall.sentences]
    (dropped,) = hall.of(ItemsDropped)
    assert ("ambient", 1) == (dropped.where, dropped.count)


async def test_analyses_never_overlap_and_see_what_was_said_last() -> None:
    talk = Talk(*(part for number in range(12) for part in (f"Sentence {number} is here.", 0.9)))
    hall = Hall(talk, TalkRecogniser(talk), takes_s=0.05)
    await asyncio.wait_for(hall.session.run(), 60)
    starts = hall.of(AnalysisStarted)

    assert 1 == hall.analyst.most_under_way
    assert len(starts) < 12
    assert hall.analyst.asked[-1][0].endswith("Sentence 11 is here.")


async def test_a_microphone_that_is_lost_and_comes_back() -> None:
    talk = Talk(0.5, "The sea is calm.", 1.5, "And the night", "A boat comes.", 1.5)
    hall = Hall(talk, TalkRecogniser(talk), live=True)
    script = hall.source._script
    half = next(at for at, item in enumerate(script) if isinstance(item, np.ndarray) and item[0] == FIRST_WORD + 7)
    script.insert(half, AudioError("The microphone is gone.", code="audio-input-lost"))
    await asyncio.wait_for(hall.session.run(), 60)

    assert ["input_lost", "input_restored"] == [shown for shown in hall.sink.types() if shown.startswith("input_")]
    assert [("The sea is calm.", "complete"), ("And the night", "silence")] == hall.sentences[:2]
    assert hall.sentences[-1][0].endswith("comes.")


@pytest.mark.parametrize("is_streaming", [False, True])
async def test_the_wake_phrase_is_not_what_is_said(is_streaming: bool) -> None:
    """A wake word behind a sentence, and nothing after it: only the sentence is told."""
    talk = Talk(0.5, "The sea is calm.", 0.6, "Hey Jarvis")
    talk.chunks += [*chunks(WAKE), *chunks(QUIET, 3)]
    hall = Hall(talk, TalkRecogniser(talk, is_streaming=is_streaming))
    await asyncio.wait_for(hall.session.run(), 60)

    assert [("The sea is calm.", "complete")] == hall.sentences
    assert ["no_speech"] == [event.reason for event in hall.of(TurnDropped)]


async def test_a_command_behind_a_backlog_is_answered_at_once() -> None:
    """A file as fast as can be, and a recogniser that is behind: the command is captured all the same."""
    talk = Talk(*(part for number in range(30) for part in (f"Sentence {number} is here.", 0.9)), "Hey Jarvis")
    talk.chunks += chunks(WAKE)
    talk.add(0.3, "What is it?", 3.0)
    hall = Hall(talk, TalkRecogniser(talk, seed=1))
    hall.brain.enqueue(*reply("It is the sea."))
    await asyncio.wait_for(hall.session.run(), 20)

    assert 1 == len(hall.of(TurnCompleted))
    assert [f"Sentence {number} is here." for number in range(30)] == [text for text, _ in hall.sentences]


async def test_a_streaming_recogniser_shows_the_sentence_that_is_being_said() -> None:
    hall = await heard(0.5, "The sea is calm. A boat comes by.", 2.0, is_streaming=True)
    partials = [event.text for event in hall.of(TranscriptionPartial)]

    assert partials
    assert all(text in "The sea is calm." or text in "A boat comes by." for text in partials)
