"""What ``bench idle`` watches is what the user configured, and it is never left behind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from heisenberg.bench import idle
from heisenberg.cli import build_parser
from heisenberg.core.config import Config
from heisenberg.core.errors import RunnerError
from heisenberg.core.settings import load


def child_config(config: Config, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """The configuration that a child loads which is started for *config*."""
    settings, environment = idle.as_given(config, folder)
    args = build_parser().parse_args(["run", *settings])
    for name in set(environment) - set(os.environ):
        monkeypatch.setenv(name, environment[name])
    return load(args.config, dict(args.set)).config


def test_the_child_has_our_configuration_whatever_lies_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a ``.env`` and the environment say something else; a command line had overruled them."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text("[stt]\nmodle = 'a fault'\n")
    Path(".env").write_text("HEISENBERG_STT__MODEL=from-dotenv\n")
    monkeypatch.setenv("HEISENBERG_TTS__ENGINE", "piper")
    monkeypatch.setenv("HEISENBERG_AUDIO__INPUT_DEVICE", "something")
    ours = Config.model_validate(
        {
            "stt": {"model": "whisper-base", "partials": False, "languages": ["fr"], "timeout_seconds": 7.5},
            "tts": {"engine": "none"},
            "wakeword": {"words": ["alexa", "./my = word.json"], "thresholds": {"alexa": 0.25}},
            "visual": {"schema": {"mood": {"type": "enum", "values": ["été", '"wild"']}}},
            "llm": {"system_prompt": "Two\nlines = fine", "api_key": "sk-123", "server_args": ["--flash-attn"]},
            "models": {"folder": str(tmp_path / "models")},
        }
    )

    assert ours == child_config(ours, tmp_path, monkeypatch)


def test_defaults_stay_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert Config() == child_config(Config(), tmp_path, monkeypatch)


def test_secrets_are_not_on_the_command_line(tmp_path: Path) -> None:
    """Every user of the machine can read that."""
    config = Config.model_validate({"llm": {"api_key": "sk-123", "url": "http://me:hunter2@host:1"}})

    settings, environment = idle.as_given(config, tmp_path)

    assert [] == [argument for argument in settings if "sk-123" in argument or "hunter2" in argument]
    assert {"sk-123", "http://me:hunter2@host:1"} <= set(environment.values())


def test_a_child_that_does_not_end_is_killed() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()  # it is deaf from here on

        idle.end(child, 0.2)

    assert child.returncode not in (None, 0)


def test_an_assistant_that_does_not_start_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child says why on standard error, and is gone."""
    config = Config.model_validate({"models": {"folder": str(tmp_path / "none")}})

    with pytest.raises(RunnerError, match="did not start; try heisenberg run"):
        idle.measure(config, 1.0)
