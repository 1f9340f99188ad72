"""The schema that goes out, and the check of what comes back."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.config import DEFAULT_VISUAL_SCHEMA, VisualField
from heisenberg.llm.personalities import ENGLISH, FRENCH
from heisenberg.llm.visuals import MOST_LEVELS, VisualSchema, levels

SCHEMA = VisualSchema(DEFAULT_VISUAL_SCHEMA, max_tokens=160, order="reply_first")


def test_everything_is_required_and_nothing_else_allowed() -> None:
    schema = SCHEMA.json_schema()
    visual = schema["properties"]["visual"]

    assert ["reply", "visual"] == list(schema["properties"]) == schema["required"]
    assert ["prompt", "mood", "intensity"] == list(visual["properties"]) == visual["required"]
    assert not schema["additionalProperties"]
    assert not visual["additionalProperties"]


def test_fields_carry_their_bounds() -> None:
    properties = SCHEMA.json_schema()["properties"]["visual"]["properties"]

    assert 120 == properties["prompt"]["maxLength"]
    assert ["calm", "joyful", "dreamy", "tense", "dark"] == properties["mood"]["enum"]
    assert (0, 1) == (properties["intensity"]["minimum"], properties["intensity"]["maximum"])


def keys(schema: VisualSchema) -> list[str]:
    """What an answer consists of, in order; the worked ones show the same."""
    form = schema.json_schema()
    example = json.loads(schema.example(ENGLISH.introduction))

    assert list(form["properties"]) == form["required"] == list(example)

    visual = form["properties"].get("visual", {"properties": {}})
    assert list(visual["properties"]) == list(example.get("visual", {}))
    return list(example)


def test_the_visuals_may_come_first() -> None:
    schema = VisualSchema(DEFAULT_VISUAL_SCHEMA, max_tokens=160, order="visual_first")

    assert ["visual", "reply"] == keys(schema)
    assert schema.hint(ENGLISH).endswith("(how strong, 0 to 1), reply (spoken).")


def test_fields_of_few_tokens_may_come_before_the_reply_and_texts_after_it() -> None:
    schema = VisualSchema(DEFAULT_VISUAL_SCHEMA, max_tokens=160)

    assert ["mood", "intensity", "reply", "visual"] == keys(schema)
    assert ["prompt"] == list(schema.json_schema()["properties"]["visual"]["properties"])
    assert schema.hint(ENGLISH).endswith("reply (spoken), visual: prompt (a short image prompt for the scene).")


def test_quick_fields_alone_need_no_visual() -> None:
    fields = {"b": VisualField(type="float"), "a": VisualField(type="enum", values=["x"])}

    assert ["b", "a", "reply"] == keys(VisualSchema(fields, max_tokens=160))


@pytest.mark.parametrize("name", ["reply", "visual"])
def test_a_field_named_like_a_part_of_the_answer_stays_apart(name: str) -> None:
    schema = VisualSchema({name: VisualField(type="float")}, max_tokens=160)

    assert ["reply", "visual"] == keys(schema)
    assert [name] == list(schema.json_schema()["properties"]["visual"]["properties"])


def test_without_fields_there_is_only_a_reply() -> None:
    schema = VisualSchema({}, max_tokens=160)

    assert ["reply"] == keys(schema) == list(schema.json_schema()["properties"])
    assert {"reply": ENGLISH.introduction.reply} == json.loads(schema.example(ENGLISH.introduction))
    assert "visual" not in schema.hint(ENGLISH)


def test_a_long_visual_leaves_the_reply_less_room_but_some() -> None:
    roomy = VisualSchema({}, max_tokens=160)
    crowded = VisualSchema({"a": VisualField(max_length=2000)}, max_tokens=160)

    assert roomy.reply_chars > SCHEMA.reply_chars > crowded.reply_chars >= 100


@pytest.mark.parametrize("speech", [ENGLISH, FRENCH], ids=["en", "fr"])
def test_worked_answers_fit_the_schema_that_they_illustrate(speech: type) -> None:
    fields = {
        **DEFAULT_VISUAL_SCHEMA,
        "speed": VisualField(type="float", minimum=-3, maximum=7),
        "style": VisualField(max_length=5),
        "shape": VisualField(type="enum", values=["round", "square"]),
    }
    schema = VisualSchema(fields, max_tokens=400)
    for example in (speech.introduction, *speech.examples):
        visual = json.loads(schema.example(example))["visual"]

        assert {name: schema.accept(name, value) for name, value in visual.items()} == visual


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("intensity", 0.5, 0.5),
        ("intensity", 1, 1.0),
        ("intensity", 1.0001, 1.0),
        ("intensity", -7, 0.0),
        ("intensity", "0.25", 0.25),
        ("intensity", math.nan, None),
        ("intensity", "nan", None),
        ("intensity", "1e999", None),
        ("intensity", 10**400, None),
        ("intensity", True, None),
        ("intensity", "strong", None),
        ("intensity", None, None),
        ("mood", "calm", "calm"),
        ("mood", " Calm ", "calm"),
        ("mood", "furious", None),
        ("mood", 3, None),
        ("prompt", "a red sky", "a red sky"),
        ("prompt", " a\nred\0 sky\u2028", "a red sky"),
        ("prompt", "x" * 500, "x" * 120),
        ("prompt", "a red sky, " * 20, ("a red sky, " * 10) + "a red"),
        ("prompt", " \n", None),
        ("prompt", 3.0, None),
        ("unknown", "a", None),
    ],
)
def test_only_what_a_field_allows_is_accepted(field: str, value: object, expected: object) -> None:
    accepted = SCHEMA.accept(field, value)

    assert expected == accepted
    assert type(expected) is type(accepted)


def test_levels_are_round_numbers() -> None:
    assert [0, 0.01, 0.02] == levels(0, 1)[:3]
    assert [0, 5, 10] == levels(0, 360)[:3]
    assert [60, 62, 64] == levels(60, 180)[:3]


@given(
    st.floats(-1e12, 1e12, allow_nan=False),
    st.floats(1e-6, 1e12, allow_nan=False),
)
def test_levels_reach_from_end_to_end_and_are_few(minimum: float, span: float) -> None:
    maximum = minimum + span
    if minimum >= maximum:
        return
    found = levels(minimum, maximum)

    assert (minimum, maximum) == (found[0], found[-1])
    assert 2 <= len(found) <= MOST_LEVELS + 2
    assert found == sorted(set(found))


def test_levels_of_an_absurd_range_are_its_ends() -> None:
    assert [-1.7e308, 1.7e308] == levels(-1.7e308, 1.7e308)


def test_the_hint_names_every_field_and_word_briefly() -> None:
    hint = SCHEMA.hint(ENGLISH)

    for word in ("reply", "prompt", "mood", "calm", "dark", "intensity", "0 to 1"):
        assert word in hint
    assert len(hint.split()) < 40
