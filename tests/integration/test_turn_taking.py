"""Drafts, interruptions and follow-ups over scripted stages, in virtual time: who has the word, and what is unseen."""

import asyncio

import numpy as np

from heisenberg.core.errors import BrainError, TranscriptionError, WakewordError
from heisenberg.core.stages import Answer, EndReason, Exchange, ReplySentence, ReplyToken, VisualField
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator.manners import Manners
from heisenberg.orchestrator.patience import Patience, Pauses
from heisenberg.orchestrator.states import NoWordsHeard, StopHeard, WordsHeard
from heisenberg.orchestrator.work import CUT_SHORT
from tests.fakes.stages import reply
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.scene import LONG, NOON, TIME, Scene

VISIBLE = {"llm_started", "llm_token", "llm_sentence", "visual_updated", "llm_complete", "transcription_final"}


def paused(*, is_complete: bool | None = None) -> Patience:
    return Patience(Pauses(complete=0.4, incomplete=1.2), lambda text, language: is_complete)


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_pause_is_answered_unseen_and_told_when_the_command_is_over() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON, mood="calm"))
    scene.recogniser.enqueue(TIME)
    async with scene.running():
        scene.wake()
        scene.pause()
        await asyncio.sleep(0.3)

        assert 1 == len(scene.brain.asked)
        assert not VISIBLE & set(scene.sink.types())
        assert [] == scene.output.played

        scene.end_in_pause()
        await scene.until("turn_completed")

    assert 1 == len(scene.brain.asked)
    assert [1.0] == [round(len(command) / 16_000, 1) for command in scene.recogniser.opened[0].commands]
    told = scene.sink.types(1)
    assert told.index("transcription_final") < told.index("turn_committed") < told.index("llm_started")
    assert told.index("turn_committed") < told.index("visual_updated")
    assert ["It is noon.", "Time for lunch."] == scene.words


@in_virtual_time
async def test_speech_that_goes_on_drops_the_draft_unseen() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply("Which kitchen? Tell me.", mood="tense"))
    scene.brain.enqueue(*reply(NOON, mood="calm"))
    scene.recogniser.enqueue("Turn on", "Turn on the light.")
    async with scene.running():
        await scene.drafting()
        scene.resume()
        scene.pause(2, seconds=2.0)
        await asyncio.sleep(0.3)
        scene.end_in_pause(seconds=2.0)
        await scene.until("turn_completed")

    assert ["Turn on", "Turn on the light."] == [question for question, _, _ in scene.brain.asked]
    assert ["Turn on the light."] == [event.text for event in scene.of("transcription_final")]
    assert ["calm"] == [event.value for event in scene.of("visual_updated")]
    assert "Which kitchen?" not in " ".join(event.text for event in scene.of("llm_sentence"))
    assert 2 == scene.brain.closed
    assert (Exchange("Turn on the light.", NOON),) == scene.history.recent()
    assert 0.6 == round(sum(chunk.seconds for chunk in scene.output.played), 3)


@in_virtual_time
async def test_an_endpoint_before_the_draft_is_understood_waits_for_it() -> None:
    """The recogniser is slow: its one decode serves both."""
    scene, decoded = Scene(), asyncio.Event()
    scene.brain.enqueue(*reply(NOON))
    scene.recogniser.enqueue(decoded, TIME)
    async with scene.running():
        scene.wake()
        scene.pause()
        scene.end_in_pause()
        await scene.until("state_changed:thinking")
        decoded.set()
        await scene.until("turn_completed")

    assert [1] == [len(recognition.commands) for recognition in scene.recogniser.opened]


@in_virtual_time
async def test_a_draft_that_fails_is_made_again_at_the_endpoint() -> None:
    scene = Scene()
    scene.brain.enqueue(BrainError("The server is gone.", code="llm-failed"))
    scene.brain.enqueue(*reply(NOON))
    scene.recogniser.enqueue(TranscriptionError("It broke."), TIME, TIME)
    async with scene.running():
        await scene.drafting()
        scene.resume()
        scene.pause(2)
        await asyncio.sleep(0.1)
        scene.end_in_pause()
        await asyncio.sleep(0)
        scene.recogniser.enqueue(TIME)
        await scene.until("turn_completed")

    assert [] == scene.failures


@in_virtual_time
async def test_a_draft_of_nothing_asks_nobody() -> None:
    scene = Scene()
    scene.recogniser.enqueue("")
    async with scene.running():
        await scene.drafting()
        scene.end_in_pause()
        await scene.until("turn_dropped")

    assert ["stt_empty"] == [event.reason for event in scene.of("turn_dropped")]
    assert [] == scene.brain.asked


@in_virtual_time
async def test_a_command_that_ends_without_a_pause_is_transcribed_then() -> None:
    """Given a draft, speech that goes on, and the longest command's end in the middle of a word."""
    scene = Scene()
    scene.brain.enqueue(*reply("Go on."))
    scene.brain.enqueue(*reply(NOON))
    scene.recogniser.enqueue("What", TIME)
    async with scene.running():
        await scene.drafting()
        scene.resume()
        scene.command(EndReason.TIMEOUT, seconds=15.0)
        await scene.until("turn_completed")

    assert ["What", TIME] == [question for question, _, _ in scene.brain.asked]
    assert ["timeout"] == [event.reason for event in scene.of("turn_committed")]


@in_virtual_time
async def test_words_say_how_long_to_wait() -> None:
    for is_complete, waits in ((True, [(1, 1, 0.4)]), (False, [(1, 1, 1.2)]), (None, [])):
        scene = Scene(patience=paused(is_complete=is_complete))
        scene.brain.enqueue(*reply(NOON))
        scene.recogniser.enqueue(TIME)
        async with scene.running():
            await scene.drafting()
            scene.end_in_pause()
            await scene.until("turn_completed")

        assert waits == scene.listener.waits


@in_virtual_time
async def test_the_brain_is_prepared_when_the_wake_word_is_heard() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    scene.brain.enqueue(*reply("Soup."))
    async with scene.running():
        scene.say(TIME)
        await scene.until("turn_completed")
        scene.say("And to eat?")
        await scene.until("turn_completed", times=2)

    assert [(), (Exchange(TIME, NOON),)] == scene.brain.prepared


# ── the wake word and stop words over a reply ────────────────────────────────────────────────────


@in_virtual_time
async def test_the_wake_word_interrupts_the_reply_and_begins_the_next_turn() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.brain.enqueue(*reply("Soup."))
        scene.say("What is for lunch?")
        await scene.until("turn_dropped")
        await scene.hear_out()

    assert [(1, "interrupted")] == [(event.turn, event.reason) for event in scene.of("turn_dropped")]
    (first, _) = scene.of("speaking_finished")
    assert first.interrupted
    assert 1 == first.turn
    assert [2] == [event.turn for event in scene.of("turn_completed")]
    assert 1 <= scene.output.stops


@in_virtual_time
async def test_the_history_keeps_what_was_heard_of_an_interrupted_reply() -> None:
    """Given 0.5 s heard of ten words of 0.1 s each: the first sentence's words, and a mark."""
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.output._since = 0.3
        scene.brain.enqueue(*reply("Soup."))
        scene.say("What is for lunch?")
        await scene.until("turn_dropped")
        await scene.hear_out()

    assert (Exchange(TIME, f"It is noon {CUT_SHORT}", is_interrupted=True),) == scene.brain.asked[1][1]


@in_virtual_time
async def test_nothing_of_an_interrupted_turn_is_told_or_heard_later() -> None:
    """Given a brain that has more to say, and says it late."""
    scene, late = Scene(), asyncio.Event()
    scene.output.heard.clear()
    scene.brain.enqueue(*LONG[:2], late, VisualField("mood", "calm"), *LONG[2:])
    async with scene.running():
        scene.say(TIME)
        await scene.until("state_changed:speaking")
        scene.brain.enqueue(*reply("Soup."))
        scene.say("What is for lunch?")
        await scene.until("turn_dropped")
        scene.output.heard.set()
        late.set()
        await scene.until("turn_completed")

    assert [] == scene.of("visual_updated")
    dropped = scene.sink.events.index(scene.of("turn_dropped")[0])
    assert {"speaking_finished"} >= {event.type for event in scene.sink.events[dropped + 1 :] if event.turn == 1}
    assert "Time for lunch." not in scene.words


@in_virtual_time
async def test_its_own_wake_word_means_nothing() -> None:
    scene = Scene()
    scene.output.heard.clear()
    scene.brain.enqueue(ReplyToken("I am Hey Jarvis."), ReplySentence("I am Hey Jarvis."), Answer("I am…", {}, 3))
    async with scene.running():
        scene.say("Who are you?")
        await scene.until("state_changed:speaking")
        scene.wake()
        await asyncio.sleep(0.1)

        assert "guard" == scene.listener.orders[-1]

        await scene.hear_out()

    assert [1] == [event.turn for event in scene.of("wakeword_detected")]


@in_virtual_time
async def test_a_stop_word_over_the_reply_silences_it() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.recogniser.enqueue("it is noon stop in Paris")
        scene.overhear()
        await scene.until("turn_dropped")
        scene.output.heard.set()
        await scene.a_good_turn(2)

    assert ["stopped"] == [event.reason for event in scene.of("turn_dropped")]


@in_virtual_time
async def test_a_stop_word_of_its_own_does_not() -> None:
    scene = Scene()
    scene.output.heard.clear()
    text = "The bus stop is near."
    scene.brain.enqueue(ReplyToken(text), ReplySentence(text), Answer(text, {}, 5))
    async with scene.running():
        scene.say("Where is the bus?")
        await scene.until("state_changed:speaking")
        scene.recogniser.enqueue("The bus stop is near.")
        scene.overhear()
        await asyncio.sleep(1)
        await scene.hear_out()

    assert [] == scene.of("turn_dropped")


@in_virtual_time
async def test_a_stop_word_found_too_late_does_not_stop_the_next_turn() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        await scene.hear_out()
        await scene.speaking()
        scene.session._inbox.put(StopHeard(1))
        await asyncio.sleep(0.1)
        await scene.hear_out(times=2)

    assert [] == scene.of("turn_dropped")


@in_virtual_time
async def test_a_command_that_is_only_a_stop_word_ends_the_turn_politely() -> None:
    for text in ("Stop.", "Never mind!", "Stop, stop, please."):
        scene = Scene()
        async with scene.running():
            scene.say(text)
            await scene.until("turn_dropped")

        assert ["stopped"] == [event.reason for event in scene.of("turn_dropped")]
        assert [] == scene.brain.asked


# ── speech over a reply ──────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_noise_over_the_reply_pauses_it_for_a_moment() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        await scene.interrupted()

        assert scene.output.is_paused

        await scene.until("speaking_resumed")
        assert not scene.output.is_paused
        await scene.hear_out()

    pause, resumed = scene.of("speaking_paused")[0], scene.of("speaking_resumed")[0]
    assert 1.9 < resumed.at - pause.at < 2.1
    assert "guard" in scene.listener.orders[-4:]
    assert [] == scene.of("turn_dropped")


@in_virtual_time
async def test_words_over_the_reply_are_the_next_command() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.brain.enqueue(*reply("Soup."))
        scene.recogniser.enqueue("What is for lunch?", "What is for lunch?")
        await scene.interrupted()
        scene.pause()
        await scene.until("turn_dropped")
        scene.output.heard.set()
        scene.end_in_pause()
        await scene.until("turn_completed")

    assert [(1, "interrupted")] == [(event.turn, event.reason) for event in scene.of("turn_dropped")]
    assert "What is for lunch?" == scene.brain.asked[-1][0]
    assert [2] == [event.turn for event in scene.of("turn_completed")]
    assert not scene.output.is_paused


@in_virtual_time
async def test_words_in_mid_speech_take_the_word_at_once() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.speak_over()
        scene.listener.report(heard.CommandHeard(scene.listener.captures, np.zeros(4096, dtype=np.int16)))
        await scene.until("turn_dropped")
        scene.output.heard.set()
        scene.brain.enqueue(*reply("Soup."))
        scene.recogniser.enqueue("What is for lunch?")
        scene.end_in_pause()
        await scene.until("turn_completed")

    assert "What is for lunch?" == scene.brain.asked[-1][0]


@in_virtual_time
async def test_a_verdict_that_nobody_waits_for_any_more_changes_nothing() -> None:
    for late in (WordsHeard(1, is_stop=True), WordsHeard(1, is_stop=False), NoWordsHeard(1)):
        scene = Scene()
        async with scene.running():
            await scene.speaking()
            scene.session._inbox.put(late)
            await asyncio.sleep(0.1)
            await scene.hear_out()

        assert [] == scene.of("turn_dropped"), late
        assert [] == scene.of("speaking_resumed"), late


@in_virtual_time
async def test_an_echo_of_the_reply_is_no_interruption() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.recogniser.enqueue("is noon in Paris")
        await scene.interrupted()
        scene.end_in_pause()
        await scene.until("speaking_resumed")
        await scene.hear_out()

    assert [] == scene.of("turn_dropped")


@in_virtual_time
async def test_a_stop_spoken_over_a_paused_reply_ends_it() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.recogniser.enqueue("Stop.")
        await scene.interrupted()
        scene.end_in_pause()
        await scene.until("turn_dropped")
        scene.output.heard.set()
        await scene.a_good_turn(2)

    assert ["stopped"] == [event.reason for event in scene.of("turn_dropped")]


@in_virtual_time
async def test_an_unintelligible_interjection_goes_on() -> None:
    scene = Scene()
    async with scene.running():
        await scene.speaking()
        scene.recogniser.enqueue(TranscriptionError("It broke."))
        await scene.interrupted()
        scene.end_in_pause()
        await scene.until("speaking_resumed")
        await scene.hear_out()

    assert not scene.output.is_paused


@in_virtual_time
async def test_a_turn_that_fails_while_it_is_spoken_over_still_apologises_aloud() -> None:
    scene = Scene()
    scene.brain.enqueue(asyncio.Event(), *reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.until("llm_started")
        await asyncio.sleep(59)
        scene.speak_over()
        await asyncio.sleep(0.5)
        await scene.until("failed")
        await scene.until("state_changed:idle")

        assert not scene.output.is_paused
        assert "Sorry" in scene.words[-1]


# ── following up ─────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_after_an_answer_it_listens_on_without_the_wake_word() -> None:
    scene = Scene(manners=Manners(followup_seconds=5.0))
    scene.brain.enqueue(*reply(NOON))
    scene.brain.enqueue(*reply("Soup."))
    async with scene.running():
        scene.say(TIME)
        await scene.until("turn_completed")

        assert "capture for 5 s" == scene.listener.orders[-1]

        scene.recogniser.enqueue("And to eat?")
        scene.command()
        await scene.until("turn_completed", times=2)
        scene.command(EndReason.NO_SPEECH, seconds=0)
        await scene.until("turn_dropped")

        assert "arm" == scene.listener.orders[-1]

    assert [(3, "no_followup")] == [(event.turn, event.reason) for event in scene.of("turn_dropped")]
    assert [1] == [event.turn for event in scene.of("wakeword_detected")]


@in_virtual_time
async def test_a_typed_question_is_not_followed_up() -> None:
    scene = Scene(manners=Manners(followup_seconds=5.0))
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.session.ask(TIME)
        await scene.until("turn_completed")

    assert not any(order.startswith("capture") for order in scene.listener.orders)


@in_virtual_time
async def test_never_mind_ends_a_follow_up() -> None:
    scene = Scene(manners=Manners(followup_seconds=5.0))
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.until("turn_completed")
        scene.recogniser.enqueue("Never mind.")
        scene.command()
        await scene.until("turn_dropped")

    assert ["stopped"] == [event.reason for event in scene.of("turn_dropped")]


@in_virtual_time
async def test_the_end_of_the_input_ends_a_follow_up() -> None:
    scene = Scene(manners=Manners(followup_seconds=5.0))
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        scene.listener.report(heard.InputEnded())
        await scene.until("turn_dropped")

    assert ["no_followup"] == [event.reason for event in scene.of("turn_dropped")]


# ── never deaf ───────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_an_audio_thread_that_dies_is_replaced_once() -> None:
    scene = Scene()
    async with scene.running():
        first = scene.listener
        first.report(heard.ListenerDied(WakewordError("The model is broken.")))
        await scene.until("input_restored")

        assert scene.listener is not first
        assert "abandon" in first.orders
        assert ["start"] == scene.listener.orders

        first.report(heard.ListenerDied(WakewordError("An old report.")))
        await scene.a_good_turn(1)
