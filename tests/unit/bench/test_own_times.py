"""What the models take alone, and the pipelines that follow from it."""

import numpy as np
import pytest

from heisenberg.bench import own_times
from heisenberg.core.audio import PIPELINE_RATE_HZ
from tests.fakes.stages import FakeBrain, FakeRecogniser, FakeVoice, reply
from tests.unit.bench.latency_figures import OWN


def test_the_sum_is_what_the_first_sound_costs() -> None:
    assert pytest.approx(0.15 + 0.2 + 0.15) == OWN.sum


def test_a_serial_pipeline_does_one_thing_after_the_other() -> None:
    """0.05 s late and 0.6 s of silence, then 0.15 s, 1.2 s and 0.6 s."""
    steps = OWN.serial(overhang=0.05)

    assert pytest.approx(0.65) == steps["endpoint"]
    assert pytest.approx(2.0) == steps["first_visual"]
    assert pytest.approx(2.6) == steps["first_audio"]


def test_a_streaming_pipeline_waits_for_the_first_of_everything() -> None:
    steps = OWN.streamed(overhang=0.05)

    assert pytest.approx(0.65 + OWN.sum) == steps["first_audio"]
    assert pytest.approx(0.65 + 0.15 + 0.15) == steps["first_visual"]


async def test_each_model_is_asked_for_what_the_one_before_it_said() -> None:
    recogniser, brain, voice = FakeRecogniser(), FakeBrain(), FakeVoice()
    recogniser.enqueue("why is the sky blue")
    brain.enqueue(*reply("It scatters. Blue most.", mood="calm"))

    own = await own_times.measure(3, recogniser, brain, voice, np.zeros(PIPELINE_RATE_HZ, dtype=np.int16))

    assert [("why is the sky blue", (), "en")] == brain.asked
    assert [("It scatters. Blue most.", "en"), ("It scatters.", "en")] == voice.spoken
    assert 3 == own.number
    assert own.llm_first_token <= own.llm_first_sentence <= own.llm_first_visual <= own.llm_whole
