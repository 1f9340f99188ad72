"""The work of one turn: transcribe the command, ask the brain, speak while it answers.

Everything here may be cancelled at any moment by ``session.py``, and posts what came of it as messages that
carry the turn's number. It decides nothing: retries, apologies and states are ``states.py``'s affair.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

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
    VisualField,
)
from heisenberg.orchestrator.history import History
from heisenberg.orchestrator.latency import LatencyWatch
from heisenberg.orchestrator.listener import CommandDone
from heisenberg.orchestrator.states import Message, ReplyOver, Sounded, Stage, StageFailed, Transcribed
from heisenberg.orchestrator.wake_phrase import without_wake_phrase

log = logging.getLogger(__name__)

APOLOGIES = {"en": "Sorry, something went wrong.", "fr": "Désolé, quelque chose n'a pas marché."}
APOLOGY_BOUND_S = 12.0


class Performance(Protocol):
    """One reply being spoken; see ``sinks/speech.py``."""

    async def say(self, sentence: str) -> None:
        """Speak *sentence* after the ones before."""

    async def end(self) -> None:
        """No more sentences come."""

    async def run(self, language: str | None = None) -> float:
        """Speak; seconds played. Raises HeisenbergError."""


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


class TurnWork:
    """One turn.

    Args:
        turn: its number.
        stages: who does the work.
        emit: tells the world.
        post: tells the state machine.
        wake_phrase: the wake word that began the turn, empty for a typed question.
    """

    def __init__(
        self,
        turn: int,
        stages: Stages,
        emit: Callable[..., None],
        post: Callable[[Message], None],
        *,
        wake_phrase: str = "",
    ) -> None:
        self.turn = turn
        self._stages = stages
        self._emit = emit
        self._post = post
        self._wake_phrase = wake_phrase
        self._clock = asyncio.get_running_loop().time
        self.watch = LatencyWatch(self._clock, 0.0)
        self._recognition: Recognition | None = None
        self._command: CommandDone | None = None
        self._question = ""
        self._answer = ""
        self._language: str | None = None
        self._has_sounded = False

    # ── hearing ──────────────────────────────────────────────────────────────────────────────────

    def hear(self, samples: Samples) -> None:
        """More of the command, while it is spoken."""
        self._open().feed(samples)

    def take_command(self, command: CommandDone) -> None:
        """The command is over."""
        self._command = command
        self.watch = LatencyWatch(self._clock, command.waited_seconds)
        self.watch.mark("endpoint")

    async def transcribe(self) -> None:
        """Get the final transcript; posts Transcribed or StageFailed."""
        assert self._command is not None
        began = self._clock()
        try:
            transcript = await self._open().finish(self._command.samples)
        except HeisenbergError as exc:
            self._failed(Stage.STT, exc)
            return
        text = self._without_wake_phrase(transcript.text, is_expected=self._command.has_wake_phrase)
        self._language = transcript.language
        self.watch.mark("stt")
        self._emit(
            events.TranscriptionFinal,
            text=text,
            language=transcript.language,
            audio_seconds=round(len(self._command.samples) / PIPELINE_RATE_HZ, 3),
            stt_seconds=round(self._clock() - began, 4),
        )
        is_wake_only = not text and self._command.has_wake_phrase
        self._post(Transcribed(self.turn, text, self._command.reason.value, is_wake_only))

    async def reopen(self) -> None:
        """What was heard was only the wake phrase; wait for the command."""
        await self.close()
        self._command = None

    # ── answering ────────────────────────────────────────────────────────────────────────────────

    async def answer(self, text: str | None) -> None:
        """Ask the brain (None: the same question again) and speak; posts ReplyOver or StageFailed."""
        self._question = text if text is not None else self._question
        self._answer = ""
        performance = self._stages.new_performance(self._heard_ourselves)
        speaking = asyncio.create_task(performance.run(self._reply_language()), name=f"speech of turn {self.turn}")
        try:
            failure = await self._think(performance)
            if failure is not None and not self._has_sounded:
                speaking.cancel()  # it is asked again: what waits to be spoken must not be heard twice
            await performance.end()
            spoken = await self._finish_speaking(speaking)
        except BaseException:
            await self._fall_silent(speaking)
            raise
        if failure is not None:
            self._failed(Stage.LLM, failure)
        elif spoken is not None:
            self._failed(Stage.TTS, spoken)
        else:
            self._stages.history.add(Exchange(self._question, self._answer))
            self._post(ReplyOver(self.turn))

    async def apologise(self) -> None:
        """Say that something went wrong, if anything can still be said; posts ReplyOver."""
        language = self._reply_language() or "en"
        performance = self._stages.new_performance(lambda what: None)
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
        self._post(ReplyOver(self.turn))

    async def close(self) -> None:
        """Forget the recognition, if one is open."""
        if self._recognition is not None:
            await self._recognition.cancel()
            self._recognition = None

    # ── inside ───────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> Recognition:
        if self._recognition is None:
            self._recognition = self._stages.recogniser.open(self._partial)
        return self._recognition

    def _partial(self, text: str) -> None:
        text = self._without_wake_phrase(text, is_expected=False)
        if text:
            self._emit(events.TranscriptionPartial, text=text)

    def _without_wake_phrase(self, text: str, *, is_expected: bool) -> str:
        return without_wake_phrase(text, self._wake_phrase, is_expected=is_expected) if self._wake_phrase else text

    def _reply_language(self) -> str | None:
        return self._language if self._stages.reply_language == "auto" else self._stages.reply_language

    async def _think(self, performance: Performance) -> HeisenbergError | None:
        """Stream the brain's thoughts to the world; the failure, if there was one."""
        brain = self._stages.brain
        self._emit(events.LlmStarted, model=brain.model)
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

    async def _take(self, thought: Thought, performance: Performance) -> None:
        match thought:
            case ReplyToken(text):
                self.watch.mark("llm_first_token")
                self._emit(events.LlmToken, text=text)
            case ReplySentence(text):
                self.watch.mark("first_sentence")
                self._emit(events.LlmSentence, text=text)
                await performance.say(text)
            case VisualField(name, value):
                self._emit(events.VisualUpdated, field=name, value=value)
            case Answer(text, visual, tokens):
                self._answer = text
                self._emit(events.LlmComplete, text=text, visual=visual, tokens=tokens)

    def _heard_ourselves(self, what: str) -> None:
        if what == "synthesised":
            self.watch.mark("tts_first_audio")
            return
        self.watch.mark("first_audio")
        self._has_sounded = True
        self._emit(events.SpeakingStarted)
        self._post(Sounded(self.turn))

    async def _finish_speaking(self, speaking: asyncio.Task[float]) -> HeisenbergError | None:
        """Wait until everything was heard; the failure, if there was one."""
        try:
            played = await speaking
        except HeisenbergError as exc:
            await self._let_finish()
            return exc
        except asyncio.CancelledError:
            if not speaking.cancelled() or asyncio.current_task().cancelling():  # type: ignore[union-attr]
                raise
            await self._silence()
            return None
        if self._has_sounded:
            self._emit(events.SpeakingFinished, played_seconds=round(played, 3), interrupted=False)
        return None

    async def _fall_silent(self, speaking: asyncio.Task[float]) -> None:
        speaking.cancel()
        played = await self._silence()
        await asyncio.gather(speaking, return_exceptions=True)
        if self._has_sounded:
            self._emit(events.SpeakingFinished, played_seconds=round(played, 3), interrupted=True)

    async def _let_finish(self) -> None:
        """The voice failed in mid-reply: what it said so far is still heard."""
        if not self._has_sounded:
            return
        played = 0.0
        with contextlib.suppress(HeisenbergError):
            played = await self._stages.output.drain()
        self._emit(events.SpeakingFinished, played_seconds=round(played, 3), interrupted=True)

    async def _silence(self) -> float:
        """Stop the output; seconds it had played."""
        with contextlib.suppress(HeisenbergError):
            return await self._stages.output.stop()
        return 0.0

    def _failed(self, stage: Stage, error: HeisenbergError) -> None:
        self._post(StageFailed(self.turn, stage, error.code, error.message))
