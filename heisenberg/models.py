"""The models of this process: which engine each stage uses, as configured, and the processes that run them.

It makes stages and knows nothing of turns; ``main.py`` puts a session together from them.
"""

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import platformdirs

from heisenberg.core.audio import Samples
from heisenberg.core.config import Config, LlmConfig, TtsConfig
from heisenberg.core.errors import ModelNotFound
from heisenberg.core.recordings import Passage, Wanted
from heisenberg.core.stages import LeaseService, Recogniser, ServiceLease, Voice
from heisenberg.llm.analyst import SchemaAnalyst
from heisenberg.llm.brain import SchemaBrain
from heisenberg.llm.ollama_host import server_url
from heisenberg.runner import engines, llama_options
from heisenberg.runner.catalog import kokoro, kyutai
from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.index import Catalog
from heisenberg.runner.catalog.kits import Kind
from heisenberg.runner.catalog.store import InstalledModel, Store
from heisenberg.runner.fleet import Fleet
from heisenberg.runner.lanes import Priority
from heisenberg.runner.pool import Pool
from heisenberg.runner.supervisor.sweep import Ledger
from heisenberg.stt.buffered import BufferedRecogniser
from heisenberg.stt.moshi import Signs, StreamingRecogniser, tell_speed
from heisenberg.stt.openai import OpenAiRecogniser
from heisenberg.stt.recordings import RecordingTranscriber
from heisenberg.stt.spoken_language import with_guessed_language
from heisenberg.stt.wyoming import passages
from heisenberg.tts.espeak import EspeakVoice
from heisenberg.tts.fallback import FallbackVoice
from heisenberg.tts.openai import OpenAiVoice
from heisenberg.tts.silent import SilentVoice
from heisenberg.tts.wyoming import WyomingVoice
from heisenberg.vad.smart_turn import SmartTurn

log = logging.getLogger(__name__)

OPEN_FILES = 8
"""Recordings that are written down at once, in turns; others wait."""

FIRST_LOOK_S = 5.0
"""Longest wait at start for what the model files say of themselves; only large folders take longer, the first time."""

STRETCH_S = 120.0
"""Longest wait for what is said in half a minute of a recording."""


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
    """The models of this process. Use as an async context manager; leaving it ends every child.

    Args:
        config: the whole configuration.
        serves: whether clients use the models, as well.
        assists: whether the assistant does.
    """

    def __init__(self, config: Config, *, serves: bool = False, assists: bool = True) -> None:
        self._config = config
        self._serves = serves
        self._ledger = Ledger(platformdirs.user_state_path("heisenberg", appauthor=False) / "children")
        self._ledger.sweep()
        self._sockets = self._ledger.new_sockets_folder()
        self.store = Store(config.models.folder)
        self.pool = Pool(config.runner, self._ledger, _log_worker)
        assistants = {self._installed_name(name) for name in assistants_models(config)} if assists else set()
        catalog = Catalog(config, self.store, assistants=assistants)
        self.fleet = Fleet(config, catalog, self.pool, self._sockets, serves=serves, assistants=assistants)
        self._warned: set[str] = set()
        self._open_files = asyncio.Semaphore(OPEN_FILES)
        self.signs = Signs()
        """What a streaming recogniser lets the assistant know besides words."""

    async def __aenter__(self) -> "Runner":
        if self._serves:
            await asyncio.to_thread(self.fleet.catalog.prepare, FIRST_LOOK_S)
            self.fleet.preload()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.fleet.close()
        await self.pool.close()
        self._ledger.close()

    def recogniser(self, language: str | None = None, priority: Priority = Priority.VOICE) -> Recogniser:
        """Speech to text, as configured (*language* in place of the configured one).

        Raises ModelNotFound, or ModelFailedToStart if a library is missing that the engine needs.
        """
        stt = self._config.stt
        language = language or stt.language
        if stt.engine == "moshi":
            engines.require_moshi()
            return StreamingRecogniser(
                self._ears(priority),
                language=language,
                languages=stt.languages,
                partials=stt.partials and priority is Priority.VOICE,
                timeout_s=stt.timeout_seconds,
                signs=self.signs if priority is Priority.VOICE else None,
            )
        is_local = stt.engine == "whisper"
        return BufferedRecogniser(
            self._ears(priority),
            language=language,
            partials=stt.partials and is_local and priority is Priority.VOICE,
            timeout_s=stt.timeout_seconds,
            ask=OpenAiRecogniser(stt.model, language, stt.timeout_seconds).command if stt.engine == "openai" else None,
        )

    def transcriber(self, model: Model | None = None) -> RecordingTranscriber:
        """Writes down recordings with *model* of the catalog, or with what is configured. Raises ModelNotFound.

        Between two stretches of a recording, commands that are spoken to the assistant go first.
        """
        stt, wait_s = self._config.stt, self._config.runner.wait_seconds
        if model is not None and model.is_remote:
            remote = OpenAiRecogniser(model.remote_name, stt.language, STRETCH_S)
            return RecordingTranscriber(
                lambda: self.fleet.lease(model, Priority.API),
                remote.stretch,
                wait_s=wait_s,
                open_files=self._open_files,
            )
        if model is None and stt.engine == "openai":
            remote = OpenAiRecogniser(stt.model, stt.language, STRETCH_S)
            return RecordingTranscriber(
                self._ears(Priority.API), remote.stretch, wait_s=wait_s, open_files=self._open_files
            )
        lease = self._leasing(model, Priority.API) if model else self._ears(Priority.API)
        is_kyutais = kyutai.is_kyutai(model.folder) if model and model.folder else stt.engine == "moshi"
        recognise = self._kyutais_passages if is_kyutais else functools.partial(passages, stall_s=STRETCH_S)
        return RecordingTranscriber(lease, recognise, wait_s=wait_s, open_files=self._open_files)

    def voice(self) -> Voice:
        """Text to speech, as configured. Raises ModelNotFound if there is no fallback either."""
        return self._voice(self._config.tts)

    def speaker(self, model: Model | None = None, speed: float = 1.0, voice: str = "") -> Voice:
        """The voice *model* of the catalog, or the one that is configured, for other programs than the assistant.

        *speed* multiplies the configured one; *voice* is one of a model that has several. Raises ModelNotFound if
        there is no fallback either.
        """
        tts = self._config.tts
        if model is not None and model.is_remote:
            return OpenAiVoice(
                lambda: self.fleet.lease(model, Priority.API),
                model=model.remote_name,
                voice=voice or tts.voice,
                speed=tts.speed * speed,
                timeout_s=tts.timeout_seconds,
            )
        if model is not None:
            context = {"speed": speed} if speed != 1.0 else {}
            known = voice if voice in model.voices else ""
            voice_for = self._kokoro_voice(known, model.voices) if model.voices else None
            return WyomingVoice(
                self._leasing(model, Priority.API),
                timeout_s=tts.timeout_seconds,
                context=context,
                voice_for=voice_for,
            )
        if tts.engine == "none":
            tts = tts.model_copy(update={"engine": "piper"})
        return self._voice(tts, speed=speed, priority=Priority.API)

    def plain_voice(self) -> Voice:
        """The voice that asks synthesised questions: the configured one, but Piper where that is silent.

        Piper then speaks without its random variation. Raises ModelNotFound if there is no fallback either.
        """
        tts = self._config.tts
        if tts.engine == "none":
            tts = tts.model_copy(update={"engine": "piper"})
        return self._voice(tts, {"noise_scale": 0.0, "noise_w_scale": 0.0})

    def brain(self, config: Config | None = None) -> SchemaBrain:
        """The language model, as configured (or with the prompts of *config*). Raises ModelNotFound."""
        config = config or self._config
        llm, lease = self._language_model(config.llm, Priority.VOICE)
        return SchemaBrain(llm, config.visual, lease)

    def analyst(self, priority: Priority = Priority.BACKGROUND, config: Config | None = None) -> SchemaAnalyst:
        """The same language model, for visuals alone; behind everybody else. Raises ModelNotFound."""
        config = config or self._config
        llm, lease = self._language_model(config.llm, priority)
        return SchemaAnalyst(llm, config.visual, lease)

    def turn_detector(self) -> SmartTurn:
        """Hears whether a sentence is over. Raises ModelNotFound, or VadError if the model is damaged."""
        return SmartTurn(self.store.find("smart-turn", "turn").file(".onnx"))

    def _language_model(self, llm: LlmConfig, priority: Priority) -> tuple[LlmConfig, LeaseService]:
        """How to ask the configured language model, and where."""
        if llm.backend == "ollama":
            return llm, RemoteService(server_url(llm.url), llm.api_key).lease
        if not llm.is_local:
            return llm, RemoteService(llm.url, llm.api_key).lease
        model = self._named(llm.model, "llm")
        if model.is_remote:
            llm = llm.model_copy(update={"model": model.remote_name})
        return llm, self._llama(priority)

    def _ears(self, priority: Priority) -> LeaseService:
        """The configured recogniser."""
        stt = self._config.stt
        if stt.engine not in ("whisper", "moshi"):
            return RemoteService(stt.url, stt.api_key).lease
        try:
            model = self._named(stt.model, "stt")
        except ModelNotFound:
            if stt.engine == "moshi":
                kyutai.refuse_speakers(stt.model)  # not to be fetched, either
            raise
        kyutai.check_engine(model.name, model.folder, stt.engine)
        return self._leasing(model, priority)

    async def _kyutais_passages(
        self, service: ServiceLease, samples: Samples, wanted: Wanted
    ) -> AsyncGenerator[Passage, None]:
        await tell_speed(service, self.signs)
        found = passages(service, samples, wanted, stall_s=STRETCH_S)
        async with aclosing(
            found if wanted.language else with_guessed_language(found, self._config.stt.languages)
        ) as told:
            async for passage in told:
                yield passage

    def _voice(
        self,
        tts: TtsConfig,
        piper_context: dict[str, float] | None = None,
        speed: float = 1.0,
        priority: Priority = Priority.VOICE,
    ) -> Voice:
        espeak = EspeakVoice(self._espeak_voice(), speed=tts.speed * speed, timeout_s=tts.timeout_seconds)
        voice: Voice
        match tts.engine:
            case "none":
                return SilentVoice()
            case "espeak":
                return espeak
            case "piper" | "kokoro":
                context = (piper_context or {}) | ({"speed": speed} if speed != 1.0 else {})
                return self._own_voice(tts, espeak, context, priority)
            case "openai":
                voice = OpenAiVoice(
                    RemoteService(tts.url, tts.api_key).lease,
                    model=tts.model, voice=tts.voice, speed=tts.speed * speed, timeout_s=tts.timeout_seconds,
                )  # fmt: skip
            case "wyoming":
                voice = WyomingVoice(RemoteService(tts.url).lease, timeout_s=tts.timeout_seconds)
        return voice if tts.fallback == "none" else FallbackVoice(voice, (), espeak)

    def _own_voice(self, tts: TtsConfig, espeak: Voice, context: dict[str, float], priority: Priority) -> Voice:
        """Piper or Kokoro; espeak-ng where it is not installed."""
        name, chosen = kokoro.model_and_voice(tts.voice) if tts.engine == "kokoro" else (tts.voice, "")
        try:
            installed = self.store.find(name, "tts")
            onnx = installed.file(".onnx")
            voices = kokoro.voices_in(installed.files)
            voice_for = self._kokoro_voice(chosen, voices) if voices else None
        except ModelNotFound as exc:
            if tts.fallback == "none":
                raise
            self._warn_once(f"espeak-ng speaks in place of {tts.engine.capitalize()}. {exc}")
            return espeak
        model = self._model(name, installed)
        voice = WyomingVoice(
            self._leasing(model, priority), timeout_s=tts.timeout_seconds, context=context, voice_for=voice_for
        )
        if tts.fallback == "none":
            return voice
        # A lane that others use, too, is not this one's to stop.
        give_up = functools.partial(self.fleet.give_up, model) if priority is Priority.VOICE else None
        languages = frozenset(map(kokoro.language_of, voices)) or engines.piper_languages(onnx)
        return FallbackVoice(voice, languages, espeak, give_up=give_up)

    def _kokoro_voice(self, chosen: str, voices: Sequence[str]) -> Callable[[str | None], str]:
        """Which of *voices* speaks a language.

        *chosen* speaks its own; where it is empty, the configured one, else one of the configured language.
        Raises ModelNotFound if *chosen* is not there.
        """
        if chosen:
            kokoro.check_voice(chosen, voices)
        else:
            named = kokoro.model_and_voice(self._config.tts.voice)[1]
            chosen = named if named in voices else kokoro.voice_for(self._usual_language(), voices[0], voices)
        return lambda language: kokoro.voice_for(language, chosen, voices)

    def _usual_language(self) -> str:
        """ISO 639-1 code of what is mostly spoken here, as far as the configuration tells."""
        configured = (self._config.llm.language, self._config.stt.language)
        return next((language for language in configured if language != "auto"), "en")

    def _warn_once(self, message: str) -> None:
        if message not in self._warned:
            self._warned.add(message)
            log.warning("%s", message)

    def _llama(self, priority: Priority) -> LeaseService:
        return self._leasing(self._named(self._config.llm.model, "llm"), priority)

    def _named(self, name: str, kind: Kind) -> Model:
        """The model called *name* in the configuration: in ``models.catalog``, installed, at a path, or discovered.

        Raises: ModelNotFound.
        """
        if name in self._config.models.catalog:
            return self._listed(name, kind)
        try:
            installed = self.store.find(name, kind)
        except ModelNotFound as exc:
            with contextlib.suppress(ModelNotFound):
                return self._listed(name, kind)
            raise exc from None
        if kind == "llm":
            installed.file(".gguf")  # said now, not at the first question
        return self._model(name, installed)

    def _listed(self, name: str, kind: Kind) -> Model:
        model = self.fleet.catalog.find(name)
        if model.kind != kind:
            raise ModelNotFound(f'Model "{name}" is {model.kind}, {kind} is needed. See: heisenberg models list')
        if model.is_remote and kind != "llm":
            raise ModelNotFound(f'Model "{name}" runs on another server; set {kind}.engine and {kind}.url instead.')
        return model

    def _model(self, name: str, installed: InstalledModel) -> Model:
        """*installed* as clients know it, so that they share its process; by *name* where there are no clients."""
        if self._serves:
            same = [model for model in self.fleet.catalog.all() if model.files[:1] == installed.files[:1]]
            same.sort(key=lambda model: installed.name not in (model.name, *model.aliases))
            for model in same:
                if model.kind == installed.kind:
                    return model
        files = (installed.path,) if installed.kind == "stt" else installed.files
        kind = installed.kind if installed.kind != "turn" else "llm"
        options = llama_options.merged(self._config.runner.defaults, {}) if kind == "llm" else {}
        return Model(name, kind, files=files, parameters=options)

    def _installed_name(self, name: str) -> str:
        """*name* as the models folder has it; the configuration may also tell a repository, or a path."""
        try:
            return self.store.find(name).name
        except ModelNotFound:
            return name

    def _leasing(self, model: Model, priority: Priority) -> LeaseService:
        return functools.partial(self.fleet.lease, model, priority)

    def _espeak_voice(self) -> str:
        tts, language = self._config.tts, self._config.llm.language
        if tts.engine == "espeak" and not tts.voice.startswith("piper-"):
            return tts.voice
        return language if language != "auto" else "en"


def assistants_models(config: Config) -> frozenset[str]:
    """Names of the models that run here for the assistant."""
    names = {
        config.stt.model: config.stt.engine in ("whisper", "moshi"),
        config.llm.model: config.llm.is_local,
        _voice_model(config.tts): config.tts.engine in ("piper", "kokoro"),
    }
    return frozenset(name for name, is_here in names.items() if is_here)


def _voice_model(tts: TtsConfig) -> str:
    return kokoro.model_and_voice(tts.voice)[0] if tts.engine == "kokoro" else tts.voice


def _log_worker(what: str, model: str, reason: str) -> None:
    if what == "started":
        log.info("%s is ready (%s)", model, reason)
    else:
        log.warning("%s failed: %s", model, reason)
