"""What a soak says of itself. That one runs is tests/e2e/test_chaos.py's affair."""

import dataclasses
import re
from pathlib import Path

import pytest

from heisenberg.bench.soak import hurried, report
from heisenberg.bench.soak_report import SoakReport
from heisenberg.bench.turn_ledger import Census
from heisenberg.core.config import Config

ROOT = Path(__file__).resolve().parents[3]
CENSUS = Census(("MainThread",), 4, (), 0, 12, 120.0)


@pytest.fixture
def clean() -> SoakReport:
    return SoakReport(
        seed=3, audio_seconds=1800.0, wall_seconds=600.0, scenes={"question": 5}, wakes=101, turns=100,
        ends={"completed": 90, "dropped: no_speech": 10}, longest_turn_s=12.3,
        faults={"kill llama": 4, "stall piper": 2}, missing_faults=(),
        healed={"smollm2-135m restarted": 4}, before=CENSUS, after=CENSUS, memory_growth_mb=1.5,
        problems=(),
    )  # fmt: skip


def test_a_soak_without_problems_is_clean(clean: SoakReport) -> None:
    assert clean.is_clean
    assert "Clean" in report(clean)


def test_a_problem_is_told_in_place_of_the_verdict(clean: SoakReport) -> None:
    bad = dataclasses.replace(clean, problems=("turn 7 never ended",))

    assert not bad.is_clean
    assert report(bad).endswith("- turn 7 never ended")
    assert "Clean" not in report(bad)


@pytest.mark.parametrize(
    "row",
    [
        ("audio", "0.50 h in 10.0 min, seed 3"),
        ("turns", "100 of 101 wake phrases said clearly"),
        ("turns dropped: no_speech", "10"),
        ("faults", "6 of 2 kinds"),
        ("fault: stall piper", "2"),
        ("healed: smollm2-135m restarted", "4"),
        ("descriptors, before and after", "12, 12"),
        ("memory growth, per 100 turns", "+4.5 MB"),
        ("memory growth, per hour of audio", "+9.0 MB"),
    ],
)
def test_the_report_has_the_figures(clean: SoakReport, row: tuple[str, str]) -> None:
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in report(clean).splitlines()]

    assert row in rows


def test_a_few_turns_tell_no_trend(clean: SoakReport) -> None:
    assert "per 100 turns" not in report(dataclasses.replace(clean, turns=20))


def test_the_soaks_configuration_is_one_that_a_user_could_have() -> None:
    """And it keeps the user's models."""
    config = Config.model_validate({"stt": {"model": "whisper-base"}, "tts": {"engine": "espeak"}})
    quick = hurried(config, ["127.0.0.1:9000"], patience=0.4)

    assert quick == Config.model_validate(quick.model_dump(by_alias=True))
    assert ("whisper-base", "espeak") == (quick.stt.model, quick.tts.engine)
    assert ["127.0.0.1:9000"] == quick.osc.targets
    assert quick.llm.timeout_seconds < config.llm.timeout_seconds


def test_every_test_that_the_page_on_reliability_names_exists() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    named = [
        (path, name)
        for path, names in re.findall(r"\]\(\.\./(tests/\S+?\.py)\):([^|\n]*)", page)
        for name in re.findall(r"`(test_\w+)`", names)
    ]

    assert len(named) > 20
    assert [] == [found for found in named if f"def {found[1]}(" not in (ROOT / found[0]).read_text(encoding="utf-8")]
