"""What the orchestrator needs of each stage, and nothing more.

Stages never import each other; they meet here. Every Protocol's docstring is its contract: the fakes in
``tests/fakes`` and the real engines pass the same suite in ``tests/contract``.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from heisenberg.core.audio import AudioChunk, Samples
from heisenberg.core.config import PresetConfig
from heisenberg.core.events import Event
from heisenberg.core.recordings import TimedWord

# ── hearing ──────────────────────────────────────────────────────────────────────────────────────


class AudioSource(Protocol):
    """Where sound comes from. Used by one thread only (but ``close`` may come from any)."""

    live: bool
    """True if time passes whether or not anybody reads (a microphone, a paced file)."""

    def read(self) -> Samples | None:
        """The next 512 samples (16 kHz mono int16; the last may be shorter), None at the end.

        Blocks at most about one second (a pipe may wait longer for its first sound, or always if it is not live;
        ``close`` ends that). Raises AudioError (code ``audio-input-lost``) when a device
        has stopped delivering; calling again tries to get it back.
        """

    def close(self) -> None:
        """Release the device or file; ``read`` then returns None. May be called twice."""


class SampleRing(Protocol):
    """The last seconds of what was heard, by sample number."""

    @property
    def written(self) -> int:
        """How many samples were ever written; the next one's number."""

    def write(self, samples: Samples) -> None:
        """Add samples; the oldest are overwritten."""

    def read_range(self, start: int, end: int) -> Samples:
        """A copy of samples *start* to *end* (exclusive), clipped to what is still there."""


@dataclass(frozen=True, slots=True)
class Wake:
    """A wake phrase was heard."""

    name: str
    """Which one."""
    score: float
    """Confidence, 0–1."""
    late_seconds: float = 0.0
    """So much sound was heard since the detection: the answer of a service comes after its sound."""


class WakewordEngine(Protocol):
    """Is this the wake phrase? Owned by the audio thread."""

    def process(self, samples: Samples) -> Wake | None:
        """Advance by 16 kHz samples; report a phrase at the chunk in which it ends, or later and by how much.

        The same utterance is reported once. Time is counted in samples. Never waits for anybody.
        """

    def reset(self) -> None:
        """Forget what was heard, keep what was loaded."""

    def close(self) -> None:
        """Free the model."""


class VadEngine(Protocol):
    """Is this speech? Owned by the audio thread."""

    def process(self, samples: Samples) -> float:
        """Advance by 512 samples at 16 kHz; the probability (0–1) that they hold speech."""

    def reset(self) -> None:
        """Forget what was heard."""


class EndReason(StrEnum):
    """Why a command ended."""

    SILENCE = "silence"
    SEMANTIC = "semantic"
    TIMEOUT = "timeout"
    NO_SPEECH = "no_speech"
    INPUT_LOST = "input_lost"
    END_OF_INPUT = "end_of_input"


@dataclass(frozen=True, slots=True)
class CommandStarted:
    """The user began to speak."""

    at_seconds: float
    """Where speech began, in audio seconds since the endpointer's reset."""


@dataclass(frozen=True, slots=True)
class CommandEnded:
    """The command is over (or, with NO_SPEECH, never came)."""

    reason: EndReason
    start_seconds: float
    """Where speech began, in audio seconds since the reset."""
    end_seconds: float
    """Where speech ended; the silence that was waited for comes after it."""


@dataclass(frozen=True, slots=True)
class SoftEnded:
    """The user paused; perhaps the command is over."""

    start_seconds: float
    """Where speech began, in audio seconds since the reset."""
    end_seconds: float
    """Where the pause began."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The user speaks on; it was only a pause."""


class Endpointer(Protocol):
    """Turns speech probabilities into a start and an end, counting audio seconds. Pure."""

    def process(self, seconds: float, probability: float) -> CommandStarted | SoftEnded | Resumed | CommandEnded | None:
        """Advance by *seconds* of audio whose speech probability is *probability* (0–1).

        Each pause is reported as SoftEnded once; then comes Resumed or CommandEnded.
        """

    def wait_for(self, silence_seconds: float) -> None:
        """The current pause ends the command after so much silence, instead of what is configured."""

    def finish(self, reason: EndReason) -> CommandEnded:
        """The input ended or was lost; say what was there."""

    def reset(self, no_speech_seconds: float | None = None) -> None:
        """Begin to wait for a new command, for *no_speech_seconds* in place of what is configured."""


class TurnDetector(Protocol):
    """Does this sound like the end of what somebody wants to say? Used from one thread at a time."""

    def is_complete(self, command: Samples) -> float:
        """The probability (0–1) that nothing more comes after *command* (16 kHz, up to the pause). May take 100 ms."""

    def close(self) -> None:
        """Free the model."""


class EchoCanceller(Protocol):
    """Takes what the loudspeaker plays out of the microphone. Owned by the audio thread."""

    def process(self, samples: Samples) -> Samples:
        """*samples* (16 kHz) without the echo; as many as came in, at most 20 ms later."""

    def reset(self) -> None:
        """The microphone was opened anew."""


class PlayedTap(Protocol):
    """Is told what a loudspeaker really plays, for echo cancellation."""

    def opened(self, rate_hz: int, latency_s: float) -> None:
        """A device was opened; what it plays is heard *latency_s* after it is taken."""

    def played(self, samples: Samples) -> None:
        """The device took *samples* (mono; silence, too). Called in PortAudio's callback: only copies."""

    def closed(self) -> None:
        """It plays nothing any more."""


class Recorder(Protocol):
    """Keeps what was heard in a turn, for diagnosis."""

    def heard(self, turn: int, what: str, samples: Samples) -> None:
        """*samples* (16 kHz) belong to *turn*; *what* is ``wake`` or ``command``. Never blocks."""


# ── services that run elsewhere ──────────────────────────────────────────────────────────────────


class ServiceLease(Protocol):
    """The right to use a service (a child process, or a server on the network) for a while."""

    @property
    def url(self) -> str:
        """Where it answers: ``unix://``, ``tcp://`` or ``http://``."""

    @property
    def api_key(self) -> str:
        """What it wants to see with each request; empty for none."""

    def condemn(self, reason: str) -> None:
        """It no longer answers; whoever runs it should end it."""


LeaseService = Callable[[], AbstractAsyncContextManager[ServiceLease]]
"""Waits for its turn, and for the service to be ready; the lease ends with the block."""


# ── understanding ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said."""

    text: str
    """The words; empty if there were none."""
    language: str
    """ISO 639-1 code."""


class Recognition(Protocol):
    """One utterance being recognised."""

    def feed(self, samples: Samples) -> None:
        """More 16 kHz audio, in order. Never blocks."""

    async def finish(self, command: Samples) -> Transcript:
        """The final text. *command* is the whole command again, trimmed to its speech.

        May be cancelled, and called again: after a failure, or when more was fed, since a pause need not be the
        end. Raises TranscriptionError.
        """

    async def cancel(self) -> None:
        """Forget it; no partial arrives after this returns."""


OnWords = Callable[[Sequence[TimedWord]], None]
"""Told words that will not change any more; their times count from the utterance's first sample."""


class Recogniser(Protocol):
    """Speech to text."""

    is_streaming: bool
    """Whether words come while they are said, for as long as somebody speaks; otherwise utterances are to be short."""

    def open(self, on_partial: Callable[[str], None], on_words: OnWords | None = None) -> Recognition:
        """Begin an utterance. *on_partial* is called on the event loop with the words so far.

        A streaming recogniser also calls *on_words*, in order and each word once, before ``finish`` returns.
        """

    async def warm_up(self) -> None:
        """Start what is slow to start. Raises HeisenbergError."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer, as the language model remembers them."""

    question: str
    answer: str
    """What was really said of it."""
    is_interrupted: bool = False
    """Whether the user cut it short."""


@dataclass(frozen=True, slots=True)
class ReplyToken:
    """New characters of the reply."""

    text: str


@dataclass(frozen=True, slots=True)
class ReplySentence:
    """A stretch of the reply that can be spoken."""

    text: str


@dataclass(frozen=True, slots=True)
class VisualField:
    """A visual field, complete and valid."""

    field: str
    value: str | float


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer; always the last thought."""

    text: str
    visual: dict[str, str | float]
    tokens: int


Thought = ReplyToken | ReplySentence | VisualField | Answer


class Brain(Protocol):
    """The language model with its prompt, its schema and its parser."""

    model: str
    """Its name, for the events."""

    def think(self, question: str, history: Sequence[Exchange], language: str | None = None) -> AsyncIterator[Thought]:
        """Stream the answer to *question*: any number of tokens, sentences and fields, then one Answer.

        Closing the iterator cancels the generation at the server. Raises BrainError.
        """

    async def prepare(self, history: Sequence[Exchange]) -> None:
        """A question is about to come: let the server read what is known of the prompt already. Never raises
        HeisenbergError; may be cancelled at any time."""

    async def warm_up(self) -> None:
        """Start what is slow to start. Raises HeisenbergError."""


class Analyst(Protocol):
    """The language model that turns what is being said into visuals, without a word of its own."""

    model: str
    """Its name, for the events."""

    def analyse(self, context: str, preset: PresetConfig) -> AsyncIterator[VisualField | Answer]:
        """Stream what *context* (what was said, the newest last) looks like: fields, then one Answer without text.

        Closing the iterator cancels the generation at the server. Raises BrainError.
        """

    async def warm_up(self) -> None:
        """Start what is slow to start. Raises HeisenbergError."""


# ── answering ────────────────────────────────────────────────────────────────────────────────────


class Voice(Protocol):
    """Text to speech."""

    def speak(self, text: str, language: str | None = None) -> AsyncGenerator[AudioChunk, None]:
        """Stream *text* as sound, at the voice's own rate.

        *language* (ISO 639-1) is what the text is in, where that is known. Closing the generator stops the
        voice. Raises SpeechError.
        """

    async def warm_up(self) -> None:
        """Start what is slow to start. Raises HeisenbergError."""


class AudioOutput(Protocol):
    """Where the reply is heard."""

    async def play(self, chunk: AudioChunk) -> None:
        """Queue sound of any rate; returns when there is room, so a slow output slows the voice."""

    async def drain(self) -> float:
        """Wait until everything queued was heard; seconds played since the last drain or stop."""

    async def stop(self) -> float:
        """Fall silent at once; seconds played since the last drain or stop."""

    async def pause(self) -> None:
        """Fall silent at once and keep what was not heard; ``play`` may go on queueing, ``drain`` waits."""

    async def resume(self) -> None:
        """Go on where ``pause`` stopped; without a pause nothing happens."""

    @property
    def played_seconds(self) -> float:
        """Seconds heard since the last drain or stop."""

    @property
    def underruns(self) -> int:
        """Gaps within replies since the output was opened, because sound came too late."""

    async def close(self) -> None:
        """Release the device or finish the file."""


class Sink(Protocol):
    """Somebody who is told what happens."""

    def handle(self, event: Event) -> None:
        """Take note of *event*. Never blocks and never raises for a receiver that is not there."""

    async def close(self) -> None:
        """Flush and release."""
