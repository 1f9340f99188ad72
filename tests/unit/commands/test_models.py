"""``heisenberg models list``, ``show``, ``discover`` and ``import``, as a user sees them."""

import json
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from heisenberg.cli import build_parser
from heisenberg.core import settings
from heisenberg.core.errors import HeisenbergError
from tests.fakes.gguf_writer import write_gguf

SOURCE: dict[str, Any] = {
    "llama-runtimes": {"ik": {"runtime": "/opt/ik/llama-server", "supports_tools": False}},
    "models": {
        'Qwen "3" é 14B': {
            "model_path": "C:\\models\\q.gguf",
            "llama_cpp_runtime": "ik",
            "parameters": {"ctx_size": 26000, "temp": 1e-05, "no_mmap": True, "chat_template": "a\nb\t\u007f"},
            "port": 8585,
        }
    },
    "proxies": {"lmstudio": {"api_key": "secret"}},
}


def heisenberg(words: Sequence[str]) -> int:
    """Run a command, as the command line does; its exit status."""
    args = build_parser().parse_args(words)
    try:
        return int(args.run(args, settings.load().config))
    except HeisenbergError as exc:
        print(exc.message, file=sys.stderr)
        return exc.exit_status


@pytest.fixture(autouse=True)
def _own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *args, **options: tmp_path / "cache")
    monkeypatch.setattr("platformdirs.user_data_path", lambda *args, **options: tmp_path / "data")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SOURCE), encoding="utf-8")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_gguf(
        tmp_path / "more" / "acme" / "Tiny-GGUF" / "Tiny-1B-Q8_0.gguf",
        {"general.architecture": "llama", "llama.context_length": 4096, "general.file_type": 7},
    )
    (tmp_path / "more" / "broken.gguf").write_bytes(b"GGUF")
    return tmp_path / "more"


def test_an_imported_configuration_loads(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "new.toml"
    assert 0 == heisenberg(["models", "import", str(source), "--output", str(output)])
    said = capsys.readouterr()
    config = settings.load(output).config
    model = config.models.catalog['Qwen "3" é 14B']

    assert ("C:\\models\\q.gguf", "ik") == (model.path, model.runtime)
    assert {"ctx-size": 26000, "temp": 1e-05, "no-mmap": True, "chat-template": "a\nb\t\u007f"} == model.parameters
    assert ("secret", False) == (config.server.api_key, config.runner.runtimes["ik"].supports_tools)
    assert "" == said.out
    assert "port: every model gets a free port of its own" in said.err


def test_without_a_file_it_is_printed(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == heisenberg(["models", "import", str(source)])
    (tmp_path / "config.toml").write_text(capsys.readouterr().out, encoding="utf-8")

    assert 26000 == next(iter(settings.load().config.models.catalog.values())).parameters["ctx-size"]


def test_a_file_is_replaced_only_by_force(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "mine.toml"
    output.write_text("precious")
    assert 2 == heisenberg(["models", "import", str(source), "--output", str(output)])
    assert "--force" in capsys.readouterr().err
    assert "precious" == output.read_text()

    assert 0 == heisenberg(["models", "import", str(source), "--output", str(output), "--force"])
    assert "Qwen" in output.read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_what_may_hold_a_key_is_for_its_owner_only(source: Path, tmp_path: Path) -> None:
    heisenberg(["models", "import", str(source), "--output", str(tmp_path / "new.toml")])

    assert 0o600 == stat.S_IMODE((tmp_path / "new.toml").stat().st_mode)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_what_cannot_be_read_is_one_line(
    content: bytes, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source.write_bytes(content)
    assert 2 == heisenberg(["models", "import", str(source)])
    assert 1 == len(capsys.readouterr().err.splitlines())
    assert 2 == heisenberg(["models", "import", str(tmp_path / "nowhere.json")])
    assert "nowhere.json cannot be read" in capsys.readouterr().err


def test_discover_lists_what_is_there_and_names_what_is_damaged(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert 0 == heisenberg(["models", "discover", str(folder)])
    assert "Tiny-1B-Q8_0" in capsys.readouterr().out

    assert 0 == heisenberg(["models", "discover", str(folder), "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [("Tiny-1B-Q8_0", "Tiny-1B", "Q8_0", 2048, "acme")] == [
        (row["name"], row["display_name"], row["quantisation"], row["context_tokens"], row["publisher"]) for row in rows
    ]


def test_discover_wants_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == heisenberg(["models", "discover", "/no/such/folder"])
    assert '"/no/such/folder" is not a folder' in capsys.readouterr().err


def test_what_cannot_be_used_is_listed_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One lies in the models folder, the other is configured; both say which file it is, and what to do."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "bad.gguf").write_bytes(b"no model")
    (tmp_path / "config.toml").write_text(
        f"[models]\nfolder = '{tmp_path / 'models'}'\n[models.catalog.gone]\npath = '/no/gone.gguf'\n"
    )
    assert 0 == heisenberg(["models", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}

    assert ("unusable", "unusable") == (rows["bad"]["status"], rows["gone"]["status"])
    assert "bad.gguf cannot be used as a model: it is not a GGUF file. Download it again" in rows["bad"]["what"]
    assert '"/no/gone.gguf" does not exist' in rows["gone"]["what"]


def test_list_and_show_know_the_catalog(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "acme" / "Tiny-GGUF" / "Tiny-1B-Q8_0.gguf"
    (tmp_path / "config.toml").write_text(
        f"[models.catalog.talk]\npath = '{file}'\naliases = ['gpt-4o']\n[models.catalog.far]\nurls = ['http://h:1']\n"
    )
    assert 0 == heisenberg(["models", "list", "--json"])
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert ("configured", "remote", "not installed") == tuple(
        rows[name]["status"] for name in ("talk", "far", "smollm2-135m")
    )

    assert 0 == heisenberg(["models", "show", "gpt-4o"])
    shown = capsys.readouterr().out
    for fact in (
        "talk: placed by hand",
        "Q8_0",
        "2048 tokens for each request, trained for 4096",
        "completion",
        "gpt-4o",
    ):
        assert fact in shown
