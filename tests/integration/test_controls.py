"""Each command from outside, in each state of a session."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from heisenberg.core.drops import Drops
from heisenberg.core.stages import EndReason, VisualField
from heisenberg.orchestrator.inbox import MAX_QUESTIONS
from heisenberg.orchestrator.mute import Mute
from tests.fakes.stages import reply
from tests.fakes.virtual_time import in_virtual_time
from tests.integration.scene import NOON, TIME, Scene
from tests.integration.test_ambient import Hall

STATES = ["idle", "listening", "thinking", "speaking"]


@asynccontextmanager
async def in_state(state: str, **how: object) -> AsyncIterator[Scene]:
    """A session that is in *state*; turn 1, unless that is idle."""
    scene = Scene(**how)  # type: ignore[arg-type]
    async with scene.running():
        match state:
            case "listening":
                scene.wake()
                await scene.until("state_changed:listening")
            case "thinking":
                scene.brain.enqueue(asyncio.Event(), *reply(NOON))
                scene.say(TIME)
                await scene.until("llm_started")
            case "speaking":
                await scene.speaking()
        yield scene


# ── listen ───────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_listening_without_the_wake_word() -> None:
    """A button in TouchDesigner does what the wake word does."""
    async with in_state("idle") as scene:
        scene.session.listen()
        await scene.until("state_changed:listening")
        scene.recogniser.enqueue(TIME)
        scene.brain.enqueue(*reply(NOON))
        scene.command()
        await scene.hear_out()

    assert "wakeword_detected" not in scene.sink.types()
    assert [TIME] == [event.text for event in scene.of("transcription_final")]
    assert ["It is noon.", "Time for lunch."] == scene.words


@in_virtual_time
@pytest.mark.parametrize("state", STATES[1:])
async def test_it_does_not_listen_in_the_middle_of_a_turn(state: str) -> None:
    async with in_state(state) as scene:
        before = list(scene.listener.orders)
        scene.session.listen()
        await asyncio.sleep(0.1)

        assert before == scene.listener.orders
        assert 1 == scene.sink.events[-1].turn

        scene.session.stop()


@in_virtual_time
async def test_it_cannot_listen_without_a_microphone(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.session._hearing.listener = None
    async with scene.running():
        for _ in range(120):  # a button that is held down
            scene.session.listen()
        await asyncio.sleep(0.1)

    assert [] == scene.sink.types()
    assert 1 == sum("no microphone" in record.message for record in caplog.records if record.levelname == "WARNING")


@in_virtual_time
async def test_a_button_pressed_by_mistake_costs_nothing() -> None:
    async with in_state("idle") as scene:
        scene.session.listen()
        await scene.until("state_changed:listening")
        scene.command(EndReason.NO_SPEECH, seconds=0)
        await scene.until("turn_dropped")

    assert ["no_speech"] == [event.reason for event in scene.of("turn_dropped")]


# ── stop ─────────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
@pytest.mark.parametrize("state", STATES[1:])
async def test_stop_ends_the_turn_and_forgets_what_waits(state: str) -> None:
    async with in_state(state) as scene:
        scene.session.say("Later.")
        scene.session.ask("And then?")
        await asyncio.sleep(0.1)
        scene.session.stop()
        await scene.until("turn_dropped")
        scene.output.heard.set()
        await asyncio.sleep(1)

    assert ["stopped"] == [event.reason for event in scene.of("turn_dropped")]
    assert 1 == max(event.turn for event in scene.sink.events)


@in_virtual_time
async def test_what_is_said_after_a_stop_is_said() -> None:
    async with in_state("speaking") as scene:
        scene.session.stop()
        scene.session.say("Welcome.")
        await scene.until("turn_dropped")
        await scene.hear_out()

    assert "Welcome." == scene.words[-1]


# ── say ──────────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_text_is_said_as_it_is() -> None:
    async with in_state("idle") as scene:
        scene.session.say("Welcome to the show.")
        await scene.hear_out()

    assert ["Welcome to the show."] == scene.words
    assert [] == scene.brain.asked
    assert [
        "state_changed:thinking",
        "turn_committed",
        "llm_sentence",
        "speaking_started",
        "state_changed:speaking",
        "speaking_finished",
        "state_changed:idle",
        "turn_completed",
    ] == scene.sink.types(1)
    assert () == scene.history.recent()


@in_virtual_time
async def test_the_visuals_of_the_last_answer_stand_while_a_text_is_said() -> None:
    async with in_state("idle") as scene:
        scene.brain.enqueue(VisualField("mood", "calm"), *reply(NOON))
        scene.session.ask(TIME)
        await scene.hear_out()
        scene.session.say("Welcome.")
        await scene.hear_out(times=2)

    assert {1} == {event.turn for event in scene.of("visual_updated") + scene.of("llm_complete")}


@in_virtual_time
@pytest.mark.parametrize("state", STATES[1:])
async def test_a_text_waits_until_the_turn_is_over(state: str) -> None:
    async with in_state(state) as scene:
        scene.session.say("Welcome.")
        await asyncio.sleep(0.1)

        assert 1 == scene.sink.events[-1].turn

        scene.session.stop_turn()
        await scene.until("turn_dropped")
        await scene.hear_out()

    assert 2 == scene.of("turn_completed")[-1].turn
    assert "Welcome." == scene.words[-1]


@in_virtual_time
async def test_the_wake_word_interrupts_what_is_said() -> None:
    async with in_state("idle") as scene:
        scene.output.heard.clear()
        scene.session.say("Welcome to the show.")
        await scene.until("state_changed:speaking")
        scene.wake()
        await scene.until("state_changed:listening")
        scene.brain.enqueue(*reply(NOON))
        scene.recogniser.enqueue(TIME)
        scene.command()
        await scene.hear_out()

    assert ["interrupted"] == [event.reason for event in scene.of("turn_dropped")]
    assert () == scene.brain.asked[0][1]


@in_virtual_time
async def test_a_voice_that_fails_at_a_text_is_reported() -> None:
    from heisenberg.core.errors import SpeechError

    async with in_state("idle") as scene:
        scene.voice.enqueue(SpeechError("no"))
        scene.session.say("Welcome.")
        await scene.until("failed")
        await scene.until("state_changed:idle")

    assert [(1, "tts-failed")] == scene.failures


@in_virtual_time
async def test_a_flood_of_texts_is_bounded_and_counted() -> None:
    drops = Drops()
    async with in_state("speaking", drops=drops) as scene:
        for number in range(200):
            scene.session.say(f"Text {number}.")
            await asyncio.sleep(0)
        await asyncio.sleep(0.1)

        assert 200 - 2 * MAX_QUESTIONS == drops.totals()["inbox"]

        scene.session.stop()


# ── mute ─────────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
@pytest.mark.parametrize("state", STATES)
async def test_muting_in_each_state(state: str) -> None:
    """A command that is being spoken is given up; an answer is given to its end."""
    mute = Mute()
    async with in_state(state, mute=mute) as scene:
        scene.session.mute(True)
        await scene.until("mute_changed")

        assert mute.is_on

        scene.wake()
        scene.session.listen()
        await asyncio.sleep(0.1)
        scene.session.mute(None)
        await scene.until("mute_changed", times=2)

        assert not mute.is_on

        scene.session.stop()

    told = [event.reason for event in scene.of("turn_dropped")]
    assert {"idle": [], "listening": ["muted"]}.get(state, ["stopped"]) == told
    assert [True, False] == [event.is_muted for event in scene.of("mute_changed")]


@in_virtual_time
async def test_it_wakes_again_after_muting() -> None:
    async with in_state("idle") as scene:
        scene.session.mute(True)
        scene.wake()
        await asyncio.sleep(0.1)
        scene.session.mute(False)
        await asyncio.sleep(0.1)
        await scene.a_good_turn(1)


@in_virtual_time
async def test_a_muted_assistant_listens_for_no_followup() -> None:
    from heisenberg.orchestrator.manners import Manners

    async with in_state("speaking", manners=Manners(followup_seconds=5.0)) as scene:
        scene.session.mute(True)
        await scene.hear_out()
        await scene.until("state_changed:idle")

    assert 1 == max(event.turn for event in scene.sink.events)


# ── others ───────────────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_other_stop_words_hold_from_the_next_turn_on() -> None:
    async with in_state("idle") as scene:
        scene.session.set_stop_words(["basta"])
        scene.say("Basta!")
        await scene.until("turn_dropped")
        scene.brain.enqueue(*reply(NOON))
        scene.say("Stop.")
        await scene.hear_out()

    assert [("Stop.", (), "en")] == scene.brain.asked


@in_virtual_time
@pytest.mark.parametrize("lost", [1, 0])
async def test_losses_are_told_when_asked(lost: int) -> None:
    drops = Drops()
    async with in_state("idle", drops=drops) as scene:
        drops.count("osc_in", lost)
        scene.session.tell_losses()

    assert [("osc_in", 1)][:lost] == [(event.where, event.count) for event in scene.of("items_dropped")]


Command = Callable[[Scene], None]
EVERY: dict[str, Command] = {
    "listen": lambda scene: scene.session.listen(),
    "stop": lambda scene: scene.session.stop(),
    "mute": lambda scene: scene.session.mute(None),
    "say": lambda scene: scene.session.say("Welcome."),
    "ask": lambda scene: scene.session.ask(TIME),
}


@in_virtual_time
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", EVERY)
async def test_every_command_in_every_state_leaves_it_working(state: str, name: str) -> None:
    async with in_state(state) as scene:
        scene.brain.enqueue(*reply(NOON))
        EVERY[name](scene)
        EVERY[name](scene)
        await asyncio.sleep(0.5)
        scene.session.mute(False)
        scene.session.stop()
        await asyncio.sleep(0.5)
        scene.output.heard.set()
        scene.brain._scripts.clear()
        scene.recogniser._script.clear()
        await scene.still_works()

    fates = scene.of("turn_completed") + scene.of("turn_dropped") + scene.of("failed")
    assert sorted(event.turn for event in fates) == list(range(1, len(fates) + 1))


# ── in ambient mode ──────────────────────────────────────────────────────────────────────────────


@in_virtual_time
async def test_a_button_begins_a_command_in_ambient_mode_too() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        hall.session.listen()
        await hall.until("state_changed:listening")
        hall.recogniser.enqueue(TIME)
        hall.brain.enqueue(*reply(NOON))
        hall.command()
        await hall.hear_out()
        hall.hear("The waves are high.")
        await hall.until("analysis_completed", times=2)

    assert [TIME] == [event.text for event in hall.of("transcription_final")]
    assert 2 == len(hall.of("sentence_heard"))


@in_virtual_time
async def test_a_text_is_said_in_the_middle_of_a_talk_and_the_visuals_stand() -> None:
    hall = Hall()
    async with hall.running():
        hall.hear("The sea is calm.")
        await hall.until("analysis_completed")
        shown = list(hall.prompts)
        hall.session.say("Ten more minutes.")
        await hall.hear_out()
        hall.session.set_mode("assistant")
        hall.session.stop()
        hall.session.set_mode("ambient")
        hall.hear("The waves are high.")
        await hall.until("analysis_completed", times=2)

    assert ["Ten more minutes."] == hall.words
    assert shown == hall.prompts[: len(shown)]
