"""The pause heads are believed when they have seen enough and mean it."""

from heisenberg.workers.moshi_pauses import FIRST_STEPS, PauseSmoother


def warm() -> PauseSmoother:
    smoother = PauseSmoother()
    for _ in range(FIRST_STEPS):
        smoother.hear([1.0, 1.0])
    return smoother


def test_the_first_second_says_nothing() -> None:
    smoother = PauseSmoother()

    assert [[0.0, 0.0]] * FIRST_STEPS == [smoother.hear([1.0, 1.0]) for _ in range(FIRST_STEPS)]
    assert smoother.hear([1.0, 0.0])[0] > 0.0


def test_a_spike_of_one_frame_ends_no_sentence_and_two_frames_do() -> None:
    smoother = warm()

    assert smoother.hear([1.0, 0.0])[0] < 0.6
    assert smoother.hear([0.0, 0.0])[0] < 0.6
    smoother.hear([1.0, 0.0])
    assert smoother.hear([1.0, 0.0])[0] > 0.6


def test_after_a_reset_it_waits_again() -> None:
    smoother = warm()
    smoother.hear([1.0, 1.0])
    smoother.reset()

    assert [0.0, 0.0] == smoother.hear([1.0, 1.0])
