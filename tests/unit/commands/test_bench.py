"""What ``bench`` does with its arguments and with what was measured; the measuring itself is not done here."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from heisenberg.bench import latency, proxy, soak, soak_report, voice_first
from heisenberg.bench.latency import Figures
from heisenberg.bench.proxy import Cost
from heisenberg.bench.voice_first import Waits
from heisenberg.cli import main
from heisenberg.core.errors import ModelNotFound
from tests.unit.bench.latency_figures import figures


@dataclass(frozen=True, slots=True)
class Soaked:
    """What a soak that did not take place has to report."""

    is_clean: bool


@pytest.fixture(autouse=True)
def _measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def measure(config: object, turns: int, say: Callable[[str], None]) -> Figures:
        say(f"{turns} questions")
        return figures()

    monkeypatch.setattr(latency, "measure", measure)
    monkeypatch.chdir(tmp_path)


def test_figures_go_to_standard_output_and_progress_does_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert 0 == main(["bench", "latency", "--turns", "3"])
    said = capsys.readouterr()

    assert "seconds after the true end of speech" in said.out
    assert "3 questions" in said.err
    assert [] == list(tmp_path.glob("**/benchmarks.md"))


def test_figures_are_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == main(["bench", "latency", "--json"])
    said = json.loads(capsys.readouterr().out)

    assert pytest.approx(0.71) == said["latency"]["turns"][0]["latency"]["first_audio"]
    assert said["machine"]


def test_figures_are_written_with_their_command_into_a_page(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert 0 == main(["bench", "latency", "--turns", "3", "--write", "pages"])

    page = (tmp_path / "pages" / "benchmarks.md").read_text(encoding="utf-8")
    assert "heisenberg bench latency --turns 3 --write pages" in page
    assert "whisper-tiny.en" in page
    assert (tmp_path / "pages" / "latency.svg").read_text(encoding="utf-8").startswith("<svg")


@pytest.mark.parametrize(("is_clean", "status"), [(True, 0), (False, 1)])
def test_a_soak_that_is_not_clean_is_a_failure(
    is_clean: bool, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: dict[str, Any] = {}

    async def soaked(config: object, **arguments: Any) -> Soaked:
        asked.update(arguments)
        return Soaked(is_clean)

    monkeypatch.setattr(soak, "soak", soaked)
    monkeypatch.setattr(soak_report, "report", lambda happened: "What happened.")

    assert status == main(["bench", "soak", "--minutes", "0.5", "--seed", "9"])
    assert (0.5, 9) == (asked["minutes"], asked["seed"])
    assert "What happened." in capsys.readouterr().out


@pytest.mark.parametrize("minutes", ["0", "nan", "x", "-1"])
def test_no_time_is_a_usage_error(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "soak", "--minutes", minutes])

    assert f'"{minutes}" is not a number of minutes' in capsys.readouterr().err


def test_the_servers_costs_go_to_the_page_without_a_picture(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    seen: list[Path | None] = []

    async def costs(litellm: Path | None) -> list[Cost]:
        seen.append(litellm)
        return [Cost(name, [0.001], [0.001], 1.0, 1.0, memory_mb=90.0) for name in ("direct", "ours", "Ollama")]

    async def waits(config: object) -> Waits:
        return Waits([0.2], [0.2], [0.19], [0.02])

    monkeypatch.setattr(proxy, "measure", costs)
    monkeypatch.setattr(voice_first, "measure", waits)

    assert 0 == main(["bench", "proxy", "--litellm", "lite", "--write", str(tmp_path), "--json"])
    found = json.loads(capsys.readouterr().out)["proxy"]
    page = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")

    assert [Path("lite")] == seen
    assert ["direct", "ours", "Ollama"] == [way["name"] for way in found["ways"]]
    assert [0.02] == found["voice"]["step_s"]
    assert "heisenberg bench proxy --litellm litellm --write" in page
    assert [tmp_path / "benchmarks.md"] == list(tmp_path.iterdir())


def test_without_a_model_the_rest_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def costs(litellm: Path | None) -> list[Cost]:
        return [Cost(name, [0.001], [0.001], 1.0, 1.0, memory_mb=90.0) for name in ("direct", "ours", "Ollama")]

    async def waits(config: object) -> Waits:
        raise ModelNotFound("no such model")

    monkeypatch.setattr(proxy, "measure", costs)
    monkeypatch.setattr(voice_first, "measure", waits)

    assert 0 == main(["bench", "proxy"])
    said = capsys.readouterr()

    assert "no such model" in said.err
    assert "many streams" in said.out
