"""Failures, in the words of whoever asked."""

import json

import pytest

from heisenberg.server.shapes import error_body, stream_end


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/api/v0/models", "/api/v1/chat", "/nothing", "/models"])
def test_openai_like_clients_read_an_object(path: str) -> None:
    assert error_body(path, "no", 403)["error"]["message"] == "no"


@pytest.mark.parametrize("path", ["/api/chat", "/api/version", "/api/v", "/api/v1x"])
def test_ollamas_clients_read_a_string(path: str) -> None:
    assert error_body(path, "no", 403) == {"error": "no"}


def test_a_stream_of_lines_ends_with_a_line() -> None:
    assert stream_end("/api/chat", "application/x-ndjson", "over") == b'{"error": "over"}\n'


def test_a_stream_of_events_ends_with_an_event() -> None:
    end = stream_end("/v1/chat/completions", "text/event-stream; charset=utf-8", "over")
    assert end is not None

    events = [event for event in end.decode().split("\n\n") if event]
    assert json.loads(events[0].removeprefix("data: "))["error"]["message"] == "over"


def test_lm_studios_events_have_names() -> None:
    end = stream_end("/api/v1/chat", "text/event-stream", "over")

    assert end is not None
    assert end.lstrip().startswith(b"event: error\ndata: ")


def test_whole_answers_cannot_be_mended() -> None:
    assert stream_end("/v1/models", "application/json", "over") is None
