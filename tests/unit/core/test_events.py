"""Events: what their JSON looks like, and that each is documented."""

import dataclasses
import json
import typing

import pytest

from heisenberg.core import events

EXAMPLES: dict[type, object] = {str: "x", float: 0.5, int: 3, bool: True}


def example(kind: typing.Any) -> object:
    if typing.get_origin(kind) is dict:
        return {"x": 0.5}
    return EXAMPLES.get(kind, "x")


@pytest.mark.parametrize("event", events.all_events(), ids=lambda event: event.type)
def test_every_event_becomes_json_and_keeps_its_values(event: type[events.Event]) -> None:
    """A new event takes part by itself."""
    hints = typing.get_type_hints(event)
    values = {field.name: example(hints[field.name]) for field in dataclasses.fields(event)}

    document = json.loads(json.dumps(event(**values).as_dict()))

    assert {"type": event.type, **values} == document


def test_types_are_snake_case_and_different() -> None:
    types = [event.type for event in events.all_events()]

    assert len(set(types)) == len(types)
    assert {"state_changed", "llm_token", "turn_completed", "failed"} <= set(types)


def test_events_cannot_be_changed() -> None:
    event = events.SpeechStarted(turn=1, at=0.5)

    with pytest.raises(dataclasses.FrozenInstanceError):
        event.turn = 2  # type: ignore[misc]
