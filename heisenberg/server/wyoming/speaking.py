"""Text to speech for Wyoming clients: whole texts, or texts that arrive piece by piece while they are spoken."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from wyoming.audio import AudioChunk as WyomingChunk
from wyoming.audio import AudioChunkConverter, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Info, TtsProgram, TtsVoice
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

from heisenberg.core.audio import AudioChunk
from heisenberg.core.config import Config
from heisenberg.core.stages import Voice
from heisenberg.runner.catalog import kokoro
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.server.audio.engines import SpeechEngines
from heisenberg.server.audio.sentences import complete, sentences
from heisenberg.server.wyoming.hearing import BY
from heisenberg.server.wyoming.protocol import Answers, Unusable

LONGEST_TEXT = 20_000
"""Characters of one request."""

SILENT_RATE_HZ = 22_050
"""Stated where there is nothing to hear."""


class Speaking:
    """One client's texts, one after the other."""

    def __init__(self, engines: SpeechEngines, catalog: Catalog, answers: Answers) -> None:
        self._engines = engines
        self._catalog = catalog
        self._answers = answers
        self._stream: _Utterance | None = None

    async def handle(self, event: Event) -> None:
        """``synthesize``; or ``synthesize-start``, ``-chunk``…, ``-stop``. Raises HeisenbergError."""
        if SynthesizeStart.is_type(event.type):
            self._stream = self._utterance(SynthesizeStart.from_event(event).voice)
        elif SynthesizeChunk.is_type(event.type) and self._stream is not None:
            await self._stream.add(SynthesizeChunk.from_event(event).text)
        elif SynthesizeStop.is_type(event.type) and self._stream is not None:
            await self._stream.end()
            self._stream = None
            await self._answers.send(SynthesizeStopped())
        elif Synthesize.is_type(event.type) and self._stream is None:  # in a stream it only repeats the text
            asked = Synthesize.from_event(event)
            utterance = self._utterance(asked.voice)
            await utterance.add(asked.text)
            await utterance.end()

    async def close(self) -> None:
        """Nothing to free."""

    def _utterance(self, voice: SynthesizeVoice | None) -> "_Utterance":
        name = (voice.name if voice else None) or ""
        return _Utterance(self._engines.speaker(self._model(name), voice=name), self._answers)

    def _model(self, voice: str) -> Model | None:
        """The model called *voice*, or that has it; None for the configured one, which is offered by its name, too."""
        return next((model for model in _installed(self._catalog) if voice in (model.name, *model.voices)), None)


class _Utterance:
    """One text, spoken sentence by sentence as they become complete."""

    def __init__(self, voice: Voice, answers: Answers) -> None:
        self._voice = voice
        self._answers = answers
        self._rest = ""
        self._characters = 0
        self._converter: AudioChunkConverter | None = None

    async def add(self, text: str) -> None:
        """More of it."""
        self._characters += len(text)
        if self._characters > LONGEST_TEXT:
            raise Unusable(f"The text is longer than {LONGEST_TEXT} characters.")
        done, self._rest = complete(self._rest + text)
        for sentence in done:
            await self._speak(sentence)

    async def end(self) -> None:
        """That was all."""
        for sentence in sentences(self._rest):
            await self._speak(sentence)
        if self._converter is None:
            await self._answers.send(AudioStart(rate=SILENT_RATE_HZ, width=2, channels=1))
        await self._answers.send(AudioStop())

    async def _speak(self, sentence: str) -> None:
        async with aclosing(_whole(self._voice, sentence)) as sound:
            async for chunk in sound:
                if self._converter is None:
                    self._converter = AudioChunkConverter(rate=chunk.rate_hz, width=2, channels=1)
                    await self._answers.send(AudioStart(rate=chunk.rate_hz, width=2, channels=1))
                pcm = chunk.samples.astype("<i2").tobytes()
                told = WyomingChunk(rate=chunk.rate_hz, width=2, channels=1, audio=pcm)
                await self._answers.send(self._converter.convert(told))


async def _whole(voice: Voice, sentence: str) -> AsyncGenerator[AudioChunk, None]:
    """The voice is free again before the client gets the first sound: it may read slowly."""
    async with aclosing(voice.speak(sentence)) as sound:
        chunks = [chunk async for chunk in sound]
    for chunk in chunks:
        yield chunk


def _installed(catalog: Catalog) -> list[Model]:
    return [model for model in catalog.all() if model.kind == "tts" and not model.is_remote]


def described(config: Config, catalog: Catalog) -> Info:
    """Which voices there are; the configured one first."""
    names = dict.fromkeys([config.tts.voice, *(name for m in _installed(catalog) for name in m.voices or (m.name,))])
    voices = [
        TtsVoice(
            name=name,
            attribution=BY,
            installed=True,
            description=name,
            version=None,
            languages=[_language(config, name)],
        )
        for name in names
    ]
    return Info(
        tts=[
            TtsProgram(
                name="heisenberg",
                attribution=BY,
                installed=True,
                description="Text to speech",
                version=None,
                voices=voices,
                supports_synthesize_streaming=True,
            )
        ]
    )


def _language(config: Config, voice: str) -> str:
    """From a name such as ``piper-en_US-joe-medium`` or ``ff_siwis``; else that of the answers."""
    if kokoro.is_voice(voice):
        return kokoro.language_of(voice)
    for part in voice.split("-"):
        if len(part) == 5 and part[2] == "_":
            return part
    return config.llm.language if config.llm.language != "auto" else "en"
