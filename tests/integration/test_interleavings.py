"""Messages that cross: the same few things happen in every order, in virtual time, and each turn still ends once.

Where a race is a matter of loop rounds, a test tries every round of a stretch of the turn.
"""

import asyncio

import numpy as np
import pytest

from heisenberg.core.errors import BrainError
from heisenberg.core.stages import EndReason, ReplyToken
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator.manners import Manners
from tests.fakes.stages import reply
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.scene import LONG, NOON, TIME, Scene

LUNCH = "What is for lunch?"

ENDS = ("turn_completed", "turn_dropped", "failed")


async def rounds(count: int) -> None:
    """Let the loop go round *count* times."""
    for _ in range(count):
        await asyncio.sleep(0)


def forget_scripts(scene: Scene) -> None:
    """How much of its script a stage has used depends on the moment; what comes next must not."""
    scene.brain._scripts.clear()
    scene.recogniser._script.clear()


class Later(asyncio.Event):
    """In a script: comes by itself, after *seconds*."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def wait(self) -> bool:  # type: ignore[override]
        await asyncio.sleep(self._seconds)
        return True


class Clinging(asyncio.Event):
    """In a script: never comes, and takes *seconds* to be cancelled."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def wait(self) -> bool:  # type: ignore[override]
        try:
            return await super().wait()
        finally:
            await asyncio.sleep(self._seconds)


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_draft_that_fails_around_the_endpoint_costs_nobody_the_answer() -> None:
    for moment in range(15):
        scene, fail = Scene(), asyncio.Event()
        scene.recogniser.enqueue(TIME, TIME)
        scene.brain.enqueue(fail, BrainError("The server is gone.", code="llm-failed"))
        scene.brain.enqueue(*reply(NOON))
        async with scene.running():
            await scene.drafting()
            fail.set()
            await rounds(moment)
            scene.end_in_pause()
            await scene.until("turn_completed")

        assert [] == scene.failures, moment
        assert 1 == len(scene.of("turn_committed")) == len(scene.of("transcription_final")), moment
        assert ["It is noon.", "Time for lunch."] == scene.words, moment


@in_virtual_time
async def test_speech_that_goes_on_drops_the_draft_at_any_moment() -> None:
    for moment in range(40):
        scene = Scene()
        scene.recogniser.enqueue("Turn on")
        scene.brain.enqueue(*reply("Which? Tell.", mood="tense"))
        async with scene.running():
            scene.wake()
            scene.pause()
            await rounds(moment)
            scene.resume()
            await asyncio.sleep(0.01)
            forget_scripts(scene)
            scene.recogniser.enqueue(TIME)
            scene.brain.enqueue(*reply(NOON, mood="calm"))
            scene.pause(2, seconds=2.0)
            scene.end_in_pause(seconds=2.0)
            await scene.until("turn_completed")

        assert [TIME] == [event.text for event in scene.of("transcription_final")], moment
        assert ["calm"] == [event.value for event in scene.of("visual_updated")], moment
        assert ["It is noon.", "Time for lunch."] == scene.words, moment
        assert 0.6 == round(sum(chunk.seconds for chunk in scene.output.played), 3), moment


@in_virtual_time
async def test_a_turn_is_stopped_at_any_moment_of_its_draft_and_says_no_more() -> None:
    for moment in range(60):
        scene = Scene()
        scene.recogniser.enqueue(TIME)
        scene.brain.enqueue(*reply(NOON, mood="calm"))
        scene.output.heard.clear()
        async with scene.running():
            scene.wake()
            scene.pause()
            scene.end_in_pause()
            await scene.sink.until("state_changed:listening")
            await rounds(moment)
            scene.session.stop_turn()
            await scene.until("turn_dropped")
            forget_scripts(scene)
            await scene.still_works()

        dropped = scene.sink.events.index(scene.of("turn_dropped")[0])
        late = {event.type for event in scene.sink.events[dropped + 1 :] if event.turn == 1}
        assert {"speaking_finished"} >= late, moment
        assert [2] == [event.turn for event in scene.of("turn_completed")], moment


@in_virtual_time
async def test_a_draft_that_does_not_let_go_does_not_silence_its_successor() -> None:
    """Given a server that holds on to a cancelled answer for 5 s, while the next one is being spoken."""
    scene = Scene()
    scene.brain.enqueue(ReplyToken("Which"), Clinging(5.0))
    scene.brain.enqueue(*[item for thought in reply("One. Two. Three. Four.") for item in (Later(0.8), thought)])
    scene.recogniser.enqueue("Turn on", TIME)
    async with scene.running():
        await scene.drafting()
        scene.resume()
        scene.pause(2, seconds=2.0)
        await asyncio.sleep(3.2)
        scene.end_in_pause(seconds=2.0)
        await scene.until("turn_completed")
        await asyncio.sleep(6)

    assert ["One.", "Two.", "Three.", "Four."] == scene.words
    assert 0.4 == round(sum(chunk.seconds for chunk in scene.output.played), 3)


# ── speech over a turn ───────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_speech_over_a_command_of_the_wake_phrase_alone_does_not_hold_the_answer_back() -> None:
    """The wake phrase is being transcribed, and the user begins the command."""
    scene, decoded = Scene(manners=Manners(wake_phrase="hey_jarvis")), asyncio.Event()
    scene.recogniser.enqueue(decoded, "Hey Jarvis.", TIME)
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.wake()
        scene.command(has_wake_phrase=True)
        await scene.until("state_changed:thinking")
        scene.speak_over()
        await asyncio.sleep(0.2)
        decoded.set()
        await scene.until("state_changed:listening", times=2)
        await asyncio.sleep(3)
        scene.command()
        await scene.until("state_changed:idle")

    assert [] == scene.failures
    assert ["It is noon.", "Time for lunch."] == scene.words
    assert [1] == [event.turn for event in scene.of("turn_completed")]


@in_virtual_time
async def test_a_turn_that_is_interrupted_after_a_dropped_draft_does_not_hold_the_next_answer_back() -> None:
    """Given a draft that was being answered, speech that went on, and more speech while the command is transcribed."""
    scene, decoded = Scene(), asyncio.Event()
    scene.brain.enqueue(ReplyToken("Which"), asyncio.Event())
    scene.recogniser.enqueue("Turn on")
    async with scene.running():
        await scene.drafting()
        scene.resume()
        await asyncio.sleep(0.1)
        scene.recogniser.enqueue(decoded)
        scene.command(EndReason.TIMEOUT, seconds=15.0)
        await scene.until("state_changed:thinking")
        scene.speak_over()
        await asyncio.sleep(0.1)
        scene.brain.enqueue(*reply("Soup."))
        scene.say(LUNCH)
        await scene.until("state_changed:idle")

    assert [] == scene.failures
    assert ["Soup."] == scene.words


@in_virtual_time
async def test_a_pause_while_the_reply_falls_silent_is_not_overtaken_by_an_earlier_one() -> None:
    """Words at the first pause take the word; the user speaks on and pauses again before the output has stopped."""
    scene = Scene()
    stop = scene.output.stop

    async def stop_slowly() -> float:
        await asyncio.sleep(0.4)
        return await stop()

    scene.output.stop = stop_slowly  # type: ignore[method-assign]
    async with scene.running():
        await scene.speaking()
        for _ in range(3):
            scene.brain.enqueue(*reply("Soup."))
        scene.recogniser.enqueue("What is", LUNCH, "What is", "What is")
        await scene.interrupted()
        scene.pause(1, seconds=1.0)
        await scene.until("turn_dropped")
        scene.resume()
        scene.pause(2, seconds=2.0)
        await asyncio.sleep(1)
        scene.output.heard.set()
        scene.end_in_pause(seconds=2.0)
        await scene.until("turn_completed")

    assert 2.0 == len(scene.recogniser.opened[1].commands[-1]) / 16_000


@in_virtual_time
async def test_words_in_the_second_pause_of_an_interjection_count() -> None:
    """Given a slow recogniser that is still at the 'um' of the first pause when the second one begins."""
    scene, slow = Scene(), asyncio.Event()
    async with scene.running():
        await scene.speaking()
        scene.brain.enqueue(*reply("Soup."))
        scene.recogniser.enqueue(slow, "Um", LUNCH, LUNCH)
        await scene.interrupted()
        scene.pause(1, seconds=0.5)
        await asyncio.sleep(0.8)
        scene.resume()
        scene.pause(2, seconds=1.5)
        await asyncio.sleep(0.1)
        slow.set()
        await asyncio.sleep(1.3)
        scene.output.heard.set()
        scene.end_in_pause(seconds=1.5)
        await scene.until("turn_completed")

    assert [(1, "interrupted")] == [(event.turn, event.reason) for event in scene.of("turn_dropped")]
    assert LUNCH == scene.brain.asked[-1][0]


@in_virtual_time
async def test_a_long_interjection_without_partial_transcripts_is_no_noise() -> None:
    """Given a machine that is too slow for them, and somebody who speaks for 3 s without a pause."""
    scene = Scene()
    opened = scene.recogniser.open
    scene.recogniser.open = lambda on_partial: opened(lambda text: None)  # type: ignore[method-assign]
    async with scene.running():
        await scene.speaking()
        scene.brain.enqueue(*reply("Soup."))
        await scene.interrupted()
        scene.recogniser.enqueue(LUNCH, LUNCH)
        for _ in range(12):
            scene.listener.report(heard.CommandHeard(scene.listener.captures, np.zeros(4096, dtype=np.int16)))
            await asyncio.sleep(0.256)
        scene.output.heard.set()
        scene.pause(1, seconds=3.0)
        scene.end_in_pause(seconds=3.0)
        await scene.until("turn_completed")

    assert [] == scene.of("speaking_resumed")
    assert [2] == [event.turn for event in scene.of("turn_completed")]


@in_virtual_time
async def test_a_wake_phrase_alone_over_a_reply_is_followed_by_a_command() -> None:
    scene = Scene(manners=Manners(wake_phrase="hey_jarvis"))
    async with scene.running():
        await scene.speaking()
        scene.recogniser.enqueue("Hey Jarvis.", "Hey Jarvis.", LUNCH)
        scene.brain.enqueue(*reply("Soup."))
        await scene.interrupted()
        scene.end_in_pause()
        await scene.until("state_changed:listening", times=3)
        scene.output.heard.set()
        scene.command()
        await scene.until("turn_completed")

    assert [(1, "interrupted")] == [(event.turn, event.reason) for event in scene.of("turn_dropped")]
    assert LUNCH == scene.brain.asked[-1][0]


@in_virtual_time
async def test_a_retry_is_no_reason_to_talk_over_somebody() -> None:
    scene, fail = Scene(), asyncio.Event()
    scene.brain.enqueue(fail, BrainError("The server is gone.", code="llm-failed"))
    scene.brain.enqueue(*LONG)
    async with scene.running():
        scene.say(TIME)
        await scene.until("llm_started")
        scene.speak_over()
        await asyncio.sleep(0.1)
        fail.set()
        await scene.until("llm_started", times=2)

        assert scene.output.is_paused

        await scene.until("turn_completed")

    assert not scene.output.is_paused


@in_virtual_time
async def test_a_reply_that_never_paused_does_not_go_on() -> None:
    """Somebody spoke before its first sound; what is told of pauses comes in pairs."""
    scene, more = Scene(), asyncio.Event()
    scene.brain.enqueue(more, *LONG)
    async with scene.running():
        scene.say(TIME)
        await scene.until("llm_started")
        scene.speak_over()
        await asyncio.sleep(0.1)
        more.set()
        await scene.until("turn_completed")

    assert len(scene.of("speaking_paused")) == len(scene.of("speaking_resumed"))


@in_virtual_time
async def test_speech_in_any_moment_of_a_replys_end_leaves_it_able_to_speak() -> None:
    for followup_s in (0.0, 5.0):
        for moment in range(40):
            scene = Scene(manners=Manners(followup_seconds=followup_s))
            scene.output.heard.clear()
            scene.brain.enqueue(*reply(NOON))
            async with scene.running():
                scene.say(TIME)
                await scene.until("state_changed:speaking")
                scene.output.heard.set()
                await rounds(moment)
                scene.listener.captures += 1
                scene.listener.report(heard.SpokenOver(scene.listener.captures))
                await asyncio.sleep(20)

                assert not scene.output.is_paused, (followup_s, moment)

                scene.session.stop_turn()
                await scene.still_works()


@pytest.mark.parametrize("is_done_first", [True, False])
@in_virtual_time
async def test_words_over_a_reply_are_answered_once_whenever_they_end(is_done_first: bool) -> None:
    """The end of the interjection comes any time before, or just after, it took the word."""
    for moment in range(40):
        scene = Scene()
        async with scene.running():
            await scene.speaking()
            scene.brain.enqueue(*reply("Soup."))
            scene.recogniser.enqueue(LUNCH, LUNCH, LUNCH)
            scene.speak_over()
            scene.pause()
            await rounds(moment)
            if is_done_first:
                scene.end_in_pause()
            await scene.until("turn_dropped")
            if not is_done_first:
                scene.end_in_pause()
            await scene.hear_out()

        assert [TIME, LUNCH] == [question for question, _, _ in scene.brain.asked], moment
        assert [2] == [event.turn for event in scene.of("turn_completed")], moment
        assert not scene.output.is_paused, moment


@in_virtual_time
async def test_words_that_come_as_they_are_given_up_do_not_leave_the_reply_paused() -> None:
    """Given no words for two seconds, and a command that ends within microseconds of the verdict."""
    for offset in range(-5, 6):
        scene = Scene()
        async with scene.running():
            await scene.speaking()
            scene.brain.enqueue(*reply("Soup."))
            scene.recogniser.enqueue(LUNCH, LUNCH)
            await scene.interrupted()
            await asyncio.sleep(1.99 + offset * 1e-6)
            scene.end_in_pause()
            await asyncio.sleep(1)

            assert not scene.output.is_paused, offset

            await scene.hear_out()


@in_virtual_time
async def test_it_hears_the_wake_word_after_an_apology_that_was_spoken_over() -> None:
    """What began over the apology is not wanted, and the order to listen must count from there."""
    scene = Scene()
    for _ in range(2):
        scene.brain.enqueue(BrainError("The server is gone.", code="llm-failed"))
    scene.output.heard.clear()
    async with scene.running():
        scene.say(TIME)
        await scene.until("failed")
        scene.speak_over()
        await asyncio.sleep(0.1)

        assert "guard" == scene.listener.orders[-1]

        await scene.hear_out("state_changed:idle")

        assert "arm" == scene.listener.orders[-1]


# ── the wake word and follow-ups at the end of a reply ───────────────────────────────────────────


@in_virtual_time
async def test_a_reply_that_was_heard_to_the_end_is_remembered_whenever_the_wake_word_comes() -> None:
    for moment in range(12):
        scene = Scene()
        async with scene.running():
            await scene.speaking()
            scene.brain.enqueue(*reply("Soup."))
            scene.output.heard.set()
            await rounds(moment)
            scene.say(LUNCH)
            await scene.until("llm_complete", times=2)
            await scene.until("state_changed:idle")

        assert 1 == len(scene.brain.asked[1][1]), moment


@in_virtual_time
async def test_the_wake_word_in_any_moment_of_a_turns_end_leaves_no_turn_open() -> None:
    for followup_s in (0.0, 5.0):
        for moment in range(40):
            scene = Scene(manners=Manners(followup_seconds=followup_s))
            scene.output.heard.clear()
            scene.brain.enqueue(*reply(NOON))
            async with scene.running():
                scene.say(TIME)
                await scene.until("state_changed:speaking")
                scene.output.heard.set()
                await rounds(moment)
                scene.brain.enqueue(*reply("Soup."))
                scene.recogniser.enqueue(LUNCH)
                scene.wake()
                await asyncio.sleep(0.01)
                # The wake word won, or the follow-up that began around it: one of these is what is listened to.
                for capture in range(2, scene.listener.captures + 1):
                    scene.listener.captures = capture
                    scene.command()
                await scene.until("llm_complete", times=2)
                scene.session.stop_turn()
                await asyncio.sleep(5.5)
                scene.session.stop_turn()
                await asyncio.sleep(0.1)

            ended = [event.turn for event in scene.sink.events if event.type in ENDS]
            assert list(range(1, max(ended) + 1)) == sorted(ended), (followup_s, moment)


@in_virtual_time
async def test_speech_that_was_reported_as_the_follow_up_began_does_not_end_it() -> None:
    """The audio thread noticed it before it obeyed the order to capture."""
    scene = Scene(manners=Manners(followup_seconds=5.0))
    scene.brain.enqueue(*reply(NOON))
    scene.brain.enqueue(*reply("Soup."))
    async with scene.running():
        scene.say(TIME)
        await scene.until("turn_completed")
        scene.listener.report(heard.SpokenOver(scene.listener.captures - 1))
        await asyncio.sleep(0.1)

        assert "capture for 5 s" == scene.listener.orders[-1]

        scene.recogniser.enqueue(LUNCH)
        scene.command()
        await scene.until("turn_completed", times=2)


@in_virtual_time
async def test_a_wake_phrase_alone_in_a_follow_up_is_followed_by_a_command() -> None:
    scene = Scene(manners=Manners(followup_seconds=5.0, wake_phrase="hey_jarvis"))
    scene.brain.enqueue(*reply(NOON))
    scene.brain.enqueue(*reply("Soup."))
    async with scene.running():
        scene.say(TIME)
        await scene.until("turn_completed")
        scene.recogniser.enqueue("Hey Jarvis.", LUNCH)
        scene.command()
        await scene.until("state_changed:listening", times=3)

        assert [] == scene.of("turn_dropped")

        scene.command()
        await scene.until("turn_completed", times=2)

    assert LUNCH == scene.brain.asked[-1][0]


# ── the end ──────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_input_that_ends_as_a_follow_up_begins_ends_it() -> None:
    """A paced file ends in the chunk in which the order to capture was given."""
    scene = Scene(manners=Manners(followup_seconds=5.0))
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.until("turn_completed")
        scene.listener.report(heard.InputEnded())
        await scene.until("state_changed:idle")

    assert [] == scene.failures


@in_virtual_time
async def test_the_end_takes_no_more_questions() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    serving = asyncio.create_task(scene.session.run())
    await asyncio.sleep(0.01)
    scene.session.ask(TIME)
    scene.session.end()
    await serving

    assert [] == scene.brain.asked


@in_virtual_time
async def test_the_end_hears_no_wake_word_behind_it() -> None:
    scene = Scene()
    serving = asyncio.create_task(scene.session.run())
    await asyncio.sleep(0.01)
    scene.session.end()
    scene.wake()
    await serving

    assert [] == scene.of("wakeword_detected")


@in_virtual_time
async def test_the_end_drops_the_turn_in_any_state() -> None:
    for state in ("listening", "thinking", "speaking"):
        scene = Scene(manners=Manners(followup_seconds=5.0))
        scene.output.heard.clear()
        scene.brain.enqueue(*reply(NOON))
        scene.recogniser.enqueue(TIME)
        serving = asyncio.create_task(scene.session.run())
        await asyncio.sleep(0.01)
        scene.wake()
        if state != "listening":
            scene.command()
        await scene.sink.until(f"state_changed:{state}")
        scene.session.end()
        await serving

        assert [1] == [event.turn for event in scene.sink.events if event.type in ENDS], state
