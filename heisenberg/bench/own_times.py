"""What each model takes alone, one after the other on an idle machine: the plain serial pipeline.

In: the command that a measured turn cut out; out: seconds. The final transcript, the whole answer and the whole reply's
sound come strictly one after the other, as a pipeline does that neither streams nor works ahead. From the moments in
between follow what a pipeline that streams, but does not work ahead, would take, and the sum of the models' own times.
"""

import time
from contextlib import aclosing
from dataclasses import dataclass

from heisenberg.core.audio import Samples
from heisenberg.core.stages import Answer, Brain, Recogniser, ReplySentence, ReplyToken, Thought, VisualField, Voice

SERIAL_SILENCE_S = 0.6
"""What a serial pipeline waits for, with the same VAD, before it takes the command for complete."""


@dataclass(frozen=True, slots=True)
class OwnTimes:
    """Seconds that each model takes alone."""

    number: int
    """Which question of the run."""
    stt: float
    """The final transcript."""
    llm_first_token: float
    """From the question to the reply's first word; the prompt before the question is in the server's cache."""
    llm_first_sentence: float
    llm_first_visual: float
    llm_whole: float
    tts_first_audio: float
    """From the first clause to its first sound."""
    tts_whole: float
    """From the whole reply to the end of its sound."""

    @property
    def sum(self) -> float:
        """What the first sound costs if nothing is ever waited for and nothing overlaps."""
        return self.stt + self.llm_first_sentence + self.tts_first_audio

    def streamed(self, overhang: float) -> dict[str, float]:
        """A pipeline that streams but does not work ahead: the moments of a turn, from the true end of speech.

        *overhang*: how much later than the truth the VAD believes that speech ended, in seconds.
        """
        endpoint = overhang + SERIAL_SILENCE_S
        heard = endpoint + self.stt
        sounds = heard + self.llm_first_sentence + self.tts_first_audio
        return {
            "endpoint": endpoint,
            "stt": heard,
            "llm_first_token": heard + self.llm_first_token,
            "first_sentence": heard + self.llm_first_sentence,
            "tts_first_audio": sounds,
            "first_audio": sounds,
            "first_visual": heard + self.llm_first_visual,
        }

    def serial(self, overhang: float, silence: float = SERIAL_SILENCE_S) -> dict[str, float]:
        """A pipeline that does one thing after the other, whole, after *silence*; see :meth:`streamed`."""
        endpoint = overhang + silence
        answered = endpoint + self.stt + self.llm_whole
        return {
            "endpoint": endpoint,
            "stt": endpoint + self.stt,
            "llm_first_token": answered,
            "first_sentence": answered,
            "tts_first_audio": answered + self.tts_whole,
            "first_audio": answered + self.tts_whole,
            "first_visual": answered,
        }


async def measure(number: int, recogniser: Recogniser, brain: Brain, voice: Voice, command: Samples) -> OwnTimes:
    """Answer *command* (16 kHz, trimmed to its speech), one model after the other. Raises HeisenbergError."""
    # Another question in between: of this one, only what comes before it may be in the server's cache.
    await brain.warm_up()
    began = time.perf_counter()
    transcript = await recogniser.open(lambda text: None).finish(command)
    heard = time.perf_counter()
    thoughts: list[tuple[float, Thought]] = []
    async for thought in brain.think(transcript.text, (), transcript.language):
        thoughts.append((time.perf_counter() - heard, thought))
    answered = time.perf_counter()
    _, tts_whole = await _spoken(voice, _text(thoughts, Answer), transcript.language)
    tts_first, _ = await _spoken(voice, _text(thoughts, ReplySentence), transcript.language)
    return OwnTimes(
        number,
        stt=heard - began,
        llm_first_token=_first(thoughts, ReplyToken),
        llm_first_sentence=_first(thoughts, ReplySentence),
        llm_first_visual=_first(thoughts, VisualField),
        llm_whole=answered - heard,
        tts_first_audio=tts_first,
        tts_whole=tts_whole,
    )


def _first(thoughts: list[tuple[float, Thought]], kind: type[Thought]) -> float:
    """When the first of *kind* came; the end of the answer if none did."""
    return next((at for at, thought in thoughts if isinstance(thought, kind)), thoughts[-1][0] if thoughts else 0.0)


def _text(thoughts: list[tuple[float, Thought]], kind: type[ReplySentence | Answer]) -> str:
    return next((thought.text for _, thought in thoughts if isinstance(thought, kind)), "")


async def _spoken(voice: Voice, text: str, language: str) -> tuple[float, float]:
    """Seconds until the first sound of *text* and until the end of its sound; 0 and 0 without a text or a sound."""
    if not text:
        return 0.0, 0.0
    began, first = time.perf_counter(), None
    async with aclosing(voice.speak(text, language)) as sound:
        async for chunk in sound:
            first = time.perf_counter() if first is None and len(chunk.samples) else first
    return (first - began, time.perf_counter() - began) if first is not None else (0.0, 0.0)
