"""Kyutai's streaming recogniser in a process of its own, as a Wyoming service (the ``moshi`` package).

An utterance is ``transcribe``, ``audio-start``, ``audio-chunk``… and ``audio-stop``, which is answered with a
``transcript``. Where the request's context says ``{"stream": true}``, words, times and pauses come with every frame:

    transcript-chunk  text (new characters), words ([word, start, end]…, closed ones), at (seconds), pause (4, or null)
    notice            text; what the user should know
    changing          every second while another device takes over; no words come meanwhile
    flush {id}        → a last transcript-chunk, then flushed {id, text, words, at}: all of the utterance, at once

``{"segments": true}`` asks for a recording's passages, as Whisper's worker gives them. ``speed`` is answered with the
real-time factor and the device. There is one stream at a time; who comes second waits.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioChunkConverter, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from heisenberg.workers.moshi_checkpoint import Unusable, found
from heisenberg.workers.moshi_engines import Engines
from heisenberg.workers.moshi_intake import Intake
from heisenberg.workers.moshi_passages import Passages, told
from heisenberg.workers.moshi_stream import Frame, Heard, Listener
from heisenberg.workers.wyoming_service import ModelThread, ServiceHandler, arguments, prepare, serve

log = logging.getLogger(__name__)

REFUSED = "refused"
"""Code of an error that the request is to blame for."""

IDLE_S = 60.0
"""Who sends nothing for so long has to leave when somebody else waits."""

LOOK_S = 5.0

SIGN_OF_LIFE_S = 1.0
"""Loading the model onto another device takes longer than clients are patient with one that says nothing."""

T = TypeVar("T")


class Service:
    """The model, its thread, and whose turn it is."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.listener = Listener(engines.stepper, engines.fall_back)
        self.thread = ModelThread()
        self._turn = asyncio.Lock()
        self._holder: MoshiHandler | None = None

    async def enter(self, handler: "MoshiHandler") -> None:
        """Wait until *handler* may use the model."""
        if self._holder is handler:
            return
        while True:
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._turn.acquire()
                self._holder = handler
                return
            except TimeoutError:
                if self._holder is not None and self._holder.idle_s() > IDLE_S:
                    self._holder.hang_up()

    def leave(self, handler: "MoshiHandler") -> None:
        """*handler* is done, if it was its turn."""
        if self._holder is handler:
            self._holder = None
            self._turn.release()

    def speed(self) -> dict[str, Any]:
        """What ``speed`` is answered with; notices are told once."""
        notices, self.engines.notices = self.engines.notices, []
        stepper = self.listener.stepper
        return {
            "real_time_factor": round(self.engines.real_time_factor, 4),
            "device": stepper.device,
            "dtype": stepper.dtype,
            "delay_seconds": stepper.delay_s,
            "has_pauses": stepper.has_pauses,
            "notices": notices,
        }


class MoshiHandler(ServiceHandler):
    """One connection."""

    def __init__(self, service: Service, info: Info, *args: Any) -> None:
        super().__init__(*args)
        self.info = info
        self._service = service
        self._request = Transcribe()
        self._intake: Intake | None = None
        self._width = AudioChunkConverter(width=2)
        self._passages: Passages | None = None
        self._is_open = False
        self._last_event_s = 0.0

    def idle_s(self) -> float:
        """Seconds since the client's last event was dealt with."""
        return asyncio.get_running_loop().time() - self._last_event_s

    def hang_up(self) -> None:
        """End the connection."""
        log.warning("A client sent nothing for %.0f s, and another one waits: its utterance is dropped", self.idle_s())
        self.writer.close()

    async def disconnect(self) -> None:
        """The client left: what it said is forgotten."""
        self._service.leave(self)

    async def serve(self, event: Event) -> bool:
        """See the module's docstring."""
        self._last_event_s = asyncio.get_running_loop().time()
        try:
            await self._handle(event)
        except ValueError as exc:
            await self.write_event(Error(text=str(exc), code=REFUSED).event())
            return False
        self._last_event_s = asyncio.get_running_loop().time()
        return True

    async def _handle(self, event: Event) -> None:
        if event.type == "speed":
            await self.write_event(Event("speed", data=self._service.speed()))
        elif Transcribe.is_type(event.type):
            self._request = Transcribe.from_event(event)
            await self._open()
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            self._intake = Intake(start.rate, start.channels)
        elif AudioChunk.is_type(event.type):
            await self._hear(AudioChunk.from_event(event))
        elif event.type == "flush":
            await self._flush()
            await self.write_event(Event("flushed", data={"id": event.data.get("id"), **self._whole()}))
        elif AudioStop.is_type(event.type):
            await self._answer()

    async def _open(self) -> None:
        context = self._request.context or {}
        if context.get("task", "transcribe") != "transcribe":
            raise ValueError("This recogniser writes down what is said; it does not translate.")
        await self._service.enter(self)
        self._passages = (
            Passages(self._language() or "en", bool(context.get("words"))) if context.get("segments") else None
        )
        self._intake = None
        self._is_open = True
        await self._on_thread(lambda: self._service.listener.begin(is_endless=self._is_stream))
        if self._passages is not None:
            await self.write_event(Event("transcript-start"))

    async def _hear(self, chunk: AudioChunk) -> None:
        if not self._is_open:  # a client that goes without `transcribe`
            await self._open()
        if self._intake is None or (chunk.rate, chunk.channels) != (self._intake.rate_hz, self._intake.channels):
            self._intake = Intake(chunk.rate, chunk.channels)
        for frame in self._intake.feed(self._width.convert(chunk).audio):
            await self._process(frame)

    async def _process(self, frame: Frame) -> None:
        listener = self._service.listener
        await self._tell(await self._on_thread(lambda: listener.hear(frame)))

    async def _flush(self) -> None:
        if not self._is_open:
            await self._open()
        frames, rest = self._intake.drain() if self._intake is not None else ([], None)
        for frame in frames:
            await self._process(frame)
        listener = self._service.listener
        await self._tell(await self._on_thread(lambda: listener.flush(rest)))

    async def _on_thread(self, work: Callable[[], T]) -> T:
        """Do *work* where the model is; say every second that a device is being replaced, if one is."""
        task = asyncio.ensure_future(self._service.thread.run(work))
        try:
            while not (await asyncio.wait({task}, timeout=SIGN_OF_LIFE_S))[0]:
                if self._service.engines.is_changing and self._is_stream:
                    await self.write_event(Event("changing"))
            return task.result()
        finally:
            task.cancel()

    async def _answer(self) -> None:
        await self._flush()
        if self._passages is not None:
            await self._tell_passages(self._passages.rest())
        language = self._language()
        await self.write_event(Transcript(text=self._service.listener.text, language=language).event())
        if self._passages is not None:
            await self.write_event(Event("transcript-stop"))
        self._is_open = False
        self._service.leave(self)

    async def _tell(self, heard: Heard) -> None:
        if self._passages is not None:
            await self._tell_passages(self._passages.add(heard.words))
        if not self._is_stream:
            return
        started, self._service.engines.notices = self._service.engines.notices, []
        for notice in (*started, *heard.notices):
            await self.write_event(Event("notice", data={"text": notice}))
        told_now = {"text": heard.text, "words": told(heard.words), "at": round(heard.at_s, 3)}
        pause = None if heard.pauses is None else [round(one, 4) for one in heard.pauses]
        await self.write_event(Event("transcript-chunk", data={**told_now, "pause": pause}))

    async def _tell_passages(self, passages: list[dict[str, Any]]) -> None:
        for passage in passages:
            await self.write_event(Event("transcript-chunk", data=passage))

    def _whole(self) -> dict[str, Any]:
        listener = self._service.listener
        return {"text": listener.text, "words": told(listener.words), "at": round(listener.at_s, 3)}

    @property
    def _is_stream(self) -> bool:
        return bool((self._request.context or {}).get("stream"))

    def _language(self) -> str | None:
        return None if self._request.language in (None, "auto") else self._request.language


def describe(name: str, languages: list[str]) -> Info:
    """What this service offers."""
    by = Attribution(name="Heisenberg", url="")
    model = AsrModel(name=name, attribution=by, installed=True, description=name, version=None, languages=languages)
    program = AsrProgram(
        name="moshi", attribution=by, installed=True, description="Kyutai", version=None, models=[model]
    )
    return Info(asr=[program])


def opened(model: str, device: str, threads: int) -> Engines:
    """The recogniser *model*, loaded. Ends the program with one line where it cannot be."""
    try:
        return Engines(found(model), device, threads)
    except Unusable as exc:
        sys.exit(str(exc))
    except ImportError as exc:
        sys.exit(f'stt.engine = "moshi" needs packages that are not installed ({exc}). Install them: make moshi')
    except Exception as exc:  # whatever the libraries raise
        log.debug("loading failed", exc_info=exc)
        sys.exit(f"{model} cannot be loaded: {type(exc).__name__}: {exc}")


def options() -> argparse.ArgumentParser:
    """What the program takes."""
    parser = arguments("Kyutai's streaming recogniser as a Wyoming service.")
    parser.add_argument("--device", choices=("auto", "cpu", "mps", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=2, help="of the CPU; 0 leaves it to PyTorch")
    parser.add_argument("--languages", default="en,fr", help="to announce")
    return parser


def main() -> None:
    """Load, measure, then serve."""
    prepare()
    args = options().parse_args()
    service = Service(opened(args.model, args.device, args.threads))
    info = describe(args.name or args.model, args.languages.split(","))
    serve(args.uri, lambda *connection: MoshiHandler(service, info, *connection))


if __name__ == "__main__":
    main()
