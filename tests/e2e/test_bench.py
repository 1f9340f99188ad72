"""``heisenberg bench latency`` with real models, the way a user runs it."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.e2e.program import heisenberg

pytestmark = pytest.mark.e2e


def test_one_question_is_measured_with_every_setting_and_written_down(tmp_path: Path) -> None:
    run = heisenberg("bench", "latency", "--turns", "1", "--json", "--write", str(tmp_path))

    assert run.status == 0, run.stderr
    figures = json.loads(run.stdout)["latency"]
    turns, (own,) = figures["turns"], figures["own"]
    assert {"fast", "as configured", "careful"} == {turn["setting"] for turn in turns}
    for turn in (turn for turn in turns if turn["outcome"] == "answered"):
        assert {"endpoint", "stt", "first_sentence", "first_audio", "first_visual"} <= turn["latency"].keys()
        assert {"endpoint", "stt", "llm", "tts", "visual"} == turn["spans"].keys()
        assert 6 == len(turn["gaps"])
    assert all(own[name] > 0 for name in ("stt", "llm_first_sentence", "llm_whole", "tts_first_audio", "tts_whole"))
    assert "first sample at the output" in (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert ET.parse(tmp_path / "latency.svg").getroot().tag.endswith("svg")
