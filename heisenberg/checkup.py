"""What ``heisenberg doctor`` examines. Beside ``main.py``, since it looks at every part.

It starts no child process of ours and opens no device. Libraries that may be missing or broken are imported by the
check that is about them, so that the others still report.
"""

import asyncio
import errno
import importlib
import importlib.util
import ipaddress
import logging
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from heisenberg.audio.devices import list_devices
from heisenberg.core.config import Config, LlmConfig, SttConfig, WakewordConfig
from heisenberg.core.errors import ConfigError, HeisenbergError
from heisenberg.llm.ollama_host import pull_command, server_url
from heisenberg.runner import engines
from heisenberg.runner.catalog import kokoro, kyutai
from heisenberg.runner.catalog.kits import KNOWN_MODELS, Kind
from heisenberg.runner.catalog.store import Store
from heisenberg.runner.connection import NOT_WYOMING
from heisenberg.runner.ready import wyoming_is_ready
from heisenberg.runner.supervisor.process import Address
from heisenberg.wakeword.wyoming_link import offered_words
from heisenberg.wakeword.wyoming_words import known_words

log = logging.getLogger(__name__)

PROBE_TIMEOUT_S = 5.0
SMALLEST_DISK_BYTES = 1_000_000_000
OLLAMA_SERVER, OLLAMA_MODEL = "Ollama", "Ollama model"
"""Names of findings."""
REINSTALL = "Run rm -rf .venv, then make setup."


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    status: Literal["ok", "warning", "failed"]
    found: str
    """What was seen."""
    remedy: str = ""
    """What to do about it; empty if nothing."""


async def examine(config: Config) -> list[Finding]:
    """Run every check; none takes longer than a few seconds, and none raises."""
    checks: tuple[Callable[[Config], Iterator[Finding]], ...] = (
        _python, _packages, _devices, _permissions, _audio_files, _wake_words, _voice_activity, _models,
        _language_model, _speech_services, _voice, _osc_targets, _disk,
    )  # fmt: skip
    findings: list[Finding] = []
    for check in checks:
        findings += await asyncio.to_thread(_examined, check, config)
    return findings


def _examined(check: Callable[[Config], Iterator[Finding]], config: Config) -> list[Finding]:
    """The findings of *check*; one that cannot be made is a finding, too."""
    findings: list[Finding] = []
    name = check.__name__.strip("_").replace("_", " ")
    try:
        findings.extend(check(config))
    except Exception as exc:
        log.debug("the check of %s failed", name, exc_info=True)
        findings.append(
            Finding(
                name,
                "failed",
                f"cannot be examined: {_reason(exc)}",
                "Run heisenberg doctor --log-level debug for the whole story.",
            )
        )
    return findings


def _reason(exc: Exception) -> str:
    """*exc* as a part of a line."""
    return " ".join(str(exc).split()) or type(exc).__name__


def _python(config: Config) -> Iterator[Finding]:
    found = f"{platform.python_version()} on {platform.platform(terse=True)} ({platform.machine()})"
    yield Finding("Python", "ok", found)


def _packages(config: Config) -> Iterator[Finding]:
    wanted = ["onnxruntime", "faster_whisper", "pythonosc"]
    wanted += ["pymicro_wakeword"] if config.wakeword.engine == "microwakeword" else []
    wanted += ["piper"] if config.tts.engine in ("piper", "kokoro") else []
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        yield Finding("packages", "failed", f"missing: {', '.join(missing)}", "Run make setup.")
    else:
        yield Finding("packages", "ok", "all there")


def _devices(config: Config) -> Iterator[Finding]:
    try:
        devices = list_devices()
    except HeisenbergError as exc:
        yield Finding("PortAudio", "failed", exc.message, "WAV files work without it.")
        return
    yield Finding("PortAudio", "ok", f"{len(devices)} device{'' if len(devices) == 1 else 's'}")
    for kind, wanted, usable in (
        ("microphone", config.audio.input_device, [d for d in devices if d.input_channels]),
        ("speakers", config.audio.output_device, [d for d in devices if d.output_channels]),
    ):
        names = ", ".join(f'"{d.name}"' for d in usable) or "none"
        match = [d for d in usable if wanted.lower() in d.name.lower()]
        if match:
            yield Finding(kind, "ok", f'"{match[0].name}"' if wanted else f"{names}")
        else:
            key = "input" if kind == "microphone" else "output"
            yield Finding(
                kind, "warning", f'no device named "{wanted}"; found: {names}' if wanted else "none found",
                f"Plug one in, or set audio.{key}_device; meanwhile use --{key} FILE.wav.",
            )  # fmt: skip


def _permissions(config: Config) -> Iterator[Finding]:
    if sys.platform != "darwin":
        return
    yield Finding(
        "macOS privacy", "warning", "cannot be read by programs",
        "If only silence is heard: System Settings → Privacy & Security → Microphone, allow your terminal. "
        "If another machine receives no OSC (macOS 15+): Local Network, allow it there, too.",
    )  # fmt: skip


def _audio_files(config: Config) -> Iterator[Finding]:
    try:
        soundfile = importlib.import_module("soundfile")
    except (ImportError, OSError) as exc:  # OSError: libsndfile is missing
        yield Finding(
            "audio files", "failed", f"libsndfile cannot be loaded: {_reason(exc)}",
            "Run .venv/bin/pip install --force-reinstall soundfile, or install libsndfile "
            "(apt install libsndfile1, brew install libsndfile).",
        )  # fmt: skip
        return
    yield Finding("audio files", "ok", f"libsndfile {soundfile.__libsndfile_version__}")


def _wake_words(config: Config) -> Iterator[Finding]:
    if config.wakeword.engine == "wyoming":
        yield asyncio.run(_wake_word_service(config.wakeword))
        return
    try:
        from heisenberg.wakeword import phrases

        loaded = phrases.load(config.wakeword)
    except HeisenbergError as exc:
        yield Finding("wake words", "failed", exc.message, "Correct wakeword.words and wakeword.thresholds.")
        return
    except (ImportError, OSError) as exc:
        yield Finding("wake words", "failed", f"pymicro-wakeword cannot be loaded: {_reason(exc)}", REINSTALL)
        return
    for phrase in loaded:
        phrase.model.close()
    found = ", ".join(f"{phrase.name} (from {phrase.threshold:.2f})" for phrase in loaded)
    yield Finding("wake words", "ok", found)


async def _wake_word_service(config: WakewordConfig) -> Finding:
    name, url = "wake word service", config.url
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            offered = await offered_words(url)
    except NOT_WYOMING:
        remedy = 'Start the service, or set wakeword.url, as in "tcp://127.0.0.1:10400".'
        return Finding(name, "failed", f"no Wyoming service answers at {url}", remedy)
    known, names = known_words(config.words, offered), ", ".join(word.name for word in offered) or "none"
    if unknown := ", ".join(word for word in config.words if word not in known):
        status: Literal["warning", "failed"] = "warning" if known else "failed"
        return Finding(name, status, f"{url} does not know {unknown}; it has {names}", "Correct wakeword.words.")
    return Finding(name, "ok", f"{url} knows {', '.join(known)}")


def _voice_activity(config: Config) -> Iterator[Finding]:
    engine = config.vad.engine
    other = "webrtc" if engine == "silero" else "silero"
    try:
        module = importlib.import_module(f"heisenberg.vad.{engine}")
        (module.SileroVad if engine == "silero" else module.WebrtcVad)()
    except (HeisenbergError, ImportError) as exc:
        yield Finding("voice activity", "failed", _reason(exc), f'{REINSTALL} Or set vad.engine = "{other}".')
    else:
        yield Finding("voice activity", "ok", engine)


def _models(config: Config) -> Iterator[Finding]:
    store = Store(config.models.folder)
    listed = [name for name in config.models.catalog if name in (config.stt.model, config.llm.model)]
    yield from (Finding("model", "ok", f"{name} as models.catalog has it") for name in listed)
    if config.stt.engine == "moshi" and config.stt.model not in listed:
        yield from _streaming(store, config.stt)
    if config.stt.engine == "whisper" and config.stt.model not in listed:
        yield _model(store, "speech to text", "stt", "stt.model", config.stt.model)
    if config.llm.is_local and config.llm.model not in listed:
        yield _model(store, "language model", "llm", "llm.model", config.llm.model)
    if config.tts.engine == "piper":
        yield _model(store, "voice", "tts", "tts.voice", config.tts.voice)
    if config.tts.engine == "kokoro":
        yield _kokoro(store, config.tts.voice)
    if config.vad.turn_detector == "smart_turn":
        yield _model(store, "turn detector", "turn", "vad.turn_detector", "smart-turn")


def _streaming(store: Store, stt: SttConfig) -> Iterator[Finding]:
    """Kyutai's recogniser: its packages, and a model that writes down what it hears."""
    if engines.has_moshi():
        yield Finding("moshi packages", "ok", "all there; how fast it is here, it measures when it starts")
    else:
        yield Finding("moshi packages", "failed", "not installed", engines.GET_MOSHI)
    if stt.device == "cpu" or not _has_gpu():
        yield Finding(
            "GPU", "warning", "stt.device is cpu" if stt.device == "cpu" else "none found",
            'Kyutai\'s recogniser will hardly keep up on a CPU: set stt.engine = "whisper".',
        )  # fmt: skip
    found = _model(store, "speech to text", "stt", "stt.model", stt.model)
    try:
        if found.status == "ok":
            kyutai.check_engine(stt.model, store.find(stt.model, "stt").files[0].parent, stt.engine)
        else:
            kyutai.refuse_speakers(stt.model)
    except HeisenbergError as exc:
        found = Finding(found.name, "failed", exc.message, "Correct stt.model.")
    yield found


def _has_gpu() -> bool:
    """Whether PyTorch may find CUDA, ROCm or Apple's GPU; asking PyTorch itself would take seconds."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if Path("/dev/kfd").exists() or Path("/dev/nvhost-gpu").exists():  # AMD's, and a Jetson's
        return True
    try:
        return (
            subprocess.run(["nvidia-smi", "-L"], capture_output=True, timeout=PROBE_TIMEOUT_S, check=False).returncode
            == 0
        )
    except (OSError, subprocess.TimeoutExpired):
        return False


def _kokoro(store: Store, configured: str) -> Finding:
    """Kokoro's model, and the voice in it."""
    name, voice = kokoro.model_and_voice(configured)
    found = _model(store, "voice", "tts", "tts.voice", name)
    if found.status != "ok" or not voice:
        return found
    try:
        kokoro.check_voice(voice, kokoro.voices_in(store.find(name, "tts").files))
    except HeisenbergError as exc:
        return Finding("voice", "failed", exc.message, "Correct tts.voice.")
    return Finding("voice", "ok", f"{voice} of {found.found}")


def _model(store: Store, role: str, kind: Kind, key: str, name: str) -> Finding:
    try:
        return Finding(role, "ok", f"{name} in {store.find(name, kind).path}")
    except HeisenbergError as exc:
        known = KNOWN_MODELS.get(name)
        fits = known is not None and known.kind == kind
        remedy = f"Run heisenberg models pull {name}." if fits else f"See heisenberg models list, and correct {key}."
        return Finding(role, "failed", exc.message, remedy)


def _language_model(config: Config) -> Iterator[Finding]:
    if config.llm.backend == "ollama":
        yield asyncio.run(_ollama(config.llm))
        return
    if config.llm.url:
        yield _reachable("language model server", config.llm.url)
        return
    try:
        program = engines.find_llama_server(config.llm.server_path)
    except HeisenbergError as exc:
        yield Finding("llama-server", "failed", exc.message, "Correct llm.server_path, or leave it empty.")
        return
    if program is not None:
        yield Finding("llama-server", "ok", f"{program}, {_llama_build(str(program))}")
    elif engines.has_embedded_llama():
        yield Finding("llama-server", "ok", "none installed; the embedded one is used")
    else:
        yield Finding(
            "llama-server", "failed", f"none installed, and no embedded build for {platform.machine()}",
            "Install llama.cpp (brew install llama.cpp), or set llm.url to a server.",
        )  # fmt: skip


async def _ollama(llm: LlmConfig) -> Finding:
    """Whether it is there, and has the model."""
    try:
        url = server_url(llm.url)  # first: without a host that makes sense, its client cannot be imported
        from heisenberg.llm.ollama_pull import is_missing  # and takes a while

        if not await is_missing(url, llm.api_key, llm.model):
            return Finding(OLLAMA_MODEL, "ok", f"{llm.model} at {url}")
    except HeisenbergError as exc:
        return Finding(OLLAMA_SERVER, "failed", exc.message, _start_ollama(exc))
    remedy = f"Run {pull_command(url, llm.model)}, or correct llm.model."
    return Finding(OLLAMA_MODEL, "failed", f"{url} does not have {llm.model}", remedy)


def _start_ollama(error: HeisenbergError) -> str:
    return "Correct it." if isinstance(error, ConfigError) else "Start Ollama (ollama serve), or correct llm.url."


def _llama_build(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "build unknown"
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("version")]
    return lines[0] if lines else "build unknown"


def _reachable(name: str, url: str, key: str = "llm.url") -> Finding:
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "", port), timeout=PROBE_TIMEOUT_S):
            return Finding(name, "ok", f"{url} accepts connections")
    except (OSError, ValueError) as exc:
        return Finding(name, "failed", f"{url}: {_reason(exc)}", f"Start the server, or correct {key}.")


def _speech_services(config: Config) -> Iterator[Finding]:
    for key, section in (("stt", config.stt), ("tts", config.tts)):
        name = f"{key} service"
        if section.engine == "openai":
            yield _reachable(name, section.url, f"{key}.url")
        if section.engine != "wyoming":
            continue
        if asyncio.run(wyoming_is_ready(Address(section.url))):
            yield Finding(name, "ok", f"{section.url} answers")
        else:
            found = f"no Wyoming service answers at {section.url}" if section.url else f"{key}.url is empty"
            yield Finding(name, "failed", found, f'Start the service, or set {key}.url, as in "tcp://127.0.0.1:10300".')


def _voice(config: Config) -> Iterator[Finding]:
    if config.tts.fallback == "none" and config.tts.engine != "espeak":
        return
    if found := shutil.which("espeak-ng"):
        yield Finding("fallback voice", "ok", found)
    else:
        remedy = "apt install espeak-ng, brew install espeak-ng" if sys.platform != "win32" else "install espeak-ng"
        status: Literal["warning", "failed"] = "failed" if config.tts.engine == "espeak" else "warning"
        yield Finding(
            "fallback voice",
            status,
            "espeak-ng is not installed",
            f"{remedy} (needed for languages that the voice does not speak).",
        )


def _osc_targets(config: Config) -> Iterator[Finding]:
    if not config.osc.targets:
        yield Finding("OSC targets", "ok", "none: osc.targets is empty, nothing is sent")
    for target in config.osc.targets:
        yield _osc_target(target)


def _osc_target(target: str) -> Finding:
    from heisenberg.sinks.targets import look_up, parse

    name = f"OSC target {target}"
    try:
        host, port = parse(target)
        family, address = look_up(host, port)
    except (HeisenbergError, OSError, UnicodeError) as exc:
        return Finding(name, "failed", _reason(exc), "Correct osc.targets, or use a numeric address.")
    if not _is_this_machine(family, address):
        return Finding(name, "ok", f"{address[0]}, not this machine (UDP: nobody can tell from here if it listens)")
    return Finding(name, "ok", _receiver(family, address))


def _is_this_machine(family: int, address: tuple[str, int]) -> bool:
    """Whether what is sent to *address* stays here. Sends nothing."""
    if ipaddress.ip_address(address[0].partition("%")[0]).is_loopback:
        return True
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(address)
        except OSError:  # no way there; or a broadcast address, which is not one machine
            return False
        return str(probe.getsockname()[0]) == address[0]


def _receiver(family: int, address: tuple[str, int]) -> str:
    """Who has the UDP port *address*: it can be bound if nobody does."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        if sys.platform == "win32":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        try:
            probe.bind(address)
        except OSError as exc:
            taken = exc.errno == errno.EADDRINUSE
            return "a program listens there" if taken else f"cannot tell who listens there: {_reason(exc)}"
    return "nobody listens there yet; start TouchDesigner, or heisenberg osc monitor"


def _disk(config: Config) -> Iterator[Finding]:
    folder = Store(config.models.folder).folder
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    try:
        free = shutil.disk_usage(existing).free
    except OSError as exc:
        yield Finding("disk", "warning", f"{folder}: {_reason(exc)}", "Make the folder readable, or set models.folder.")
        return
    found = f"{free / 1e9:.1f} GB free for {folder}"
    if free < SMALLEST_DISK_BYTES:
        yield Finding("disk", "warning", found, "Free some space, or set models.folder.")
    else:
        yield Finding("disk", "ok", found)
