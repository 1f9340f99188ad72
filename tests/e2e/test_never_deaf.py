"""The traps that leave assistants deaf, sprung with sound: each turn ends, with a reason, and the next one works.

Real ears and a real recogniser in a simulated room. What each trap did to others is in docs/reliability.md.
"""

import numpy as np
import pytest

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import AudioError
from tests import speech
from tests.e2e.conversation import Conversation, conversation
from tests.room import RoomSource

pytestmark = pytest.mark.e2e

WAKE = ("Hey Jarvis", "joe")
SHORT = {"vad.no_speech_seconds": 2.0, "vad.max_command_seconds": 4.0}


def after_the_wake_word(sound: Samples, pause_s: float = 0.5) -> Samples:
    return speech.join(speech.say(*WAKE), speech.silence(pause_s), sound)


def humming(seconds: float) -> Samples:
    """A voice without words: a buzz through two formants, rising and falling."""
    at = np.arange(round(seconds * PIPELINE_RATE_HZ)) / PIPELINE_RATE_HZ
    pitch = 120 + 15 * np.sin(2 * np.pi * 0.8 * at)
    phase = 2 * np.pi * np.cumsum(pitch) / PIPELINE_RATE_HZ
    buzz = sum(np.sin(k * phase) / (1 + ((k * 120 - 500) / 300) ** 2) for k in range(1, 25))
    return (buzz / np.abs(buzz).max() * 12_000 * np.minimum(1, np.minimum(at, seconds - at) * 20)).astype(np.int16)


async def outcome(room: Conversation, turn: int = 1) -> str:
    """How *turn* ended."""
    await room.told.until("state_changed", state="idle", turn=turn)
    await room.pass_time(0.1)
    ends = [e for _, e in room.told.events if e.turn == turn and e.type in ("turn_completed", "turn_dropped", "failed")]

    assert 1 == len(ends)

    return getattr(ends[0], "reason", ends[0].type)


@pytest.mark.parametrize(("word", "pause_s"), [("Lights!", 0.25), ("Yes.", 0.8)])
async def test_a_one_word_command_is_heard(word: str, pause_s: float) -> None:
    said = after_the_wake_word(speech.say(word), pause_s)
    async with conversation() as room:
        room.will_answer("Well.")
        room.say(said)

        assert "turn_completed" == await outcome(room)
        assert room.told.of("transcription_final")[0].text


async def test_a_stop_right_after_the_wake_word_is_not_run_into_its_bound() -> None:
    """In one breath, as short as commands get."""
    said = speech.say("Hey Jarvis, stop!")
    async with conversation(settings=SHORT) as room:
        room.say(said)

        assert await outcome(room) in ("stopped", "no_speech")
        await room.still_works()


async def test_a_command_in_the_first_second_of_the_program_is_heard() -> None:
    """Detectors that need time to settle must not take it from the user."""
    said = after_the_wake_word(speech.say("What time is it?"), 0.1)
    async with conversation() as room:
        assert room.room.seconds < 0.5
        room.will_answer("Noon.")
        room.say(said)

        assert "turn_completed" == await outcome(room)


@pytest.mark.parametrize("kind", ["music", "white", "babble"])
async def test_noise_does_not_hold_a_turn_open(kind: str) -> None:
    """The room is loud from the wake word on, as loud as the user, for longer than the longest command."""
    talk = [
        speech.say(text, voice) for text, voice in (("The weather will be fine.", "joe+3"), ("I do not know.", "joe"))
    ]
    noise = (
        np.resize(sum(np.resize(each, 80_000) // 2 for each in talk), 160_000)
        if kind == "babble"
        else speech.noise(kind, 10.0)
    )
    said = after_the_wake_word(noise.astype(np.int16), 0.1)
    async with conversation(settings=SHORT) as room:
        room.will_answer("I see.")
        room.say(said)
        ended = await outcome(room)

        assert ended in ("no_speech", "stt_empty", "turn_completed")
        assert room.told.at(room.told.of("speech_ended")[0]) < 10.0


async def test_nothing_said_ends_the_turn() -> None:
    said = speech.say(*WAKE)
    async with conversation(settings=SHORT) as room:
        room.say(said)

        assert "no_speech" == await outcome(room)
        await room.still_works()


async def test_a_voice_without_words_ends_the_turn() -> None:
    said = after_the_wake_word(humming(1.5))
    async with conversation(settings=SHORT) as room:
        room.will_answer("Nice.")
        room.say(said)

        assert await outcome(room) in ("stt_empty", "no_speech", "turn_completed")
        await room.still_works()


async def test_a_microphone_muted_in_mid_speech_ends_the_turn() -> None:
    """Digital silence from one sample to the next, in the middle of a word."""
    said = after_the_wake_word(speech.say("Tell me about the ocean at night."))
    async with conversation() as room:
        room.will_answer("It is dark.")
        room.say(said[: -round(0.9 * PIPELINE_RATE_HZ)])
        muted_at = room.room.seconds + len(said) / PIPELINE_RATE_HZ

        assert await outcome(room) in ("turn_completed", "stt_empty")
        assert room.told.at(room.told.of("speech_ended")[0]) < muted_at + 2.0
        await room.still_works()


async def test_a_microphone_unplugged_in_mid_speech_ends_the_turn_and_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = after_the_wake_word(speech.say("Tell me about the ocean at night."))
    read, gone = RoomSource.read, []

    def fragile(source: RoomSource) -> Samples | None:
        if gone:
            if not source._closing.wait(0.25):
                gone.pop()
            raise AudioError("It is gone.", code="audio-input-lost")
        return read(source)

    monkeypatch.setattr(RoomSource, "read", fragile)
    async with conversation() as room:
        room.will_answer("It is dark.")
        room.say(said)
        await room.told.until("speech_started")
        await room.pass_time(0.3)
        gone += [True] * 3
        await room.told.until("input_restored")

        assert await outcome(room) in ("turn_completed", "stt_empty", "input_lost")
        assert 1 == len(room.told.of("input_lost"))
        await room.still_works()


async def test_a_turn_after_a_turn_after_a_turn() -> None:
    """Works once, then never again: the commonest of all."""
    async with conversation() as room:
        for _ in range(2):
            room.will_answer("Noon.")
            await room.ask()
            await room.still_works()
