"""What the server and the commands need to write down a whole recording: the words of a file, with their times.

Beside ``stages.py``, which is about one spoken command. Implemented in ``stt/recordings.py``.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Task = Literal["transcribe", "translate"]
"""Write down what is said in its language, or in English."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a recording."""

    language: str | None = None
    """ISO 639-1 code; None to detect it."""
    task: Task = "transcribe"
    prompt: str = ""
    """Words that come before, or names that are likely; in the language of the recording."""
    temperature: float = 0.0
    """Of the sampling, 0–1; 0 is the likeliest text."""
    words: bool = False
    """Whether each word's times are wanted, which costs a little more."""


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word and when it is said."""

    word: str
    """As written, with its punctuation and without spaces around it."""
    start: float
    """Seconds from the beginning of the recording."""
    end: float
    """Seconds from the beginning of the recording."""
    probability: float = 1.0
    """0–1."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of a recording and its words. What the engine does not tell keeps its default."""

    start: float
    """Seconds from the beginning of the recording."""
    end: float
    """Seconds from the beginning of the recording."""
    text: str
    language: str
    """ISO 639-1 code of what is spoken."""
    words: tuple[TimedWord, ...] = ()
    """Where they were asked for."""
    seek: int = 0
    """Where the engine's window began, in hundredths of a second."""
    tokens: tuple[int, ...] = ()
    temperature: float = 0.0
    """At which it was understood."""
    avg_logprob: float = 0.0
    """How sure the engine is of its tokens; 0 is certain."""
    compression_ratio: float = 1.0
    """How often the text repeats itself."""
    no_speech_prob: float = 0.0
    """0–1."""


@dataclass(frozen=True, slots=True)
class RecordingEnd:
    """The recording is over."""

    seconds: float
    """How long it is."""
    language: str
    """ISO 639-1 code of what is spoken most."""


class FileTranscriber(Protocol):
    """Speech to text for whole recordings."""

    def transcribe(self, file: Path, wanted: Wanted) -> AsyncGenerator[Passage | RecordingEnd, None]:
        """The passages of *file*, in order and as they are understood, then one RecordingEnd.

        The file may come from anybody. Closing the generator ends the work. Raises AudioError
        (``audio-file-unreadable``) if it holds no sound that can be decoded, TranscriptionError, RunnerError.
        """
