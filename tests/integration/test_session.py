"""Whole turns over scripted stages, in virtual time: what the world is told, in which order, whatever fails."""

import asyncio
import contextlib

import numpy as np
import pytest

from heisenberg.core.errors import (
    AudioError,
    BrainError,
    HeisenbergError,
    SpeechError,
    TranscriptionError,
    WakewordError,
)
from heisenberg.core.events import Event
from heisenberg.core.stages import Answer, EndReason, Exchange, ReplySentence, ReplyToken, Thought, Transcript
from heisenberg.orchestrator import reports as heard
from heisenberg.orchestrator.inbox import INBOX_SIZE
from heisenberg.orchestrator.work import APOLOGIES, APOLOGY_BOUND_S
from tests.fakes.stages import (
    reply,
)
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.scene import BOUNDS, NOON, TIME, Scene

BEFORE = ["wakeword_detected", "state_changed:listening", "speech_started", "transcription_partial", "speech_ended"]
UNDERSTOOD = [*BEFORE, "state_changed:thinking", "transcription_final", "turn_committed"]
SORRY = ["failed", "state_changed:idle"]


class BrokenSink:
    """Raises at every event."""

    def __init__(self) -> None:
        self.seen = 0

    def handle(self, event: Event) -> None:
        self.seen += 1
        raise RuntimeError("out of order")

    async def close(self) -> None:
        """Nothing to close."""


# ── turns that go well ───────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_whole_turn_in_its_exact_order() -> None:
    """The first sentence is heard while the second is still being thought."""
    scene, more = Scene(), asyncio.Event()
    first, second = reply("It is noon. Time for lunch.", mood="calm", speed=0.5)[:2], reply(NOON, mood="calm")[2:]
    scene.brain.enqueue(*first, more, *second)
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:speaking")
        more.set()
        await scene.sink.until("turn_completed")

    assert [
        *UNDERSTOOD,
        "llm_started",
        "llm_token",
        "llm_sentence",
        "speaking_started",
        "state_changed:speaking",
        "llm_token",
        "llm_sentence",
        "visual_updated",
        "llm_complete",
        "speaking_finished",
        "state_changed:idle",
        "turn_completed",
    ] == scene.sink.types()
    assert [1] * len(scene.sink.events) == [event.turn for event in scene.sink.events]
    assert ["start", "guard", "guard, sounding", "arm", "arm", "stop"] == scene.listener.orders
    assert ["It is noon.", "Time for lunch."] == scene.words
    assert (1, 0, 0) == (scene.session.tally.completed, scene.session.tally.dropped, scene.session.tally.failed)


@in_virtual_time
async def test_a_session_says_when_it_is_ready() -> None:
    scene = Scene()
    async with scene.running():
        assert not scene.sink.is_ready
        await asyncio.sleep(0)

        assert scene.sink.is_ready


@in_virtual_time
async def test_what_the_events_of_a_turn_say() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply("It is noon.", mood="calm"))
    async with scene.running():
        scene.say(Transcript(TIME, "en"))
        await scene.sink.until("turn_completed")
    said = {event.type: event.as_dict() for event in scene.sink.events}

    assert ("hey_jarvis", 0.97, 12.346) == tuple(said["wakeword_detected"][k] for k in ("name", "score", "audio_at"))
    assert (1.0, "silence") == (said["speech_ended"]["audio_seconds"], said["speech_ended"]["reason"])
    assert (TIME, "en", 1.0) == tuple(said["transcription_final"][k] for k in ("text", "language", "audio_seconds"))
    assert "silence" == said["turn_committed"]["reason"]
    assert ("It is noon.", {"mood": "calm"}, 3) == tuple(said["llm_complete"][k] for k in ("text", "visual", "tokens"))
    assert (pytest.approx(0.3), False) == tuple(said["speaking_finished"][k] for k in ("played_seconds", "interrupted"))


@in_virtual_time
async def test_latencies_count_from_the_end_of_speech() -> None:
    """Given 0.6 s of silence at the endpoint and half a second of thinking, the first word comes after 1.1 s."""
    scene, thought = Scene(), asyncio.Event()
    scene.brain.enqueue(thought, *reply("It is noon."))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("llm_started")
        await asyncio.sleep(0.5)
        scene.session.osc_sent("/heisenberg/state")
        scene.session.osc_sent("/visual/mood")
        thought.set()
        completed = await scene.sink.until("turn_completed")

    assert {
        "endpoint": 0.6,
        "stt": 0.6,
        "first_visual": 1.1,
        "llm_first_token": 1.1,
        "first_sentence": 1.1,
        "tts_first_audio": 1.1,
        "first_audio": 1.1,
    } == pytest.approx(completed.latency, abs=1e-3)  # type: ignore[attr-defined]


@in_virtual_time
async def test_the_second_turn_remembers_the_first() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    scene.brain.enqueue(*reply("Soup today. Bread too."))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("turn_completed")
        scene.say("What is for lunch?")
        await scene.sink.until("turn_completed", times=2)

    assert [(TIME, (), "en"), ("What is for lunch?", (Exchange(TIME, NOON),), "en")] == scene.brain.asked
    assert scene.sink.types(1) == scene.sink.types(2)
    assert {1, 2} == {event.turn for event in scene.sink.events}


@in_virtual_time
async def test_the_answer_is_spoken_in_the_language_of_the_question() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply("Il est midi."))
    async with scene.running():
        scene.say(Transcript("Quelle heure est-il ?", "fr"))
        await scene.sink.until("turn_completed")

    assert [("Il est midi.", "fr")] == scene.voice.spoken


@in_virtual_time
async def test_the_wake_phrase_is_taken_out_of_the_question() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say("Hey Jarvis, what time is it?", has_wake_phrase=True)
        await scene.sink.until("turn_completed")

    assert TIME == scene.brain.asked[0][0]
    assert TIME == scene.of("transcription_final")[0].text


@in_virtual_time
async def test_only_the_wake_phrase_listens_again() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say("Hey Jarvis.", has_wake_phrase=True)
        await scene.sink.until("state_changed:listening", times=2)
        await asyncio.sleep(0.01)
        scene.recogniser.enqueue(TIME)
        scene.command()
        await scene.sink.until("turn_completed")

    assert {1} == {event.turn for event in scene.sink.events}
    assert ["start", "guard", "capture", "guard", "guard, sounding", "arm", "arm", "stop"] == scene.listener.orders
    assert [TIME] == [question for question, _, _ in scene.brain.asked]
    assert all(recognition.is_cancelled for recognition in scene.recogniser.opened)


@in_virtual_time
async def test_only_the_wake_phrase_at_the_end_of_the_file_is_no_wait() -> None:
    """Nobody is left who could say more: the turn is dropped at once, not after its bound."""
    scene = Scene()
    async with scene.running():
        scene.say("Hey Jarvis.", reason=EndReason.END_OF_INPUT, has_wake_phrase=True)
        scene.listener.report(heard.InputEnded())
        await scene.sink.until("turn_dropped")

    assert "no_speech" == scene.of("turn_dropped")[0].reason
    assert scene.sink.events[-1].at < 1
    assert "capture" not in scene.listener.orders


@in_virtual_time
async def test_typed_questions_are_answered_one_after_the_other() -> None:
    """Given three lines that were typed (or piped) at once, none is lost."""
    scene = Scene()
    for answer in ("One.", "Two.", "Three."):
        scene.brain.enqueue(*reply(answer))
    async with scene.running():
        for question in ("First?", "Second?", "Third?"):
            scene.session.ask(question)

    assert ["First?", "Second?", "Third?"] == [question for question, _, _ in scene.brain.asked]
    assert ["One.", "Two.", "Three."] == scene.words
    assert ["text"] * 3 == [event.reason for event in scene.of("turn_committed")]
    assert 3 == scene.session.tally.completed


@in_virtual_time
async def test_a_question_typed_during_a_turn_waits_for_its_end() -> None:
    scene, thought = Scene(), asyncio.Event()
    scene.brain.enqueue(thought, *reply(NOON))
    scene.brain.enqueue(*reply("Soup."))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("llm_started")
        scene.session.ask("What is for lunch?")
        await asyncio.sleep(1)

        assert 1 == len(scene.brain.asked)

        thought.set()
        await scene.sink.until("turn_completed", times=2)

    assert ["It is noon.", "Time for lunch.", "Soup."] == scene.words


@in_virtual_time
async def test_the_wake_word_means_nothing_while_a_command_is_spoken() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.wake()
        scene.listener.report(heard.WakeHeard("hey_jarvis", 0.97, 13.0, 1, np.zeros(0, dtype=np.int16)))
        scene.recogniser.enqueue(TIME)
        scene.command()
        await scene.sink.until("turn_completed")

    assert [1] == [event.turn for event in scene.of("wakeword_detected")]


@in_virtual_time
async def test_once_is_one_turn() -> None:
    """Given more questions, when ``once`` was asked for, only the first is answered."""
    scene = Scene(once=True)
    scene.brain.enqueue(*reply(NOON))
    scene.session.ask(TIME)
    scene.session.ask("And now?")
    await scene.session.run()

    assert [TIME] == [question for question, _, _ in scene.brain.asked]
    assert 1 == scene.session.tally.turns


@in_virtual_time
async def test_once_ends_after_a_turn_that_was_dropped_too() -> None:
    scene = Scene(once=True)
    scene.say("")
    await scene.session.run()

    assert 1 == scene.session.tally.dropped


@in_virtual_time
async def test_the_end_of_the_input_ends_after_the_turn() -> None:
    scene, thought = Scene(), asyncio.Event()
    scene.brain.enqueue(thought, *reply(NOON))
    serving = asyncio.create_task(scene.session.run())
    scene.say(TIME, reason=EndReason.END_OF_INPUT)
    scene.listener.report(heard.InputEnded())
    await scene.sink.until("llm_started")

    assert not serving.done()

    thought.set()
    await serving

    assert ["It is noon.", "Time for lunch."] == scene.words
    assert 1 == scene.session.tally.completed


@in_virtual_time
async def test_a_sink_that_raises_harms_nobody() -> None:
    broken = BrokenSink()
    scene = Scene(broken)
    async with scene.running():
        await scene.a_good_turn(1)

    assert len(scene.sink.events) + 1 == broken.seen


# ── turns without an answer ──────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_nothing_understood_is_dropped() -> None:
    scene = Scene()
    async with scene.running():
        scene.say("")
        await scene.sink.until("turn_dropped")
        await scene.a_good_turn(2)

    assert ["stt_empty"] == [event.reason for event in scene.of("turn_dropped")]
    assert [
        *BEFORE,
        "state_changed:thinking",
        "transcription_final",
        "state_changed:idle",
        "turn_dropped",
    ] == scene.sink.types(1)


@pytest.mark.parametrize(
    ("reason", "dropped"),
    [
        (EndReason.NO_SPEECH, "no_speech"),
        (EndReason.END_OF_INPUT, "no_speech"),
        (EndReason.INPUT_LOST, "input_lost"),
    ],
    ids=str,
)
@in_virtual_time
async def test_nothing_said_is_dropped(reason: EndReason, dropped: str) -> None:
    scene = Scene()
    async with scene.running():
        scene.wake()
        scene.command(reason, seconds=0)
        await scene.sink.until("turn_dropped")

    assert [dropped] == [event.reason for event in scene.of("turn_dropped")]
    assert [reason.value] == [event.reason for event in scene.of("speech_ended")]
    assert [] == scene.recogniser.opened


@in_virtual_time
async def test_a_microphone_that_vanishes_in_mid_command_is_answered_with_what_was_heard() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME, reason=EndReason.INPUT_LOST)
        scene.listener.report(heard.InputGone(AudioError("gone", code="audio-input-lost")))
        await scene.sink.until("turn_completed")
        scene.listener.report(heard.InputBack())
        await scene.sink.until("input_restored")

    assert 1 == len(scene.of("input_lost"))


@in_virtual_time
async def test_stop_while_listening() -> None:
    scene = Scene()
    async with scene.running():
        scene.wake()
        await scene.sink.until("state_changed:listening")
        scene.session.stop_turn()
        await scene.sink.until("turn_dropped")
        scene.command()  # was on its way
        await scene.a_good_turn(2)

    assert ["wakeword_detected", "state_changed:listening", "state_changed:idle", "turn_dropped"] == scene.sink.types(1)


@in_virtual_time
async def test_stop_while_transcribing() -> None:
    scene = Scene()
    async with scene.running():
        scene.say(asyncio.Event(), TIME)
        await scene.sink.until("state_changed:thinking")
        scene.session.stop_turn()
        await scene.sink.until("turn_dropped")
        scene.recogniser._script.clear()
        await scene.a_good_turn(2)

    assert scene.recogniser.opened[0].is_cancelled
    assert [*BEFORE, "state_changed:thinking", "state_changed:idle", "turn_dropped"] == scene.sink.types(1)


@in_virtual_time
async def test_stop_while_thinking() -> None:
    scene = Scene()
    scene.brain.enqueue(asyncio.Event(), *reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("llm_started")
        scene.session.stop_turn()
        await scene.sink.until("turn_dropped")
        await asyncio.sleep(0.1)

        assert 1 == scene.brain.closed

        await scene.a_good_turn(2)

    assert [*UNDERSTOOD, "llm_started", "state_changed:idle", "turn_dropped"] == scene.sink.types(1)


@in_virtual_time
async def test_stop_while_speaking() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply("One two."))
    scene.output.heard.clear()
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:speaking")
        await asyncio.sleep(1)
        scene.session.stop_turn()
        finished = await scene.sink.until("speaking_finished")
        scene.output.heard.set()

        assert (pytest.approx(0.2), True) == (finished.played_seconds, finished.interrupted)  # type: ignore[attr-defined]
        assert 1 == scene.output.stops

        await scene.a_good_turn(2)

    assert ["stopped"] == [event.reason for event in scene.of("turn_dropped")]


@in_virtual_time
async def test_stop_silences_an_apology() -> None:
    """Given a failed turn, when the user says stop during the apology, the output is told to fall silent."""
    scene = Scene()
    scene.brain.enqueue(BrainError("no"))
    scene.brain.enqueue(BrainError("no"))
    scene.output.heard.clear()
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("failed")
        await asyncio.sleep(1)
        scene.session.stop_turn()
        await scene.sink.until("state_changed:idle")
        await asyncio.sleep(0)
        scene.output.heard.set()

        assert scene.output.stops

        await scene.a_good_turn(2)

    assert (1, 0, 1) == (scene.session.tally.completed, scene.session.tally.dropped, scene.session.tally.failed)


@in_virtual_time
async def test_stop_while_idle_means_nothing() -> None:
    scene = Scene()
    async with scene.running():
        scene.session.stop_turn()
        await scene.a_good_turn(1)

    assert [] == scene.of("turn_dropped")


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_speech_to_text_that_fails_once_is_tried_again_quietly() -> None:
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TranscriptionError("The recogniser died."), TIME)
        await scene.sink.until("turn_completed")

    assert [] == scene.failures
    assert 2 == len(scene.recogniser.opened[0].commands)
    assert ["It is noon.", "Time for lunch."] == scene.words


@in_virtual_time
async def test_speech_to_text_that_fails_twice_is_excused() -> None:
    scene = Scene()
    async with scene.running():
        scene.say(TranscriptionError("It died."), TranscriptionError("It died again.", code="stt-timeout"))
        await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "stt-timeout")] == scene.failures
    assert [*BEFORE, "state_changed:thinking", *SORRY] == scene.sink.types(1)
    assert APOLOGIES["en"] == scene.words[0]


@in_virtual_time
async def test_a_brain_that_fails_once_is_asked_again() -> None:
    """What was waiting to be spoken of the first attempt is not heard."""
    scene, voice_ready = Scene(), asyncio.Event()
    scene.voice.enqueue(voice_ready)
    scene.brain.enqueue(ReplySentence("It is"), BrainError("The server died."))
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("llm_started", times=2)
        voice_ready.set()
        await scene.sink.until("turn_completed")

    assert [] == scene.failures
    assert ["It is noon.", "Time for lunch."] == scene.words
    assert [TIME, TIME] == [question for question, _, _ in scene.brain.asked]
    assert 2 == scene.brain.closed


@in_virtual_time
async def test_a_brain_that_fails_twice_is_excused() -> None:
    scene = Scene()
    scene.brain.enqueue(BrainError("The server died."))
    scene.brain.enqueue(ReplyToken("It"), BrainError("It made no sense.", code="llm-bad-answer"))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "llm-bad-answer")] == scene.failures
    assert [*UNDERSTOOD, "llm_started", "llm_started", "llm_token", *SORRY] == scene.sink.types(1)
    assert () == scene.brain.asked[-1][1]


@in_virtual_time
async def test_a_brain_that_fails_in_mid_speech_is_not_asked_again() -> None:
    """What was written so far is heard to its end, then the apology."""
    scene, sounded = Scene(), asyncio.Event()
    scene.brain.enqueue(ReplySentence("It is noon."), sounded, BrainError("The server died."))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:speaking")
        sounded.set()
        await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert ["It is noon.", APOLOGIES["en"], "All is well."] == scene.words
    assert [
        *UNDERSTOOD,
        "llm_started",
        "llm_sentence",
        "speaking_started",
        "state_changed:speaking",
        "speaking_finished",
        "state_changed:thinking",
        "failed",
        "state_changed:idle",
    ] == scene.sink.types(1)


@in_virtual_time
async def test_a_voice_that_fails_is_excused() -> None:
    """The apology is spoken with the same voice; where that works again, it is heard."""
    scene = Scene()
    scene.voice.enqueue(SpeechError("The voice died."))
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "tts-failed")] == scene.failures
    assert [APOLOGIES["en"], "All is well."] == scene.words
    assert [] == [event for event in scene.of("speaking_started") if event.turn == 1]


@in_virtual_time
async def test_a_voice_that_fails_in_mid_speech_finishes_speaking() -> None:
    """Whoever was told that speaking started is told that it ended."""
    scene = Scene()
    scene.voice.enqueue(None, SpeechError("The voice died."))
    scene.brain.enqueue(*reply("One two."))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:idle")

    (finished,) = scene.of("speaking_finished")

    assert (pytest.approx(0.1), True) == (finished.played_seconds, finished.interrupted)
    assert [(1, "tts-failed")] == scene.failures


@in_virtual_time
async def test_a_voice_that_is_gone_for_good_does_not_hold_up_a_long_answer() -> None:
    scene = Scene()
    scene.voice.enqueue(*(SpeechError("The voice died.") for _ in range(2)))
    scene.brain.enqueue(*(ReplySentence(f"Sentence {n}.") for n in range(200)), Answer("", {}, 0))
    async with scene.running():
        scene.say(TIME)
        ended = await scene.sink.until("state_changed:idle")

    assert [(1, "tts-failed")] == scene.failures
    assert ended.at < 1


@in_virtual_time
async def test_an_output_that_fails_is_told() -> None:
    scene = Scene()
    scene.output.error = AudioError("The speakers are gone.")
    scene.brain.enqueue(*reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:idle")
        scene.output.error = None
        await scene.a_good_turn(2)

    assert [(1, "audio-unavailable")] == scene.failures


@in_virtual_time
async def test_a_brain_that_never_answers_is_given_up() -> None:
    scene = Scene()
    scene.brain.enqueue(asyncio.Event(), *reply(NOON))
    async with scene.running():
        scene.say(TIME)
        ended = await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "turn-timeout")] == scene.failures
    assert pytest.approx(BOUNDS.thinking, abs=0.1) == ended.at
    assert APOLOGIES["en"] == scene.words[0]
    assert 2 == scene.brain.closed


@in_virtual_time
async def test_a_command_that_never_ends_is_given_up() -> None:
    scene = Scene()
    async with scene.running():
        scene.wake()
        ended = await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "turn-timeout")] == scene.failures
    assert pytest.approx(BOUNDS.listening, abs=0.1) == ended.at


@in_virtual_time
async def test_a_reply_that_never_ends_is_given_up() -> None:
    scene = Scene()
    scene.brain.enqueue(ReplySentence("It is noon."), asyncio.Event(), *reply(NOON))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:speaking")
        ended = await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "turn-timeout")] == scene.failures
    assert pytest.approx(BOUNDS.speaking, abs=0.1) == ended.at
    assert scene.of("speaking_finished")[0].interrupted


@in_virtual_time
async def test_an_apology_that_cannot_be_spoken_ends_all_the_same() -> None:
    scene = Scene()
    scene.recogniser.enqueue(TranscriptionError("no"), TranscriptionError("no"))
    scene.voice.enqueue(asyncio.Event())
    async with scene.running():
        scene.wake()
        scene.command()
        ended = await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "stt-failed")] == scene.failures
    assert pytest.approx(APOLOGY_BOUND_S, abs=0.1) == ended.at


@in_virtual_time
async def test_the_apology_is_in_the_users_language() -> None:
    scene = Scene()
    scene.brain.enqueue(BrainError("non"))
    scene.brain.enqueue(BrainError("non"))
    async with scene.running():
        scene.say(Transcript("Quelle heure est-il ?", "fr"))
        await scene.sink.until("state_changed:idle")

    assert [(APOLOGIES["fr"], "fr")] == scene.voice.spoken


@in_virtual_time
async def test_a_fault_of_ours_fails_one_turn(caplog: pytest.LogCaptureFixture) -> None:
    """Given a brain with a bug, the turn fails with a traceback in the log, and the next one works."""
    scene = Scene()
    scene.brain.enqueue(ReplySentence("It is noon."), ZeroDivisionError("a bug"))
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("state_changed:idle")
        await scene.a_good_turn(2)

    assert [(1, "internal")] == scene.failures
    assert "ZeroDivisionError" in caplog.text


@in_virtual_time
async def test_a_dead_audio_thread_ends_the_session_with_its_error() -> None:
    """Going on deaf would be worse: the service manager restarts us."""
    scene = Scene()
    scene.listener.is_live = False
    serving = asyncio.create_task(scene.session.run())
    scene.listener.report(heard.ListenerDied(WakewordError("The model is broken.")))
    with pytest.raises(WakewordError, match="broken"):
        await serving

    assert [(0, "wakeword-failed")] == scene.failures
    assert ["start", "arm", "stop"] == scene.listener.orders
    assert 0 == scene.session.tally.turns


@in_virtual_time
async def test_a_bug_in_the_audio_thread_is_an_error_of_ours() -> None:
    scene = Scene()
    scene.listener.is_live = False
    scene.brain.enqueue(asyncio.Event())
    serving = asyncio.create_task(scene.session.run())
    scene.say(TIME)
    await scene.sink.until("llm_started")
    scene.listener.report(heard.ListenerDied(KeyError("x")))
    with pytest.raises(HeisenbergError, match="KeyError"):
        await serving

    assert [(1, "internal")] == scene.failures
    assert 1 == scene.session.tally.failed
    assert 1 == scene.brain.closed


@in_virtual_time
async def test_a_turn_that_is_cut_off_by_the_end_is_not_lost_silently() -> None:
    """Given Ctrl-C in mid-turn, its work is cancelled and the turn is told to be dropped."""
    scene = Scene()
    scene.brain.enqueue(ReplySentence("It is noon."), asyncio.Event())
    serving = asyncio.create_task(scene.session.run())
    scene.say(TIME)
    await scene.sink.until("state_changed:speaking")
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving

    assert ["interrupted"] == [event.reason for event in scene.of("turn_dropped")]
    assert scene.of("speaking_finished")[0].interrupted
    assert "stop" == scene.listener.orders[-1]
    assert 1 == scene.session.tally.dropped


@in_virtual_time
async def test_workers_are_announced() -> None:
    scene = Scene()
    async with scene.running():
        scene.session.worker_changed("started", "whisper-tiny.en", "start")
        scene.session.worker_changed("failed", "whisper-tiny.en", "was ended by SIGKILL")

    assert ["worker_started", "worker_failed"] == scene.sink.types()


@in_virtual_time
async def test_a_flood_of_reports_is_dropped_not_kept() -> None:
    scene = Scene()
    async with scene.running():
        for _ in range(2000):
            scene.session._inbox.put(heard.CommandBegan(1))
        await asyncio.sleep(1)
        await scene.a_good_turn(1)

    assert [("inbox", 2000 - INBOX_SIZE)] == [(event.where, event.count) for event in scene.of("items_dropped")]


@in_virtual_time
async def test_an_output_that_does_not_answer_holds_nobody_up() -> None:
    """Given a sound system that hangs when it is told to be silent, the wake word still begins the next turn."""
    scene = Scene()
    scene.brain.enqueue(*reply(NOON))
    scene.output.heard.clear()

    async def hang() -> float:
        await asyncio.sleep(600)
        return 0.0

    async with scene.running():
        scene.say(TIME)
        await scene.until("state_changed:speaking")
        stop, scene.output.stop = scene.output.stop, hang  # type: ignore[method-assign]
        began = asyncio.get_running_loop().time()
        scene.wake()
        await scene.until("state_changed:listening", times=2)
        waited_s = asyncio.get_running_loop().time() - began
        scene.output.stop = stop  # type: ignore[method-assign]
        scene.output.heard.set()
        scene.session.stop_turn()
        await scene.until("turn_dropped", times=2)

    assert waited_s < 5


def a_long_reply() -> list[Thought]:
    """For a reader who counts."""
    return reply(" ".join(f"Sentence {number}." for number in range(100)))


@in_virtual_time
async def test_a_slow_output_slows_the_voice_not_the_brain() -> None:
    scene = Scene()
    scene.brain.enqueue(*a_long_reply())
    scene.output.heard.clear()
    async with scene.running():
        scene.say(TIME)
        await scene.sink.until("llm_complete")
        await scene.sink.until("state_changed:speaking")
        scene.output.heard.set()
        await scene.sink.until("turn_completed")

    assert 100 == len(scene.words)
