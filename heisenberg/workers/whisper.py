"""Whisper in a process of its own, as a Wyoming service (faster-whisper, CTranslate2).

In: ``transcribe``, audio, ``audio-stop``. Out: ``transcript``. The request's context may say
``{"partial": true}`` (a quick decode of a command that is not over) or ``{"segments": true}`` (a stretch of a
recording: segments with their times are streamed as they are decoded; see :class:`Wanted` for what else it may say).

Guards against invented text: the caller sends speech only (trimmed by the VAD); nothing is conditioned
on earlier text; segments that look like silence are dropped; what looks like a loop is decoded again in another way
(``repeats.py``, for recordings) and dropped if it still does; and the phrases that Whisper is known to say into
silence count only when it is sure of them.

A decode cannot be stopped. A client that hangs up while its request waits, or between two decodes, is not decoded
for any more, so that it costs the next one at most the decode that runs.
"""

import contextlib
import dataclasses
import functools
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment
from faster_whisper.vad import get_speech_timestamps
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from heisenberg.workers import repeats
from heisenberg.workers.wyoming_service import ModelThread, ServiceHandler, arguments, prepare, serve

RATE_HZ = 16_000
NO_SPEECH_LIMIT = 0.6

SHORTEST_WINDOW_S = 10.0
"""Whisper was trained on 30 s windows. It bears 10 s with the same accuracy at a quarter of the cost;
below that it repeats itself."""

FILE_TEMPERATURES = (0.0, 0.4)
"""A recording's window in which the likeliest text loops is sampled once more; commands have a guard of their own."""

LONGEST_TEXT_TOKENS = 400
"""For one window; Whisper refuses more than 448 together with its prompt."""

REFUSED = "refused"
"""Code of an error that the request is to blame for."""

SILENCE_PHRASES = frozenset(
    {"you", "thank you", "thanks for watching", "thank you for watching", "bye", "so", "the end", "merci",
     "sous titres réalisés par la communauté d amara org", "sous titrage société radio canada"}
)  # fmt: skip
SURE_LOGPROB = -0.9

SURE_LANGUAGE = 0.5
"""A language that is less probable leaves the last one in place. Clear sentences of two seconds have 0.9 and more."""


class Abandoned(Exception):
    """Nobody waits for the answer any more."""


FloatAudio = npt.NDArray[np.float32]


class ShortWindowWhisper(WhisperModel):  # type: ignore[misc]  # the library has no types
    """Whisper whose encoder sees ``window_frames`` (100 per second) instead of always 30 s."""

    window_frames: int | None = None

    def encode(self, features: npt.NDArray[np.float32]) -> Any:
        """Encode, cutting the padding that the library adds."""
        if self.window_frames is not None:
            features = np.ascontiguousarray(features[..., : self.window_frames])
        return super().encode(features)


@dataclass(frozen=True, slots=True)
class Options:
    """What a request may not change."""

    beam_size: int
    languages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a recording, as far as the request's context says."""

    language: str | None = None
    """ISO 639-1 code, None to detect it."""
    task: str = "transcribe"
    """``transcribe`` or ``translate`` (to English)."""
    prompt: str = ""
    temperature: float = 0.0
    words: bool = False
    """Whether each word's times are wanted."""

    @classmethod
    def from_context(cls, language: str | None, context: dict[str, Any]) -> "Wanted":
        """Read it. Raises ValueError."""
        task = context.get("task", "transcribe")
        if task not in ("transcribe", "translate"):
            raise ValueError(f"no task {task!r}")
        prompt, temperature = str(context.get("prompt", "")), float(context.get("temperature", 0.0))
        return cls(language, task, prompt, temperature, bool(context.get("words")))


class Whisper:
    """The model and its guards. Used by one thread.

    Args:
        model: a folder of CTranslate2 weights, or a hub repository.
        device: ``cpu``, ``cuda`` or ``auto``.
        threads: CPU threads.
    """

    def __init__(self, model: str, device: str, threads: int, options: Options) -> None:
        self._options = options
        self._model = self._load(model, device, threads)
        self._last_language = options.languages[0]

    @property
    def is_multilingual(self) -> bool:
        """Whether it knows more than English."""
        return bool(self._model.model.is_multilingual)

    def transcribe(
        self, audio: FloatAudio, language: str | None, *, partial: bool, is_wanted: Callable[[], bool] = lambda: True
    ) -> tuple[str, str]:
        """The words of one command and their language.

        Args:
            audio: float32 mono, 16 kHz, shape (n,), −1 to 1, speech only.
            language: ISO 639-1 code, None to detect it.
            is_wanted: asked before each decode.

        Raises: Abandoned.
        """
        if not is_wanted():
            raise Abandoned
        with self._window_of(len(audio) / RATE_HZ):
            language = self._language(audio, language, is_kept=not partial)
            text, is_sound = self._decode(audio, language, partial)
            if not is_sound and self._model.window_frames is not None and not partial:
                if not is_wanted():
                    raise Abandoned
                self._model.window_frames = None
                text, is_sound = self._decode(audio, language, partial)
                is_sound = is_sound or repeats.is_repeated(text)  # so it was said, then
        return (text if is_sound else ""), language

    def segments(self, audio: FloatAudio, wanted: Wanted) -> Iterator[dict[str, Any]]:
        """A recording, segment by segment (see :func:`_described`).

        Raises: ValueError for a language that the model does not know.
        """
        language = self._known(self._checked(wanted.language))
        temperatures = wanted.temperature or FILE_TEMPERATURES
        found, info = self._read(audio, wanted, language=language, temperature=temperatures, vad_filter=True)
        reached_s = 0.0
        for window in repeats.windows(found):
            known = dataclasses.replace(wanted, language=info.language)
            for segment in self._checked_window(audio, window, reached_s, known):
                if not _is_invented(segment):
                    yield _described(segment, info.language)
            reached_s = window[-1].end

    def _checked_window(
        self, audio: FloatAudio, window: list[Segment], start_s: float, wanted: Wanted
    ) -> Iterable[Segment]:
        """The segments of *window*, which begins at *start_s*; heard once more if they are hard to believe."""
        end_s = window[-1].end
        is_loop = repeats.loops(window)
        if not is_loop and not repeats.is_scarce(window, end_s - start_s):
            return window
        pieces = _pieces(audio, start_s, end_s)
        if not is_loop and not repeats.is_scarce(window, sum(end - start for start, end in pieces)):
            return window
        return repeats.heard_again(pieces, functools.partial(self._decode_piece, audio, wanted))

    def _decode_piece(
        self, audio: FloatAudio, wanted: Wanted, start_s: float, end_s: float, in_whole_window: bool
    ) -> list[Segment]:
        """What is said between two times of *audio*, in one segment."""
        part = audio[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)]
        options = {"language": wanted.language, "temperature": 0.0, "max_new_tokens": _most_tokens(end_s - start_s)}
        with contextlib.nullcontext() if in_whole_window else self._window_of(end_s - start_s):
            found, _ = self._read(part, wanted, without_timestamps=True, **options)
            return [_later(segment, start_s, end_s) for segment in found]

    def _read(self, audio: FloatAudio, wanted: Wanted, **options: Any) -> tuple[Iterable[Segment], Any]:
        """The library's answer for a recording."""
        found: tuple[Iterable[Segment], Any] = self._model.transcribe(
            audio,
            task=wanted.task,
            beam_size=max(self._options.beam_size, 2),
            initial_prompt=wanted.prompt or None,
            word_timestamps=wanted.words,
            condition_on_previous_text=False,
            no_speech_threshold=NO_SPEECH_LIMIT,
            **options,
        )
        return found

    @contextlib.contextmanager
    def _window_of(self, seconds: float) -> Iterator[None]:
        """Within the block the encoder sees as little as that much speech allows."""
        window_s = max(SHORTEST_WINDOW_S, seconds + 2.0)
        self._model.window_frames = None if window_s >= 30 else int(window_s * 100) // 2 * 2
        try:
            yield
        finally:
            self._model.window_frames = None

    def _decode(self, audio: FloatAudio, language: str, partial: bool) -> tuple[str, bool]:
        """The text, and whether the decoder looks sane."""
        seconds = len(audio) / RATE_HZ
        segments, _ = self._model.transcribe(
            audio,
            language=language,
            beam_size=1 if partial else self._options.beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
            no_speech_threshold=NO_SPEECH_LIMIT,
            max_new_tokens=_most_tokens(seconds),
        )
        kept = [s for s in segments if not _is_invented(s)]
        text = " ".join(s.text.strip() for s in kept).strip()
        is_loop = repeats.loops(kept) or repeats.is_too_fast(text, seconds) or repeats.is_repeated(text)
        return text, not is_loop

    def _language(self, audio: FloatAudio, language: str | None, *, is_kept: bool) -> str:
        """The language of *audio*, or the last one where that is not certain (*is_kept*: it is the last one now).

        A guess at a command that is not over is not kept: how many there are depends on the processor.
        """
        known = self._known(language)
        if known is not None:
            return known
        _, _, probabilities = self._model.detect_language(audio)
        allowed = {code: p for code, p in probabilities if code in self._options.languages}
        best = max(allowed, key=lambda code: allowed[code], default=self._last_language)
        if allowed.get(best, 0.0) < SURE_LANGUAGE:
            return self._last_language
        if is_kept:
            self._last_language = best
        return best

    def _checked(self, language: str | None) -> str | None:
        if language is not None and language not in self._model.supported_languages:
            raise ValueError(f"This model knows no language {language!r}; {self._instead()}")
        return language

    def _instead(self) -> str:
        if self.is_multilingual:
            return "it is told one by a code such as fr, or none to find out."
        return "it hears English only. Ask for a model without .en, such as whisper-base."

    def _known(self, language: str | None) -> str | None:
        return language if self.is_multilingual else "en"

    @staticmethod
    def _load(model: str, device: str, threads: int) -> ShortWindowWhisper:
        import ctranslate2

        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute_type = "float16" if device == "cuda" else "int8"
        return ShortWindowWhisper(model, device=device, compute_type=compute_type, cpu_threads=threads)


def _pieces(audio: FloatAudio, start_s: float, end_s: float) -> list[repeats.Piece]:
    """Speech without a pause in it."""
    first = int(start_s * RATE_HZ)
    spoken = get_speech_timestamps(
        audio[first : int(end_s * RATE_HZ)],
        min_silence_duration_ms=repeats.PAUSE_MS,
        speech_pad_ms=repeats.PADDING_MS,
        max_speech_duration_s=repeats.LONGEST_PIECE_S,
    )
    return [((first + part["start"]) / RATE_HZ, (first + part["end"]) / RATE_HZ) for part in spoken]


def _most_tokens(seconds: float) -> int:
    """Nobody says more in that time."""
    return min(int(8 * seconds) + 8, LONGEST_TEXT_TOKENS)


def _later(segment: Segment, start_s: float, end_s: float) -> Segment:
    """*segment* of the part between these times; its window was longer, and may have fooled it about its end."""

    def at(seconds: float) -> float:
        return min(start_s + seconds, end_s)

    words = [dataclasses.replace(word, start=at(word.start), end=at(word.end)) for word in segment.words or ()]
    seek = segment.seek + round(start_s * 100)
    return dataclasses.replace(segment, start=at(segment.start), end=at(segment.end), seek=seek, words=words or None)


def _described(segment: Segment, language: str) -> dict[str, Any]:
    """*segment* as JSON; times in seconds from the beginning of what was sent, ``words`` where they were asked for."""
    found = {
        "start": round(segment.start, 3),
        "end": round(segment.end, 3),
        "text": segment.text.strip(),
        "language": language,
        "seek": segment.seek,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": segment.compression_ratio,
        "no_speech_prob": segment.no_speech_prob,
    }
    words = [[w.word.strip(), round(w.start, 3), round(w.end, 3), w.probability] for w in segment.words or ()]
    return {**found, "words": words} if words else found


def _is_invented(segment: Segment) -> bool:
    """Whether this looks like text that nobody said."""
    words = re.sub(r"[^\w]+", " ", segment.text.lower()).strip()
    if not words:
        return True
    unsure = segment.avg_logprob < SURE_LOGPROB
    if segment.no_speech_prob > NO_SPEECH_LIMIT and unsure:
        return True
    return words in SILENCE_PHRASES and (unsure or segment.no_speech_prob > 0.3)


class WhisperHandler(ServiceHandler):
    """One connection: collects audio, answers with a transcript."""

    def __init__(self, whisper: Whisper, thread: ModelThread, info: Info, *args: Any) -> None:
        super().__init__(*args)
        self.info = info
        self._whisper = whisper
        self._thread = thread
        self._request = Transcribe()
        self._pcm: list[bytes] = []
        self._converter = AudioChunkConverter(rate=RATE_HZ, width=2, channels=1)

    async def serve(self, event: Event) -> bool:
        """``transcribe``, ``audio-start``, ``audio-chunk``…, ``audio-stop``."""
        if Transcribe.is_type(event.type):
            self._request = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type):
            self._pcm.clear()
        elif AudioChunk.is_type(event.type):
            self._pcm.append(self._converter.convert(AudioChunk.from_event(event)).audio)
        elif AudioStop.is_type(event.type):
            await self._answer()
        return True

    async def _answer(self) -> None:
        audio = np.frombuffer(b"".join(self._pcm), dtype="<i2").astype(np.float32) / 32768.0
        self._pcm.clear()
        context = self._request.context or {}
        language = None if self._request.language in (None, "auto") else self._request.language
        if context.get("segments"):
            try:
                await self._stream_segments(audio, Wanted.from_context(language, context))
            except ValueError as exc:
                await self.write_event(Error(text=str(exc), code=REFUSED).event())
            return
        partial = bool(context.get("partial"))
        with contextlib.suppress(Abandoned):
            text, spoken = await self._thread.run(
                lambda: self._whisper.transcribe(audio, language, partial=partial, is_wanted=self._is_connected)
            )
            await self.write_event(Transcript(text=text, language=spoken).event())

    def _is_connected(self) -> bool:
        """Whether the client has not hung up. Also asked on the model's thread: it only looks."""
        return not self.reader.at_eof()

    async def _stream_segments(self, audio: FloatAudio, wanted: Wanted) -> None:
        await self.write_event(Event("transcript-start"))
        texts, spoken = [], wanted.language or "en"
        async for segment in self._thread.stream(lambda: self._whisper.segments(audio, wanted)):
            if not self._is_connected():
                return
            texts.append(segment["text"])
            spoken = segment["language"]
            await self.write_event(Event("transcript-chunk", data=segment))
        await self.write_event(Transcript(text=" ".join(texts), language=spoken).event())
        await self.write_event(Event("transcript-stop"))


def describe(name: str, languages: Iterable[str]) -> Info:
    """What this service offers."""
    by = Attribution(name="Heisenberg", url="")
    model = AsrModel(
        name=name, attribution=by, installed=True, description=name, version=None, languages=list(languages)
    )
    program = AsrProgram(
        name="whisper", attribution=by, installed=True, description="Whisper", version=None, models=[model]
    )
    return Info(asr=[program])


def main() -> None:
    """Load, then serve."""
    prepare()
    parser = arguments("Whisper as a Wyoming service.")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--beam-size", type=int, default=3)
    parser.add_argument("--languages", default="en")
    args = parser.parse_args()
    languages = tuple(args.languages.split(","))
    whisper = Whisper(args.model, args.device, args.threads, Options(args.beam_size, languages))
    thread, info = ModelThread(), describe(args.name or args.model, languages)
    serve(args.uri, lambda *connection: WhisperHandler(whisper, thread, info, *connection))


if __name__ == "__main__":
    main()
