"""Who has the word: real ears and a real voice in a simulated room, where the assistant hears itself."""

import pytest

from heisenberg.core.events import TurnDropped
from tests import speech
from tests.e2e.conversation import Conversation, conversation
from tests.room import Acoustics

pytestmark = pytest.mark.e2e

LONG = (
    "The sea at night is dark and wide. The moon draws a silver path over the water. "
    "Far away a ship passes slowly. Its lights move like small stars. The waves come and go all night long."
)

QUIET_ECHO = Acoustics(level_db=-20.0)
"""So that words at any moment of the reply are heard; how often they are in louder rooms, decision 6 has measured."""


async def dropped(room: Conversation, reason: str) -> TurnDropped:
    event = await room.told.until("turn_dropped", reason=reason)
    assert isinstance(event, TurnDropped)
    return event


async def test_a_stop_over_the_reply_silences_it() -> None:
    """As it comes: the echo of the reply is in the microphone, and so is the user, who insists."""
    stop = speech.say("Stop!")
    said = speech.join(stop, speech.silence(0.8), stop)
    async with conversation(QUIET_ECHO) as room:
        room.will_answer(LONG)
        await room.ask()
        await room.pass_time(3.0)
        room.say(said)
        stopped = await dropped(room, "stopped")
        finished = await room.told.until("speaking_finished")

        assert finished.interrupted
        assert finished.played_seconds < 7.0
        assert room.room.loudspeaker.waiting_s == 0.0
        assert 1 == stopped.turn


async def test_the_wake_word_over_the_reply_asks_the_next_question() -> None:
    said = speech.join(speech.say("Hey Jarvis"), speech.silence(0.6), speech.say("Tell me about the moon."))
    async with conversation(QUIET_ECHO) as room:
        room.will_answer(LONG)
        await room.ask()
        await room.pass_time(3.0)
        room.say(said)
        await dropped(room, "interrupted")
        room.will_answer("The moon is small.")
        completed = await room.told.until("turn_completed", turn=2)

        assert "moon" in room.told.of("transcription_final")[-1].text.lower()
        assert 2 == completed.turn
        history = str(room.llm.requests[-1])
        assert "The sea at night" in history
        assert "all night long" not in history


async def test_its_own_voice_neither_wakes_nor_stops_it() -> None:
    """Given a reply that holds the wake phrase and a stop word, and a loudspeaker as loud as the user."""
    async with conversation(Acoustics(level_db=0.0)) as room:
        room.will_answer("You can say Hey Jarvis at any time. Or say stop, and I will be quiet. That is all.")
        await room.ask()
        await room.told.until("turn_completed")
        await room.pass_time(2.0)

        assert 1 == len(room.told.of("wakeword_detected"))
        assert [] == room.told.of("turn_dropped")


async def test_speech_over_the_reply_is_the_next_command_where_echo_is_cancelled() -> None:
    settings = {"turn.barge_in": "speech"}
    said = speech.say("What is the capital of France?", "joe+3")
    async with conversation(Acoustics(level_db=-6.0), settings=settings) as room:
        room.will_answer(LONG)
        await room.ask()
        await room.pass_time(4.0)
        room.say(said)
        await dropped(room, "interrupted")
        room.will_answer("Paris.")
        await room.told.until("turn_completed", turn=2)

        assert "capital" in room.told.of("transcription_final")[-1].text.lower()
        assert 1 == len(room.told.of("wakeword_detected"))


async def test_its_own_echo_does_not_interrupt_where_speech_may() -> None:
    settings = {"turn.barge_in": "speech"}
    async with conversation(Acoustics(level_db=-6.0, drift_ppm=100.0), settings=settings) as room:
        room.will_answer(LONG)
        await room.ask()
        await room.told.until("turn_completed")

        assert [] == room.told.of("turn_dropped")


async def test_a_noise_over_the_reply_lets_it_go_on_to_its_end() -> None:
    """A loud hum, music and a bang: whatever they are taken for, the reply is heard to its end."""
    settings = {"turn.barge_in": "speech"}
    async with conversation(Acoustics(level_db=-6.0), settings=settings) as room:
        room.will_answer(LONG)
        await room.ask()
        await room.pass_time(3.0)
        room.say(speech.noise("typing", 2.0))
        room.say(speech.noise("music", 2.0))
        await room.told.until("turn_completed")

        assert [] == room.told.of("turn_dropped")
        assert not room.told.of("speaking_finished")[0].interrupted


async def test_a_follow_up_needs_no_wake_word_and_silence_ends_it() -> None:
    said = speech.say("And what is for lunch?")
    async with conversation(QUIET_ECHO, settings={"turn.followup_seconds": 4.0}) as room:
        room.will_answer("It is noon.")
        await room.ask()
        await room.told.until("turn_completed")
        room.will_answer("Soup.")
        room.say(said, after_s=0.8)
        await room.told.until("turn_completed", turn=2)
        ended = await dropped(room, "no_followup")

        assert 3 == ended.turn
        assert 1 == len(room.told.of("wakeword_detected"))
        assert "lunch" in room.told.of("transcription_final")[-1].text.lower()


async def test_never_mind_ends_a_follow_up() -> None:
    said = speech.say("Never mind.")
    async with conversation(QUIET_ECHO, settings={"turn.followup_seconds": 4.0}) as room:
        room.will_answer("It is noon.")
        await room.ask()
        await room.told.until("turn_completed")
        room.say(said, after_s=0.8)

        assert 2 == (await dropped(room, "stopped")).turn


async def test_a_tenth_of_a_second_after_the_wake_word_the_reply_is_silent() -> None:
    said = speech.say("Hey Jarvis!")
    async with conversation(QUIET_ECHO) as room:
        room.will_answer(LONG)
        await room.ask()
        await room.pass_time(3.0)
        room.say(said)
        await room.told.until("wakeword_detected", 2)
        await room.pass_time(0.1)
        played = room.room.loudspeaker.taken_samples
        await room.pass_time(0.4)

        assert played == room.room.loudspeaker.taken_samples
        assert 0.0 == room.room.loudspeaker.waiting_s
