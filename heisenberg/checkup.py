"""What ``heisenberg doctor`` examines. Beside ``main.py``, since it looks at every part; it starts no model."""

import asyncio
import importlib.util
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from heisenberg.audio.devices import list_devices
from heisenberg.core.config import Config
from heisenberg.core.errors import HeisenbergError
from heisenberg.runner import engines
from heisenberg.runner.catalog.store import Store

PROBE_TIMEOUT_S = 5.0
SMALLEST_DISK_BYTES = 1_000_000_000


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
        _python, _packages, _devices, _permissions, _models, _language_model, _voice, _targets, _disk,
    )  # fmt: skip
    findings: list[Finding] = []
    for check in checks:
        findings += await asyncio.to_thread(_examined, check, config)
    return findings


def _examined(check: Callable[[Config], Iterator[Finding]], config: Config) -> list[Finding]:
    try:
        return list(check(config))
    except HeisenbergError as exc:
        return [Finding(check.__name__.strip("_").replace("_", " "), "failed", exc.message)]


def _python(config: Config) -> Iterator[Finding]:
    found = f"{platform.python_version()} on {platform.platform(terse=True)} ({platform.machine()})"
    yield Finding("Python", "ok", found)


def _packages(config: Config) -> Iterator[Finding]:
    wanted = ["pymicro_wakeword", "onnxruntime", "faster_whisper", "pythonosc"]
    wanted += ["piper"] if config.tts.engine == "piper" else []
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
    yield Finding("PortAudio", "ok", f"{len(devices)} devices")
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


def _models(config: Config) -> Iterator[Finding]:
    store = Store(config.models.folder)
    wanted = {"speech to text": config.stt.model} if config.stt.engine == "whisper" else {}
    wanted |= {"language model": config.llm.model} if not config.llm.url else {}
    wanted |= {"voice": config.tts.voice} if config.tts.engine == "piper" else {}
    for role, name in wanted.items():
        try:
            yield Finding(role, "ok", f"{name} in {store.find(name).path}")
        except HeisenbergError as exc:
            yield Finding(role, "failed", exc.message, f"heisenberg models pull {name}")


def _language_model(config: Config) -> Iterator[Finding]:
    if config.llm.url:
        yield _reachable("language model server", config.llm.url)
        return
    program = engines.find_llama_server(config.llm.server_path)
    if program is not None:
        yield Finding("llama-server", "ok", f"{program}, {_llama_build(str(program))}")
    elif engines.has_embedded_llama():
        yield Finding("llama-server", "ok", "none installed; the embedded one is used")
    else:
        yield Finding(
            "llama-server", "failed", f"none installed, and no embedded build for {platform.machine()}",
            "Install llama.cpp (brew install llama.cpp), or set llm.url to a server.",
        )  # fmt: skip


def _llama_build(program: str) -> str:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "build unknown"
    lines = [line for line in (done.stderr + done.stdout).splitlines() if line.startswith("version")]
    return lines[0] if lines else "build unknown"


def _reachable(name: str, url: str) -> Finding:
    host, _, port = url.split("://")[-1].split("/")[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=PROBE_TIMEOUT_S):
            return Finding(name, "ok", f"{url} answers")
    except (OSError, ValueError) as exc:
        return Finding(name, "failed", f"{url}: {exc}", "Start the server, or correct the address.")


def _voice(config: Config) -> Iterator[Finding]:
    if config.tts.fallback == "none" and config.tts.engine != "espeak":
        return
    if found := shutil.which("espeak-ng"):
        yield Finding("fallback voice", "ok", found)
    else:
        remedy = "apt install espeak-ng, brew install espeak-ng" if sys.platform != "win32" else "install espeak-ng"
        status: Literal["warning", "failed"] = "failed" if config.tts.engine == "espeak" else "warning"
        yield Finding("fallback voice", status, "espeak-ng is not installed", f"{remedy} (needed for French).")


def _targets(config: Config) -> Iterator[Finding]:
    for target in config.osc.targets:
        host, _, port = target.rpartition(":")
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
        except (OSError, ValueError) as exc:
            yield Finding(f"OSC target {target}", "failed", str(exc), "Correct osc.targets, or use a numeric address.")
            continue
        yield Finding(
            f"OSC target {target}", "ok", f"resolves to {found[0][4][0]} (UDP: nobody can tell if it listens)"
        )


def _disk(config: Config) -> Iterator[Finding]:
    folder = Store(config.models.folder).folder
    existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), folder)
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.1f} GB free for {folder}"
    if free < SMALLEST_DISK_BYTES:
        yield Finding("disk", "warning", found, "Free some space, or set models.folder.")
    else:
        yield Finding("disk", "ok", found)
