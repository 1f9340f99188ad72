"""What the log tells of a request, and what it does not."""

import json
import logging

import pytest

from heisenberg.core.logs import JsonFormatter
from heisenberg.server import access_log
from heisenberg.server.asgi import Subject
from tests.unit.server.requests import request


def test_a_request_is_one_structured_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heisenberg")
    access_log.write(request("POST", "/v1/chat/completions"), 200, 1.5, "id-1", Subject("tiny", 12))

    line = json.loads(JsonFormatter().format(caplog.records[0]))
    del line["at"]
    assert line == {
        "level": "info",
        "logger": "server.access_log",
        "message": "POST /v1/chat/completions 200 in 1.500 s (tiny)",
        "method": "POST",
        "path": "/v1/chat/completions",
        "status": 200,
        "seconds": 1.5,
        "client": "127.0.0.1",
        "request": "id-1",
        "model": "tiny",
        "tokens": 12,
    }


def test_a_path_cannot_write_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    """Nor colour the terminal, nor fill the disk."""
    caplog.set_level(logging.INFO, "heisenberg")
    access_log.write(request(path="/a\r\nINFO forged\x1b[31m\u2028" + "x" * 9999), 404, 0.1, "id", Subject("evil\n"))
    message = caplog.records[0].getMessage()

    assert message.isprintable()
    assert len(message) < 300


def test_neither_keys_nor_queries_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heisenberg")
    asked = {**request(authorization="Bearer sesame", x_api_key="sesame"), "query_string": b"key=sesame"}
    access_log.write(asked, 200, 0.1, "id", Subject())

    assert "sesame" not in JsonFormatter().format(caplog.records[0])
