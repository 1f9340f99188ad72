"""Piper in a process of its own, as a Wyoming service.

In: ``synthesize``, whose context may hold ``noise_scale``, ``noise_w_scale`` and ``speed``. Out: ``audio-start``,
``audio-chunk``… as each sentence is done, ``audio-stop``.
Piper and the espeak-ng data in its package are under the GPL; they stay behind this process boundary,
and another Wyoming service can take their place by configuration (docs/licences.md).
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
from piper import PiperVoice, SynthesisConfig
from piper.config import PiperConfig
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.event import Event
from wyoming.info import Attribution, Info, TtsProgram, TtsVoice
from wyoming.tts import Synthesize

from heisenberg.workers.wyoming_service import ModelThread, ServiceHandler, arguments, prepare, serve

BLOCK_SECONDS = 0.25
"""Sound leaves in blocks of this length, so that a client which left is noticed soon."""


class PiperHandler(ServiceHandler):
    """One connection: text in, sound out."""

    def __init__(self, voice: PiperVoice, speed: float, thread: ModelThread, info: Info, *args: Any) -> None:
        super().__init__(*args)
        self.info = info
        self._voice = voice
        self._speed = speed
        self._thread = thread

    async def serve(self, event: Event) -> bool:
        """``synthesize``; other events are ignored."""
        if Synthesize.is_type(event.type):
            await self._speak(Synthesize.from_event(event))
        return True

    async def _speak(self, request: Synthesize) -> None:
        rate = self._voice.config.sample_rate
        options = dict(request.context or {})
        await self.write_event(AudioStart(rate=rate, width=2, channels=1).event())
        text = request.text.replace("\0", " ")  # which ends a string in espeak-ng's eyes
        async for pcm in self._thread.stream(lambda: self._sentences(text, options)):
            step = int(BLOCK_SECONDS * rate) * 2
            for at in range(0, len(pcm), step):
                block = AudioChunk(rate=rate, width=2, channels=1, audio=pcm[at : at + step])
                await self.write_event(block.event())
        await self.write_event(AudioStop().event())

    def _sentences(self, text: str, options: dict[str, Any]) -> Iterator[bytes]:
        speed = self._speed * min(max(float(options.get("speed", 1.0)), 0.1), 10.0)
        config = SynthesisConfig(
            length_scale=self._voice.config.length_scale / speed,
            noise_scale=options.get("noise_scale"),
            noise_w_scale=options.get("noise_w_scale"),
        )
        for chunk in self._voice.synthesize(text, config):
            yield chunk.audio_int16_bytes


def load(model: str, threads: int) -> PiperVoice:
    """The voice of the file *model*, on so many threads; Piper's own loader takes all cores and spins on them."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
    config = PiperConfig.from_dict(json.loads(Path(f"{model}.json").read_text(encoding="utf-8")))
    return PiperVoice(session=session, config=config)


def main() -> None:
    """Load, then serve."""
    prepare()
    parser = arguments("Piper as a Wyoming service.")
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    voice = load(args.model, args.threads)
    by = Attribution(name="Heisenberg", url="")
    name = args.name or args.model
    language = voice.config.espeak_voice
    installed = TtsVoice(
        name=name, attribution=by, installed=True, description=name, version=None, languages=[language]
    )
    program = TtsProgram(
        name="piper", attribution=by, installed=True, description="Piper", version=None, voices=[installed]
    )
    info, thread = Info(tts=[program]), ModelThread()
    serve(args.uri, lambda *connection: PiperHandler(voice, args.speed, thread, info, *connection))


if __name__ == "__main__":
    main()
