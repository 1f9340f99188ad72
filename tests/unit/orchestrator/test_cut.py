"""Where a command's sound begins."""

import pytest

from heisenberg.orchestrator.cut import CHUNK_S, WAKE_PHRASE_S, cut

SPEECH, QUIET = 0.9, 0.1


def test_without_a_wake_phrase_only_the_preroll_counts() -> None:
    assert (-0.3, False) == cut(0.2, None, 0.5)


def test_a_later_command_never_reaches_back_over_the_phrase() -> None:
    assert (0.0, False) == cut(0.3, [SPEECH] * 14, 0.5)
    assert (1.5, False) == cut(2.0, [SPEECH] * 14, 0.5)


def test_one_breath_keeps_the_whole_phrase() -> None:
    assert (-WAKE_PHRASE_S, True) == cut(0.0, [SPEECH] * 14, 0.5)


def test_a_single_quiet_chunk_is_no_pause() -> None:
    """A closed mouth within a word, as before a p."""
    assert (-WAKE_PHRASE_S, True) == cut(0.0, [SPEECH] * 8 + [QUIET] + [SPEECH] * 5, 0.5)


def test_a_command_under_way_is_cut_in_the_pause_before_it() -> None:
    """Three quiet chunks, then five of the command: cut at the beginning of that short pause."""
    begins, has_phrase = cut(0.0, [SPEECH] * 6 + [QUIET] * 3 + [SPEECH] * 5, 0.5)

    assert (pytest.approx(-8 * CHUNK_S), False) == (begins, has_phrase)


def test_of_a_long_pause_only_its_end_is_kept() -> None:
    begins, _ = cut(0.0, [QUIET] * 10 + [SPEECH] * 4, 0.5)

    assert pytest.approx(-4 * CHUNK_S - 0.15) == begins


def test_chunks_that_the_vad_was_not_asked_about_are_no_pause() -> None:
    assert (-WAKE_PHRASE_S, True) == cut(0.0, [None] * 14, 0.5)
    assert (-WAKE_PHRASE_S, True) == cut(0.0, [], 0.5)
