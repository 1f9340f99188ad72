"""The models of this process: which engine each stage uses, as configured, and the processes that run them.

It makes stages and knows nothing of turns; ``main.py`` puts a session together from them.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import platformdirs

from heisenberg.core.config import Config
from heisenberg.core.errors import ModelNotFound
from heisenberg.core.stages import ServiceLease, Voice
from heisenberg.llm.brain import SchemaBrain
from heisenberg.runner import engines
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.store import Store
from heisenberg.runner.fleet import Fleet
from heisenberg.runner.lanes import Lane
from heisenberg.runner.pool import Pool
from heisenberg.runner.supervisor.sweep import Ledger
from heisenberg.stt.buffered import BufferedRecogniser
from heisenberg.tts.espeak import EspeakVoice
from heisenberg.tts.fallback import FallbackVoice
from heisenberg.tts.silent import SilentVoice
from heisenberg.tts.wyoming import WyomingVoice
from heisenberg.vad.smart_turn import SmartTurn

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteService:
    """A service on the network, under a lease that costs nothing."""

    url: str
    api_key: str = field(default="", repr=False)

    def condemn(self, reason: str) -> None:
        """It is not ours to end."""
        log.warning("%s: %s", self.url, reason)

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[ServiceLease]:
        """Use it."""
        yield self


class Runner:
    """The models of this process. Use as an async context manager; leaving it ends every child."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._ledger = Ledger(platformdirs.user_state_path("heisenberg", appauthor=False) / "children")
        self._ledger.sweep()
        self._sockets = self._ledger.new_sockets_folder()
        self.store = Store(config.models.folder)
        self.pool = Pool(config.runner, self._ledger, _log_worker)
        self.fleet = Fleet(config, Catalog(config, self.store), self.pool, self._sockets)
        self._warned: set[str] = set()

    async def __aenter__(self) -> "Runner":
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.pool.close()
        self._ledger.close()

    def recogniser(self, language: str | None = None) -> BufferedRecogniser:
        """Speech to text, as configured (*language* in place of the configured one). Raises ModelNotFound."""
        stt = self._config.stt
        is_local = stt.engine == "whisper"
        service = self._whisper().lease if is_local else RemoteService(stt.url).lease
        return BufferedRecogniser(
            service,
            language=language or stt.language,
            partials=stt.partials and is_local,
            timeout_s=stt.timeout_seconds,
        )

    def voice(self) -> Voice:
        """Text to speech, as configured. Raises ModelNotFound if there is no fallback either."""
        return self._voice(self._config.tts.engine)

    def plain_voice(self) -> Voice:
        """The voice that asks synthesised questions: the configured one, but Piper where that is silent.

        Piper then speaks without its random variation. Raises ModelNotFound if there is no fallback either.
        """
        engine = self._config.tts.engine
        return self._voice("piper" if engine == "none" else engine, {"noise_scale": 0.0, "noise_w_scale": 0.0})

    def brain(self) -> SchemaBrain:
        """The language model, as configured. Raises ModelNotFound."""
        llm = self._config.llm
        service = RemoteService(llm.url, llm.api_key).lease if llm.url else self._llama().lease
        return SchemaBrain(llm, self._config.visual, service)

    def turn_detector(self) -> SmartTurn:
        """Hears whether a sentence is over. Raises ModelNotFound, or VadError if the model is damaged."""
        return SmartTurn(self.store.find("smart-turn", "turn").file(".onnx"))

    def _whisper(self) -> Lane:
        stt = self._config.stt
        path = self.store.find(stt.model, "stt").path
        return self.pool.lane(stt.model, engines.whisper(stt.model, str(path), stt, self._sockets))

    def _voice(self, engine: str, piper_context: dict[str, float] | None = None) -> Voice:
        tts = self._config.tts
        espeak = EspeakVoice(self._espeak_voice(), speed=tts.speed, timeout_s=tts.timeout_seconds)
        match engine:
            case "none":
                return SilentVoice()
            case "espeak":
                return espeak
            case "piper":
                return self._piper(espeak, piper_context)
        voice = WyomingVoice(RemoteService(tts.url).lease, timeout_s=tts.timeout_seconds)
        return voice if tts.fallback == "none" else FallbackVoice(voice, (), espeak)

    def _piper(self, espeak: Voice, context: dict[str, float] | None) -> Voice:
        tts = self._config.tts
        try:
            onnx = self.store.find(tts.voice, "tts").file(".onnx")
        except ModelNotFound as exc:
            if tts.fallback == "none":
                raise
            self._warn_once(f"espeak-ng speaks in place of Piper. {exc}")
            return espeak
        lane = self.pool.lane(tts.voice, engines.piper(tts.voice, onnx, tts, self._sockets))
        voice = WyomingVoice(lane.lease, timeout_s=tts.timeout_seconds, context=context)
        if tts.fallback == "none":
            return voice
        return FallbackVoice(voice, engines.piper_languages(onnx), espeak, give_up=lane.keeper.stop)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("%s", message)

    def _llama(self) -> Lane:
        llm = self._config.llm
        return self.pool.lane(llm.model, engines.llama(llm.model, self.store.find(llm.model, "llm").file(".gguf"), llm))

    def _espeak_voice(self) -> str:
        tts, language = self._config.tts, self._config.llm.language
        if tts.engine == "espeak" and not tts.voice.startswith("piper-"):
            return tts.voice
        return language if language != "auto" else "en"


def _log_worker(what: str, model: str, reason: str) -> None:
    if what == "started":
        log.info("%s is ready (%s)", model, reason)
    else:
        log.warning("%s failed: %s", model, reason)
