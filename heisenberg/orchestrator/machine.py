"""The turn as a pure state machine: ``advance(state, message) → (state, commands)``.

    IDLE ──woke──▶ LISTENING ──command over──▶ THINKING ──first sound──▶ SPEAKING ──reply over──▶ IDLE
      │             │   ▲ └──nothing said, stop──▶ IDLE     │                            ▲   (or LISTENING: follow-up)
      │         pause   resumed                             │                            │
      │             ▼   │                                   │                            │
      │            a draft, unseen                          │                            │
      └──text asked, text to say─────────────▶ THINKING ────┴──reply over, apology over──┘

Whoever asks to be listened to begins a turn as the wake word does. Whatever interrupts (the wake word, words spoken
over the reply) ends the turn and begins the next one. In a pause of the command a *draft* begins: it is transcribed
and answered, and nobody notices until the endpoint commits it. While the microphone is muted nothing spoken begins.

Nothing here waits, sends or knows the clock: ``turns.py`` performs the commands. A message that bears
an old turn or an old attempt, or does not fit the state, changes nothing.
"""

from dataclasses import replace

from heisenberg.core.stages import EndReason
from heisenberg.orchestrator.states import (
    Answer,
    Apologise,
    Assistant,
    Begin,
    BoundReached,
    Cancel,
    Command,
    CommandOver,
    Commit,
    Complete,
    Draft,
    Drop,
    DropDraft,
    Hush,
    Judge,
    Listen,
    ListenAsked,
    Message,
    Mute,
    MuteAsked,
    NoWordsHeard,
    Paused,
    ReplyOver,
    Rest,
    Resumed,
    Say,
    SayAsked,
    Sounded,
    SpeakOn,
    SpokenOver,
    Stage,
    StageFailed,
    State,
    StopAsked,
    StopHeard,
    TextAsked,
    Transcribe,
    Transcribed,
    Woke,
    WordsHeard,
)

Step = tuple[Assistant, tuple[Command, ...]]


def advance(now: Assistant, message: Message) -> Step:
    """What follows from *message*; total: whatever does not fit is ignored."""
    if getattr(message, "turn", now.turn) != now.turn or getattr(message, "attempt", now.attempt) != now.attempt:
        return now, ()
    match now.state, message:
        case _, MuteAsked(is_muted):
            return _muted(now, not now.is_muted if is_muted is None else is_muted)
        case _, (Woke() | ListenAsked()) if now.is_muted:
            return now, ()
        case State.IDLE, ListenAsked():
            return _begin(now, State.LISTENING, Begin(message), Listen())
        case State.IDLE, SayAsked(text):
            return _begin(now, State.THINKING, Begin(message), Commit("say"), Say(text), is_typed=True)
        case State.IDLE, Woke():
            return _begin(now, State.LISTENING, Begin(message))
        case State.IDLE, TextAsked(text):
            return _begin(now, State.THINKING, Begin(message), Commit("text"), Answer(text), is_typed=True)
        case State.LISTENING, Paused():
            return _attempt(now, Draft(), has_draft=True)
        case State.LISTENING, Resumed() if now.has_draft:
            return _attempt(now, DropDraft())
        case State.LISTENING, Transcribed(text=text):
            draft = replace(now, draft=message)
            return draft, (Judge(text), *((Answer(text),) if text and not message.is_stop else ()))
        case State.LISTENING, CommandOver():
            return _command_over(now, message)
        case State.THINKING, Transcribed() if not (now.is_apologising or now.is_committed):
            return _understood(now, message)
        case State.THINKING, Sounded() if not now.is_apologising:
            return replace(now, state=State.SPEAKING, has_spoken=True), ()
        case ((State.THINKING | State.SPEAKING), ReplyOver()):
            return _reply_over(now)
        case State.LISTENING, StageFailed():
            return _attempt(now, DropDraft())  # the endpoint will try again, and not quietly
        case ((State.THINKING | State.SPEAKING), StageFailed()):
            return _failed(now, message)
        case ((State.THINKING | State.SPEAKING), (Woke() | SpokenOver() | WordsHeard() | NoWordsHeard())):
            return _interrupted(now, message)
        case ((State.LISTENING | State.THINKING | State.SPEAKING), BoundReached(_, state, seconds)) if (
            state is now.state
        ):
            text = f"The turn was {now.state.value} for {seconds:g} s, which is its bound."
            return _give_up(now, "turn-timeout", text)
        case ((State.LISTENING | State.THINKING | State.SPEAKING), (StopAsked() | StopHeard())):
            return _end(now) if now.is_apologising else _end(now, Drop("stopped"))
    return now, ()


def _begin(now: Assistant, state: State, *commands: Command, is_typed: bool = False, is_followup: bool = False) -> Step:
    """The next turn; *commands* finish the one before and begin this one."""
    begun = Assistant(
        state,
        now.turn + 1,
        now.attempt + 1,
        is_committed=is_typed,
        is_typed=is_typed,
        is_followup=is_followup,
        follows_up=now.follows_up,
        is_muted=now.is_muted,
    )
    return begun, commands


def _end(now: Assistant, *commands: Command) -> Step:
    idle = Assistant(State.IDLE, now.turn, now.attempt + 1, follows_up=now.follows_up, is_muted=now.is_muted)
    return idle, (*commands, Rest())


def _muted(now: Assistant, is_muted: bool) -> Step:
    """A command that is being spoken is given up; an answer goes on."""
    if is_muted is now.is_muted:
        return now, ()
    after = replace(now, is_muted=is_muted)
    if is_muted and now.state is State.LISTENING:
        return _end(after, Mute(is_muted), Drop("muted"))
    return after, (Mute(is_muted),)


def _attempt(now: Assistant, *commands: Command, has_draft: bool = False) -> Step:
    """Another piece of work takes the place of the one before."""
    return replace(now, attempt=now.attempt + 1, has_draft=has_draft, draft=None), commands


def _command_over(now: Assistant, over: CommandOver) -> Step:
    if not over.has_speech:
        silence = "no_followup" if now.is_followup and not now.has_listened_again else "no_speech"
        return _end(now, Drop("input_lost" if over.reason is EndReason.INPUT_LOST else silence))
    thinking = replace(now, state=State.THINKING, reason=over.reason.value)
    if not (now.has_draft and over.was_paused):
        return _attempt(thinking, Transcribe())
    return (thinking, ()) if now.draft is None else _understood(thinking, now.draft)


def _understood(now: Assistant, heard: Transcribed) -> Step:
    """The command is over and its words are known."""
    if heard.is_wake_only and not now.has_listened_again:
        again = replace(now, state=State.LISTENING, has_listened_again=True, reason="")
        return _attempt(again, Listen())
    if not heard.text:
        return _end(now, Drop("stt_empty"))
    if heard.is_stop:
        return _end(now, Drop("stopped"))
    answer = () if now.draft is not None else (Answer(heard.text),)
    return replace(now, is_committed=True), (Commit(now.reason), *answer)


def _reply_over(now: Assistant) -> Step:
    if now.is_apologising:
        return _end(now)
    if now.is_typed or now.is_muted or not now.follows_up:
        return _end(now, Complete())
    commands = (Complete(), Cancel(), Begin(None), Listen(is_followup=True))
    return _begin(now, State.LISTENING, *commands, is_followup=True)


def _interrupted(now: Assistant, message: Message) -> Step:
    """Somebody wants the word while the assistant has it."""
    ending: tuple[Command, ...] = (Cancel(),) if now.is_apologising else (Drop("interrupted"), Cancel())
    match message:
        case Woke():
            return _begin(now, State.LISTENING, *ending, Begin(message))
        case WordsHeard(is_stop=True):
            return _end(now, Drop("stopped"))
        case WordsHeard():
            return _begin(now, State.LISTENING, *ending, Begin(message))
        case SpokenOver() if not now.is_apologising:
            return now, (Hush(),)
        case NoWordsHeard():
            return now, (SpeakOn(),)
    return now, ()


def _failed(now: Assistant, failure: StageFailed) -> Step:
    """Once more where nothing was heard yet; else an apology."""
    may_retry = failure.stage not in now.retried and not now.has_spoken and not now.is_apologising
    again = replace(now, retried=now.retried | {failure.stage})
    if may_retry and failure.stage is Stage.STT and not now.is_committed:
        return _attempt(again, Transcribe())
    if may_retry and failure.stage is Stage.LLM and now.is_committed:
        return _attempt(again, Answer(None))
    return _give_up(now, failure.code, failure.message)


def _give_up(now: Assistant, code: str, message: str) -> Step:
    """Apologise; a failure of the apology itself ends the turn."""
    if now.is_apologising:
        return _end(now)
    sorry = replace(now, state=State.THINKING, is_apologising=True)
    return _attempt(sorry, Apologise(code, message))
