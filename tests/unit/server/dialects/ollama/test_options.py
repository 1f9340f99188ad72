"""Options and durations: known ones, within bounds."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.server.asgi import BadRequest
from heisenberg.server.dialects.ollama import conversation
from heisenberg.server.dialects.ollama.options import RANGES, sampling

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"temperature": 0.5, "top_k": 40.0, "seed": 7}, {"temperature": 0.5, "top_k": 40, "seed": 7}),
        ({"temperature": -1, "top_p": 5}, {"temperature": 0, "top_p": 1}),
        ({"num_predict": 20}, {"max_tokens": 20}),
        ({"num_predict": -1}, {}),
        ({"num_predict": -2}, {}),
        ({"num_predict": 0}, {}),
        ({"repeat_last_n": -1}, {"repeat_last_n": 2048}),
        ({"repeat_last_n": 10**12}, {"repeat_last_n": 32_768}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"stop": ["a", ""]}, {"stop": ["a"]}),
        ({"stop": None, "seed": None}, {}),
        ({"unheard_of": 1}, {}),
    ],
)
def test_options(options: dict[str, Any], expected: dict[str, Any]) -> None:
    assert expected == sampling(options, 2048)


@pytest.mark.parametrize("options", [{"temperature": "hot"}, {"seed": True}, {"stop": [1]}, {"stop": ["a"] * 65}])
def test_options_of_the_wrong_type_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="option"):
        sampling(options, 0)


@given(st.dictionaries(st.sampled_from([*RANGES, "num_predict", "repeat_last_n", "stop"]), json_values))
def test_numbers_never_leave_their_range(options: dict[str, Any]) -> None:
    try:
        found = sampling(options, 0)
    except BadRequest:
        return

    for allowed in RANGES.values():
        assert allowed.least <= found.get(allowed.name, allowed.least) <= allowed.most


messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text()})
)


@given(messages)
def test_a_context_holds_the_conversation(said: list[dict[str, Any]]) -> None:
    context = conversation.encode(said)

    assert len(context) > 2
    assert all(0 <= number < 2**31 for number in context)
    assert said == conversation.decode(context)


@given(json_values | st.lists(st.integers()).map(lambda rest: [conversation.MAGIC, *rest]))
def test_a_context_from_elsewhere_is_refused(context: object) -> None:
    with pytest.raises(BadRequest):
        conversation.decode(context)
