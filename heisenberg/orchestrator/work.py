"""The work of one turn: transcribe the command, ask the brain, speak while it answers.

Everything here may be cancelled at any moment by ``turns.py``, and posts what came of it as messages that carry the
turn's number and the attempt's. It decides nothing: drafts, retries, apologies and states are ``machine.py``'s affair.
Until :meth:`TurnWork.commit` nothing of it is told or heard.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from heisenberg.core import events
from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.errors import HeisenbergError
from heisenberg.core.stages import (
    Answer,
    AudioOutput,
    Brain,
    Exchange,
    Recogniser,
    Recognition,
    ReplySentence,
    ReplyToken,
    Thought,
    Transcript,
    VisualField,
)
from heisenberg.orchestrator.ending import end
from heisenberg.orchestrator.gate import Emit, Gate
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.latency import LatencyWatch
from heisenberg.orchestrator.reports import CommandCut
from heisenberg.orchestrator.states import Message, ReplyOver, Sounded, Stage, StageFailed, Transcribed
from heisenberg.orchestrator.stop_words import is_stop
from heisenberg.orchestrator.wake_phrase import without_wake_phrase

log = logging.getLogger(__name__)

T = TypeVar("T")

APOLOGIES = {"en": "Sorry, something went wrong.", "fr": "Désolé, quelque chose n'a pas marché."}
APOLOGY_BOUND_S = 12.0

OUTPUT_BOUND_S = 1.5
"""A device that obeys later than this does so without us. Less than ``watchdog.stall_seconds``,
since the session waits here while its inbox fills."""

CUT_SHORT = "…"
"""Ends what the history keeps of an answer that was interrupted."""


class Performance(Protocol):
    """One reply being spoken; see ``sinks/speech.py``."""

    async def say(self, sentence: str) -> None:
        """Speak *sentence* after the ones before."""

    async def end(self) -> None:
        """No more sentences come."""

    async def run(self, language: str | None = None) -> float:
        """Speak; seconds played. Raises HeisenbergError."""

    def release(self) -> None:
        """It may be heard from now on."""

    def halt(self) -> None:
        """Give the output nothing more."""

    def heard(self, played_s: float) -> str:
        """The words of the first *played_s* seconds."""


NewPerformance = Callable[[Callable[[str], None]], Performance]
"""Makes a performance, given what to call with ``synthesised`` and then ``sounded``."""


@dataclass(frozen=True, slots=True)
class Stages:
    """What a turn needs."""

    recogniser: Recogniser
    brain: Brain
    new_performance: NewPerformance
    output: AudioOutput
    history: History
    reply_language: str
    """ISO 639-1 code, or ``auto`` for that of the question."""
    stop_words: Sequence[str] = ()
    """Phrases that end a turn when nothing else is said."""
    sentences_of: Callable[[str], Sequence[str]] = lambda text: [text]
    """Cuts a text that is to be said as it is."""


class TurnWork:
    """One turn.

    Args:
        turn: its number.
        stages: who does the work.
        emit: tells the world, in this turn's name.
        post: tells the state machine.
        wake_phrase: a wake word that the command may begin with; empty for a typed question.
        typed: that question.
        recognition: of a command that has begun already.
    """

    def __init__(
        self,
        turn: int,
        stages: Stages,
        emit: Emit,
        post: Callable[[Message], None],
        *,
        wake_phrase: str = "",
        typed: str = "",
        recognition: Recognition | None = None,
    ) -> None:
        self.turn = turn
        self._stages = stages
        self._gate = Gate(emit)
        self._emit = emit
        self._post = post
        self._wake_phrase = wake_phrase
        self._typed = typed
        self._recognition = recognition
        self._clock = asyncio.get_running_loop().time
        self.watch = LatencyWatch(self._clock, 0.0)
        self._command: CommandCut | None = None
        self._transcription: dict[str, Any] | None = None
        self._language: str | None = None
        self._performance: Performance | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._question = ""
        self._answer = ""
        self.reply = ""
        """What the reply says, as far as it is known."""
        self._is_committed = False
        self._has_sounded = False
        self._has_fallen_silent = False
        self._is_held = False
        self._has_told_pause = False
        self._underruns_before = 0

    @property
    def language(self) -> str:
        """ISO 639-1 code of the command, empty while it is not known."""
        return self._language or ""

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """A question is about to come: let the brain read what stays the same."""
        prepare = self._stages.brain.prepare(self._stages.history.recent())
        self._preparing = asyncio.create_task(prepare, name=f"preparation of turn {self.turn}")

    def hear(self, samples: Samples) -> None:
        """More of the command, while it is spoken."""
        self._open().feed(samples)

    def take_command(self, command: CommandCut) -> None:
        """The command as far as it was spoken; what follows is measured from its end."""
        self._command = command
        self.watch = LatencyWatch(self._clock, command.waited_seconds)

    async def transcribe(self, attempt: int) -> None:
        """Get the transcript of the command; posts Transcribed or StageFailed."""
        assert self._command is not None
        command, began = self._command, self._clock()
        try:
            transcript = await self._open().finish(command.samples)
        except HeisenbergError as exc:
            self._failed(attempt, Stage.STT, exc)
            return
        text = self._without_wake_phrase(transcript.text, is_expected=command.has_wake_phrase)
        self._understand(command, transcript, text, self._clock() - began)
        is_wake_only = not text and (command.has_wake_phrase or bool(transcript.text.strip()))
        self._post(Transcribed(self.turn, attempt, text, is_wake_only, is_stop(text, self._stages.stop_words)))

    def drop_draft(self) -> None:
        """The user speaks on: what was made of the command so far is forgotten."""
        self._gate.forget()
        self._transcription = None

    async def reopen(self) -> None:
        """What was heard was only the wake phrase; wait for the command."""
        await self.close()
        self._command = self._transcription = None

    def tell_transcript(self) -> None:
        """The command is over: say what was understood, once."""
        if self._transcription is not None:
            self._emit(events.TranscriptionFinal, **self._transcription)
            self._transcription = None

    # ── answering ────────────────────────────────────────────────────────────────────────────────

    def commit(self, reason: str) -> None:
        """The turn is certain: what was held back leaves now."""
        self.tell_transcript()
        self._emit(events.TurnCommitted, reason=reason, text=self._typed)
        self._is_committed = True
        self._gate.open()
        if self._performance is not None:
            self._performance.release()

    async def answer(self, text: str | None, attempt: int) -> None:
        """Ask the brain (None: the same question again) and speak; posts ReplyOver or StageFailed."""
        self._question = text if text is not None else self._question
        self._answer = self.reply = ""
        if await self._speak(self._think, attempt):
            self._stages.history.add(Exchange(self._question, self._answer))
            self._post(ReplyOver(self.turn, attempt))

    async def say(self, text: str, attempt: int) -> None:
        """Speak *text* as it is: no brain, no visuals, no memory of it; posts ReplyOver or StageFailed."""
        self.reply = text
        if await self._speak(functools.partial(self._recite, text), attempt):
            self._post(ReplyOver(self.turn, attempt))

    async def _speak(self, bring: Callable[[Performance], Awaitable[HeisenbergError | None]], attempt: int) -> bool:
        """Speak what *bring* gives to a performance; whether all of it was heard. Posts StageFailed if not."""
        performance = self._perform(self._heard_ourselves)
        speaking = asyncio.create_task(performance.run(self._reply_language()), name=f"speech of turn {self.turn}")
        try:
            failure = await bring(performance)
            if failure is not None and not self._has_sounded:
                speaking.cancel()  # it is asked again: what waits to be spoken must not be heard twice
            await performance.end()
            spoken = await self._finish_speaking(speaking)
        except BaseException:
            await self._end_speaking(speaking, performance)
            raise
        if failure is not None:
            self._failed(attempt, Stage.LLM, failure)
        elif spoken is not None:
            self._failed(attempt, Stage.TTS, spoken)
        return failure is None and spoken is None

    async def apologise(self, attempt: int) -> None:
        """Say that something went wrong, if anything can still be said; posts ReplyOver."""
        language = self._reply_language() or "en"
        performance = self._perform(lambda what: None)
        performance.release()
        try:
            async with asyncio.timeout(APOLOGY_BOUND_S):
                await performance.say(APOLOGIES.get(language, APOLOGIES["en"]))
                await performance.end()
                await performance.run(language if language in APOLOGIES else "en")
        except (HeisenbergError, TimeoutError) as exc:
            log.warning("the apology could not be spoken: %s", exc or f"it took more than {APOLOGY_BOUND_S:g} s")
            await self._silence()
        except asyncio.CancelledError:
            await self._silence()
            raise
        self._post(ReplyOver(self.turn, attempt))

    # ── being interrupted ────────────────────────────────────────────────────────────────────────

    async def hold(self) -> None:
        """Somebody speaks over the reply: wait where it is."""
        self._is_held = True
        await _soon(self._stages.output.pause())
        if self._has_sounded and not self._has_told_pause:
            self._has_told_pause = True
            self._gate.pass_on(events.SpeakingPaused)

    async def go_on(self) -> None:
        """It was nothing: go on where the reply stopped."""
        self._is_held = False
        if self._has_told_pause:
            self._has_told_pause = False
            self._gate.pass_on(events.SpeakingResumed)
        await _soon(self._stages.output.resume())

    async def fall_silent(self) -> None:
        """At once: nothing more is heard of this turn. The history keeps what was."""
        if self._has_fallen_silent and not self._is_held:
            return
        self._has_fallen_silent = True
        if self._performance is not None:
            self._performance.halt()
        if not (self._is_held or (self._is_committed and self._performance is not None)):
            return  # a draft, at most: the output knows nothing of it
        self._is_held = False
        played_s = await self._silence()
        if self._performance is None or not self._has_sounded:
            return
        self._tell_finished(played_s, interrupted=True)
        if self._question and (heard := self._performance.heard(played_s)):
            self._stages.history.add(Exchange(self._question, f"{heard} {CUT_SHORT}", is_interrupted=True))

    async def close(self) -> None:
        """Forget the recognition and the preparation, if there are any."""
        preparing, self._preparing = self._preparing, None
        await end(preparing)
        if self._recognition is not None:
            await self._recognition.cancel()
            self._recognition = None

    def shut(self) -> None:
        """The turn is over; whatever still comes is not told."""
        self._gate.shut()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> Recognition:
        if self._recognition is None:
            self._recognition = self._stages.recogniser.open(self.tell_partial)
        return self._recognition

    def tell_partial(self, text: str) -> None:
        """The words so far."""
        text = self._without_wake_phrase(text, is_expected=False)
        if text:
            self._emit(events.TranscriptionPartial, text=text)

    def _understand(self, command: CommandCut, transcript: Transcript, text: str, took_s: float) -> None:
        self._language = transcript.language
        self.watch.mark("stt")
        self._transcription = {
            "text": text,
            "language": transcript.language,
            "audio_seconds": round(len(command.samples) / PIPELINE_RATE_HZ, 3),
            "stt_seconds": round(took_s, 4),
        }

    def _without_wake_phrase(self, text: str, *, is_expected: bool) -> str:
        return without_wake_phrase(text, self._wake_phrase, is_expected=is_expected) if self._wake_phrase else text

    def _reply_language(self) -> str | None:
        return self._language if self._stages.reply_language == "auto" else self._stages.reply_language

    def _perform(self, on_progress: Callable[[str], None]) -> Performance:
        self._has_fallen_silent = False
        self._performance = self._stages.new_performance(on_progress)
        if self._is_committed:
            self._performance.release()
        return self._performance

    async def _think(self, performance: Performance) -> HeisenbergError | None:
        """Stream the brain's thoughts to the world; the failure, if there was one."""
        brain = self._stages.brain
        self._gate.pass_on(events.LlmStarted, model=brain.model)
        thoughts = brain.think(self._question, self._stages.history.recent(), self._language)
        try:
            async for thought in thoughts:
                await self._take(thought, performance)
        except HeisenbergError as exc:
            return exc
        finally:
            if hasattr(thoughts, "aclose"):
                await thoughts.aclose()
        return None

    async def _recite(self, text: str, performance: Performance) -> None:
        for sentence in self._stages.sentences_of(text):
            self._gate.pass_on(events.LlmSentence, text=sentence)
            await performance.say(sentence)

    async def _take(self, thought: Thought, performance: Performance) -> None:
        match thought:
            case ReplyToken(text):
                self.watch.mark("llm_first_token")
                self.reply += text
                self._gate.pass_on(events.LlmToken, text=text)
            case ReplySentence(text):
                self.watch.mark("first_sentence")
                self._gate.pass_on(events.LlmSentence, text=text)
                await performance.say(text)
            case VisualField(name, value):
                self._gate.pass_on(events.VisualUpdated, field=name, value=value)
            case Answer(text, visual, tokens):
                self._answer = text
                self._gate.pass_on(events.LlmComplete, text=text, visual=visual, tokens=tokens)

    def _heard_ourselves(self, what: str) -> None:
        if what == "synthesised":
            self.watch.mark("tts_first_audio")
            return
        self.watch.mark("first_audio")
        self._has_sounded = True
        self._underruns_before = self._stages.output.underruns
        self._gate.pass_on(events.SpeakingStarted)
        self._post(Sounded(self.turn))

    async def _finish_speaking(self, speaking: asyncio.Task[float]) -> HeisenbergError | None:
        """Wait until everything was heard; the failure, if there was one."""
        try:
            played_s = await speaking
        except HeisenbergError as exc:
            await self._let_finish()
            return exc
        except asyncio.CancelledError:
            if not speaking.cancelled() or asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            await self._silence()
            if self._is_held:
                await self.hold()
            return None
        if self._has_sounded:
            self._tell_finished(played_s, interrupted=False)
        return None

    async def _end_speaking(self, speaking: asyncio.Task[float], performance: Performance) -> None:
        speaking.cancel()
        if self._performance is performance:
            await self.fall_silent()
        await asyncio.gather(speaking, return_exceptions=True)

    async def _let_finish(self) -> None:
        """The voice failed in mid-reply: what it said so far is still heard."""
        if not self._has_sounded:
            return
        played_s = 0.0
        with contextlib.suppress(HeisenbergError):
            played_s = await self._stages.output.drain()
        self._tell_finished(played_s, interrupted=True)

    def _tell_finished(self, played_s: float, *, interrupted: bool) -> None:
        self._has_sounded = False
        gaps = max(0, self._stages.output.underruns - self._underruns_before)
        self._gate.pass_on(
            events.SpeakingFinished, played_seconds=round(played_s, 3), interrupted=interrupted, underruns=gaps
        )

    async def _silence(self) -> float:
        """Stop the output; seconds it had played."""
        return await _soon(self._stages.output.stop()) or 0.0

    def _failed(self, attempt: int, stage: Stage, error: HeisenbergError) -> None:
        self._post(StageFailed(self.turn, attempt, stage, error.code, error.message))


async def _soon(order: Coroutine[Any, Any, T]) -> T | None:
    """What the output answers to *order*; None if it fails or takes too long, which is no reason to wait for it."""
    try:
        async with asyncio.timeout(OUTPUT_BOUND_S):
            return await order
    except HeisenbergError as exc:
        log.debug("the output does not obey: %s", exc)
    except TimeoutError:
        log.warning("the output did not answer within %g s", OUTPUT_BOUND_S)
    return None
