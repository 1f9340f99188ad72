"""The switch that closes the ears."""

import numpy as np

from heisenberg.core.audio import CHUNK_SAMPLES
from heisenberg.orchestrator.mute import MutableSource, Mute
from tests.fakes.stages import SPEECH, FakeSource, chunks


def test_what_is_said_while_muted_is_silence_of_the_same_length() -> None:
    mute = Mute()
    source = MutableSource(FakeSource(chunks(SPEECH) * 3), mute)

    heard = []
    for is_on in (False, True, False):
        mute.is_on = is_on
        heard.append(source.read())

    assert [CHUNK_SAMPLES] * 3 == [len(samples) for samples in heard]
    assert [True, False, True] == [bool(np.any(samples)) for samples in heard]


def test_the_end_is_the_end_muted_or_not() -> None:
    mute = Mute()
    mute.is_on = True

    assert MutableSource(FakeSource([]), mute).read() is None


def test_closing_closes_the_microphone() -> None:
    inside = FakeSource([], live=True)
    source = MutableSource(inside, Mute())
    source.close()

    assert inside.is_closed
    assert source.live
