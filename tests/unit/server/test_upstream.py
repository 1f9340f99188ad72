"""What a model's server says when it says no."""

import pytest

from heisenberg.server.upstream import reason_of


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": {"code": 503, "message": "Loading model"}}', "Loading model"),
        (b'{"error": "no"}', "no"),
        (b'{"detail": [1]}', '{"detail": [1]}'),
        (b"Bad Gateway", "Bad Gateway"),
        (b"", "the model's server gave no reason"),
    ],
)
def test_servers_say_why_in_many_ways(body: bytes, reason: str) -> None:
    assert reason == reason_of(body)
