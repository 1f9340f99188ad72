"""Speech to text for Wyoming clients: a command comes in, its words go out."""

import numpy as np
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from heisenberg.core.audio import PIPELINE_RATE_HZ
from heisenberg.core.config import SttConfig
from heisenberg.core.languages import ENGLISH_NAMES, ENGLISH_ONLY, code_of
from heisenberg.runner.lanes import Priority
from heisenberg.server.audio.engines import SpeechEngines
from heisenberg.server.wyoming.protocol import Answers, Unusable

LONGEST_S = 60.0
"""Of a command."""

BY = Attribution(name="Heisenberg", url="")


class Hearing:
    """One client's commands, one after the other."""

    def __init__(self, engines: SpeechEngines, config: SttConfig, answers: Answers) -> None:
        self._engines = engines
        self._config = config
        self._answers = answers
        self._language: str | None = None
        self._pcm = bytearray()
        self._converter = AudioChunkConverter(rate=PIPELINE_RATE_HZ, width=2, channels=1)

    async def handle(self, event: Event) -> None:
        """``transcribe``, ``audio-start``, ``audio-chunk``…, ``audio-stop``. Raises HeisenbergError."""
        if Transcribe.is_type(event.type):
            language = code_of(Transcribe.from_event(event).language or "")
            if language not in ("", *_languages(self._config)):
                raise Unusable(f"{self._config.model} does not know the language '{language}'. See stt.model.")
            self._language = language or None
        elif AudioStart.is_type(event.type):
            self._pcm.clear()
        elif AudioChunk.is_type(event.type):
            self._pcm += convert(self._converter, event)
            if len(self._pcm) > LONGEST_S * PIPELINE_RATE_HZ * 2:
                raise Unusable(f"The command is longer than {LONGEST_S:g} s.")
        elif AudioStop.is_type(event.type):
            await self._answer()

    async def close(self) -> None:
        """Nothing to free."""

    async def _answer(self) -> None:
        samples = np.frombuffer(bytes(self._pcm), dtype="<i2").astype(np.int16)
        self._pcm.clear()
        recogniser = self._engines.recogniser(self._language, Priority.API)
        recognition = recogniser.open(lambda partial: None)
        try:
            heard = await recognition.finish(samples)
        finally:
            await recognition.cancel()
        await self._answers.send(Transcript(text=heard.text, language=heard.language))


def convert(converter: AudioChunkConverter, event: Event) -> bytes:
    """The sound of *event* as the pipeline's PCM. Raises Unusable."""
    rate, width, channels = (event.data.get(key) for key in ("rate", "width", "channels"))
    if not (isinstance(rate, int) and 4_000 <= rate <= 192_000 and width in (1, 2, 4) and channels in (1, 2)):
        raise Unusable(f"The sound is {rate} Hz, {width} bytes × {channels}; 16000 Hz, 2 bytes × 1 is best.")
    chunk = AudioChunk(rate=rate, width=width, channels=channels, audio=event.payload or b"")
    chunk.audio = chunk.audio[: len(chunk.audio) // (width * channels) * width * channels]
    converted: bytes = converter.convert(chunk).audio
    return converted


def described(config: SttConfig) -> Info:
    """What there is to hear with."""
    model = AsrModel(
        name=config.model,
        attribution=BY,
        installed=True,
        description=config.model,
        version=None,
        languages=_languages(config),
    )
    return Info(
        asr=[
            AsrProgram(
                name="heisenberg",
                attribution=BY,
                installed=True,
                description="Speech to text",
                version=None,
                models=[model],
            )
        ]
    )


def _languages(config: SttConfig) -> list[str]:
    """Codes of what can be understood."""
    if config.engine == "whisper" and config.model.endswith(ENGLISH_ONLY):
        return ["en"]
    return sorted(ENGLISH_NAMES)
