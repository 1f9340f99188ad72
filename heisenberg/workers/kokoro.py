"""Kokoro in a process of its own, as a Wyoming service: one model, many voices, several languages.

In: ``synthesize`` with the voice's name; its first letter is the language. The context may hold ``speed``. Out:
``audio-start``, ``audio-chunk``… as each sentence is done, ``audio-stop``. Which voice suits an answer is for the
caller to say.
espeak-ng, under the GPL and inside Piper's package, turns letters into sounds; like Piper it stays behind this process
boundary (docs/licences.md).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from piper.phonemize_espeak import EspeakPhonemizer
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Attribution, Info, TtsProgram, TtsVoice
from wyoming.tts import Synthesize

from heisenberg.workers.kokoro_symbols import pieces, symbols
from heisenberg.workers.wyoming_service import ModelThread, ServiceHandler, arguments, prepare, serve

RATE_HZ = 24_000
BLOCK_SECONDS = 0.25
"""Sound leaves in blocks of this length, so that a client which left is noticed soon."""

PRONOUNCED = {"a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br"}
"""First letter of a voice → espeak-ng's name of its language."""

STYLE = 256
"""Values that describe a voice, for each number of symbols."""

AUDIBLE = 0.005
"""Of full scale; what is below it before and after a sentence counts as silence."""

LEAD_SECONDS, TAIL_SECONDS = 0.05, 0.2
"""Silence that is left before and after a sentence; the model makes 0.4 s of each."""

Samples = npt.NDArray[np.float32]


class Kokoro:
    """The model and its voices. One thread at a time.

    Args:
        model: an ONNX export; the voices lie beside it as ``NAME.bin``, float32 of shape (lengths, 256).
        threads: for one sentence.
    """

    def __init__(self, model: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
        # Exports differ in what they call the symbols, and in whether speed is a whole number.
        self._inputs = self._session.get_inputs()
        self._phonemizer = EspeakPhonemizer()
        self._folder = model.parent
        self._styles: dict[str, Samples] = {}
        self.voices = sorted(file.stem for file in self._folder.glob("*.bin") if file.stem[:1] in PRONOUNCED)

    def sentences(self, text: str, voice: str, speed: float) -> Iterator[Samples]:
        """The sound of *text*, sentence by sentence; in -1…1 at 24 kHz. Raises ValueError if there is no such voice."""
        if voice not in self.voices:
            raise ValueError(f"no voice {voice!r}; there are {', '.join(self.voices)}")
        language = PRONOUNCED[voice[0]]
        for sentence in self._phonemizer.phonemize(language, text):
            for piece in pieces(symbols("".join(sentence), language)):
                yield trimmed(self._sound(piece, self._style(voice, len(piece)), speed))

    def _sound(self, piece: list[int], style: Samples, speed: float) -> Samples:
        names = [each.name for each in self._inputs]
        kind = np.float32 if "float" in self._inputs[2].type else np.int32
        padded = np.array([[0, *piece, 0]], dtype=np.int64)
        fed = dict(zip(names, (padded, style, np.array([speed]).astype(kind)), strict=True))
        sound: Samples = self._session.run(None, fed)[0].reshape(-1)
        return sound

    def _style(self, voice: str, length: int) -> Samples:
        """What *voice* is like in a sentence of so many symbols; shape (1, 256)."""
        if voice not in self._styles:
            self._styles[voice] = np.fromfile(self._folder / f"{voice}.bin", dtype="<f4").reshape(-1, 1, STYLE)
        styles = self._styles[voice]
        return np.asarray(styles[min(length, len(styles)) - 1], dtype=np.float32)


def trimmed(sound: Samples) -> Samples:
    """*sound*, with a little of its silence before and after; empty if there is nothing else."""
    heard = np.flatnonzero(np.abs(sound) > AUDIBLE)
    if not len(heard):
        return sound[:0]
    return sound[max(0, heard[0] - int(LEAD_SECONDS * RATE_HZ)) : heard[-1] + int(TAIL_SECONDS * RATE_HZ)]


class KokoroHandler(ServiceHandler):
    """One connection: text in, sound out."""

    def __init__(self, kokoro: Kokoro, voice: str, speed: float, thread: ModelThread, info: Info, *args: Any) -> None:
        super().__init__(*args)
        self.info = info
        self._kokoro = kokoro
        self._voice = voice
        self._speed = speed
        self._thread = thread

    async def serve(self, event: Event) -> bool:
        """``synthesize``; other events are ignored."""
        if Synthesize.is_type(event.type):
            await self._speak(Synthesize.from_event(event))
        return True

    async def _speak(self, request: Synthesize) -> None:
        voice = (request.voice.name if request.voice else None) or self._voice
        speed = self._speed * float((request.context or {}).get("speed", 1.0))
        speed = min(max(speed, 0.25), 4.0)
        text = request.text.replace("\0", " ")  # which ends a string in espeak-ng's eyes
        await self.write_event(AudioStart(rate=RATE_HZ, width=2, channels=1).event())
        async for sound in self._thread.stream(lambda: self._kokoro.sentences(text, voice, speed)):
            pcm = (np.clip(sound, -1.0, 1.0) * 32767).astype("<i2").tobytes()
            step = int(BLOCK_SECONDS * RATE_HZ) * 2
            for at in range(0, len(pcm), step):
                block = AudioChunk(rate=RATE_HZ, width=2, channels=1, audio=pcm[at : at + step])
                await self.write_event(block.event())
        await self.write_event(AudioStop().event())


def described(voices: list[str]) -> Info:
    """What the service offers."""
    by = Attribution(name="Heisenberg", url="")
    installed = [
        TtsVoice(
            name=voice,
            attribution=by,
            installed=True,
            description=voice,
            version=None,
            languages=[PRONOUNCED[voice[0]]],
        )
        for voice in voices
    ]
    program = TtsProgram(
        name="kokoro", attribution=by, installed=True, description="Kokoro", version=None, voices=installed
    )
    return Info(tts=[program])


def main() -> None:
    """Load, then serve."""
    prepare()
    parser = arguments("Kokoro as a Wyoming service.")
    parser.add_argument("--voice", default="", help="for requests that name none")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    kokoro = Kokoro(Path(args.model), args.threads)
    # The first sentence would take longer than the others; whoever waits for us waits now.
    voice = args.voice or kokoro.voices[0]
    for _ in kokoro.sentences("Hello.", voice, 1.0):
        pass
    info, thread = described(kokoro.voices), ModelThread()
    serve(args.uri, lambda *connection: KokoroHandler(kokoro, voice, args.speed, thread, info, *connection))


if __name__ == "__main__":
    main()
