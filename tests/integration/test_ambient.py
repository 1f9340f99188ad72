"""A session in ambient mode, over scripted reports of the audio thread, in virtual time."""

import asyncio
from typing import Any

import numpy as np
import pytest

from heisenberg.core.config import BrainConfig, PresetConfig
from heisenberg.core.drops import Drops
from heisenberg.core.errors import AudioError, BrainError
from heisenberg.core.events import AnalysisCompleted, AnalysisFailed, AnalysisStarted, SentenceHeard, VisualUpdated
from heisenberg.core.stages import Answer, VisualField
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator.ambient.ambience import AmbientStages
from heisenberg.orchestrator.ambient.understanding import MOST_WAITING
from tests.fakes.ambient import FakeAnalyst
from tests.fakes.stages import FakeRecogniser, reply
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.scene import NOON, TIME, Scene

SOUND = np.full(16_000, 100, dtype=np.int16)


class Hall(Scene):
    """A scene in ambient mode; the recogniser of what is overheard is one of its own, so that scripts do not mix."""

    def __init__(self, *, takes_s: float = 0.5, is_on: bool = True, timeout_s: float = 60.0, **how: Any) -> None:
        self.analyst, self.overhearing = FakeAnalyst(takes_s), FakeRecogniser()
        brain = BrainConfig()
        ambient = AmbientStages(self.overhearing, self.analyst, brain, timeout_s, is_on=is_on)
        super().__init__(ambient=ambient, **how)
        self.segments, self.at_s = 0, 0.0

    def hear(self, *texts: str | Exception | asyncio.Event) -> None:
        """A segment of two seconds, and a pause of one; it is understood as what comes last of *texts*."""
        self.overhearing.enqueue(*texts)
        self.segments += 1
        start, end, at = self.at_s, self.at_s + 2.0, self.at_s + 2.7
        self.at_s += 3.0
        self.listener.report(heard.SegmentHeard(self.segments, SOUND[:4096], start))
        self.listener.report(heard.SegmentDone(self.segments, SOUND, start, start, end, at, True))

    def pass_time(self, seconds: float) -> None:
        self.at_s += seconds
        self.listener.report(heard.TimePassed(self.at_s))

    def events(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.sink.events if isinstance(event, kind)]

    @property
    def prompts(self) -> list[str | float]:
        return [event.value for event in self.events(VisualUpdated) if event.field == "prompt"]


@in_virtual_time
async def test_what_is_said_becomes_visuals() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")

    assert [
        "mode_changed",
        "sentence_heard",
        "analysis_started",
        "visual_updated",
        "visual_updated",
        "analysis_completed",
    ] == [shown for shown in hall.sink.types() if shown != "transcription_partial"]
    assert {"prompt": "The sea is calm.", "mood": "calm"} == hall.events(AnalysisCompleted)[0].visual
    assert ["start", "overhear"] == sorted(hall.listener.orders[:2], reverse=True)


@in_virtual_time
async def test_an_unchanged_field_is_not_sent_again() -> None:
    hall = Hall()
    async with hall.running():
        for text in ("The sea is calm.", "A boat comes."):
            hall.hear(text)
            await asyncio.sleep(1)

    assert ["prompt", "mood", "prompt"] == [event.field for event in hall.events(VisualUpdated)]
    assert [["prompt", "mood"], ["prompt"]] == [event.changed for event in hall.events(AnalysisCompleted)]


@in_virtual_time
async def test_a_slow_model_makes_analyses_rarer_and_each_sees_the_newest() -> None:
    """Ten minutes of a sentence every three seconds, and a model that takes half a minute."""
    hall = Hall(takes_s=30.0)
    async with hall.running():
        for number in range(200):
            hall.hear(f"Sentence {number} is here.")
            await asyncio.sleep(3)
        started = hall.events(AnalysisStarted)

        assert 1 == hall.analyst.most_under_way
        assert 19 <= len(started) <= 21
        ages = [event.at - event.audio_at for event in started]
        assert max(ages) < 4
        assert all(len(context.splitlines()) <= 21 for context, _ in hall.analyst.asked)


@in_virtual_time
async def test_a_failed_analysis_leaves_the_visuals_as_they_are() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.analyst.enqueue(BrainError("it said nonsense", code="llm-bad-answer"))
        hall.hear("A boat comes.")
        await hall.until("analysis_failed")
        hall.hear("It is red.")
        await hall.until("analysis_completed", times=2)

    assert [(2, "llm-bad-answer")] == [(event.analysis, event.code) for event in hall.events(AnalysisFailed)]
    assert ["The sea is calm.", "It is red."] == hall.prompts
    assert [] == hall.failures


@in_virtual_time
async def test_a_model_that_hangs_is_given_up() -> None:
    hall = Hall(timeout_s=60.0)
    async with hall.running():
        hall.analyst.enqueue(asyncio.Event())
        hall.hear("The sea is calm.")
        await hall.until("analysis_failed")
        hall.hear("A boat comes.")
        await hall.until("analysis_completed")

    assert ["llm-timeout"] == [event.code for event in hall.events(AnalysisFailed)]


@in_virtual_time
async def test_a_spoken_command_goes_first_and_ambient_mode_goes_on_afterwards() -> None:
    hall = Hall(takes_s=30.0)
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_started")
        hall.brain.enqueue(*reply(NOON))
        hall.say(TIME)
        await hall.until("turn_completed")
        await hall.until("analysis_completed")

    assert ["interrupted"] == [event.code for event in hall.events(AnalysisFailed)]
    assert [NOON] == [" ".join(hall.words)]
    assert ["The sea is calm."] == hall.prompts


@in_virtual_time
@pytest.mark.parametrize("is_spoken", [True, False])
async def test_visuals_of_an_answer_are_replaced_by_the_next_analysis(is_spoken: bool) -> None:
    """The next analysis sees what the last one saw, but receivers show something else by now."""
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.brain.enqueue(*reply(NOON, mood="dark"))
        if is_spoken:
            hall.say(TIME)
        else:
            hall.session.ask(TIME)
        await hall.until("turn_completed")
        hall.hear("A boat comes.")
        await hall.until("analysis_completed", times=2)

    assert ["calm", "dark", "calm"] == [event.value for event in hall.events(VisualUpdated) if event.field == "mood"]


@in_virtual_time
async def test_a_turn_without_visuals_takes_nothing_from_ambient_mode() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.session.say("Welcome.")
        await hall.until("turn_completed")
        hall.hear("A boat comes.")
        await hall.until("analysis_completed", times=2)

    assert ["calm"] == [event.value for event in hall.events(VisualUpdated) if event.field == "mood"]


@in_virtual_time
async def test_all_is_told_again_when_ambient_mode_comes_back() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.session.set_mode("assistant")
        hall.session.set_mode("ambient")
        await hall.until("mode_changed", times=3)
        hall.hear("A boat comes.")
        await hall.until("analysis_completed", times=2)

    assert ["prompt", "mood", "prompt", "mood"] == [event.field for event in hall.events(VisualUpdated)]


@in_virtual_time
async def test_what_was_said_before_a_command_is_understood_after_it() -> None:
    hall = Hall()
    async with hall.running():
        waits = asyncio.Event()
        hall.brain.enqueue(waits, *reply(NOON))
        hall.say(TIME)
        await hall.until("state_changed:thinking")
        hall.hear("The sea is calm.")
        await asyncio.sleep(5)
        assert [] == hall.events(SentenceHeard)
        waits.set()
        await hall.until("analysis_completed")

    assert ["The sea is calm."] == hall.prompts


@in_virtual_time
async def test_visuals_follow_again_after_a_turn_that_was_dropped() -> None:
    hall = Hall()
    async with hall.running():
        hall.wake()
        hall.command(seconds=0)
        await hall.until("turn_dropped")
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")

    assert ["The sea is calm."] == hall.prompts


@in_virtual_time
async def test_a_recogniser_that_is_too_slow_loses_the_oldest_and_says_so() -> None:
    hall = Hall(drops=Drops())
    async with hall.running():
        waits = asyncio.Event()
        hall.hear(waits, "Sentence 0 is here.")
        await asyncio.sleep(0.1)
        for number in range(1, 11):
            hall.hear(f"Text {number} of the fake.")
        await asyncio.sleep(1)
        assert hall.session.ambience is not None
        assert MOST_WAITING == hall.session.ambience.waiting
        waits.set()
        await hall.until("analysis_completed")

    (dropped, *_) = hall.of("items_dropped")
    assert ("ambient", 1) == (dropped.where, dropped.count)
    assert 1 + MOST_WAITING == len(hall.events(SentenceHeard))
    starts = [event.start for event in hall.events(SentenceHeard)]
    assert [0.0, 21.0, 24.0, 27.0, 30.0] == starts


@in_virtual_time
async def test_another_style_is_seen_at_once() -> None:
    style = PresetConfig(system_prompt="Paint in oil.")
    hall = Hall(takes_s=0.3)
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.session.set_preset("oil", style)
        await hall.until("analysis_completed", times=2)

    assert [PresetConfig(), style] == [preset for _, preset in hall.analyst.asked]
    assert ["prompt", "mood", "prompt", "mood"] == [event.field for event in hall.events(VisualUpdated)]
    assert ["oil"] == [event.preset for event in hall.of("preset_changed")]
    assert "oil" == hall.events(AnalysisStarted)[-1].preset


@in_virtual_time
async def test_another_style_in_the_middle_of_an_analysis() -> None:
    hall = Hall(takes_s=10.0)
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_started")
        hall.session.set_preset("oil", PresetConfig(system_prompt="Paint in oil."))
        await hall.until("analysis_completed")

    assert ["", "oil"] == [event.preset for event in hall.events(AnalysisStarted)]
    assert 1 == hall.analyst.most_under_way


@in_virtual_time
async def test_the_mode_is_switched_while_it_runs() -> None:
    hall = Hall(is_on=False)
    async with hall.running():
        hall.hear("Nobody hears this.")
        hall.overhearing._script.clear()
        hall.session.set_mode("ambient")
        await hall.until("mode_changed")
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.session.set_mode("assistant")
        await hall.until("mode_changed", times=2)
        hall.hear("Nor this.")
        await hall.still_works()

    assert ["ambient", "assistant"] == [event.mode for event in hall.of("mode_changed")]
    assert ["The sea is calm."] == [event.text for event in hall.events(SentenceHeard)]
    assert ["overhear", "overhear nothing"] == [order for order in hall.listener.orders if "overhear" in order]


@in_virtual_time
async def test_leaving_ambient_mode_in_the_middle_of_everything() -> None:
    hall = Hall(takes_s=30.0)
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_started")
        hall.hear(asyncio.Event(), "never understood")
        await asyncio.sleep(0.1)
        hall.session.set_mode("assistant")
        await hall.until("analysis_failed")
        await asyncio.sleep(100)

    assert 1 == len(hall.events(AnalysisStarted))


@in_virtual_time
async def test_a_microphone_that_is_opened_anew_counts_from_the_beginning_and_the_sentences_do_not() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.segments += 1
        hall.listener.report(heard.SegmentHeard(hall.segments, SOUND[:4096], hall.at_s))  # and it stands still
        await asyncio.sleep(0.1)
        hall.session.audio_stalled(AudioError("The audio thread stands still."))
        await hall.until("input_restored")
        hall.segments, hall.at_s = 0, 0.0
        hall.hear("A boat comes.")
        await hall.until("analysis_completed", times=2)

    assert ["overhear"] == [order for order in hall.listener.orders if "overhear" in order]
    starts = [event.start for event in hall.events(SentenceHeard)]
    assert starts == sorted(starts)
    assert 2 == len(starts)


@in_virtual_time
async def test_a_recogniser_that_dreams_does_not_flood() -> None:
    hall = Hall()
    async with hall.running():
        for _ in range(50):
            hall.hear("Thank you.")
            await asyncio.sleep(3)

    assert 2 == len(hall.events(SentenceHeard))


@in_virtual_time
async def test_the_input_ends_and_the_last_words_are_still_seen() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is")
        await asyncio.sleep(0.01)

    assert ["end_of_input"] == [event.reason for event in hall.events(SentenceHeard)]
    assert ["The sea is"] == hall.prompts


@in_virtual_time
async def test_being_asked_to_end_does_not_wait_for_the_model() -> None:
    hall = Hall(takes_s=1_000.0)
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_started")
        hall.session.end()
        await asyncio.sleep(1)

    assert ["interrupted"] == [event.code for event in hall.events(AnalysisFailed)]


@in_virtual_time
async def test_a_field_that_left_before_the_failure_stands() -> None:
    hall = Hall()
    async with hall.running():
        hall.analyst.enqueue(VisualField("prompt", "sea"), BrainError("the stream ended"))
        hall.hear("The sea is calm.")
        await hall.until("analysis_failed")
        hall.analyst.enqueue(VisualField("prompt", "sea"), Answer("", {"prompt": "sea", "mood": "dark"}, 3))
        hall.hear("A boat comes.")
        await hall.until("analysis_completed")

    assert [("prompt", "sea"), ("mood", "dark")] == [(e.field, e.value) for e in hall.events(VisualUpdated)]
