"""What people read of the latency figures."""

import dataclasses

import pytest

from heisenberg.bench import latency
from heisenberg.bench.latency import Figures
from heisenberg.bench.latency_report import report, section
from heisenberg.bench.latency_summary import critical_parts, verdicts
from heisenberg.bench.trace import Trace
from heisenberg.core.config import Config
from tests.unit.bench.latency_figures import SETTINGS, figures, turn


def row(text: str, begins: str) -> list[str]:
    """The cells of the table row that begins so."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {begins}")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_every_pipeline_has_its_column() -> None:
    text = report(figures())

    assert ["fast", "as configured", "careful", "streamed", "serial"] == row(text, "seconds after the true end")
    assert ["0.71 / 0.71"] * 3 + ["1.16 / 1.16", "2.61 / 2.61"] == row(text, "first sample at the output")


def test_a_slow_turn_shows_in_the_95th_percentile() -> None:
    turns = [turn(shift=0.0) for _ in range(9)] + [turn(shift=2.0)]

    assert "0.71 / 2.71" in row(report(figures(*turns)), "first sample at the output")


def test_questions_that_were_cut_short_are_counted_and_left_out_of_the_figures() -> None:
    text = report(
        figures(turn("fast", shift=-0.5, outcome="cut short"), turn("fast"), turn("fast", outcome="not answered"))
    )

    assert "1 answered, 1 cut short, 1 not answered" == row(text, "questions")[0]
    assert "0.71 / 0.71" == row(text, "first sample at the output")[0]


def test_the_ratio_is_to_the_models_own_times() -> None:
    assert "1.42 / 1.42" == row(report(figures()), "first sample ÷ sum")[1]


def test_without_any_answer_the_report_says_so() -> None:
    text = report(Figures(SETTINGS, (turn(outcome="not answered"),), ()))

    assert "No question was answered (1 not answered). Try heisenberg doctor." == text


def test_a_setting_without_an_answer_has_dashes() -> None:
    assert ["–", "0.71 / 0.71", "–"] == row(report(figures(turn())), "first sample at the output")[:3]


def test_met_targets() -> None:
    sample, datagram, overhead, serial = verdicts(figures())

    assert "met with 0.71 s; the stretch of 0.7 s is missed" in sample
    assert "met in 1 of 1" in datagram
    assert "met with 12.0 ms" in overhead
    assert "met in 1 of 1" in serial


def test_a_missed_target_names_what_takes_longest() -> None:
    slow = turn()
    slow = dataclasses.replace(
        slow, latency=slow.latency | {"tts_first_audio": 2.9, "first_audio": 2.9, "first_visual": 3.0}
    )

    sample, datagram, _, serial = verdicts(figures(slow))

    assert "**missed** with 2.90 s" in sample
    assert "It waits longest for the voice (2.35 s) and the wait for the end (0.50 s)." in sample
    assert "**missed** in 0 of 1" in datagram
    assert "**missed** in 0 of 1" in serial


def test_nothing_said_is_no_verdict() -> None:
    silent = turn()
    silent = dataclasses.replace(silent, latency={"endpoint": 0.5})

    assert ["Nothing was said with the settings as configured."] == verdicts(figures(silent))


def test_work_that_was_done_before_the_end_costs_nothing() -> None:
    """The transcript was ready at 0.35 s, the end certain at 0.5 s."""
    parts = critical_parts(turn().latency)

    assert pytest.approx(0.5) == parts["the wait for the end"]
    assert 0.0 == parts["the recogniser"]
    assert pytest.approx(0.05) == parts["the language model"]
    assert pytest.approx(0.71) == sum(parts.values())


def test_the_section_of_a_page_says_how_and_where_it_was_measured() -> None:
    text = section(figures(), "heisenberg bench latency --turns 15", "a small computer", "latency.svg")

    assert "a small computer" in text
    assert "```\nheisenberg bench latency --turns 15\n```" in text
    assert "](latency.svg)" in text


# ── what is measured ─────────────────────────────────────────────────────────────────────────────


def test_the_settings_compared_are_valid_whatever_is_configured() -> None:
    config = Config.model_validate({"vad": {"silence_seconds": 0.7, "incomplete_silence_seconds": 0.8}})

    applied = [setting.applied(config).vad for setting in latency.settings(config)]

    assert [0.5, 0.7, 1.0] == [vad.silence_seconds for vad in applied]
    assert [0.8, 0.8, 1.0] == [vad.incomplete_silence_seconds for vad in applied]


def test_a_question_that_nobody_noticed_is_not_answered() -> None:
    assert "not answered" == latency.seen(Trace(), "fast", 0, "Why?", 1.0).outcome
