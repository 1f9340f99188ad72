"""Server-sent events, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.llm.sse import LONGEST_LINE_BYTES, EventReader


def read(*pieces: bytes) -> list[str]:
    reader = EventReader()
    return [data for piece in pieces for data in reader.feed(piece)] + reader.flush()


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\r\n\r\ndata:  b\r\n\r\n", ["a", " b"]),
        (b"data: a\r\rdata: b\r\r", ["a", "b"]),
        (b":\n\n: ping\n\ndata: a\n\n:\n\n", ["a"]),
        (b"event: error\nid: 7\nretry: 3\ndata: a\n\n", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b'error: {"message":"x"}\n\n', ['{"error": {"message":"x"}}']),
        (b"data: a\n\ndata: b", ["a", "b"]),
        (b"data\n\ndata:\n\n\n\n", []),
        ("data: é😀\n\n".encode(), ["é😀"]),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"<html>\n", []),
    ],
)
def test_events_are_read_whatever_the_pieces(raw: bytes, expected: list[str]) -> None:
    assert expected == read(raw) == read(*(raw[at : at + 1] for at in range(len(raw))))


@given(st.text(alphabet=":\r\n data\u00e9"), st.lists(st.integers(0, 100)))
def test_the_result_does_not_depend_on_the_pieces(text: str, places: list[int]) -> None:
    raw = text.encode()
    bounds = sorted({0, len(raw), *(place for place in places if place < len(raw))})

    assert read(raw) == read(*(raw[start:end] for start, end in zip(bounds, bounds[1:], strict=False)))


def test_an_endless_line_is_no_event_stream() -> None:
    with pytest.raises(ValueError, match="line of more than"):
        EventReader().feed(b"x" * (LONGEST_LINE_BYTES + 1))
