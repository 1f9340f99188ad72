"""What is generated from the code is what the code says."""

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from heisenberg.core import keys
from heisenberg.core.config import Config
from heisenberg.core.settings import load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "config.example.toml"


def documented_keys() -> set[str]:
    """Every key of the example; one that TOML cannot say (unset) is there as ``# key = …``."""
    section, found = "", set()
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(.+)\]", line):
            section = header[1]
        elif key := re.match(r"(?:# )?([a-z_]+) = ", line):
            found.add(f"{section}.{key[1]}")
    return {name if not name.startswith("visual.schema") else "visual.schema" for name in found}


def test_the_example_and_the_code_have_the_same_keys() -> None:
    assert {name for name, _ in keys.all_keys()} == documented_keys()


def test_the_example_loads_and_says_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    loaded = load(EXAMPLE)

    assert Config() == loaded.config


def test_the_example_says_every_value_aloud() -> None:
    """Only what TOML cannot say is missing."""
    document = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))

    missing = [name for name, _ in keys.all_keys() if name.split(".")[1] not in document[name.split(".")[0]]]

    assert ["models.folder"] == missing


@pytest.fixture
def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "scripts" / "reference.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_has_drifted() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/reference.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (0, "") == (checked.returncode, checked.stderr)


def test_drift_names_the_file_and_the_remedy(
    reference: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["reference.py"])
    assert 0 == reference.main()
    (tmp_path / "docs/reference/errors.md").write_text("old")
    capsys.readouterr()

    monkeypatch.setattr(sys, "argv", ["reference.py", "--check"])

    assert 1 == reference.main()
    expected = "docs/reference/errors.md is not what the code says; run: python scripts/reference.py\n"
    assert expected == capsys.readouterr().err


def test_every_event_and_field_is_documented(reference: ModuleType) -> None:
    rows = [line for line in reference.events_md().splitlines() if line.startswith("| `")]

    assert len(rows) > 30
    assert [] == [row for row in rows if row.split("|")[-2].strip() == ""]
