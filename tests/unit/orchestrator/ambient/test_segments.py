"""Speech is cut into segments at pauses, and where it is quietest when there are none."""

from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.audio import CHUNK_SAMPLES, PIPELINE_RATE_HZ
from heisenberg.core.config import VadConfig
from heisenberg.orchestrator.ambient.segments import STREAMED, WHOLE, Cut, Segmenter, Shape

CHUNK_S = CHUNK_SAMPLES / PIPELINE_RATE_HZ


def segments(*stretches: tuple[float, float], shape: Shape = WHOLE, loudness: float = 0.1) -> list[Cut]:
    """The cuts of *stretches*: seconds, and the probability of speech in them (quiet where it is 0)."""
    segmenter = Segmenter(VadConfig(), 0.5, shape)
    cuts = []
    for seconds, probability in stretches:
        for _ in range(round(seconds / CHUNK_S)):
            cuts.append(segmenter.hear(CHUNK_SAMPLES, probability, loudness * (0.01 + probability)))
    return [cut for cut in [*cuts, segmenter.finish()] if cut is not None]


def seconds(cut: Cut) -> list[float]:
    return [round(at / PIPELINE_RATE_HZ, 1) for at in (cut.first, cut.speech_from, cut.speech_to, cut.last)]


def test_a_segment_ends_at_a_pause_and_has_sound_around_its_speech() -> None:
    (cut,) = segments((2.0, 0), (3.0, 1), (2.0, 0))

    assert [1.5, 2.0, 5.0, 5.2] == seconds(cut)
    assert cut.is_pause


def test_short_pauses_are_part_of_a_segment() -> None:
    assert 1 == len(segments((3.0, 1), (0.5, 0), (3.0, 1), (1.0, 0)))


def test_a_click_is_no_segment() -> None:
    assert [] == segments((1.0, 0), (CHUNK_S, 1), (3.0, 0))


def test_silence_is_no_segment() -> None:
    assert [] == segments((3600.0, 0))


def test_a_long_segment_ends_at_the_next_short_pause() -> None:
    first, second = segments((13.0, 1), (0.3, 0), (4.0, 1), (1.0, 0))

    assert [0.0, 0.0, 13.0] == seconds(first)[:3]
    assert not first.is_pause
    assert second.first >= first.last


def test_the_longer_a_segment_the_shorter_the_pause_that_ends_it() -> None:
    """As people pause between two sentences: enough after five seconds, not before."""
    assert 1 == len(segments((4.0, 1), (0.5, 0), (4.0, 1), (1.0, 0)))
    assert 2 == len(segments((6.0, 1), (0.5, 0), (4.0, 1), (1.0, 0)))


def test_without_any_pause_it_is_cut_where_it_was_quietest() -> None:
    """A moment that is only quieter, sixteen seconds after the beginning."""
    segmenter = Segmenter(VadConfig(), 0.5, WHOLE)
    cuts = []
    for chunk in range(round(21.0 / CHUNK_S)):
        at = chunk * CHUNK_S
        cuts.append(segmenter.hear(CHUNK_SAMPLES, 1.0, 0.02 if 16.0 <= at < 16.2 else 0.1))
    (cut,) = [cut for cut in cuts if cut is not None]

    assert 16.0 <= cut.last / PIPELINE_RATE_HZ <= 16.2
    assert cut.last == segmenter.first


def test_an_hour_of_noise_is_cut_again_and_again_and_nothing_of_it_is_lost() -> None:
    cuts = segments((3600.0, 1))

    assert all(after.first == before.last for before, after in zip(cuts, cuts[1:], strict=False))
    assert all((cut.last - cut.first) / PIPELINE_RATE_HZ <= WHOLE.longest_s + 0.1 for cut in cuts)
    assert len(cuts) <= 3600 / (WHOLE.longest_s - WHOLE.search_s) + 1


def test_a_streaming_recogniser_gets_longer_segments() -> None:
    speech = [(3.0, 1.0), (0.9, 0.0)] * 5
    assert 5 == len(segments(*speech, (2.0, 0)))

    assert 1 == len(segments(*speech, (2.0, 0), shape=STREAMED))


def test_the_wake_phrase_is_cut_off() -> None:
    segmenter = Segmenter(VadConfig(), 0.5, WHOLE)
    for probability, length in ((1.0, 3.0), (0.0, 0.3), (1.0, 0.8)):
        for _ in range(round(length / CHUNK_S)):
            segmenter.hear(CHUNK_SAMPLES, probability, 0.1 * (0.01 + probability))
    cut = segmenter.finish_before_wake_phrase(late=0)

    assert cut is not None
    assert 3.0 <= cut.last / PIPELINE_RATE_HZ <= 3.3
    assert cut.speech_to <= cut.last


def test_nothing_but_the_wake_phrase_is_no_segment() -> None:
    segmenter = Segmenter(VadConfig(), 0.5, WHOLE)
    for probability, length in ((0.0, 3.0), (1.0, 0.6)):
        for _ in range(round(length / CHUNK_S)):
            segmenter.hear(CHUNK_SAMPLES, probability, 0.1 * (0.01 + probability))

    assert segmenter.finish_before_wake_phrase(late=0) is None
    assert segmenter.first is None


@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.sampled_from([0.0, 0.4, 1.0])), max_size=12))
def test_segments_are_in_order_never_overlap_and_are_bounded(stretches: list[tuple[float, float]]) -> None:
    cuts = segments(*stretches)

    for cut in cuts:
        assert cut.first <= cut.speech_from <= cut.speech_to
        assert cut.first < cut.last
        assert cut.last - cut.first <= (WHOLE.longest_s + 0.5 + 0.7) * PIPELINE_RATE_HZ
    assert all(before.last <= after.first for before, after in zip(cuts, cuts[1:], strict=False))
