"""The state machine is total, ends every turn exactly once, and never mixes turns up."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.stages import EndReason
from heisenberg.orchestrator import states
from heisenberg.orchestrator.machine import advance
from heisenberg.orchestrator.states import Assistant, Command, Message, Stage, State

TURN, ATTEMPT = 7, 3
BOTH = ((True, True), (True, False), (False, False))
UNDERSTOOD = (("", True, False), ("", False, False), ("Hello.", False, False), ("Stop.", False, True))
FATES = (states.Complete, states.Drop, states.Apologise)


def messages(turn: int, attempt: int = ATTEMPT) -> list[Message]:
    """Every kind of message, in all its variants."""
    return [
        states.Woke("hey_jarvis", 0.9, 1.0),
        states.TextAsked("What time is it?"),
        states.SayAsked("Welcome."),
        states.ListenAsked(),
        *(states.MuteAsked(is_muted) for is_muted in (True, False, None)),
        states.Paused(),
        states.Resumed(),
        *(states.CommandOver(reason, said, paused) for reason in EndReason for said, paused in BOTH),
        *(states.Transcribed(turn, attempt, *understood) for understood in UNDERSTOOD),
        states.Sounded(turn),
        states.ReplyOver(turn, attempt),
        *(states.StageFailed(turn, attempt, stage, "stt-failed", "It failed.") for stage in Stage),
        *(states.BoundReached(turn, state, 10.0) for state in State),
        states.StopAsked(),
        states.StopHeard(turn),
        states.SpokenOver(),
        *(states.WordsHeard(turn, is_stop) for is_stop in (True, False)),
        states.NoWordsHeard(turn),
    ]


def assistants() -> list[Assistant]:
    """Every state with every memory."""
    drafts = (None, states.Transcribed(TURN, ATTEMPT, "Hello."))
    flags = itertools.product(State, (frozenset(), frozenset(Stage)), drafts, *[(False, True)] * 5)
    return [
        Assistant(
            state,
            TURN,
            ATTEMPT,
            has_draft=draft is not None,
            draft=draft,
            reason="silence",
            retried=retried,
            has_listened_again=again,
            is_apologising=sorry,
            has_spoken=spoken,
            is_committed=spoken,
            follows_up=follows,
            is_muted=muted,
        )
        for state, retried, draft, again, sorry, spoken, follows, muted in flags
    ]


a_turn = st.integers(min_value=0, max_value=4)
an_attempt = st.integers(min_value=0, max_value=9)
a_message = st.tuples(a_turn, an_attempt).flatmap(lambda of: st.sampled_from(messages(*of)))


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


def test_every_state_bears_every_message() -> None:
    for now, message in itertools.product(assistants(), messages(TURN)):
        after, commands = advance(now, message)

        assert after.turn in (now.turn, now.turn + 1)
        assert isinstance(commands, tuple)
        assert (after.state is State.IDLE) == (states.Rest() in commands) or after.state is now.state is State.IDLE
        assert (after.turn != now.turn) == any(isinstance(command, states.Begin) for command in commands)


@pytest.mark.parametrize("turn", [TURN - 1, TURN + 1])
def test_a_message_of_another_turn_changes_nothing(turn: int) -> None:
    for now, message in itertools.product(assistants(), messages(turn)):
        if hasattr(message, "turn"):
            assert (now, ()) == advance(now, message)


def test_what_an_earlier_attempt_says_changes_nothing() -> None:
    for now, message in itertools.product(assistants(), messages(TURN, ATTEMPT - 1)):
        if hasattr(message, "attempt"):
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
        assert after.attempt >= now.attempt
        now = after


@given(st.lists(a_message, max_size=60))
def test_a_turn_is_committed_at_most_once_and_before_it_completes(script: list[Message]) -> None:
    commits: dict[int, int] = {}
    now = Assistant()
    for message in script:
        before = now
        now, commands = advance(now, message)
        for command in commands:
            if isinstance(command, states.Commit):
                commits[now.turn] = commits.get(now.turn, 0) + 1
            if isinstance(command, states.Complete):
                assert 1 == commits[before.turn]
    assert set(commits.values()) <= {1}


WOKE = states.Woke("hey_jarvis", 0.9, 1.0)


def listening(*, follows_up: bool = False) -> Assistant:
    return advance(Assistant(follows_up=follows_up), WOKE)[0]


def thinking() -> Assistant:
    return advance(listening(), states.CommandOver(EndReason.SILENCE, True))[0]


def heard(now: Assistant, text: str = "Hello.", **what: bool) -> states.Transcribed:
    return states.Transcribed(now.turn, now.attempt, text, **what)


def answering() -> Assistant:
    now = thinking()
    return advance(now, heard(now))[0]


def speaking() -> Assistant:
    return advance(answering(), states.Sounded(1))[0]


def failed(now: Assistant, stage: Stage, code: str = "stt-failed") -> states.StageFailed:
    return states.StageFailed(now.turn, now.attempt, stage, code, "It failed.")


def test_a_text_to_say_needs_no_language_model() -> None:
    said = states.SayAsked("Welcome.")
    now, commands = advance(Assistant(), said)

    assert (states.Begin(said), states.Commit("say"), states.Say("Welcome.")) == commands
    assert (State.THINKING, 1) == (now.state, now.turn)


def test_whoever_asks_to_be_listened_to_needs_no_wake_word() -> None:
    asked = states.ListenAsked()
    now, commands = advance(Assistant(), asked)

    assert (states.Begin(asked), states.Listen()) == commands
    assert State.LISTENING is now.state


@pytest.mark.parametrize("state", [State.LISTENING, State.THINKING, State.SPEAKING])
def test_it_listens_to_one_at_a_time(state: State) -> None:
    now = Assistant(state, TURN)

    assert (now, ()) == advance(now, states.ListenAsked())


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("wanted", [True, None])
def test_muting_gives_up_a_command_and_nothing_else(state: State, wanted: bool | None) -> None:
    now, commands = advance(Assistant(state, TURN), states.MuteAsked(wanted))

    assert now.is_muted
    assert (states.Drop("muted") in commands) == (state is State.LISTENING)
    assert states.Mute(True) == commands[0]


def test_muting_twice_is_muting_once() -> None:
    now, _ = advance(Assistant(), states.MuteAsked(True))

    assert (now, ()) == advance(now, states.MuteAsked(True))
    assert (Assistant(), (states.Mute(False),)) == advance(now, states.MuteAsked(None))


@given(st.lists(a_message, max_size=40))
def test_nothing_spoken_begins_while_muted(script: list[Message]) -> None:
    now = Assistant(is_muted=True, follows_up=True)
    for message in script:
        if isinstance(message, states.MuteAsked):
            continue
        now, _ = advance(now, message)

        assert now.is_muted
        assert now.state is not State.LISTENING or now.has_listened_again or isinstance(message, states.WordsHeard)


def test_a_spoken_turn_goes_through_all_states() -> None:
    now, steps, performed = Assistant(), [], []
    for message in (WOKE, states.CommandOver(EndReason.SILENCE, True), "heard", states.Sounded(1), "over"):
        if message == "heard":
            message = heard(now)
        elif message == "over":
            message = states.ReplyOver(1, now.attempt)
        now, commands = advance(now, message)  # type: ignore[arg-type]
        steps.append(now.state)
        performed += commands

    assert [State.LISTENING, State.THINKING, State.THINKING, State.SPEAKING, State.IDLE] == steps
    assert [
        states.Begin(WOKE),
        states.Transcribe(),
        states.Commit("silence"),
        states.Answer("Hello."),
        states.Complete(),
        states.Rest(),
    ] == performed


# ── drafts ───────────────────────────────────────────────────────────────────────────────────────


def drafting() -> Assistant:
    return advance(listening(), states.Paused())[0]


def test_a_draft_is_understood_judged_and_answered_before_the_command_is_over() -> None:
    now, first = advance(listening(), states.Paused())
    now, second = advance(now, heard(now))
    now, third = advance(now, states.CommandOver(EndReason.SEMANTIC, True, was_paused=True))

    assert (states.Draft(),) == first
    assert (states.Judge("Hello."), states.Answer("Hello.")) == second
    assert (states.Commit("semantic"),) == third
    assert State.THINKING is now.state


def test_a_draft_of_a_stop_word_or_of_nothing_asks_nobody() -> None:
    for text, is_stop in (("", False), ("Stop.", True)):
        now = drafting()
        _, commands = advance(now, heard(now, text, is_stop=is_stop))

        assert (states.Judge(text),) == commands


def test_speech_that_goes_on_ends_the_draft_and_all_it_still_says() -> None:
    now = drafting()
    late = heard(now)
    now, commands = advance(now, states.Resumed())

    assert (states.DropDraft(),) == commands
    assert (now, ()) == advance(now, late)


def test_a_command_that_went_on_is_transcribed_anew() -> None:
    now, _ = advance(drafting(), states.CommandOver(EndReason.TIMEOUT, True, was_paused=False))
    _, commands = advance(drafting(), states.CommandOver(EndReason.TIMEOUT, True, was_paused=False))

    assert (states.Transcribe(),) == commands
    assert not now.has_draft


def test_an_endpoint_waits_for_the_draft_that_is_being_understood() -> None:
    now, nothing = advance(drafting(), states.CommandOver(EndReason.SILENCE, True, was_paused=True))
    _, commands = advance(now, heard(now))

    assert () == nothing
    assert (states.Commit("silence"), states.Answer("Hello.")) == commands


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("now", "stage", "again"),
    [(thinking(), Stage.STT, states.Transcribe()), (answering(), Stage.LLM, states.Answer(None))],
    ids=["stt", "llm"],
)
def test_a_stage_is_tried_twice_then_excused(now: Assistant, stage: Stage, again: Command) -> None:
    now, first = advance(now, failed(now, stage))
    now, second = advance(now, failed(now, stage))

    assert (again,) == first
    assert (states.Apologise("stt-failed", "It failed."),) == second
    assert now.is_apologising


def test_each_stage_has_a_retry_of_its_own() -> None:
    now, _ = advance(thinking(), failed(thinking(), Stage.STT))
    now, _ = advance(now, heard(now))
    _, commands = advance(now, failed(now, Stage.LLM))

    assert (states.Answer(None),) == commands


def test_what_was_heard_is_not_said_again() -> None:
    """A brain that fails in mid-speech is not asked a second time: the user would hear the beginning twice."""
    _, commands = advance(speaking(), failed(speaking(), Stage.LLM, "llm-failed"))

    assert (states.Apologise("llm-failed", "It failed."),) == commands


def test_the_voice_is_not_tried_again_here() -> None:
    _, commands = advance(answering(), failed(answering(), Stage.TTS, "tts-failed"))

    assert (states.Apologise("tts-failed", "It failed."),) == commands


def test_an_apology_that_fails_ends_the_turn() -> None:
    sorry, _ = advance(answering(), failed(answering(), Stage.TTS))
    now, commands = advance(sorry, failed(sorry, Stage.TTS))

    assert State.IDLE is now.state
    assert (states.Rest(),) == commands


def test_an_apology_may_be_stopped_but_is_not_counted_twice() -> None:
    sorry, _ = advance(thinking(), states.BoundReached(1, State.THINKING, 60.0))
    now, commands = advance(sorry, states.StopAsked())

    assert State.IDLE is now.state
    assert (states.Rest(),) == commands


def test_a_transcript_that_comes_after_its_bound_is_not_answered() -> None:
    sorry, _ = advance(thinking(), states.BoundReached(1, State.THINKING, 60.0))

    assert (sorry, ()) == advance(sorry, heard(sorry))


# ── endings ──────────────────────────────────────────────────────────────────────────────────────


def test_the_wake_phrase_alone_is_listened_to_once_more() -> None:
    now, first = advance(thinking(), heard(thinking(), "", is_wake_only=True))
    now, _ = advance(now, states.CommandOver(EndReason.SILENCE, True))
    now, second = advance(now, heard(now, "", is_wake_only=True))

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


# ── who has the word ─────────────────────────────────────────────────────────────────────────────


def test_the_wake_word_ends_a_reply_and_begins_the_next_turn() -> None:
    now, commands = advance(speaking(), WOKE)

    assert (State.LISTENING, 2) == (now.state, now.turn)
    assert (states.Drop("interrupted"), states.Cancel(), states.Begin(WOKE)) == commands


def test_speech_over_a_reply_waits_for_words() -> None:
    now, first = advance(speaking(), states.SpokenOver())
    on, second = advance(now, states.NoWordsHeard(1))
    words = states.WordsHeard(1, is_stop=False)
    taken, third = advance(now, words)

    assert (states.Hush(),) == first
    assert (states.SpeakOn(),) == second
    assert speaking() == on
    assert (states.Drop("interrupted"), states.Cancel(), states.Begin(words)) == third
    assert (State.LISTENING, 2) == (taken.state, taken.turn)


def test_a_spoken_answer_is_followed_up_where_that_is_wanted() -> None:
    now = listening(follows_up=True)
    for message in (states.CommandOver(EndReason.SILENCE, True), "heard", "over"):
        of = heard(now) if message == "heard" else states.ReplyOver(1, now.attempt) if message == "over" else message
        now, commands = advance(now, of)  # type: ignore[arg-type]
    _, silence = advance(now, states.CommandOver(EndReason.NO_SPEECH, False))

    assert (states.Complete(), states.Cancel(), states.Begin(None), states.Listen(is_followup=True)) == commands
    assert (State.LISTENING, 2) == (now.state, now.turn)
    assert (states.Drop("no_followup"), states.Rest()) == silence
