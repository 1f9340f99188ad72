"""Tiny checkpoints of Kyutai's recogniser, made on the spot and loaded by the real ``moshi`` package.

    build_random(folder)    random weights: says nonsense, at once (1 s to make)
    train_tones(folder)     hears ``WORDS`` when they are spoken in tones (:func:`tone_speech`); 40 s to make
    trained_tones(factory)  the same, made once in a test session, also where several processes run it
    tone_speech("turn on the light.")  samples, int16, 16 kHz

Both are made in a process of their own: PyTorch stays out of pytest's, and computes on one thread.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from tests.tiny_moshi.tones import WORDS, tone_speech, word_times

__all__ = ["WITHOUT_MOSHI", "WORDS", "build_random", "tone_speech", "train_tones", "trained_tones", "word_times"]

WITHOUT_MOSHI = importlib.util.find_spec("moshi") is None
"""Looked up without importing it: that is to happen after ``heisenberg.workers.moshi_torch`` has set its scene."""

REPOSITORY = Path(__file__).parents[2]
LONGEST_S = 540.0


def build_random(folder: Path, **options: float) -> Path:
    """A recogniser with random weights in *folder*.

    Args:
        options: ``delay_s``, ``prefix_s``, ``heads`` (0 for none), ``codebooks`` and ``seed``.
    """
    told = [f"{name}={value}" for name, value in options.items()]
    _run("tests.tiny_moshi.checkpoint", str(folder), *told)
    return folder


def train_tones(folder: Path) -> Path:
    """A recogniser that hears tone words, in *folder*. The same one each time on the same machine."""
    _run("tests.tiny_moshi.training", str(folder))
    return folder


def trained_tones(factory: pytest.TempPathFactory) -> Path:
    """The folder of :func:`train_tones`, made by the first who asks in this test session. Skips without moshi."""
    if WITHOUT_MOSHI:
        pytest.skip("needs: make moshi")
    base = factory.getbasetemp()
    shared = base.parent if base.name.startswith("popen-") else base
    folder = shared / "tiny-moshi-tones"
    with filelock.FileLock(shared / "tiny-moshi-tones.lock", timeout=LONGEST_S):
        if not (folder / "done").exists():
            train_tones(folder)
            (folder / "done").touch()
    return folder


def _run(module: str, *arguments: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=LONGEST_S, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
