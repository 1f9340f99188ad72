"""The import arrows bite: for each contract of .importlinter, a package that breaks it and is caught."""

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / ".importlinter"
FOLDERS = ("core", "runner", "wiring", "bench", "commands", "workers")
STAGES = ("orchestrator", "audio", "wakeword", "vad", "stt", "llm", "tts", "sinks", "server")
DIALECTS = ("openai", "lmstudio", "ollama")


def listed(contract: str, option: str) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(CONTRACTS)
    return parser[f"importlinter:contract:{contract}"][option].split()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An empty Heisenberg that keeps every contract."""
    root = tmp_path / "heisenberg"
    for folder in (*FOLDERS, *STAGES):
        (root / folder).mkdir(parents=True)
        (root / folder / "__init__.py").touch()
    (root / "server" / "dialects").mkdir()
    for dialect in ("__init__", *DIALECTS):
        (root / "server" / "dialects" / f"{dialect}.py").touch()
    for name in ("__init__", "cli", "main", "serve", "models", "checkup"):
        (root / f"{name}.py").touch()
    return root


def lint(package: Path) -> "subprocess.CompletedProcess[str]":
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--config", CONTRACTS, "--no-cache", "--no-logo"],
        cwd=package.parent,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_empty_heisenberg_keeps_the_contracts(package: Path) -> None:
    assert 0 == lint(package).returncode


@pytest.mark.parametrize(
    ("module", "statement"),
    [
        ("stt/whisper.py", "import heisenberg.llm"),
        ("stt/whisper.py", "def late():\n    import heisenberg.audio"),
        ("orchestrator/session.py", "import heisenberg.sinks"),
        ("runner/pool.py", "import heisenberg.stt"),
        ("core/events.py", "import heisenberg.runner"),
        ("main.py", "import heisenberg.cli"),
        ("wiring/ears.py", "import heisenberg.main"),
        ("workers/whisper.py", "import heisenberg.runner"),
        ("runner/pool.py", "import heisenberg.workers"),
        ("main.py", "import sounddevice"),
        ("commands/osc.py", "import pythonosc.udp_client"),
        ("vad/silero.py", "from faster_whisper.vad import get_vad_model"),
        ("tts/piper.py", "import piper"),
        ("server/dialects/ollama.py", "import heisenberg.server.dialects.openai"),
        ("server/app.py", "import heisenberg.stt"),
        ("main.py", "import uvicorn"),
    ],
)
def test_a_forbidden_import_is_caught(package: Path, module: str, statement: str) -> None:
    (package / module).parent.mkdir(exist_ok=True)
    (package / module).write_text(statement + "\n")

    checked = lint(package)

    assert 1 == checked.returncode
    assert "BROKEN" in checked.stdout


def test_the_allowed_doors_are_open(package: Path) -> None:
    (package / "audio" / "microphone.py").write_text("import sounddevice\n")
    (package / "sinks" / "osc.py").write_text("import pythonosc.udp_client\n")
    (package / "workers" / "whisper.py").write_text("import faster_whisper\nimport heisenberg.core\n")
    (package / "commands" / "osc.py").write_text("import heisenberg.sinks.osc\n")

    assert 0 == lint(package).returncode


@pytest.mark.parametrize("new", ["desktop/__init__.py", "telemetry.py"])
def test_a_new_folder_fails_until_it_has_a_place(package: Path, new: str) -> None:
    (package / new).parent.mkdir(exist_ok=True)
    (package / new).touch()

    assert 1 == lint(package).returncode


def test_workers_are_kept_from_everything_but_core() -> None:
    """The list in the workers' contract is written by hand; it has to name every layer."""
    layers = listed("arrows", "layers")
    names = {name.strip("()") for name in layers if name != "|"} - {"__main__", "core"}

    assert {f"heisenberg.{name}" for name in names} == set(listed("workers", "forbidden_modules"))
