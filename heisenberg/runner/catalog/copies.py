"""Second names that clients gave to models, as Ollama's ``copy`` does. Weights are not copied.

Kept in a file in the models folder, which is read again whenever it has changed: several programs share that folder.
"""

import json
import logging
import os
import re
import secrets
import threading
from pathlib import Path

from heisenberg.core.errors import ModelNotFound, RunnerError

log = logging.getLogger(__name__)

FILE = ".copies.json"
MOST = 1000
_NAME = re.compile(r"[\w][\w.:/+-]{0,199}", re.ASCII)


class Copies:
    """The second names in one models folder. May be used from any thread.

    Args:
        folder: the models folder; it need not exist.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._stamp = (0, 0)
        self._originals: dict[str, str] = {}
        self._changing = threading.Lock()

    def all(self) -> dict[str, str]:
        """Second name → name of the model, as it was when it was copied."""
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            self._originals, self._stamp = _read(self._path), stamp
        return dict(self._originals)

    def add(self, name: str, original: str) -> None:
        """Let *name* stand for the model *original*. Raises RunnerError (code ``usage``), or OSError."""
        if not _NAME.fullmatch(name):
            raise RunnerError(
                f"model name '{name[:80]}' is not allowed: use letters, digits and . : / + -", code="usage"
            )
        with self._changing:
            copies = self.all() | {name: original}
            if len(copies) > MOST:
                raise RunnerError(f"There are {MOST} copies already; delete some.", code="usage")
            self._write(copies)

    def remove(self, name: str) -> None:
        """Forget *name*; its model stays. Raises ModelNotFound, or OSError."""
        with self._changing:
            copies = self.all()
            if copies.pop(name, None) is None:
                raise ModelNotFound(f"model '{name}' not found.")
            self._write(copies)

    def _write(self, copies: dict[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        staged = self._path.with_name(f"{FILE}.{secrets.token_hex(4)}")
        staged.write_text(json.dumps(copies, indent=1), encoding="utf-8")
        staged.replace(self._path)
        self._stamp = (0, 0)


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(original) for name, original in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as exc:
        log.warning("%s cannot be read, so copied models are missing: %s", path, exc)
        return {}


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every listing
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
