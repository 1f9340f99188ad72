"""Ollama's requests as bodies for llama-server."""

import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.server.asgi import BadRequest
from heisenberg.server.dialects.ollama import conversation
from heisenberg.server.dialects.ollama.request import chat, generate, is_streamed, model_name

MODEL = Model("tiny", "llm", capabilities=frozenset({"completion"}), context_tokens=2048)
READABLE = replace(MODEL, header=GgufHeader(architecture="llama"))
HELLO = {"role": "user", "content": "Hello"}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(60)).decode()
WEBP = base64.b64encode(b"RIFF\0\0\0\0WEBPVP8 " + bytes(60)).decode()


def chat_body(**request: Any) -> dict[str, Any]:
    return chat({"model": "tiny", "messages": [HELLO], **request}, MODEL).body


def generate_body(**request: Any) -> dict[str, Any]:
    return generate({"model": "tiny", "prompt": "Hello", **request}, MODEL).body


def test_a_plain_chat_asks_for_a_stream_with_figures() -> None:
    assert chat_body() == {"messages": [HELLO], "stream": True, "stream_options": {"include_usage": True}}


def test_nothing_unknown_gets_through() -> None:
    """Parameters reach C++: only those that are named do."""
    hostile = {"n_discard": -1, "id_slot": 7, "lora": [], "n_keep": -5, "cache_prompt": False, "grammar": "root ::= x"}

    assert chat_body() == chat_body(**hostile, options={**hostile, "num_ctx": 99, "num_gpu": 1, "num_keep": 4})


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("json", {"type": "json_object"}),
        ({"type": "object"}, {"type": "json_schema", "json_schema": {"name": "schema", "schema": {"type": "object"}}}),
        ("", None),
        (None, None),
    ],
)
def test_formats(format_: object, expected: object) -> None:
    assert expected == chat_body(format=format_).get("response_format")


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (None, None),
        (True, {"enable_thinking": True}),
        (False, {"enable_thinking": False}),
        ("high", {"enable_thinking": True, "reasoning_effort": "high"}),
    ],
)
def test_thinking(think: object, expected: object) -> None:
    assert expected == chat_body(think=think).get("chat_template_kwargs")


def test_tools_are_left_out_where_the_runtime_cannot() -> None:
    request = {"model": "tiny", "messages": [HELLO], "tools": [TOOL]}

    assert [TOOL] == chat(request, MODEL).body["tools"]
    assert "tools" not in chat(request, replace(MODEL, supports_tools=False)).body


def test_a_conversation_with_tools_is_put_in_openais_words() -> None:
    """Ollama's clients name the tool that answers; llama-server wants the id of the call."""
    messages = [
        {"role": "USER", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "",
            "thinking": "I look.",
            "tool_calls": [
                {"function": {"name": "weather", "arguments": {"city": "Oslo"}}},
                {"id": "own", "function": {"name": "weather", "arguments": {"city": "Rome"}}},
            ],
        },
        {"role": "tool", "content": "rain", "tool_name": "weather"},
        {"role": "tool", "content": "sun", "tool_call_id": "own"},
    ]

    user, assistant, first, second = chat_body(messages=messages)["messages"]

    assert {"role": "user", "content": "Weather?"} == user
    assert "I look." == assistant["reasoning_content"]
    calls = assistant["tool_calls"]
    assert [{"city": "Oslo"}, {"city": "Rome"}] == [json.loads(call["function"]["arguments"]) for call in calls]
    assert {"role": "tool", "content": "rain", "tool_call_id": calls[0]["id"], "name": "weather"} == first
    assert {"role": "tool", "content": "sun", "tool_call_id": "own", "name": "weather"} == second
    assert calls[0]["id"] != calls[1]["id"]


def test_pictures_become_data_urls() -> None:
    (message,) = chat_body(messages=[{**HELLO, "images": [PNG]}])["messages"]

    url = f"data:image/png;base64,{PNG}"
    assert [{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": url}}] == message["content"]


def test_a_prompt_is_a_chat_of_one_message() -> None:
    asked = generate({"model": "tiny", "prompt": "Hello", "system": "Be brief.", "images": [PNG]}, MODEL)

    assert ("/v1/chat/completions", "generate") == (asked.path, asked.shape)
    system, user = asked.body["messages"]
    assert ({"role": "system", "content": "Be brief."}, "image_url") == (system, user["content"][1]["type"])


def test_context_brings_the_conversation_back() -> None:
    earlier = [{"role": "system", "content": "Be brief."}, HELLO, {"role": "assistant", "content": "Hi."}]

    asked = generate({"model": "tiny", "prompt": "More", "context": conversation.encode(earlier)}, MODEL)

    assert [*earlier, {"role": "user", "content": "More"}] == asked.body["messages"] == list(asked.conversation or ())


def test_a_new_system_prompt_takes_the_place_of_the_old_one() -> None:
    earlier = conversation.encode([{"role": "system", "content": "Old."}, HELLO])

    messages = generate_body(context=earlier, system="New.")["messages"]

    assert ["New."] == [message["content"] for message in messages if message["role"] == "system"]


def test_a_model_without_a_template_goes_on_with_the_prompt() -> None:
    """A base model: llama-server would put ChatML around it, as for a chat."""
    asked = generate({"model": "base", "prompt": "The capital of France is"}, READABLE)

    assert "/v1/completions" == asked.path
    assert "The capital of France is" == asked.body["prompt"]


@pytest.mark.parametrize(
    ("model", "more"),
    [
        (MODEL, {}),  # nothing is known of its file
        (replace(MODEL, header=GgufHeader(has_chat_template=True)), {}),
        (replace(READABLE, parameters={"chat-template": "chatml"}), {}),
        (READABLE, {"system": "Be brief."}),
        (READABLE, {"images": [PNG]}),
    ],
)
def test_other_prompts_are_a_chat_of_one_message(model: Model, more: dict[str, Any]) -> None:
    model = replace(model, capabilities=frozenset({"completion", "vision"}))

    assert "/v1/chat/completions" == generate({"model": "tiny", "prompt": "Hi", **more}, model).path


def test_raw_prompts_are_completions() -> None:
    asked = generate({"model": "tiny", "prompt": "<s>Hi", "raw": True, "format": {"type": "object"}}, MODEL)

    assert ("/v1/completions", "<s>Hi") == (asked.path, asked.body["prompt"])
    assert {"type": "object"} == asked.body["json_schema"]
    assert asked.conversation is None


def test_a_suffix_is_filled_in_before() -> None:
    request = {"model": "tiny", "prompt": "def f(", "suffix": "return x", "options": {"num_predict": 9}}

    here = generate(request, MODEL)
    elsewhere = generate(request, replace(MODEL, urls=("http://other:8000",)))

    assert ("/infill", "def f(", "return x", 9) == (
        here.path,
        here.body["input_prefix"],
        here.body["input_suffix"],
        here.body["n_predict"],
    )
    assert ("/v1/completions", "return x") == (elsewhere.path, elsewhere.body["suffix"])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"messages": "Hello"}, "messages has to be a list"),
        ({"messages": ["Hello"]}, "messages has to be a list of objects"),
        ({"messages": [{"role": "king", "content": ""}]}, 'the role of a message is "king"'),
        ({"messages": [{"role": "user", "content": ["Hi"]}]}, "content has to be a string"),
        ({"messages": [{**HELLO, "images": [WEBP]}]}, "WebP"),
        ({"messages": [{**HELLO, "images": ["http://evil/x.png"]}]}, "addresses are not fetched"),
        ({"messages": [{**HELLO, "images": ["AAAA"]}]}, "of an unknown kind"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{"name": "x"}]}]}, "needs a function"),
        ({"format": "yaml"}, "format is"),
        ({"think": "hard"}, "think is"),
        ({"tools": ["x"]}, "tools has to be a list of objects"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs must be between"),
        ({"options": [1]}, "options has to be"),
    ],
)
def test_what_cannot_be_used_is_refused(request_: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat_body(**request_)

    assert said in refused.value.message


@pytest.mark.parametrize(
    "request_",
    [
        {"template": "{{ .Prompt }}"},
        {"raw": True, "system": "x"},
        {"raw": True, "images": [PNG]},
        {"context": [1, 2, 3]},
        {"prompt": 5},
    ],
)
def test_prompts_that_cannot_be_used_are_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        generate_body(**request_)


@pytest.mark.parametrize(
    ("request_", "lacks"),
    [
        ({"tools": [TOOL]}, '"tiny" does not support tools'),
        ({"think": True}, '"tiny" does not support thinking'),
        ({"messages": [{**HELLO, "images": [PNG]}]}, '"tiny" does not support image input'),
    ],
)
def test_what_the_file_says_it_cannot_do_is_refused(request_: dict[str, Any], lacks: str) -> None:
    with pytest.raises(BadRequest) as refused:
        chat({"model": "tiny", "messages": [HELLO], **request_}, READABLE)

    assert lacks == refused.value.message


def test_a_model_that_cannot_think_may_be_told_not_to() -> None:
    assert chat({"model": "tiny", "messages": [HELLO], "think": False}, READABLE).body


def test_a_model_without_fill_in_tokens_is_refused_a_suffix() -> None:
    with pytest.raises(BadRequest, match="does not support insert"):
        generate({"model": "tiny", "prompt": "a", "suffix": "b"}, READABLE)


@pytest.mark.parametrize("request_", [{}, {"model": ""}, {"model": 5}, {"model": " "}])
def test_a_model_has_to_be_named(request_: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="model is required"):
        model_name(request_)


def test_answers_are_streamed_unless_told_otherwise() -> None:
    assert (True, True, False) == (is_streamed({}), is_streamed({"stream": None}), is_streamed({"stream": False}))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "content", "images", "tool_calls", "function", "name"]), inner)
    ),
    max_leaves=8,
)
KEYS = ["model", "messages", "prompt", "suffix", "raw", "system", "template", "context", "images", "tools"]
KEYS += ["format", "think", "options", "stream", "keep_alive", "logprobs", "top_logprobs"]


@given(st.dictionaries(st.sampled_from(KEYS), json_values))
def test_no_request_at_all_upsets_it(request_: dict[str, Any]) -> None:
    for translate in (chat, generate):
        try:
            body = translate({"model": "tiny", **request_}, MODEL).body
        except BadRequest:
            continue
        json.dumps(body)
