"""How long a model is to stay in memory, as clients write it."""

import pytest

from heisenberg.server.asgi import BadRequest
from heisenberg.server.keep_alive import asked_keep_alive_s, keep_alive_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0),
        (90, 90),
        (0.5, 0.5),
        (-1, -1),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5s", 1.5),
        ("250ms", 0.25),
        ("0", 0),
        ("30", 30),
        ("-1m", -1),
        ("-0", 0),
        (1e300, -1),
        (10**400, -1),
        (" 5m ", 300),
        ("1µs", 1e-6),
        ("9" * 18 + "h", -1),
    ],
)
def test_durations(value: object, seconds: float | None) -> None:
    assert seconds == keep_alive_s(value)


@pytest.mark.parametrize("value", ["soon", "5 minutes", "5m!", True, [], float("nan"), "1" * 5000, "٣", "5 m", {}])
def test_what_is_no_duration_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="keep_alive"):
        keep_alive_s(value)


def test_a_request_may_use_either_word() -> None:
    assert [60, 300, None] == [asked_keep_alive_s(asked) for asked in ({"ttl": 60}, {"keep_alive": "5m"}, {})]


def test_who_is_refused_learns_by_which_word() -> None:
    with pytest.raises(BadRequest, match="ttl is 'soon'; expected seconds"):
        asked_keep_alive_s({"ttl": "soon"})
