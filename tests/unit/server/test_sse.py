"""Events cut anywhere come out whole."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.server import sse
from heisenberg.server.sse import LineTooLong, Payloads, event, named_event


@given(st.lists(st.text()), st.data())
def test_payloads_come_out_as_they_went_in_however_they_are_cut(texts: list[str], data: st.DataObject) -> None:
    raw = b"".join(event(json.dumps(text).encode()) for text in texts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    reader = Payloads()

    found = [
        payload for at, to in zip([0, *cuts], [*cuts, len(raw)], strict=True) for payload in reader.feed(raw[at:to])
    ]

    assert texts == [json.loads(payload) for payload in [*found, *reader.finish()]]


@pytest.mark.parametrize(
    "raw",
    [
        b":\n\n" + b"data: 1\n\n: comment\n\ndata: 2\n\n",
        b"data:1\r\n\r\ndata:2\r\n\r\n",
        b"event: x\nid: 4\ndata: 1\n\nretry: 5\ndata: 2",
    ],
)
def test_comments_line_ends_and_other_fields_do_not_matter(raw: bytes) -> None:
    reader = Payloads()

    assert [b"1", b"2"] == [*reader.feed(raw), *reader.finish()]


@pytest.mark.parametrize("line", [b'error: {"message": "no"}\n', b'error: {"error":{"message": "no"}}\n'])
def test_llama_servers_former_errors_are_payloads_too(line: bytes) -> None:
    (payload,) = Payloads().feed(line)

    assert {"error": {"message": "no"}} == json.loads(payload)


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "LONGEST_LINE_BYTES", 10)
    reader = Payloads()
    reader.feed(b"data: 1")

    with pytest.raises(LineTooLong):
        reader.feed(b"2345")


def test_a_named_event() -> None:
    assert b'event: a.b\ndata: {"x": "\xc3\xa4"}\n\n' == named_event("a.b", {"x": "ä"})
