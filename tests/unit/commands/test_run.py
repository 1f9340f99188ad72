"""``heisenberg run``, when it is over."""

from pathlib import Path

import pytest

from heisenberg import cli, main
from heisenberg.orchestrator.manners import Tally


@pytest.fixture(autouse=True)
def _somewhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def run(monkeypatch: pytest.MonkeyPatch, tally: Tally, *arguments: str) -> int:
    """The exit status of a run that ended with *tally*."""

    async def ended(*_: object) -> Tally:
        return tally

    monkeypatch.setattr(main, "run_assistant", ended)
    return cli.main(["run", *arguments])


@pytest.mark.parametrize(("more", "status"), [([], 0), (["--once"], 1)])
def test_a_file_without_the_wake_word_is_told_with_what_else_to_try(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], more: list[str], status: int
) -> None:
    assert status == run(monkeypatch, Tally(), "--input", "my talk.wav", *more)
    assert (
        'heisenberg: "Hey Jarvis" was not heard in my talk.wav. '
        "For everything that is said, try --mode ambient, or: heisenberg transcribe 'my talk.wav'\n"
    ) == capsys.readouterr().err


@pytest.mark.parametrize(
    ("tally", "arguments"),
    [
        (Tally(dropped=1), ["--input", "q.wav"]),
        (Tally(), ["--input", "q.wav", "--mode", "ambient"]),
        (Tally(), ["--input", "q.wav", "--text"]),
        (Tally(), []),
    ],
    ids=["a turn", "ambient", "typed", "microphone"],
)
def test_nothing_is_said_where_nothing_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tally: Tally, arguments: list[str]
) -> None:
    assert 0 == run(monkeypatch, tally, *arguments)
    assert "" == capsys.readouterr().err
