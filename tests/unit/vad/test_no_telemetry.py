"""Nothing is collected: the VAD's runtime would keep a log for its maker unless it is told not to in time."""

import os
import subprocess
import sys
from pathlib import Path


def test_the_runtime_of_the_vad_collects_nothing(tmp_path: Path) -> None:
    program = "from heisenberg.vad.silero import SileroVad; SileroVad()"
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, **home}, cwd=tmp_path)

    assert [] == [path for path in tmp_path.rglob("*") if path.is_file()]
