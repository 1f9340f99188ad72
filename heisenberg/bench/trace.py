"""When each thing of one measured turn happened, and what follows from that. Pure: it is told of moments.

All moments are ``time.perf_counter`` seconds; what is derived from them counts from the *true* end of speech.

**The true end of speech.** The question is our own recording, so the sample in which its last sound ends is known
(``questions.end_of_speech``). A paced file delivers sample *n* at ``began + n / rate``; a reader that is late sees a
chunk later, never earlier, so ``began`` is the earliest of ``arrival − samples so far / rate`` over all chunks. The end
of speech is then a moment of our clock, whatever the VAD thought of it. The *overhang* is how much later the
endpointer believes that speech ended.

**Overhead** is the time between two stages in which no model works for the turn although it could: from a chunk of
sound to the endpoint or the recogniser that it starts, from the transcript to the request to the language model, from
a complete clause to the request to the voice, from the first sound to the output, from a complete field to its
datagram. While the end of the command is not certain, sound and datagrams wait on purpose; such a gap begins when it
becomes certain. Time in which a stage is asked belongs to its model: that includes waiting for a busy lane and
contention for the processor, which the comparison with the model alone shows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from heisenberg.core.audio import PIPELINE_RATE_HZ, Samples
from heisenberg.core.events import Event, OscSent, SpeechEnded, TurnCompleted


@dataclass(slots=True, eq=False)
class SttCall:
    """One final decode."""

    asked: float
    command: Samples
    """What was to be understood, 16 kHz."""
    done: float | None = None


@dataclass(slots=True)
class LlmCall:
    """One question to the language model."""

    asked: float
    question: str
    token: float | None = None
    """The first one of the reply."""
    clause: float | None = None
    """The first one that can be spoken is complete."""
    field: float | None = None
    """The first visual one is complete."""


@dataclass(slots=True)
class TtsCall:
    """One stretch of text to be spoken."""

    asked: float
    text: str
    sound: float | None = None
    """The first of it."""


@dataclass(slots=True)
class Trace:
    """Everything that was noted in one turn; the audio thread only appends to ``chunks``."""

    chunks: list[tuple[float, int]] = field(default_factory=list)
    """Arrival, and how many samples had been delivered by then."""
    stt: list[SttCall] = field(default_factory=list)
    llm: list[LlmCall] = field(default_factory=list)
    tts: list[TtsCall] = field(default_factory=list)
    played: list[tuple[float, float]] = field(default_factory=list)
    """When a chunk of sound was handed to the output, and its seconds."""
    events: list[tuple[float, Event]] = field(default_factory=list)

    def first(self, kind: type[Event], **values: str) -> float | None:
        """When the first event of *kind* with these fields came; a value counts as a prefix."""
        for at, event in self.events:
            if isinstance(event, kind) and all(getattr(event, k).startswith(v) for k, v in values.items()):
                return at
        return None

    def moment(self, audio_s: float) -> float:
        """When the sound at *audio_s* seconds of the file was delivered by a reader without delay."""
        return min(at - samples / PIPELINE_RATE_HZ for at, samples in self.chunks) + audio_s

    def arrival_before(self, moment: float) -> float:
        """When the last chunk before *moment* arrived."""
        return max((at for at, _ in self.chunks if at <= moment), default=moment)


@dataclass(frozen=True, slots=True)
class AnswerPath:
    """The calls that led to the answer; those of dropped drafts are not among them."""

    stt: SttCall
    llm: LlmCall
    tts: TtsCall | None


def answered_path(trace: Trace) -> AnswerPath | None:
    """What led to the answer: the last question to the language model, the transcript before it, its first clause."""
    if not trace.llm:
        return None
    llm = trace.llm[-1]
    heard = [call for call in trace.stt if call.done is not None and call.done <= llm.asked]
    if not heard:
        return None
    spoken = [call for call in trace.tts if call.sound is not None and call.asked >= (llm.clause or llm.asked)]
    return AnswerPath(heard[-1], llm, spoken[0] if spoken else None)


def between(before: float | None, after: float | None, certain: float) -> float | None:
    """Seconds from *before* to *after* that count as overhead; None if one of them never came.

    What comes after the end was *certain* may have waited for that, which is no overhead.
    """
    if before is None or after is None:
        return None
    return after - (max(before, certain) if after >= certain else before)


def gaps(trace: Trace, path: AnswerPath) -> dict[str, float]:
    """The overhead between two stages, in seconds, by name (those that happened)."""
    certain = trace.first(SpeechEnded)
    if certain is None:
        return {}
    played = next((at for at, _ in trace.played if path.tts is not None and at >= (path.tts.sound or 0.0)), None)
    found = {
        "last chunk → end noticed": certain - trace.arrival_before(certain),
        "pause → recogniser asked": between(trace.arrival_before(path.stt.asked), path.stt.asked, certain),
        "transcript → language model asked": between(path.stt.done, path.llm.asked, certain),
        "clause → voice asked": between(path.llm.clause, path.tts.asked if path.tts else None, certain),
        "sound → output": between(path.tts.sound if path.tts else None, played, certain),
        "field → datagram": between(path.llm.field, trace.first(OscSent, address="/visual/"), certain),
    }
    return {name: max(0.0, seconds) for name, seconds in found.items() if seconds is not None}


def spans(trace: Trace, path: AnswerPath, end: float) -> dict[str, tuple[float, float]]:
    """When each stage worked for the answer, in seconds from the true *end* of speech (those that happened)."""
    found: dict[str, tuple[float, float | None]] = {
        "endpoint": (end, trace.first(SpeechEnded)),
        "stt": (path.stt.asked, path.stt.done),
        "llm": (path.llm.asked, path.llm.clause),
        "visual": (path.llm.asked, path.llm.field),
    }
    if path.tts is not None:
        found["tts"] = (path.tts.asked, path.tts.sound)
    return {stage: (start - end, stop - end) for stage, (start, stop) in found.items() if stop is not None}


def latencies(trace: Trace, end: float) -> tuple[dict[str, float], float]:
    """``turn_completed.latency`` counted from the true *end* of speech, and the endpointer's overhang, in seconds.

    Empty if the turn was not completed. ``endpoint`` is marked in the moment in which SpeechEnded is sent, which ties
    the turn's own clock to ours.
    """
    done = next((event for _, event in trace.events if isinstance(event, TurnCompleted)), None)
    certain = trace.first(SpeechEnded)
    if done is None or certain is None or "endpoint" not in done.latency:
        return {}, 0.0
    overhang = certain - done.latency["endpoint"] - end
    return {step: seconds + overhang for step, seconds in done.latency.items()}, overhang


def longest_gap(played: Sequence[tuple[float, float]]) -> float:
    """The longest silence that a listener would hear within the reply, in seconds: sound that comes too late."""
    if not played:
        return 0.0
    heard_until, longest = played[0][0], 0.0
    for arrival, seconds in played:
        longest = max(longest, arrival - heard_until)
        heard_until = max(heard_until, arrival) + seconds
    return longest
