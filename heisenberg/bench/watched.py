"""The stages of a run with a stop-watch around each: they do what the real ones do and note when.

Only the stages' own Protocols are watched, so what is measured is what the session sees, whatever it does with it.
"""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from heisenberg.audio.wavfile import NoOutput, WavSource
from heisenberg.bench.trace import LlmCall, SttCall, Trace, TtsCall
from heisenberg.core.audio import AudioChunk, Samples
from heisenberg.core.events import Event
from heisenberg.core.stages import (
    Exchange,
    OnWords,
    Recogniser,
    Recognition,
    ReplySentence,
    ReplyToken,
    Thought,
    Transcript,
    VisualField,
    Voice,
)
from heisenberg.llm.brain import SchemaBrain
from heisenberg.models import Runner

now = time.perf_counter


class WatchedRunner(Runner):
    """A Runner whose stages write into ``trace``, which is replaced for each turn."""

    trace = Trace()

    def recogniser(self, language: str | None = None) -> "WatchedRecogniser":  # type: ignore[override]
        """Speech to text, watched. Raises ModelNotFound."""
        return WatchedRecogniser(super().recogniser(language), self.trace)

    def brain(self) -> "WatchedBrain":  # type: ignore[override]
        """The language model, watched. Raises ModelNotFound."""
        return WatchedBrain(super().brain(), self.trace)

    def voice(self) -> Voice:
        """Text to speech, watched. Raises ModelNotFound."""
        return WatchedVoice(super().voice(), self.trace)


class WatchedSource(WavSource):
    """A paced file that notes when each chunk was delivered."""

    def __init__(self, path: str, trace: Trace) -> None:
        super().__init__(path, pacing=True)
        self._trace = trace
        self._samples = 0

    def read(self) -> Samples | None:
        """The next chunk."""
        chunk = super().read()
        if chunk is not None:
            self._samples += len(chunk)
            self._trace.chunks.append((now(), self._samples))
        return chunk


class WatchedOutput(NoOutput):
    """Nobody hears it; notes when sound would have begun."""

    def __init__(self, trace: Trace) -> None:
        super().__init__()
        self._trace = trace

    async def play(self, chunk: AudioChunk) -> None:
        """Take note of *chunk*."""
        if len(chunk.samples):
            self._trace.played.append((now(), chunk.seconds))
        await super().play(chunk)


class WatchedEvents:
    """A sink that keeps every event and when it came."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    def handle(self, event: Event) -> None:
        """Keep it."""
        self._trace.events.append((now(), event))

    async def close(self) -> None:
        """Nothing to release."""


class WatchedRecogniser:
    """Speech to text."""

    def __init__(self, recogniser: Recogniser, trace: Trace) -> None:
        self._recogniser = recogniser
        self._trace = trace
        self.is_streaming = recogniser.is_streaming

    def open(self, on_partial: Callable[[str], None], on_words: OnWords | None = None) -> Recognition:
        """Begin an utterance."""
        return WatchedRecognition(self._recogniser.open(on_partial, on_words), self._trace)

    async def warm_up(self) -> None:
        """Start what is slow to start."""
        await self._recogniser.warm_up()


class WatchedRecognition:
    """One utterance; only final decodes are noted."""

    def __init__(self, recognition: Recognition, trace: Trace) -> None:
        self._recognition = recognition
        self._trace = trace

    def feed(self, samples: Samples) -> None:
        """More of it."""
        self._recognition.feed(samples)

    async def finish(self, command: Samples) -> Transcript:
        """The final text."""
        call = SttCall(now(), command)
        self._trace.stt.append(call)
        transcript = await self._recognition.finish(command)
        call.done = now()
        return transcript

    async def cancel(self) -> None:
        """Forget it."""
        await self._recognition.cancel()


class WatchedBrain:
    """The language model."""

    def __init__(self, brain: SchemaBrain, trace: Trace) -> None:
        self.model = brain.model
        self._brain = brain
        self._trace = trace

    async def think(
        self, question: str, history: Sequence[Exchange], language: str | None = None
    ) -> AsyncGenerator[Thought, None]:
        """Stream the answer."""
        call = LlmCall(now(), question)
        self._trace.llm.append(call)
        async with aclosing(self._brain.think(question, history, language)) as thoughts:
            async for thought in thoughts:
                _note(call, thought)
                yield thought

    async def prepare(self, history: Sequence[Exchange]) -> None:
        """A question is about to come."""
        await self._brain.prepare(history)

    async def warm_up(self) -> None:
        """Start what is slow to start."""
        await self._brain.warm_up()

    async def close(self) -> None:
        """Close the HTTP session."""
        await self._brain.close()


def _note(call: LlmCall, thought: Thought) -> None:
    match thought:
        case ReplyToken() if call.token is None:
            call.token = now()
        case ReplySentence() if call.clause is None:
            call.clause = now()
        case VisualField() if call.field is None:
            call.field = now()


class WatchedVoice:
    """Text to speech."""

    def __init__(self, voice: Voice, trace: Trace) -> None:
        self._voice = voice
        self._trace = trace

    async def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound."""
        call = TtsCall(now(), text)
        self._trace.tts.append(call)
        async with aclosing(self._voice.speak(text, language)) as sound:
            async for chunk in sound:
                if call.sound is None and len(chunk.samples):
                    call.sound = now()
                yield chunk

    async def warm_up(self) -> None:
        """Start what is slow to start."""
        await self._voice.warm_up()
