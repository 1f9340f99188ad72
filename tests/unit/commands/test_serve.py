"""The options of ``heisenberg serve``, and what it says."""

import pytest

from heisenberg.cli import main


@pytest.mark.parametrize("option", ["--port", "--ollama-port"])
def test_a_port_that_is_none_is_told_in_a_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["serve", option, "70000", "--set", "log.file=none"])

    assert status == 2
    assert capsys.readouterr().err == f"heisenberg: {option} is 70000; expected a port between 0 and 65535.\n"
