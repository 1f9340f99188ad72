"""What of LM Studio's requests reaches a model's server, and what does not."""

from typing import Any

import pytest

from heisenberg.runner.catalog.entry import Model
from heisenberg.runner.catalog.gguf import GgufHeader
from heisenberg.server.asgi import BadRequest
from heisenberg.server.dialects.lmstudio.downloads import pulled_name
from heisenberg.server.dialects.lmstudio.errors import BadParameter
from heisenberg.server.dialects.lmstudio.requested import chat, completion, embeddings, model_name, ttl_s

PLAIN = Model("plain", "llm", header=GgufHeader(), context_tokens=4096)
ABLE = Model("able", "llm", header=GgufHeader(), capabilities=frozenset({"vision", "thinking"}))
IMAGE = "data:image/png;base64,iVBORw0KGgo="
HELLO = [{"role": "user", "content": "Hello"}]


def chat_body(model: Model = PLAIN, **request: Any) -> dict[str, Any]:
    return chat({"input": "Hello", **request}, model, ())[0]


# ── v0 ───────────────────────────────────────────────────────────────────────────────────────────


def test_only_known_keys_get_through() -> None:
    request = {"model": "x", "messages": HELLO, "n_discard": -5, "id_slot": 3, "lora": [], "ttl": 5, "top_k": 10**9}

    assert {"messages": HELLO, "top_k": 1_000_000} == completion(request, PLAIN, is_chat=True)


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ({"max_tokens": -1}, None),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8, "max_tokens": 7}, 8),
        ({"max_tokens": 1e300}, 2**31 - 1),
    ],
)
def test_a_negative_number_of_tokens_is_no_bound(asked: dict[str, Any], sent: int | None) -> None:
    assert sent == completion({"messages": HELLO, **asked}, PLAIN, is_chat=True).get("max_tokens")


def test_tools_are_left_out_where_the_runtime_has_none() -> None:
    model = Model("old", "llm", supports_tools=False)
    request = {"messages": HELLO, "tools": [{}], "tool_choice": "auto", "parallel_tool_calls": True}

    assert {"messages": HELLO} == completion(request, model, is_chat=True)


def test_a_stream_asks_for_its_figures() -> None:
    assert {"include_usage": True} == completion({"prompt": "a", "stream": True}, PLAIN, is_chat=False)[
        "stream_options"
    ]


def image_message(url: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


@pytest.mark.parametrize("url", ["http://10.0.0.1/a.png", "file:///etc/passwd", "https://example.org/a.png"])
def test_images_are_not_fetched(url: str) -> None:
    with pytest.raises(BadRequest, match="data"):
        completion(image_message(url), ABLE, is_chat=True)
    with pytest.raises(BadRequest, match="data"):
        chat_body(ABLE, input=[{"type": "image", "data_url": url}])


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        {"messages": "Hello"},
        {"messages": [1]},
        {"messages": HELLO, "temperature": "hot"},
        {"messages": HELLO, "temperature": float("nan")},
        {"messages": HELLO, "max_tokens": True},
        {"messages": HELLO, "stream": "yes"},
    ],
)
def test_completions_that_cannot_be_used(request_body: dict[str, Any]) -> None:
    with pytest.raises(BadParameter):
        completion(request_body, PLAIN, is_chat=True)


def test_embeddings() -> None:
    assert {"input": ["a"]} == embeddings({"model": "x", "input": ["a"], "keep": 1})
    assert {"input": [[1, 2]]} == embeddings({"input": [[1, 2]]})


@pytest.mark.parametrize("said", [None, [], {}, 3, ["a", 1], [[]], [True]])
def test_what_cannot_be_embedded(said: object) -> None:
    with pytest.raises(BadParameter):
        embeddings({"input": said})


@pytest.mark.parametrize("prompt", [None, {}, 3])
def test_what_is_no_prompt(prompt: object) -> None:
    with pytest.raises(BadParameter):
        completion({"prompt": prompt}, PLAIN, is_chat=False)


@pytest.mark.parametrize(("value", "seconds"), [(None, None), (60, 60.0), (0, 0.0), (1e12, -1.0)])
def test_time_to_live(value: object, seconds: float | None) -> None:
    assert seconds == ttl_s({"ttl": value})


@pytest.mark.parametrize("value", [-1, True, "5m", float("nan")])
def test_times_to_live_that_cannot_be(value: object) -> None:
    with pytest.raises(BadParameter):
        ttl_s({"ttl": value})


@pytest.mark.parametrize("value", [None, "", "  ", 3])
def test_a_model_is_needed(value: object) -> None:
    with pytest.raises(BadParameter, match="is required"):
        model_name({"model": value})


# ── v1 ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_question_after_others() -> None:
    before = [{"role": "system", "content": "Be kind."}, *HELLO, {"role": "assistant", "content": "Hi"}]

    body, kept = chat({"input": "And?", "max_output_tokens": 9, "temperature": 0}, PLAIN, before)

    assert [*before, {"role": "user", "content": "And?"}] == body["messages"] == kept
    assert (9, 0, True) == (body["max_tokens"], body["temperature"], body["return_progress"])


def test_a_new_system_prompt_takes_the_place_of_the_old_one() -> None:
    before = [{"role": "system", "content": "Be kind."}, *HELLO]

    _, kept = chat({"input": "x", "system_prompt": "Be brief."}, PLAIN, before)

    assert ["Be brief."] == [message["content"] for message in kept if message["role"] == "system"]


def test_parts_of_text_are_one_text_and_images_come_along() -> None:
    texts = [{"type": "text", "content": "a"}, {"type": "message", "content": "b"}]
    assert "a\nb" == chat_body(input=texts)["messages"][-1]["content"]

    mixed = chat_body(ABLE, input=[texts[0], {"type": "image", "data_url": IMAGE}])["messages"][-1]["content"]
    assert [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": IMAGE}}] == mixed


@pytest.mark.parametrize(
    ("setting", "sent"),
    [("off", {"enable_thinking": False}), ("high", {"enable_thinking": True, "reasoning_effort": "high"})],
)
def test_reasoning(setting: str, sent: dict[str, Any]) -> None:
    assert sent == chat_body(ABLE, reasoning=setting)["chat_template_kwargs"]


def test_other_servers_are_not_asked_for_progress() -> None:
    assert "return_progress" not in chat_body(Model("far", "llm", urls=("http://far:1",)))


@pytest.mark.parametrize(
    ("request_body", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": [{"type": "video"}]}, "input"),
        ({"input": [{"type": "image", "data_url": IMAGE}]}, "input"),  # it cannot see
        ({"system_prompt": 3}, "system_prompt"),
        ({"reasoning": "extreme"}, "reasoning"),
        ({"reasoning": "on"}, "reasoning"),  # it cannot think
        ({"context_length": 8192}, "context_length"),
        ({"context_length": "long"}, "context_length"),
        ({"integrations": ["mcp/playwright"]}, "integrations"),
        ({"top_p": "x"}, "top_p"),
    ],
)
def test_chats_that_cannot_be(request_body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadParameter) as failure:
        chat_body(**request_body)

    assert param == failure.value.param


def test_a_context_that_is_there_may_be_asked_for() -> None:
    assert chat_body(context_length=2048)["messages"]


# ── downloads ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"model": "smollm2-135m"}, "smollm2-135m"),
        ({"model": "https://huggingface.co/someone/a-GGUF"}, "hf:someone/a-GGUF"),
        ({"model": "someone/a-GGUF", "quantization": "Q4_K_M"}, "hf:someone/a-GGUF:*Q4_K_M*"),
        ({"model": "hf:someone/a-GGUF"}, "hf:someone/a-GGUF"),
        ({"model": "../../etc"}, "../../etc"),  # which no model is called
    ],
)
def test_names_of_downloads(asked: dict[str, Any], name: str) -> None:
    assert name == pulled_name(asked)


@pytest.mark.parametrize(
    "asked", [{"model": "smollm2-135m", "quantization": "Q4_0"}, {"model": "a/b", "quantization": "*"}]
)
def test_quantisations_that_cannot_be_chosen(asked: dict[str, Any]) -> None:
    with pytest.raises(BadParameter):
        pulled_name(asked)
