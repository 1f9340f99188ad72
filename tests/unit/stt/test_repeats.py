"""What was said again and again, and a decoder in a loop."""

from dataclasses import dataclass

import pytest

from heisenberg.workers import repeats

SENTENCE = " Turn the light off."


@dataclass
class Said:
    """A segment, as the library gives it."""

    text: str
    compression_ratio: float = 1.0
    seek: int = 0


def test_segments_that_were_decoded_together_are_judged_together() -> None:
    found = [Said("a", seek=0), Said("b", seek=0), Said("c", seek=2900)]

    assert [found[:2], found[2:]] == list(repeats.windows(found))


@pytest.mark.parametrize(("text", "seconds", "is_scarce"), [(SENTENCE, 20.0, True), (SENTENCE, 3.0, False)])
def test_a_sentence_is_too_little_for_twenty_seconds_of_speech(text: str, seconds: float, is_scarce: bool) -> None:
    assert is_scarce == repeats.is_scarce([Said(text)], seconds)


def test_what_is_said_between_two_pauses_is_kept_however_often() -> None:
    pieces = [(float(at), at + 1.5) for at in range(0, 50, 2)]

    assert 25 == len(list(repeats.heard_again(pieces, lambda *piece: [Said(SENTENCE)])))


@pytest.mark.parametrize("loop", [Said(SENTENCE * 9, compression_ratio=5.0), Said(SENTENCE * 9)])
def test_what_still_loops_there_is_heard_in_the_whole_window_and_then_left_out(loop: Said) -> None:
    asked: list[tuple[float, float, bool]] = []

    def decode(start: float, end: float, in_whole_window: bool) -> list[Said]:
        asked.append((start, end, in_whole_window))
        return [Said(SENTENCE)] if in_whole_window and start > 5 else [loop]

    assert [Said(SENTENCE)] == list(repeats.heard_again([(0.0, 2.0), (6.0, 8.0)], decode))
    assert [(0.0, 2.0, False), (0.0, 2.0, True), (6.0, 8.0, False), (6.0, 8.0, True)] == asked
