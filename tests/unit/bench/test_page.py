"""Figures find their place in a page, and the prose around them stays."""

from pathlib import Path

import pytest

from heisenberg.bench.page import markers, replaced, write
from heisenberg.core.errors import SinkError

BEFORE, AFTER = markers("latency")


def test_what_stands_between_the_markers_is_replaced() -> None:
    page = f"# Benchmarks\n\n{BEFORE}\nold\n{AFTER}\n\n## Others\n"

    assert f"# Benchmarks\n\n{BEFORE}\n\nnew\n\n{AFTER}\n\n## Others\n" == replaced(page, "latency", "new\n")


@pytest.mark.parametrize(
    "page", ["", "# Benchmarks\n", f"# Benchmarks\n\n{BEFORE}\nold\n{AFTER}\nmore\n", f"{AFTER}{BEFORE}"]
)
def test_writing_the_same_again_changes_nothing(page: str) -> None:
    once = replaced(page, "latency", "figures")

    assert once == replaced(once, "latency", "figures")


def test_a_new_folder_gets_a_page_and_its_picture(tmp_path: Path) -> None:
    write(tmp_path / "docs", "latency", "figures", "<svg/>")

    assert "figures" in (tmp_path / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert "<svg/>" == (tmp_path / "docs" / "latency.svg").read_text(encoding="utf-8")


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SinkError, match="cannot be written to .*file"):
        write(tmp_path / "file", "latency", "figures", "<svg/>")
