"""How each engine's child is started: its program, arguments, address and readiness.

Nothing here runs a model; ``workers/`` does, in the children that these specs describe.
"""

import importlib.util
import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from heisenberg.core.config import LlmConfig, Parameter, SttConfig, TtsConfig
from heisenberg.core.errors import ModelFailedToStart
from heisenberg.runner import llama_options
from heisenberg.runner.ready import llama_is_alive, llama_is_ready, wyoming_is_ready
from heisenberg.runner.supervisor.process import Address, ChildSpec

NewSpec = Callable[[], ChildSpec]
"""Makes a fresh spec for each start: a new socket, port and key."""

GET_MOSHI = 'Run make moshi (see docs/moshi.md for pip and uv), or set stt.engine = "whisper".'

MOSHI_LIBRARIES = (("moshi", "torch", "safetensors", "sentencepiece"), ("moshi_mlx", "mlx", "sentencepiece"))
"""Either will do. Whoever has only half of one is told so before a process is started."""

NO_OPTIONS: Mapping[str, Parameter] = {}


def whisper(name: str, model: str, config: SttConfig, sockets: Path) -> NewSpec:
    """Whisper as a Wyoming service.

    Args:
        name: the model's name.
        model: folder of CTranslate2 weights, or a hub repository.
        sockets: a short folder that only we may enter.
    """
    languages = config.languages if config.language == "auto" else [config.language]
    device = "auto" if config.device == "mps" else config.device  # CTranslate2 knows nothing of Apple's GPU
    options: tuple[str, ...] = ("--device", device, "--threads", str(config.threads or _speech_threads()))
    options += ("--beam-size", str(config.beam_size), "--languages", ",".join(languages))
    # Silent weights loading: the hub's progress bars would fill the log.
    env = {"HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    if Path(model).exists():
        env["HF_HUB_OFFLINE"] = "1"
    return lambda: _worker("whisper", name, model, options, sockets, env)


def moshi(name: str, model: str, config: SttConfig, sockets: Path) -> NewSpec:
    """Kyutai's streaming recogniser as a Wyoming service of our own dialect.

    Args:
        name: the model's name.
        model: folder of a Kyutai checkpoint.
        sockets: a short folder that only we may enter.

    Raises: ModelFailedToStart if its library is not installed.
    """
    require_moshi()
    options = ("--device", config.device, "--threads", str(config.threads or _speech_threads()))
    # Its weights are here; a hub that cannot be reached must not hold it up.
    env = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_OFFLINE": "1"}
    return lambda: _worker("moshi", name, model, options, sockets, env)


def has_moshi() -> bool:
    """Whether the libraries are installed that run Kyutai's models: with PyTorch, or with MLX."""
    return any(all(importlib.util.find_spec(name) is not None for name in together) for together in MOSHI_LIBRARIES)


def require_moshi() -> None:
    """Raises ModelFailedToStart, with what to do, where :func:`has_moshi` says no."""
    if not has_moshi():
        raise ModelFailedToStart(
            f"Kyutai's recogniser needs packages that are not installed. {GET_MOSHI}", code="missing-program"
        )


def piper(name: str, model: Path, config: TtsConfig, sockets: Path) -> NewSpec:
    """Piper as a Wyoming service; *model* is the voice's .onnx file."""
    options = ("--speed", str(config.speed), "--threads", str(_speech_threads()))
    return lambda: _worker("piper", name, str(model), options, sockets, {})


def kokoro(name: str, model: Path, config: TtsConfig, sockets: Path) -> NewSpec:
    """Kokoro as a Wyoming service; *model* is its .onnx file, with the voices beside it."""
    options = ("--speed", str(config.speed), "--threads", str(_speech_threads()))
    return lambda: _worker("kokoro", name, str(model), options, sockets, {})


def piper_languages(model: Path) -> frozenset[str]:
    """ISO 639-1 codes that a Piper voice speaks, from the file beside it; empty if it does not say."""
    try:
        spoken = json.loads(Path(f"{model}.json").read_text(encoding="utf-8"))["espeak"]["voice"]
        return frozenset({str(spoken)[:2].lower()})
    except (OSError, ValueError, KeyError, TypeError):
        return frozenset()


def llama(
    name: str,
    model: Path,
    config: LlmConfig,
    *,
    slots: int = 1,
    pooling: str | None = None,
    is_embedded: bool = False,
    alias: str = "",
    options: Mapping[str, Parameter] = NO_OPTIONS,
) -> NewSpec:
    """llama.cpp's server for the GGUF file *model*: an installed one, else the embedded one.

    Args:
        name: the model's name.
        model: its first file.
        config: which program, and with what.
        slots: requests at once; each has the whole context window.
        pooling: it is to embed, and how vectors of tokens become one (``mean``, ``cls``, ``last``; empty is what the
            model says); None if it is to generate.
        is_embedded: whether to use the embedded one, even if another is installed.
        alias: the model's name in answers; empty is *name*.
        options: llama-server's, over those that follow from *config*.

    Raises: ModelFailedToStart if there is neither, or if the embedded one does not know an option.
    """
    program = None if is_embedded else find_llama_server(config.server_path)
    if program is None and (unknown := llama_options.unknown_to_embedded(options)):
        raise ModelFailedToStart(
            f"The embedded server does not know {', '.join(unknown)}, which {name} is to run with. "
            "Install llama-server, or take it out of the model's parameters (or of runner.defaults).",
            code="missing-program",
        )
    if program is None and not has_embedded_llama():
        raise ModelFailedToStart(
            "No llama-server on the PATH, and the embedded one has no build for this machine. "
            "Install llama.cpp, set llm.server_path, or point llm.url at a running server.",
            code="missing-program",
        )

    def new_spec() -> ChildSpec:
        port, key = free_port(), secrets.token_urlsafe(24)
        argv = llama_argv(program, alias or name, model, config, port, slots=slots, pooling=pooling, options=options)
        if program is not None:
            argv = (sys.executable, "-I", "-S", str(Path(__file__).parents[1] / "workers" / "guard.py"), *argv)
        address = Address(f"http://127.0.0.1:{port}", key, alias or name)
        return ChildSpec(name, argv, address, llama_is_ready, {"LLAMA_API_KEY": key}, llama_is_alive)

    return new_spec


def llama_argv(
    program: Path | None,
    name: str,
    model: Path,
    config: LlmConfig,
    port: int,
    *,
    slots: int = 1,
    pooling: str | None = None,
    options: Mapping[str, Parameter] = NO_OPTIONS,
) -> tuple[str, ...]:
    """The command line of llama.cpp's server: *program*, or the embedded one if None. See :func:`llama`."""
    start = (str(program),) if program else (sys.executable, "-m", "heisenberg.workers.llama")
    address = ("--model", str(model), "--alias", name, "--host", "127.0.0.1", "--port", str(port))
    chosen = llama_options.merged(_llama_defaults(config, slots, pooling), options)
    # Later words win: what the configuration says by name comes last.
    own = {key: value for key, value in chosen.items() if key in options}
    rest = {key: value for key, value in chosen.items() if key not in options}
    args = llama_options.arguments
    return (*start, *address, *args(rest), *config.server_args, *args(own))


def _llama_defaults(config: LlmConfig, slots: int, pooling: str | None) -> dict[str, Parameter]:
    """What follows from the configuration, as llama-server's options."""
    defaults: dict[str, Parameter] = {
        "ctx-size": slots * config.context_tokens,  # it divides them among its slots
        "parallel": slots,
        "threads": config.threads or _llm_threads(),
        "jinja": True,
    }
    if pooling is not None:
        defaults |= {"embeddings": True, "pooling": pooling}
    if config.gpu_layers >= 0:
        defaults["gpu-layers"] = config.gpu_layers
    return defaults


def find_llama_server(configured: str) -> Path | None:
    """The llama-server to use: the configured one, else the PATH's, else None for the embedded one.

    Raises: ModelFailedToStart if the configured one does not exist.
    """
    found = shutil.which(configured or "llama-server")
    if configured and found is None:
        raise ModelFailedToStart(
            f'llm.server_path is "{configured}", which is not a program. Leave it empty to use the embedded server.',
            code="missing-program",
        )
    return Path(found) if found else None


def has_embedded_llama() -> bool:
    """Whether the embedded server can run here."""
    return importlib.util.find_spec("xllamacpp") is not None


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_free_port(port: int) -> bool:
    """Whether loopback *port* can be bound."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _worker(
    family: str, name: str, model: str, options: tuple[str, ...], sockets: Path, env: dict[str, str]
) -> ChildSpec:
    uri = f"unix://{sockets}/{family}-{secrets.token_hex(4)}"
    argv = (sys.executable, "-m", f"heisenberg.workers.{family}", "--model", model, "--name", name, "--uri", uri)
    return ChildSpec(name, argv + options, Address(uri), wyoming_is_ready, env)


def _llm_threads() -> int:
    """Half of the cores. llama.cpp's threads wait for each other by spinning: with as many threads as cores,
    anything else that runs slows it down many times over, and on two hyperthreads the second gains nothing."""
    return max(1, (os.cpu_count() or 2) // 2)


def _speech_threads() -> int:
    """Half of the cores, at most 4: the language model needs the rest. Threads that have to wait for it make Whisper
    and Piper slower than fewer would."""
    return max(1, min(4, (os.cpu_count() or 2) // 2))
