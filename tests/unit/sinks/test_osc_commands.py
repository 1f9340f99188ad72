"""What an OSC message commands."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.sinks.osc_commands import (
    MOST_NAME_CHARS,
    MOST_TEXT_CHARS,
    PREFIX,
    Command,
    Nonsense,
    understood,
)


@pytest.mark.parametrize("name", ["listen", "stop", "ping", "state"])
@pytest.mark.parametrize(("values", "is_meant"), [([], True), ([1], True), ([0.5], True), ([0], False), ([0.0], False)])
def test_a_button_means_it_when_pressed(name: str, values: list[object], is_meant: bool) -> None:
    """TouchDesigner sends 1.0 and then 0.0."""
    assert understood(PREFIX + name, values) == (Command(name) if is_meant else None)


@pytest.mark.parametrize(
    ("values", "is_on"),
    [
        ([], None),
        ([1], True),
        ([1.0], True),
        ([True], True),
        (["on"], True),
        ([" TRUE "], True),
        ([0], False),
        ([-0.0], False),
        ([False], False),
        (["0"], False),
        ([1.0, 0.0], True),
    ],
)
def test_muting(values: list[object], is_on: bool | None) -> None:
    assert understood(PREFIX + "mute", values) == Command("mute", is_on=is_on)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (["Bonjour à tous !"], "Bonjour à tous !"),
        (["Welcome", "to", "the show."], "Welcome to the show."),
        (["Scene", 3.0, 4, 0.25], "Scene 3 4 0.25"),
        (["one\ntwo\x00\x1b[31m"], "one two [31m"),
    ],
)
def test_texts_are_one_line(values: list[object], text: str) -> None:
    assert understood(PREFIX + "say", values) == Command("say", text)


@pytest.mark.parametrize("values", [[], [""], ["  "]])
def test_an_empty_preset_is_the_plain_one(values: list[object]) -> None:
    assert understood(PREFIX + "preset", values) == Command("preset", "")


@pytest.mark.parametrize(
    ("address", "values", "reason"),
    [
        ("/heisenberg/in/dance", [], "no such command"),
        ("/heisenberg/in/", [], "no such command"),
        ("/visual/prompt", ["waves"], "no such command"),
        ("/heisenberg/in/say", [], "needs a text"),
        ("/heisenberg/in/ask", [" \n"], "needs a text"),
        ("/heisenberg/in/mode", [], "needs a text"),
        ("/heisenberg/in/say", [b"blob"], "neither texts nor numbers"),
        ("/heisenberg/in/say", [["list"]], "neither texts nor numbers"),
        ("/heisenberg/in/say", [math.nan], "neither texts nor numbers"),
        ("/heisenberg/in/say", ["x" * (MOST_TEXT_CHARS + 1)], "at most 2000"),
        ("/heisenberg/in/mode", ["x" * (MOST_NAME_CHARS + 1)], "at most 64"),
        ("/heisenberg/in/mute", [math.nan], "neither 0 nor 1"),
        ("/heisenberg/in/mute", ["perhaps"], "neither 0 nor 1"),
        ("/heisenberg/in/listen", [None], "neither 0 nor 1"),
    ],
)
def test_nonsense_has_a_reason(address: str, values: list[object], reason: str) -> None:
    with pytest.raises(Nonsense, match=reason):
        understood(address, values)


A_VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text()))
A_NAME = st.sampled_from(["listen", "mute", "say", "preset", "state", "", "x"])


@given(A_NAME, st.lists(A_VALUE, max_size=4))
def test_whatever_comes_is_a_command_or_nonsense(name: str, values: list[object]) -> None:
    try:
        command = understood(PREFIX + name, values)
    except Nonsense:
        return

    assert command is None or command.name == name
    assert command is None or len(command.text) <= MOST_TEXT_CHARS
