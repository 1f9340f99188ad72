"""What must not reach a model's server."""

from typing import Any

import pytest

from heisenberg.server.asgi import BadRequest
from heisenberg.server.request_guard import refuse_forced_tools, refuse_remote_media, refuse_several_answers, take_out

HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


def guarded(*, supports_tools: bool = True, **more: Any) -> dict[str, Any]:
    """What is left of *more*."""
    request = {**HELLO, **more}
    take_out(request, supports_tools=supports_tools)
    return {key: value for key, value in request.items() if key not in HELLO}


def user(*parts: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def test_an_ordinary_request_is_left_alone() -> None:
    request = {**HELLO, "temperature": 0.1, "n_keep": 5, "tools": [], "repeat_last_n": 64}
    before = dict(request)

    assert not take_out(request, supports_tools=True)
    assert before == request


@pytest.mark.parametrize(
    "key", ["n_discard", "id_slot", "slot_id", "lora", "speculative", "speculative.n_max", "speculative.type"]
)
def test_what_steers_the_server_itself_is_taken_out(key: str) -> None:
    assert {} == guarded(**{key: -5})


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"n_keep": -7}, {"n_keep": -1}),
        ({"n_keep": 10**30}, {"n_keep": 2**31 - 1}),
        ({"n_keep": float("nan")}, {}),
        ({"n_keep": "all"}, {}),
        ({"repeat_last_n": 2**31}, {"repeat_last_n": 32_768}),
        ({"dry_penalty_last_n": float("inf")}, {"dry_penalty_last_n": 32_768}),
    ],
)
def test_sizes_are_bounded(asked: dict[str, Any], told: dict[str, Any]) -> None:
    assert told == guarded(**asked)


def test_tools_are_taken_out_where_the_runtime_has_none() -> None:
    assert {"stop": "x"} == guarded(supports_tools=False, tools=[{}], tool_choice="auto", stop="x")


@pytest.mark.parametrize(
    "request_",
    [
        user({"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}}),
        user({"type": "image_url", "image_url": "https://example.org/a.png"}),
        user({"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}),
        user({"type": "image_url", "image_url": {"url": " data:image/png;base64,AA"}}),
        user({"type": "input_audio", "input_audio": {"url": "http://example.org/a.wav"}}),
        user({"type": "input_audio", "input_audio": {"data": "http://example.org/a.wav", "format": "wav"}}),
        user({"type": "input_video", "input_video": {"url": "http://example.org/a.mp4"}}),
        user({"type": "image", "source": {"type": "url", "url": "http://example.org/a.png"}}),
        user({"type": "tool_result", "content": [{"type": "image", "source": {"type": "url", "url": "http://a/b"}}]}),
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "http://a/b"}]}]},
        {"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": "http://a/b"}]}]},
        {"input": [{"type": "input_file", "file_url": "http://a/b"}]},
        {"messages": {"content": {"image_url": {"url": "ftp://a/b"}}}},
    ],
)
def test_nothing_is_fetched_for_a_client(request_: dict[str, Any]) -> None:
    with pytest.raises(BadRequest, match="data: URLs"):
        refuse_remote_media(request_, allows_web=False)


@pytest.mark.parametrize(
    "request_",
    [
        user({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
        user({"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}),
        user({"type": "text", "text": "look at http://example.org"}),
        user({"type": "tool_use", "input": {"nothing": 1}, "name": "fetch"}),
        {"messages": [{"role": "assistant", "tool_calls": [{"function": {"arguments": '{"image_url": "http://a"}'}}]}]},
        {"messages": "http://example.org", "input": ["http://example.org", None, 1]},
    ],
)
def test_what_the_client_brings_itself_passes(request_: dict[str, Any]) -> None:
    refuse_remote_media(request_, allows_web=False)


def test_the_web_may_be_allowed_but_never_files() -> None:
    refuse_remote_media(user({"image_url": {"url": "https://example.org/a.png"}}), allows_web=True)
    with pytest.raises(BadRequest):
        refuse_remote_media(user({"image_url": {"url": "file:///etc/passwd"}}), allows_web=True)


@pytest.mark.parametrize("request_", [{"n": 2}, {"n_cmpl": 3}, {"n": "2"}, {"n": 0}])
def test_one_request_has_one_answer(request_: dict[str, Any]) -> None:
    """Others would run in the voice's place."""
    with pytest.raises(BadRequest, match="1 answer"):
        refuse_several_answers(request_)


@pytest.mark.parametrize("request_", [{}, {"n": 1}, {"n": None}])
def test_one_answer_may_be_asked_for(request_: dict[str, Any]) -> None:
    refuse_several_answers(request_)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "f"}}])
def test_a_tool_that_cannot_be_called_is_not_promised(choice: object) -> None:
    with pytest.raises(BadRequest, match="takes no tools"):
        refuse_forced_tools({"tools": [{}], "tool_choice": choice})


@pytest.mark.parametrize(
    "request_", [{}, {"tools": [{}]}, {"tools": [{}], "tool_choice": "auto"}, {"tool_choice": "required"}]
)
def test_tools_that_are_only_offered_pass(request_: dict[str, Any]) -> None:
    refuse_forced_tools(request_)
