"""``heisenberg config`` as a user sees it."""

import argparse
import json
import tomllib
from pathlib import Path

import pytest

from heisenberg.commands import config


def run(*argv: str, **given: object) -> int:
    parser = argparse.ArgumentParser()
    config.add_parser(parser.add_subparsers())
    args = parser.parse_args(["config", *argv], argparse.Namespace(**given))
    status: int = args.run(args, None)
    return status


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_show_says_where_each_value_comes_from(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.toml").write_text("[stt]\nmodel = 'base'\n")
    monkeypatch.setenv("HEISENBERG_TTS__SPEED", "1.5")

    assert 0 == run("show", set=[("llm.seed", "7")])

    lines = {line.split(" = ")[0]: line.split("#")[-1].strip() for line in capsys.readouterr().out.splitlines()}
    expected = {"stt.model": "file", "tts.speed": "environment", "llm.seed": "command line", "vad.engine": "default"}
    assert expected == {key: lines[key] for key in expected}


def test_show_is_toml_itself(capsys: pytest.CaptureFixture[str]) -> None:
    run("show")

    assert "silero" == tomllib.loads(capsys.readouterr().out)["vad"]["engine"]


def test_show_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    run("show", "--json")

    shown = json.loads(capsys.readouterr().out)
    assert shown["path"] is None
    assert {"value": 0.6, "from": "default"} == shown["values"]["vad.silence_seconds"]
    assert {"value": None, "from": "default"} == shown["values"]["models.folder"]


def test_show_keeps_secrets(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEISENBERG_LLM__API_KEY", "sk-123")

    run("show")
    run("show", "--json")

    out = capsys.readouterr().out
    assert "sk-123" not in out
    assert 'llm.api_key = "***"' in out


def test_check_names_the_file_that_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    Path("good.toml").write_text("[stt]\nmodel = 'base'\n")

    assert 0 == run("check", config="good.toml")
    assert "ok: good.toml\n" == capsys.readouterr().out


def test_check_without_a_file_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run("check")
    assert "ok: no configuration file, so the defaults are used\n" == capsys.readouterr().out


def test_check_prints_each_fault_on_a_line_of_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("[stt]\nthreads = 99\nbeam_size = 0\n")

    assert 2 == run("check")

    printed = capsys.readouterr()
    assert ("", 2) == (printed.out, len(printed.err.splitlines()))


def test_check_tells_options_that_llama_server_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Where they keep a model from starting, that is a fault."""
    Path("config.toml").write_text(
        "[runner]\nruntime = 'own'\n[runner.runtimes.own]\nembedded = true\n[runner.defaults]\nctx-sise = 4096\n"
    )

    assert 2 == run("check")
    assert 'runner.defaults.ctx-sise: the embedded server has no such option. Did you mean "ctx-size"?\n' == (
        capsys.readouterr().err
    )


def test_check_tells_options_that_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config.toml").write_text("[runner.defaults]\nport = 99\n")

    assert 2 == run("check")
    assert "runner.defaults has port: Heisenberg sets it. Take it out.\n" == capsys.readouterr().err
