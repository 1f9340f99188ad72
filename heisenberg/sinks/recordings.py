"""Recorded turns on disk: how their folders are named, which there are, what one holds, how much they take.

    turn-20250131-184502-0007/   wake.wav  command.wav  reply.wav  events.jsonl  turn.json

``turn_folder.py`` writes one of them, ``heisenberg replay`` reads them. Nothing is ever removed but these files in a
folder with such a name.
"""

import contextlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from heisenberg.core.config import Config
from heisenberg.core.errors import SinkError
from heisenberg.sinks.outcome import Outcome

WAKE, COMMAND, REPLY = "wake.wav", "command.wav", "reply.wav"
EVENTS, SUMMARY = "events.jsonl", "turn.json"
UNFINISHED_SUMMARY = "turn.json.part"
FILES = (WAKE, COMMAND, REPLY, EVENTS, SUMMARY, UNFINISHED_SUMMARY)

_NAME = re.compile(r"turn-(\d{8})-(\d{6})-(\d{4,})(?:-(\d+))?")

_SETTINGS: dict[str, tuple[str, ...]] = {
    "audio": ("preroll_seconds", "echo_cancellation"),
    "wakeword": ("engine", "words", "threshold", "thresholds", "refractory_seconds"),
    "vad": tuple(Config().vad.model_dump()),
    "turn": tuple(Config().turn.model_dump()),
    "stt": ("engine", "model", "language", "languages", "device", "beam_size", "partials"),
    "llm": ("backend", "model", "personality", "language", "prompt_format", "context_tokens", "temperature")
    + ("max_tokens", "seed", "history_turns"),
    "visual": ("order",),
    "tts": ("engine", "voice", "fallback", "speed"),
}
"""What is noted of the configuration: a list of what may be, so that keys, addresses and prompts never are."""


def settings_that_matter(config: Config) -> dict[str, Any]:
    """What a turn depends on, as ``{"vad.silence_seconds": 0.6, …}``; ready for JSON."""
    sections = config.model_dump(mode="json", include={name: set(keys) for name, keys in _SETTINGS.items()})
    return {f"{name}.{key}": sections[name][key] for name, keys in _SETTINGS.items() for key in keys}


# ── folders ──────────────────────────────────────────────────────────────────────────────────────


def new_folder(shelf: Path, turn: int, at: datetime) -> Path:
    """Make the folder of a turn that begins *at*; nobody else may look into it. Raises OSError."""
    name = f"turn-{at:%Y%m%d-%H%M%S}-{turn:04}"
    folder, copy = shelf / name, 1
    while True:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            copy += 1
            folder = shelf / f"{name}-{copy}"
        else:
            return folder


def is_turn_folder(folder: Path) -> bool:
    """Whether it is named like one, and is a folder of its own."""
    return bool(_NAME.fullmatch(folder.name)) and folder.is_dir() and not folder.is_symlink()


def turn_folders(shelf: Path) -> list[Path]:
    """The recorded turns in *shelf*, the oldest first. Raises OSError."""
    return sorted((folder for folder in shelf.iterdir() if is_turn_folder(folder)), key=_age)


def _age(folder: Path) -> tuple[int, ...]:
    found = _NAME.fullmatch(folder.name)
    assert found is not None, folder
    return tuple(int(number or 0) for number in found.groups())


def remove_oldest(shelf: Path, max_bytes: float, keep: Collection[Path]) -> None:
    """Remove recorded turns, the oldest first, until all together take at most *max_bytes*. Raises OSError.

    Those in *keep* stay, and so does whatever else somebody has put into a folder.
    """
    sizes = {folder: sum(_size(folder / name) for name in FILES) for folder in turn_folders(shelf)}
    total = sum(sizes.values())
    for folder, size in sizes.items():
        if total <= max_bytes:
            return
        if folder not in keep:
            _remove(folder)
            total -= size


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _remove(folder: Path) -> None:
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it, or somebody else was faster
        folder.rmdir()


# ── reading ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Recording:
    """A recorded turn."""

    folder: Path
    turn: int
    """Its number in the session."""
    version: str
    """Which Heisenberg recorded it."""
    is_incomplete: bool
    """Whether something of it could not be kept."""
    settings: Mapping[str, Any]
    """What :func:`settings_that_matter` said then."""
    outcome: Outcome
    """How it went."""


def read_recording(folder: Path) -> Recording:
    """What is in the folder of a turn. Raises SinkError (code ``recording-unreadable``)."""
    summary = _summary(folder)
    try:
        return Recording(
            folder=folder,
            turn=int(summary["turn"]),
            version=str(summary["version"]),
            is_incomplete=bool(summary["incomplete"]),
            settings=dict(summary["config"]),
            outcome=_told(folder / EVENTS),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise _damaged(folder / SUMMARY, f"it lacks or misstates {exc}") from exc


def _summary(folder: Path) -> dict[str, Any]:
    path = folder / SUMMARY
    if not path.is_file():
        raise SinkError(
            f'"{folder}" is no recorded turn: there is no {SUMMARY} in it. Name a folder that debug.record_dir '
            "filled, or one of the turns in it.",
            code="recording-unreadable",
        )
    try:
        summary = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as exc:
        raise _damaged(path, _why(exc)) from exc
    if not isinstance(summary, dict):
        raise _damaged(path, "it holds no JSON object")
    return summary


def _told(path: Path) -> Outcome:
    """How the turn went. The last line may be torn: the program was killed while it wrote it."""
    outcome = Outcome()
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    except OSError as exc:
        raise _damaged(path, _why(exc)) from exc
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            outcome.take(json.loads(line))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
            if number < len(lines):
                raise _damaged(path, f"line {number} is no event ({_why(exc)})") from exc
    return outcome


def _damaged(path: Path, why: str) -> SinkError:
    return SinkError(
        f'Cannot use "{path}": {why}. The recording is damaged; name another turn.', code="recording-unreadable"
    )


def _why(exc: Exception) -> str:
    return getattr(exc, "strerror", None) or str(exc) or type(exc).__name__
