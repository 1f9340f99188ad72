"""A body on its way to the model's server."""

import json

import pytest

from heisenberg.server.asgi import BadRequest
from heisenberg.server.keep_alive import asked_keep_alive_s
from heisenberg.server.passed_body import PassedBody, read_passed

ODD = (
    b' \r\n{ "model" :"tiny",\t"x":1.50e+00,"\\u0061":"\\ud83d\\ude00 \xc3\xa9",'
    b'"big":123456789012345678901234567890,"x":[ ]} \n'
)


def told(raw: bytes, *, supports_tools: bool = True) -> PassedBody:
    return read_passed(raw).told(supports_tools=supports_tools, allows_web=False)


def test_a_body_stays_as_it_came() -> None:
    """Blanks, escapes, long numbers and repeated keys."""
    assert ODD == told(ODD).bytes_for()
    assert ODD == told(ODD).bytes_for(model="tiny")


def test_a_place_is_put_in_front_of_the_rest() -> None:
    assert ODD.replace(b"{", b'{"id_slot":3,', 1) == told(ODD).bytes_for(place=3)


def test_a_place_of_the_clients_own_choice_is_replaced() -> None:
    sent = told(b'{"model": "tiny", "id_slot": 0}').bytes_for(place=3)

    assert {"model": "tiny", "id_slot": 3} == json.loads(sent)


def test_another_name_is_told_to_another_server() -> None:
    assert {"model": "vendor/x", "a": 1} == json.loads(told(b'{"model": "tiny", "a": 1}').bytes_for(model="vendor/x"))


def test_an_empty_body_can_have_a_place() -> None:
    assert {"id_slot": 1} == json.loads(told(b"{}").bytes_for(place=1))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_other_encodings_become_what_the_server_reads(encoding: str) -> None:
    sent = told('{"model": "tiny", "prompt": "é"}'.encode(encoding)).bytes_for(place=1)

    assert {"model": "tiny", "prompt": "é", "id_slot": 1} == json.loads(sent.decode("utf-8"))


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({}, None),
        ({"ttl": None}, None),
        ({"ttl": 60}, 60.0),
        ({"keep_alive": "5m"}, 300.0),
        ({"keep_alive": "1h30m"}, 5400.0),
        ({"keep_alive": "-1"}, -1.0),
        ({"keep_alive": "-5m"}, -1.0),
        ({"keep_alive": 0}, 0.0),
        ({"keep_alive": 10**400}, -1.0),
    ],
)
def test_a_model_is_kept_as_asked(asked: dict[str, object], seconds: float | None) -> None:
    body = read_passed(json.dumps({"model": "tiny", **asked}).encode())

    assert seconds == body.keep_alive_s
    assert {"model": "tiny"} == json.loads(body.bytes_for())


@pytest.mark.parametrize("value", [True, "soon", "5 m", [], {}, float("nan"), "٣"])
def test_what_is_no_time_is_refused(value: object) -> None:
    with pytest.raises(BadRequest, match="expected seconds"):
        asked_keep_alive_s({"ttl": value})
