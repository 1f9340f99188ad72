"""The state machine is total, ends every turn exactly once, and never mixes turns up."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.stages import EndReason
from heisenberg.orchestrator import states
from heisenberg.orchestrator.states import Assistant, Command, Message, Stage, State, advance

TURN = 7
FATES = (states.Complete, states.Drop, states.Apologise)


def messages(turn: int) -> list[Message]:
    """Every kind of message, in all its variants."""
    return [
        states.Woke("hey_jarvis", 0.9, 1.0),
        states.TextAsked("What time is it?"),
        *(states.CommandOver(reason, said) for reason in EndReason for said in (True, False)),
        *(states.Transcribed(turn, text, "silence", only) for text in ("", "Hello.") for only in (True, False)),
        states.Sounded(turn),
        states.ReplyOver(turn),
        *(states.StageFailed(turn, stage, "stt-failed", "It failed.") for stage in Stage),
        *(states.BoundReached(turn, state, 10.0) for state in State),
        states.StopAsked(),
    ]


def assistants() -> list[Assistant]:
    """Every state with every memory."""
    memories = itertools.product(
        State, (frozenset(), frozenset({Stage.STT}), frozenset(Stage)), (False, True), (False, True), (False, True)
    )
    return [Assistant(state, TURN, *memory) for state, *memory in memories]


a_turn = st.integers(min_value=0, max_value=4)
a_message = a_turn.flatmap(lambda turn: st.sampled_from(messages(turn)))


def play(script: list[Message], now: Assistant | None = None) -> tuple[Assistant, list[Command]]:
    """Where *script* leads, and all commands on the way."""
    now, performed = now or Assistant(), []
    for message in script:
        now, commands = advance(now, message)
        performed += commands
    return now, performed


def bounds_from(now: Assistant) -> tuple[Assistant, list[Command]]:
    """Nothing happens any more but the bounds."""
    performed: list[Command] = []
    for _ in range(4):
        now, commands = advance(now, states.BoundReached(now.turn, now.state, 10.0))
        performed += commands
    return now, performed


@pytest.mark.parametrize("now", assistants(), ids=str)
def test_every_state_bears_every_message(now: Assistant) -> None:
    for message in messages(TURN):
        after, commands = advance(now, message)

        assert after.turn in (now.turn, now.turn + 1)
        assert isinstance(commands, tuple)
        assert after.state is State.IDLE or states.Rest() not in commands
        assert (after.state is State.IDLE) == (states.Rest() in commands) or after.state is now.state is State.IDLE


@pytest.mark.parametrize("now", assistants(), ids=str)
@pytest.mark.parametrize("turn", [TURN - 1, TURN + 1])
def test_a_message_of_another_turn_changes_nothing(now: Assistant, turn: int) -> None:
    for message in messages(turn):
        if hasattr(message, "turn"):
            assert (now, ()) == advance(now, message)


@given(st.lists(a_message, max_size=40))
def test_the_bounds_alone_always_lead_back_to_idle(script: list[Message]) -> None:
    now, _ = play(script)
    now, _ = bounds_from(now)

    assert now.state is State.IDLE


@given(st.lists(a_message, max_size=60))
def test_every_turn_has_exactly_one_fate(script: list[Message]) -> None:
    now, performed = play(script)
    now, at_the_end = bounds_from(now)
    fates = [command for command in performed + at_the_end if isinstance(command, FATES)]

    assert now.turn == len(fates)


@given(st.lists(a_message, max_size=60))
def test_turn_numbers_only_grow_and_by_one(script: list[Message]) -> None:
    now = Assistant()
    for message in script:
        after, _ = advance(now, message)

        assert after.turn - now.turn in (0, 1)
        assert after.turn == now.turn or now.state is State.IDLE
        now = after


@given(st.lists(a_message, max_size=60))
def test_nothing_is_answered_before_it_is_committed(script: list[Message]) -> None:
    """An answer is asked for right behind a commit, or again after a failure of the language model."""
    now = Assistant()
    for message in script:
        now, commands = advance(now, message)
        for command in commands:
            if isinstance(command, states.Answer) and command.text is not None:
                assert isinstance(commands[0], states.Commit)


def listening() -> Assistant:
    return advance(Assistant(), states.Woke("hey_jarvis", 0.9, 1.0))[0]


def thinking() -> Assistant:
    return advance(listening(), states.CommandOver(EndReason.SILENCE, True))[0]


def test_a_spoken_turn_goes_through_all_states() -> None:
    script: list[Message] = [
        states.Woke("hey_jarvis", 0.9, 1.0),
        states.CommandOver(EndReason.SILENCE, True),
        states.Transcribed(1, "Hello.", "silence"),
        states.Sounded(1),
        states.ReplyOver(1),
    ]
    steps = list(itertools.accumulate(script, lambda now, message: advance(now, message)[0], initial=Assistant()))
    _, performed = play(script)

    assert [State.IDLE, State.LISTENING, State.THINKING, State.THINKING, State.SPEAKING, State.IDLE] == [
        now.state for now in steps
    ]
    assert [
        states.Transcribe(),
        states.Commit("silence"),
        states.Answer("Hello."),
        states.Complete(),
        states.Rest(),
    ] == performed


@pytest.mark.parametrize(
    ("stage", "again"), [(Stage.STT, states.Transcribe()), (Stage.LLM, states.Answer(None))], ids=["stt", "llm"]
)
def test_a_stage_is_tried_twice_then_excused(stage: Stage, again: Command) -> None:
    failure = states.StageFailed(1, stage, "stt-failed", "It failed.")
    now, first = advance(thinking(), failure)
    now, second = advance(now, failure)

    assert (again,) == first
    assert (states.Apologise("stt-failed", "It failed."),) == second
    assert now.is_apologising


def test_each_stage_has_a_retry_of_its_own() -> None:
    now, _ = advance(thinking(), states.StageFailed(1, Stage.STT, "stt-failed", ""))
    _, commands = advance(now, states.StageFailed(1, Stage.LLM, "llm-failed", ""))

    assert (states.Answer(None),) == commands


def test_what_was_heard_is_not_said_again() -> None:
    """A brain that fails in mid-speech is not asked a second time: the user would hear the beginning twice."""
    speaking, _ = advance(thinking(), states.Sounded(1))
    _, commands = advance(speaking, states.StageFailed(1, Stage.LLM, "llm-failed", "It failed."))

    assert (states.Apologise("llm-failed", "It failed."),) == commands


def test_the_voice_is_not_tried_again_here() -> None:
    _, commands = advance(thinking(), states.StageFailed(1, Stage.TTS, "tts-failed", "It failed."))

    assert (states.Apologise("tts-failed", "It failed."),) == commands


def test_an_apology_that_fails_ends_the_turn() -> None:
    sorry, _ = advance(thinking(), states.StageFailed(1, Stage.TTS, "tts-failed", ""))
    now, commands = advance(sorry, states.StageFailed(1, Stage.TTS, "tts-failed", ""))

    assert State.IDLE is now.state
    assert (states.Rest(),) == commands


def test_an_apology_may_be_stopped_but_is_not_counted_twice() -> None:
    sorry, _ = advance(thinking(), states.BoundReached(1, State.THINKING, 60.0))
    now, commands = advance(sorry, states.StopAsked())

    assert State.IDLE is now.state
    assert (states.Rest(),) == commands


def test_a_transcript_that_comes_after_its_bound_is_not_answered() -> None:
    sorry, _ = advance(thinking(), states.BoundReached(1, State.THINKING, 60.0))

    assert (sorry, ()) == advance(sorry, states.Transcribed(1, "Hello.", "silence"))


def test_the_wake_phrase_alone_is_listened_to_once_more() -> None:
    now, first = advance(thinking(), states.Transcribed(1, "", "silence", is_wake_only=True))
    now, _ = advance(now, states.CommandOver(EndReason.SILENCE, True))
    now, second = advance(now, states.Transcribed(1, "", "silence", is_wake_only=True))

    assert (states.Listen(),) == first
    assert (states.Drop("stt_empty"), states.Rest()) == second


@pytest.mark.parametrize(
    ("reason", "dropped"), [(EndReason.NO_SPEECH, "no_speech"), (EndReason.INPUT_LOST, "input_lost")], ids=str
)
def test_a_command_without_speech_is_dropped_with_its_reason(reason: EndReason, dropped: str) -> None:
    _, commands = advance(listening(), states.CommandOver(reason, False))

    assert (states.Drop(dropped), states.Rest()) == commands


def test_a_bound_of_a_state_that_was_left_means_nothing() -> None:
    now = thinking()

    assert (now, ()) == advance(now, states.BoundReached(1, State.LISTENING, 10.0))


def test_a_bound_says_what_it_was() -> None:
    _, commands = advance(thinking(), states.BoundReached(1, State.THINKING, 60.0))

    assert (states.Apologise("turn-timeout", "The turn was thinking for 60 s, which is its bound."),) == commands
