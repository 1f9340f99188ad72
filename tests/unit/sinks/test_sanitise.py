"""No value can leave the program in a form that a receiver chokes on."""

import enum
import json
import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage

from heisenberg.sinks import sanitise
from heisenberg.sinks.datagram import FloatDatagram, encode
from tests.osc_decoder import decode_message

SIZE = 256

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.fractions()
    | st.complex_numbers()
    | st.binary()
    | st.text()
    | st.text(st.characters(categories=["Cs"]))
    | st.floats(width=16).map(np.float16)
    | st.floats(width=32).map(np.float32)
    | st.floats().map(np.longdouble)
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
    | st.booleans().map(np.bool_)
    | st.datetimes().map(np.datetime64)
    | st.lists(st.floats(), max_size=5).map(np.array)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=20,
)


class Hostile:
    """An object whose text raises."""

    def __repr__(self) -> str:
        return "hostile"

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Colour(enum.Enum):
    """A member holds a text."""

    RED = "red"


@given(anything)
def test_any_value_becomes_a_small_datagram_that_two_decoders_read_alike(value: object) -> None:
    datagram, _ = encode("/visual/x", value, max_bytes=SIZE)

    address, tags, values = decode_message(datagram)
    theirs = OscMessage(datagram)

    assert len(datagram) <= SIZE
    assert address == theirs.address == "/visual/x"
    assert values == theirs.params
    assert tags in ("i", "f", "s")
    assert all(math.isfinite(value) for value in values if isinstance(value, float))


@given(anything)
def test_any_value_becomes_json_that_a_strict_parser_reads(value: object) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    text = sanitise.as_json(value)

    json.loads(text.encode("utf-8"), parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, 1.0),
        (False, 0.0),
        (np.True_, 1.0),
        (7, 7),
        (-(2**31), -(2**31)),
        (2**31, 2.0**31),
        (10**400, sanitise.FLOAT32_MAX),
        (-(10**400), -sanitise.FLOAT32_MAX),
        (0.5, 0.5),
        (1e300, sanitise.FLOAT32_MAX),
        (math.nan, 0.0),
        (math.inf, 0.0),
        (-math.inf, 0.0),
        (np.float32(0.25), 0.25),
        (np.int64(3), 3),
        (np.float64("nan"), 0.0),
        (np.array(4), 4),
        (Decimal("0.5"), 0.5),
        (Decimal("sNaN"), 0.0),
        (Fraction(1, 4), 0.25),
        ("océan", "océan"),
        ("before\0after", "beforeafter"),
        ("\ud83d", "\ufffd"),
        ("\ud83d\ude00", "😀"),
        (b"caf\xc3\xa9\xff", "café\ufffd"),
        (None, ""),
        (Colour.RED, "red"),
        ({"mood": "calm", "level": math.nan}, '{"mood": "calm", "level": 0.0}'),
        ([1, True, None, np.float32(0.5)], "[1, true, null, 0.5]"),
        (np.array([1.0, math.inf]), "[1.0, 0.0]"),
        (Hostile(), "Hostile"),
    ],
    ids=repr,
)
def test_each_kind_of_value_has_one_form(value: object, expected: object) -> None:
    cleaned = sanitise.clean(value)

    assert cleaned == expected
    assert type(cleaned) is type(expected)


def test_a_structure_that_contains_itself_ends() -> None:
    loop: list[object] = [1]
    loop.append(loop)

    assert sanitise.as_json(loop) == '[1, "…"]'


def test_a_very_deep_structure_ends() -> None:
    deep: object = 1
    for _ in range(10_000):
        deep = [deep]

    assert "…" in sanitise.as_json(deep)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("prompt", "prompt"),
        ("my field", "my_field"),
        ("a#*,?[]{}b", "a________b"),
        ("a/b", "a_b"),
        ("é", "_"),
        ("", "_"),
    ],
)
def test_a_field_name_cannot_break_its_address(name: str, expected: str) -> None:
    assert sanitise.address_part(name) == expected


@given(st.text())
def test_every_field_name_gives_a_valid_address(name: str) -> None:
    address = "/visual/" + sanitise.address_part(name)

    assert sanitise.is_address(address)
    assert decode_message(encode(address, 1, max_bytes=SIZE)[0])[0] == address


@pytest.mark.parametrize("text", ["visual/prompt", "/", "", "/a b", "/a#", "/a*", "/é", "/a\n"])
def test_an_invalid_address_is_recognised(text: str) -> None:
    assert not sanitise.is_address(text)


@given(st.text(), st.integers(4, 40))
def test_pieces_are_small_and_make_the_whole(text: str, size: int) -> None:
    pieces = sanitise.split(text, size)

    assert "".join(pieces) == text
    assert all(0 < len(piece.encode()) <= size for piece in pieces)


def test_terminal_control_characters_are_made_visible() -> None:
    assert sanitise.printable("a\x1b[2Jb\x9bcé") == "a\\x1b[2Jb\\x9bcé"


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0, math.nan, math.inf])
def test_a_prebuilt_meter_is_the_same_datagram(value: float) -> None:
    built, _ = encode("/heisenberg/level", value, max_bytes=1400)

    assert built == FloatDatagram("/heisenberg/level").of(value)
