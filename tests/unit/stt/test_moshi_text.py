"""The text of an utterance out of one or several streams."""

from collections.abc import Sequence

from heisenberg.core.recordings import TimedWord
from heisenberg.stt.moshi_text import StreamText


def words(*starts: float) -> tuple[TimedWord, ...]:
    return tuple(TimedWord(f"w{start:g}", start, start + 0.3) for start in starts)


class Told:
    def __init__(self) -> None:
        self.starts: list[float] = []
        self.text = StreamText(self.take)

    def take(self, new: Sequence[TimedWord]) -> None:
        self.starts += [word.start for word in new]


def test_each_word_is_told_once_although_a_flush_tells_all_of_them() -> None:
    told = Told()
    told.text.add(" w0", words(0.0))
    told.text.add(" w1", words(1.0))
    told.text.settle("w0 w1 w2", words(0.0, 1.0, 2.0))

    assert [0.0, 1.0, 2.0] == told.starts
    assert "w0 w1 w2" == told.text.whole


def test_quick_words_are_all_told() -> None:
    """A frame is 80 ms long, and a word may be no longer."""
    told = Told()
    told.text.add("", words(0.0, 0.08, 0.16))

    assert [0.0, 0.08, 0.16] == told.starts


def test_a_second_stream_tells_only_what_is_new() -> None:
    """Another device may hear a word a frame later than the first one did."""
    told = Told()
    told.text.add(" w0 w1", words(0.0, 1.0))
    told.text.begin(0)
    told.text.add(" w0", words(0.08))
    told.text.add(" w1", words(1.08))
    told.text.add(" w2", words(1.5))

    assert [0.0, 1.0, 1.5] == told.starts
    assert "w0 w1 w2" == told.text.whole


def test_a_stream_that_begins_in_the_middle_keeps_what_was_before() -> None:
    told = Told()
    told.text.add(" w0 w1 w2", words(0.0, 1.0, 2.0))
    told.text.begin(16_000 * 2)
    told.text.settle("w2 w3", words(0.0, 1.0))

    assert "w0 w1 w2 w3" == told.text.whole
    assert [0.0, 1.0, 2.0, 3.0] == told.starts
