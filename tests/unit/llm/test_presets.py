"""Styles by name."""

import pytest

from heisenberg.core.config import BUILT_IN_PRESETS, LlmConfig, PresetConfig, VisualConfig, VisualField
from heisenberg.core.errors import ConfigError
from heisenberg.llm.analyst import SchemaAnalyst
from heisenberg.llm.presets import BUILT_IN, names, resolve
from heisenberg.llm.visuals import VisualSchema
from tests.fakes.stages import FakeService

MINE = PresetConfig(system_prompt="Everything is made of paper.")


def test_no_name_is_the_plain_style() -> None:
    assert PresetConfig() == resolve("", {"mine": MINE})


def test_a_configured_style_wins_over_a_built_in_one() -> None:
    assert BUILT_IN["shader"] == resolve("shader", {})
    assert MINE == resolve("shader", {"shader": MINE})


@pytest.mark.parametrize(("name", "hint"), [("partciles", 'Did you mean "particles"?'), ("zzz", "shader.")])
def test_a_name_that_there_is_not(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        resolve(name, {"mine": MINE})

    assert "there are mine, streamdiffusion, particles, shader." in raised.value.message
    assert raised.value.message.endswith(hint)


def test_the_configuration_knows_every_built_in_style() -> None:
    assert list(BUILT_IN_PRESETS) == list(BUILT_IN) == names({})


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_style_is_a_schema_that_accepts_its_own_example(name: str) -> None:
    schema = VisualSchema(BUILT_IN[name].fields, max_tokens=160, has_reply=False)

    assert list(BUILT_IN[name].fields) == schema.json_schema()["required"]


def test_what_stable_diffusion_reads_is_bounded() -> None:
    assert 77 == BUILT_IN["streamdiffusion"].fields["prompt"].clip_tokens


@pytest.mark.parametrize("wrong", [{"type": "float"}, {"clip_tokens": 5}, {"clip_tokens": -1}])
def test_a_bound_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="clip_tokens"):
        VisualField.model_validate({"clip_tokens": 77, **wrong})


@pytest.mark.parametrize(("name", "messages"), [("streamdiffusion", 6), ("mine", 2)])
def test_our_styles_show_what_an_answer_looks_like(name: str, messages: int) -> None:
    """A style of the user's is not contradicted by our pictures."""
    analyst = SchemaAnalyst(LlmConfig(), VisualConfig(), FakeService("http://nowhere").lease)
    preset = resolve(name, {"mine": MINE})

    prompt = analyst._prompt("Tonight we walk along the sea.", preset, analyst._schema(preset))

    assert messages == len(prompt.fields["messages"])
