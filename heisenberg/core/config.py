"""The configuration: every key with its unit, its default and its range, in one place.

``config.example.toml`` and ``docs/reference/configuration.md`` are generated from these classes.
Values come from the defaults, a TOML file, ``.env``, the environment (``HEISENBERG_STT__MODEL=base``)
and the command line, later ones winning. Loading and error messages are in ``core/settings.py``;
this file only says what may be configured.
"""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, model_validator

Seconds = Annotated[float, Field(ge=0, le=86_400)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Port = Annotated[int, Field(ge=0, le=65_535)]


def _with_real_port(target: str) -> str:
    if not 1 <= int(target.rpartition(":")[2]) <= 65_535:
        raise ValueError("expected host:port with a port between 1 and 65535")
    return target


_USUAL_HERE = {"localhost": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}


def _here(address: str) -> str:
    """*address* (``host:port``), where it is this machine by its usual number."""
    host, _, port = address.rpartition(":")
    return f"{_USUAL_HERE.get(host, host)}:{port}"


def _is_wyoming_service(url: str) -> bool:
    """Whether *url* is ``tcp://host:port`` or ``unix:///path``."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname and parts.port) if parts.scheme == "tcp" else parts.scheme == "unix" and len(parts.path) > 1
    except ValueError:  # a port that is no number, or half an IPv6 address
        return False


def _is_http_server(url: str) -> bool:
    """Whether *url* is ``http://host`` or ``https://host``, with a port and a path or without."""
    try:
        parts = urlsplit(url)
        return bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
    except ValueError:
        return False


class Section(BaseModel):
    """A table of the file. Unknown keys are refused, values never change after loading.

    Strict: a file that says ``silence_seconds = "0.6"`` or ``threads = true`` is told so, not guessed at.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False, strict=True)


class AudioConfig(Section):
    """Sound in and out."""

    input_device: str = Field("", description='Part of the microphone\'s name; "" is the system default. See `heisenberg devices`.')
    output_device: str = Field("", description='Part of the speaker\'s name; "" is the system default.')
    sample_rate: int = Field(0, ge=0, le=384_000, description="Rate in Hz to open the microphone with; 0 is the device's own. Always resampled to 16 kHz.")
    channels: int = Field(1, ge=1, le=32, description="Microphone channels to open; they are averaged to mono.")
    chunk_size: int = Field(0, ge=0, le=16_384, description="Frames per PortAudio callback; 0 is about 32 ms, which costs least.")
    preroll_seconds: float = Field(0.5, ge=0, le=5, description="Seconds of sound kept from before speech was noticed.")
    echo_cancellation: bool = Field(True, description="Take the assistant's own voice out of the microphone while it speaks; false for a microphone that does this itself.")
    earcons: list[Literal["wake", "end", "error"]] = Field([], description="Short sounds: wake (it heard the phrase), end (it stops listening), error. A microphone near the loudspeaker hears them; silero knows that they are no speech, webrtc does not.")


class WakewordConfig(Section):
    """The phrase that starts a turn."""

    engine: Literal["microwakeword", "wyoming"] = Field("microwakeword", description="microwakeword runs here; wyoming uses a service at wakeword.url, whose own thresholds count.")
    url: str = Field("", description="tcp://host:port of a Wyoming wake-word service.")
    words: list[str] = Field(["hey_jarvis"], min_length=1, description="Phrases that wake: okay_nabu, hey_jarvis, hey_mycroft, alexa, or the path of a microWakeWord .json; with wyoming, what the service calls them.")
    threshold: float = Field(0.0, ge=0, le=1, description="Confidence (0–1) at which a phrase counts; 0 takes each model's own cutoff.")
    thresholds: dict[str, Fraction] = Field({}, description="Thresholds of single phrases, for example { hey_jarvis = 0.9 }.")
    refractory_seconds: float = Field(1.5, ge=0, le=10, description="Seconds in which the same phrase is not reported again.")

    @model_validator(mode="after")
    def _has_its_service(self) -> "WakewordConfig":
        if self.engine == "wyoming" and not _is_wyoming_service(self.url):
            raise ValueError("wakeword.engine needs wakeword.url to be tcp://host:port or unix:///path")
        return self


DEFAULT_STOP_WORDS = [
    "stop", "stop it", "stop talking", "please stop", "be quiet", "quiet", "shut up", "never mind", "forget it", "cancel", "that's enough",
    "arrête", "arrêtez", "arrête-toi", "stoppe", "tais-toi", "taisez-vous", "silence", "laisse tomber", "laissez tomber", "ça suffit", "annule",
]  # fmt: skip


class VadConfig(Section):
    """When a command begins and ends. All times are seconds of audio."""

    engine: Literal["silero", "webrtc"] = Field("silero", description="Voice-activity detector; silero ignores typing and music, webrtc is lighter.")
    start_threshold: Fraction = Field(0.5, description="Speech probability (0–1) that counts as speech.")
    end_threshold: Fraction = Field(0.35, description="Speech probability (0–1) below which silence is counted.")
    min_speech_seconds: float = Field(0.1, ge=0.03, le=2, description="Speech shorter than this is a click.")
    soft_end_seconds: float = Field(0.2, ge=0.06, le=5, description="Silence after which the answer is prepared, unseen; speech that goes on discards it.")
    silence_seconds: float = Field(0.6, ge=0.1, le=5, description="Silence that ends a command, where nothing is known of its words.")
    complete_silence_seconds: float = Field(0.45, ge=0.1, le=5, description="Silence that ends a command whose words are a complete sentence; at most silence_seconds.")
    incomplete_silence_seconds: float = Field(1.2, ge=0.1, le=10, description='Silence that ends a command which breaks off in mid-phrase ("paint me a"); at least silence_seconds.')
    turn_detector: Literal["text", "smart_turn", "none"] = Field("text", description="What tells complete from incomplete: the words; also the smart-turn model; or nothing.")
    max_command_seconds: float = Field(15.0, ge=1, le=60, description="Longest command; it is answered with what was heard.")
    no_speech_seconds: float = Field(5.0, ge=0.5, le=60, description="How long to wait for a command after the wake word.")

    @model_validator(mode="after")
    def _thresholds_in_order(self) -> "VadConfig":
        if self.end_threshold > self.start_threshold:
            raise ValueError("vad.end_threshold must not be above vad.start_threshold")
        return self


class TurnConfig(Section):
    """Who may speak when."""

    barge_in: Literal["off", "stop_word", "wake_word", "speech"] = Field("wake_word", description="What interrupts an answer: nothing; a stop word; also the wake word; also any speech (with a headset or audio.echo_cancellation).")
    stop_words: list[str] = Field(DEFAULT_STOP_WORDS, description="Phrases that silence the assistant, or end a turn when nothing else is said.")
    followup_seconds: float = Field(0.0, ge=0, le=60, description="How long to listen for another command after an answer, without the wake word; 0 is not at all.")
    resume_seconds: float = Field(2.0, ge=0.5, le=10, description="An interruption by speech without any words in this time was none; the answer goes on.")


class SttConfig(Section):
    """Speech to text."""

    engine: Literal["whisper", "moshi", "wyoming", "openai"] = Field("whisper", description="whisper and moshi (Kyutai, truly streaming) run here; wyoming uses a service at stt.url, openai an OpenAI-compatible server there.")
    model: str = Field("whisper-tiny.en", description="An installed model, a folder, or a hub repository of weights (CTranslate2 for whisper; moshi, which takes stt-1b-en_fr if none is named); with openai, the server's name for it.")
    url: str = Field("", description="tcp://host:port of a Wyoming service, or http://host:port of an OpenAI-compatible server.")
    api_key: str = Field("", description="Key for stt.url, with engine openai.")
    language: str = Field("en", description='ISO 639-1 code, or "auto" to detect it (multilingual models only).')
    languages: list[str] = Field(["en", "fr"], min_length=1, description="Languages that detection may choose from.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="Where to run; whisper uses int8 on cpu, float16 on cuda, and has no mps (Apple's GPU): it takes auto then.")
    threads: int = Field(0, ge=0, le=64, description="CPU threads; 0 chooses half of the cores, at most 4.")
    beam_size: int = Field(3, ge=1, le=10, description="Beam of the final transcript; partial ones always use 1.")
    partials: bool = Field(True, description="Transcribe while the user speaks, where the CPU allows.")
    pause_threshold: Fraction = Field(0.6, description="With moshi: probability (0–1) of a pause at which it takes a sentence for finished.")
    timeout_seconds: float = Field(20.0, ge=1, le=300, description="Longest wait for a final transcript.")

    @model_validator(mode="before")
    @classmethod
    def _has_its_model(cls, given: object) -> object:
        """Kyutai's own default, where moshi is asked for and no model."""
        if isinstance(given, dict) and given.get("engine") == "moshi":
            return {"model": "stt-1b-en_fr", **given}
        return given

    @model_validator(mode="after")
    def _has_its_service(self) -> "SttConfig":
        if self.engine == "wyoming" and not _is_wyoming_service(self.url):
            raise ValueError("stt.engine needs stt.url to be tcp://host:port or unix:///path")
        if self.engine == "openai" and not _is_http_server(self.url):
            raise ValueError("stt.engine needs stt.url to be http://host:port or https://host")
        return self


OLLAMA_CONTEXT_TOKENS = 4096
"""Asked of Ollama where nothing else is configured; its own default depends on its version and on the machine."""


class LlmConfig(Section):
    """The language model."""

    backend: Literal["llama.cpp", "ollama", "openai"] = Field("llama.cpp", description="llama.cpp runs a server here; ollama and openai use the server at llm.url.")
    model: str = Field("smollm2-135m", description="An installed model, one of models.catalog, the path of a GGUF file, or the name that the server at llm.url has for it (`ollama list`).")
    url: str = Field("", description='http://host:port of an Ollama or an OpenAI-compatible server; with it nothing is started here. For ollama "" is $OLLAMA_HOST, or http://127.0.0.1:11434.')
    api_key: str = Field("", description="Key for llm.url.")
    server_path: str = Field("", description='A llama-server program; "" looks on the PATH, then uses the embedded one.')
    server_args: list[str] = Field([], description="More arguments for llama-server.")
    context_tokens: int = Field(2048, ge=512, le=262_144, description="Context window in tokens for each request, at most what the model was trained for; with ollama, 4096 unless it is set. A model of models.catalog may have a ctx-size of its own.")
    gpu_layers: int = Field(-1, ge=-1, le=999, description="Layers on the GPU; -1 is all that fit (0 on machines without one).")
    threads: int = Field(0, ge=0, le=64, description="CPU threads; 0 uses half of the cores, since the ears and the voice need the rest.")
    prompt_format: Literal["server", "chatml", "llama2", "plain"] = Field("server", description="Chat template: the server's own, or one of ours.")
    personality: Literal["assistant", "poet", "scientist", "dj", "oracle"] = Field("assistant", description="How it speaks.")
    system_prompt: str = Field("", description="Replaces the personality's system prompt.")
    language: str = Field("auto", description='Language of the answer: "en", "fr", or "auto" for that of the question.')
    temperature: float = Field(0.6, ge=0, le=2, description="Sampling temperature.")
    max_tokens: int = Field(160, ge=16, le=4096, description="Longest answer in tokens.")
    seed: int = Field(-1, ge=-1, description="Fixed seed for repeatable answers; -1 is random.")
    history_turns: int = Field(6, ge=0, le=100, description="Exchanges that are remembered.")
    history_seconds: Seconds = Field(300.0, description="How long they are remembered.")
    timeout_seconds: float = Field(60.0, ge=1, le=600, description="Longest wait for a whole answer.")
    stall_seconds: float = Field(15.0, ge=1, le=300, description="Longest wait for the next token.")
    options: dict[str, bool | int | float | str | list[str]] = Field({}, description="More options for ollama, under its own names, for example { top_k = 40, num_gpu = 20 }; they win over temperature, seed and context_tokens.")
    keep_alive: str = Field("", pattern=r"^(-?\d+(\.\d+)?|-?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+)?$", description='How long ollama keeps the model in memory after a question: "10m", seconds, "-1" for ever; "" is its own default.')

    @property
    def is_local(self) -> bool:
        """Whether the model runs in a process of ours."""
        return self.backend == "llama.cpp" and not self.url

    @property
    def window_tokens(self) -> int:
        """Context window in tokens of the assistant's own requests. Ollama silently cuts what does not fit."""
        if self.backend != "ollama":
            return self.context_tokens
        own = self.options.get("num_ctx")
        if isinstance(own, int) and own > 0:
            return own
        return self.context_tokens if "context_tokens" in self.model_fields_set else OLLAMA_CONTEXT_TOKENS

    @model_validator(mode="after")
    def _has_its_server(self) -> "LlmConfig":
        if self.backend == "ollama" and ("model" not in self.model_fields_set or not self.model.strip()):
            raise ValueError("llm.backend needs llm.model to be a model of Ollama, as `ollama list` shows them")
        if self.backend == "openai" and not self.url:
            raise ValueError("llm.backend needs llm.url to be http://host:port or https://host")
        if self.url and not _is_http_server(self.url):
            raise ValueError("llm.url must be http://host:port or https://host, or empty")
        return self


class VisualField(Section):
    """One field of the visual object."""

    type: Literal["string", "float", "enum"] = Field("string", description="string, float or enum.")
    description: str = Field("", description="What the language model is told about it.")
    max_length: int = Field(160, ge=1, le=2000, description="Longest string in characters.")
    minimum: float = Field(0.0, description="Smallest number.")
    maximum: float = Field(1.0, description="Largest number.")
    values: list[str] = Field([], description="Allowed words of an enum.")
    clip_tokens: int = Field(0, ge=0, le=1000, description="Most tokens of a string for CLIP, the reader of image models, as estimated: 77 for Stable Diffusion; 0 is no bound.")

    @model_validator(mode="after")
    def _makes_sense(self) -> "VisualField":
        if self.clip_tokens and (self.type != "string" or self.clip_tokens < 8):
            raise ValueError("clip_tokens is for strings, and at least 8 or 0")
        if self.type == "enum" and not self.values:
            raise ValueError('an enum needs values, for example values = ["calm", "wild"]')
        if self.type == "float" and self.minimum >= self.maximum:
            raise ValueError("minimum must be below maximum")
        return self


DEFAULT_VISUAL_SCHEMA: dict[str, VisualField] = {
    "prompt": VisualField(description="a short image prompt for the scene", max_length=120),
    "mood": VisualField(type="enum", description="the mood", values=["calm", "joyful", "dreamy", "tense", "dark"]),
    "intensity": VisualField(type="float", description="how strong, 0 to 1"),
}


FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


class PresetConfig(Section):
    """A style: what ambient mode makes of what is being said, and where it sends that."""

    system_prompt: str = Field("", description="What the language model is told; empty is ambient mode's own.")
    fields: dict[FieldName, VisualField] = Field({}, alias="schema", description="Its fields; empty are those of visual.schema.")
    addresses: dict[FieldName, Annotated[str, Field(pattern=r"^/[^\s#*,?\[\]{}]+$")]] = Field({}, description="OSC address of a field, in place of /visual/<name>.")

    @model_validator(mode="after")
    def _json_is_taken(self) -> "PresetConfig":
        if "json" in self.fields:
            raise ValueError("a visual field cannot be named json: /visual/json carries the whole object")
        return self


BUILT_IN_PRESETS = ("streamdiffusion", "particles", "shader")
"""Styles that need no configuration; what they are is in ``llm/presets.py``."""


class VisualConfig(Section):
    """What the language model may say to the visuals."""

    order: Literal["quick_first", "reply_first", "visual_first"] = Field(
        "quick_first",
        description="What the model writes first: the fields that take a few tokens (enums, numbers), then the reply, then texts; the reply; or all visuals.",
    )
    preset: str = Field("", description='Style of ambient mode at start: one of visual.presets, or a built-in one; "" is the plain schema.')
    presets: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")], PresetConfig] = Field({}, description="Styles by name, switched while it runs.")
    fields: dict[FieldName, VisualField] = Field(DEFAULT_VISUAL_SCHEMA, alias="schema", description="The fields; each is sent as /visual/<name>.")

    @model_validator(mode="after")
    def _json_is_taken(self) -> "VisualConfig":
        if "json" in self.fields:
            raise ValueError("a visual field cannot be named json: /visual/json carries the whole object")
        return self

    @model_validator(mode="after")
    def _has_its_preset(self) -> "VisualConfig":
        known = (*self.presets, *(name for name in BUILT_IN_PRESETS if name not in self.presets))
        if self.preset and self.preset not in known:
            raise ValueError(f'visual.preset must be a style that there is ({", ".join(known)}), or empty')
        return self


class BrainConfig(Section):
    """Ambient mode (`heisenberg run --mode ambient`): what is being said becomes visuals. Seconds of sound, not of the clock."""

    analysis_interval: float = Field(6.0, ge=0.5, le=600, description="Least time between two analyses in seconds, unless a sentence ended and the model is idle.")
    sentence_timeout: float = Field(5.0, ge=1, le=60, description="A sentence that is not complete this long after its first word is taken as it is, in seconds.")
    window_seconds: float = Field(60.0, ge=5, le=600, description="How much of what was said the model is shown, in seconds.")
    commands: bool = Field(True, description="In ambient mode, too, the wake word starts a spoken command.")


class TtsConfig(Section):
    """The voice."""

    engine: Literal["piper", "kokoro", "espeak", "wyoming", "openai", "none"] = Field("piper", description="Text to speech; kokoro speaks French and English in turns, wyoming and openai use a server at tts.url, none only prints.")
    voice: str = Field("piper-en_US-joe-medium", description="An installed voice, the path of a Piper .onnx, one of Kokoro's such as ff_siwis, an espeak-ng voice such as fr, or with openai the server's name for it.")
    model: str = Field("tts-1", description="Model of the server at tts.url, with engine openai.")
    url: str = Field("", description="tcp://host:port of a Wyoming service, or http://host:port of an OpenAI-compatible server.")
    api_key: str = Field("", description="Key for tts.url, with engine openai.")
    fallback: Literal["espeak", "none"] = Field("espeak", description="Voice for when the engine fails, and for languages that it does not speak.")
    speed: float = Field(1.0, ge=0.5, le=2, description="Speaking rate; 1 is the voice's own.")
    timeout_seconds: float = Field(20.0, ge=1, le=300, description="Longest wait for the next stretch of sound.")

    @model_validator(mode="after")
    def _has_its_service(self) -> "TtsConfig":
        if self.engine == "wyoming" and not _is_wyoming_service(self.url):
            raise ValueError("tts.engine needs tts.url to be tcp://host:port or unix:///path")
        if self.engine == "openai" and not _is_http_server(self.url):
            raise ValueError("tts.engine needs tts.url to be http://host:port or https://host")
        return self


class OscConfig(Section):
    """Open Sound Control, for TouchDesigner and others."""

    targets: list[Annotated[str, Field(pattern=r"^\S+:\d{1,5}$"), AfterValidator(_with_real_port)]] = Field(["127.0.0.1:7000"], description="Receivers as host:port; [] sends nothing.")
    listen: str = Field("", pattern=r"^(\S+:\d{1,5})?$", description='Address for commands over OSC as host:port, for example "127.0.0.1:7001"; "" takes none.')
    max_datagram_bytes: int = Field(1400, ge=256, le=8000, description="Largest datagram; 1400 suits a LAN, 8000 loopback.")
    level_rate_hz: float = Field(30.0, ge=0, le=60, description="Level and VAD messages per second; 0 sends none.")
    heartbeat_seconds: float = Field(1.0, ge=0.1, le=60, description="Seconds between heartbeats and snapshots.")

    @model_validator(mode="after")
    def _talks_to_others(self) -> "OscConfig":
        if self.listen and _here(self.listen) in map(_here, self.targets):
            raise ValueError("osc.listen needs osc.targets to be other addresses, or it would talk to itself")
        return self


Parameter = bool | int | float | str | list[str]
"""The value of a llama-server option: ``false`` and ``""`` drop it, ``true`` is the bare flag."""

Parameters = dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")], Parameter]
"""llama-server options by their names without the leading dashes: ``{ ctx-size = 8192, flash-attn = "on" }``."""

ModelKind = Literal["llm", "embedding", "stt", "tts"]
"""What a model of the catalog is for."""


class RuntimeConfig(Section):
    """A program that runs GGUF models."""

    path: str = Field("", description='A llama-server program; "" looks on the PATH, then uses the embedded one.')
    embedded: bool = Field(False, description="Use the embedded server, even where a llama-server is installed.")
    args: list[str] = Field([], description="Arguments for every model that it runs, as on the command line; parameters of the model come after them.")
    supports_tools: bool = Field(True, description="false takes tools out of requests, for builds that fail on them (ik_llama).")


class RunnerConfig(Section):
    """The models of this machine, and the child processes that run them."""

    start_timeout_seconds: float = Field(120.0, ge=1, le=3600, description="A model that is loading and gives no sign of life for so long has failed.")
    stop_grace_seconds: float = Field(3.0, ge=0.1, le=60, description="Time between asking a process to end and killing it.")
    breaker_failures: int = Field(5, ge=1, le=100, description="Failures in a row after which a model is given a rest.")
    max_loaded: int = Field(4, ge=0, le=100, description="Models in memory at once, speech included; the one idle for longest makes room. 0 is no limit.")
    ttl_seconds: float = Field(300.0, ge=-1, le=31_536_000, description="A model that nobody used for so long is unloaded; -1 keeps it. Clients may ask for another time (keep_alive, ttl).")
    wait_seconds: float = Field(600.0, ge=1, le=86_400, description="Longest wait of a request for its model.")
    parallel: int = Field(2, ge=1, le=64, description="Requests that a language model answers at once for API clients; the assistant has a place of its own. Each has the whole llm.context_tokens; a ctx-size among the parameters is divided among them.")
    runtime: str = Field("", description='Which of runner.runtimes runs models that name none; "" is a llama-server on the PATH, else the embedded one.')
    runtimes: dict[str, RuntimeConfig] = Field({}, description="Programs that run GGUF models, by name.")
    defaults: Parameters = Field({}, description="llama-server options for every model, by name without the leading dashes; those of models.catalog win.")
    discovery: list[str] = Field([], description="More folders in which GGUF files, Whisper folders and Piper voices are found, with their subfolders.")
    allow_unsafe_args: bool = Field(False, description="Allow llama-server options that write files, open folders to clients, fetch from the network or run programs.")

    @model_validator(mode="after")
    def _has_its_runtime(self) -> "RunnerConfig":
        if self.runtime and self.runtime not in self.runtimes:
            raise ValueError(f'runner.runtime is "{self.runtime}", which is not in runner.runtimes')
        return self


class CatalogConfig(Section):
    """One model of the catalog: for what discovery cannot know."""

    kind: ModelKind = Field("llm", description="llm, embedding, stt or tts.")
    path: str = Field("", description="An installed model, or the path of its file or folder.")
    urls: list[str] = Field([], description="OpenAI-compatible servers that have it (http://host:port), in order of preference; nothing is started here.")
    remote_name: str = Field("", description='What those servers call it; "" is the same name.')
    api_key: str = Field("", description="Key for those servers.")
    capabilities: list[Literal["tools", "vision", "thinking", "insert"]] = Field([], description="What a model on those servers can do besides generating; some clients list no model without tools.")
    context_tokens: int = Field(0, ge=0, le=100_000_000, description="Context window that those servers give it, for clients that ask; 0 is not known.")
    aliases: list[str] = Field([], description="Other names that clients may use.")
    display_name: str = Field("", description='Name shown to people; "" is made from the file, without its quantisation.')
    runtime: str = Field("", description='Which of runner.runtimes runs it; "" is the default.')
    parameters: Parameters = Field({}, description='llama-server options, over runner.defaults: true is the bare flag, a list repeats it, false or "" drops it. parallel replaces runner.parallel; ctx-size is shared by all places.')
    auto_update: bool = Field(False, description="Follow to a newer file of the same model when discovery finds one.")
    preload: bool = Field(False, description="Load it at start.")
    pin: bool = Field(False, description="Never unload it to make room, nor when it is idle.")
    ttl_seconds: float | None = Field(None, ge=-1, le=31_536_000, description="Unload after so long without use, in place of runner.ttl_seconds.")
    group: str = Field("", description="Of the models of one group only one is loaded at a time.")

    @model_validator(mode="after")
    def _is_somewhere(self) -> "CatalogConfig":
        if bool(self.path) == bool(self.urls):
            raise ValueError("a model needs either path or urls")
        if bad := [url for url in self.urls if not _is_http_server(url)]:
            raise ValueError(f'urls must be http://host:port or https://host; "{bad[0]}" is not')
        return self


class ModelsConfig(Section):
    """Where models are kept and fetched, and what is to be known of them."""

    folder: Annotated[Path, Strict(False)] | None = Field(None, description="Models folder; unset is the user data folder.")
    source_timeout_seconds: float = Field(10.0, ge=1, le=300, description="A source that is silent for this long is skipped.")
    catalog: dict[str, CatalogConfig] = Field({}, description="Models by the name that clients use.")


class ServerConfig(Section):
    """The model server, for OpenAI, LM Studio and Ollama clients."""

    host: str = Field("127.0.0.1", description="Address to listen on. Anything but loopback needs an api_key.")
    port: Port = Field(1234, description="Port, as LM Studio's.")
    ollama_port: Port = Field(11434, description="Second port, as Ollama's, with the same answers; 0 is none.")
    api_key: str = Field("", description="What clients have to send (Authorization: Bearer …, or x-api-key).")
    admin_key: str = Field("", description='Key for loading, unloading, deleting and logs; "" is the api_key.')
    cors_origins: list[str] = Field(
        ["http://localhost", "http://127.0.0.1", "app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"],
        description='Web pages that may use the server from a browser; without a port any port is meant. "*" is every page of the web: only with an api_key.',
    )
    allowed_hosts: list[str] = Field([], description="Names by which clients may call this machine, besides its loopback names and addresses.")
    max_body_megabytes: float = Field(64.0, gt=0, le=4096, description="Largest JSON request.")
    max_upload_megabytes: float = Field(512.0, gt=0, le=65_536, description="Largest audio file.")
    allow_remote_images: bool = Field(False, description="Let language models fetch image_url from the web; otherwise only data: URLs pass.")
    access_log: bool = Field(True, description="Log a line for each request; never what was said in it.")
    wyoming: bool = Field(False, description="Offer speech to text, text to speech and the wake word to Wyoming clients (Home Assistant), too.")
    wyoming_ports: Annotated[list[Port], Field(min_length=3, max_length=3)] = Field([10300, 10200, 10400], description="Ports for these three, in this order; 0 takes a free one.")


class WatchdogConfig(Section):
    """Notices what stands still."""

    stall_seconds: float = Field(2.0, ge=0, le=600, description="The audio thread, the event loop or the session stands still for this long: heal it once, then exit with status 1; 0 never looks.")


class DebugConfig(Section):
    """Recordings for diagnosis. They hold what was said: keep them private."""

    record_dir: str = Field("", description='Folder for recordings of each turn; "" records nothing. See `heisenberg replay`.')
    max_megabytes: float = Field(500.0, ge=1, le=1_000_000, description="Size of that folder; the oldest turns are removed.")


class LogConfig(Section):
    """Logs. They go to standard error and to a file, never to standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least important level that is shown.")
    file: str = Field("", description='Rotating log file; "" is in the user state folder, "none" writes none.')


class Config(Section):
    """The whole configuration."""

    audio: AudioConfig = AudioConfig()
    wakeword: WakewordConfig = WakewordConfig()
    vad: VadConfig = VadConfig()
    turn: TurnConfig = TurnConfig()
    stt: SttConfig = SttConfig()
    llm: LlmConfig = LlmConfig()
    visual: VisualConfig = VisualConfig()
    brain: BrainConfig = BrainConfig()
    tts: TtsConfig = TtsConfig()
    osc: OscConfig = OscConfig()
    runner: RunnerConfig = RunnerConfig()
    models: ModelsConfig = ModelsConfig()
    server: ServerConfig = ServerConfig()
    watchdog: WatchdogConfig = WatchdogConfig()
    debug: DebugConfig = DebugConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _is_heard_by_moshi(self) -> "Config":
        if self.stt.engine == "moshi" and 0 < self.audio.sample_rate < 16_000:
            raise ValueError(
                f"audio.sample_rate is {self.audio.sample_rate}, which stt.engine = \"moshi\" cannot use: it hears at 24000 Hz, and a microphone "
                "below 16000 Hz has no consonants to give it; use 24000, or 0 for the device's own"
            )
        return self

    @model_validator(mode="after")
    def _has_its_runtimes(self) -> "Config":
        for name, model in self.models.catalog.items():
            if model.runtime and model.runtime not in self.runner.runtimes:
                raise ValueError(f'models.catalog.{name}.runtime is "{model.runtime}", which is not in runner.runtimes')
        return self
