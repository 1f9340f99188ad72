"""Second names of models, in a file that several programs share."""

from pathlib import Path

import pytest

from heisenberg.core.errors import ModelNotFound, RunnerError
from heisenberg.runner.catalog import copies
from heisenberg.runner.catalog.copies import FILE, Copies


def test_another_program_sees_a_copy_and_its_end(tmp_path: Path) -> None:
    ours, theirs = Copies(tmp_path / "models"), Copies(tmp_path / "models")

    ours.add("mine:7b", "tiny")
    seen = theirs.all()
    theirs.remove("mine:7b")

    assert {"mine:7b": "tiny"} == seen
    assert {} == ours.all()


@pytest.mark.parametrize("name", ["", "../x", ".x", "a b", "a\n", "x" * 201])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(RunnerError, match="is not allowed"):
        Copies(tmp_path).add(name, "tiny")


def test_what_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="'mine' not found"):
        Copies(tmp_path).remove("mine")


def test_there_is_an_end_to_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST", 1)
    Copies(tmp_path).add("first", "tiny")

    with pytest.raises(RunnerError, match="delete some"):
        Copies(tmp_path).add("second", "tiny")


@pytest.mark.parametrize("damaged", ["", "[]", "{", "\ud800"])
def test_a_damaged_file_is_told_and_replaced(tmp_path: Path, caplog: pytest.LogCaptureFixture, damaged: str) -> None:
    (tmp_path / FILE).write_bytes(damaged.encode(errors="surrogatepass"))

    assert {} == Copies(tmp_path).all()
    assert "cannot be read" in caplog.text
    Copies(tmp_path).add("mine", "tiny")
    assert {"mine": "tiny"} == Copies(tmp_path).all()
