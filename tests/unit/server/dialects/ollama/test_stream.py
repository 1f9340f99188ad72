"""llama-server's stream in, Ollama's lines out."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import ChatResponse, GenerateResponse

from heisenberg.server.dialects.ollama.stream import Shape, Translator, fold

TIMINGS = {"cache_n": 30, "prompt_n": 2, "prompt_ms": 8.5, "predicted_n": 5, "predicted_ms": 40.25}


def translator(shape: Shape = "chat", **more: Any) -> Translator:
    return Translator("tiny", shape, clock=lambda: 3.0, began_s=1.0, **more)


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def delta(*, finish: str | None = None, **says: Any) -> bytes:
    return event({"choices": [{"index": 0, "finish_reason": finish, "delta": says}], "object": "chat.completion.chunk"})


DONE = b"data: [DONE]\n\n"


def lines(raw: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in raw.decode("ascii").split("\n") if line]


def fed(stream: bytes, shape: Shape = "chat", **more: Any) -> list[dict[str, Any]]:
    """What a client reads of *stream*."""
    found = translator(shape, **more)
    return lines(found.feed(stream) + found.finish())


def test_text_comes_piece_by_piece_and_the_last_line_has_every_figure() -> None:
    stream = delta(role="assistant", content=None) + delta(content="Good") + delta(content=" evening")
    stream += event({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}], "timings": TIMINGS}) + DONE

    *pieces, last = fed(stream, load_s=0.5)

    assert ["Good", " evening"] == [piece["message"]["content"] for piece in pieces]
    assert all(piece["model"] == "tiny" and piece["done"] is False for piece in pieces)
    del last["created_at"]
    assert last == {
        "model": "tiny",
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
        "total_duration": 2_000_000_000,
        "load_duration": 500_000_000,
        "prompt_eval_count": 32,
        "prompt_eval_duration": 8_500_000,
        "eval_count": 5,
        "eval_duration": 40_250_000,
    }


def test_figures_in_a_chunk_of_their_own_count() -> None:
    """With ``include_usage`` they come after the finish reason."""
    usage = {"prompt_tokens": 7, "completion_tokens": 9}

    last = fed(delta(content="a") + delta(finish="length") + event({"choices": [], "usage": usage}) + DONE)[-1]

    assert ("length", 7, 9) == (last["done_reason"], last["prompt_eval_count"], last["eval_count"])


def test_a_server_without_any_figures_is_counted_and_timed() -> None:
    last = fed(delta(content="a") + delta(content="b") + delta(finish="stop") + DONE)[-1]

    assert 2 == last["eval_count"]


def test_thinking_is_apart_from_text() -> None:
    pieces = fed(delta(reasoning_content="Hm.") + delta(content="Yes.") + delta(finish="stop") + DONE)

    assert {"role": "assistant", "content": "", "thinking": "Hm."} == pieces[0]["message"]
    assert {"role": "assistant", "content": "Yes."} == pieces[1]["message"]


def test_tool_calls_come_whole_and_with_objects_as_arguments() -> None:
    start = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"ci'}}
    other = {"index": 1, "id": "call_2", "type": "function", "function": {"name": "now", "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": 'ty": "Oslo"}'}}
    stream = b"".join(delta(tool_calls=[part]) for part in (start, other, rest))

    calls, last = fed(stream + delta(finish="tool_calls") + DONE)

    assert calls["done"] is False
    assert calls["message"]["tool_calls"] == [
        {"id": "call_1", "function": {"index": 0, "name": "weather", "arguments": {"city": "Oslo"}}},
        {"id": "call_2", "function": {"index": 1, "name": "now", "arguments": {}}},
    ]
    assert (True, "stop") == (last["done"], last["done_reason"])


def test_a_tool_call_that_was_cut_off_is_left_out() -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": '{"city": "Os'}}

    (last,) = fed(delta(tool_calls=[call]) + delta(finish="length") + DONE)

    assert "length" == last["done_reason"]


def test_a_tool_call_that_is_no_object_is_an_error() -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": "[1]"}}

    (last,) = fed(delta(tool_calls=[call]) + delta(finish="tool_calls") + DONE)

    assert 'the tool "weather"' in last["error"]


def test_logprobs_are_at_the_top_of_a_line() -> None:
    token: dict[str, Any] = {"id": 5, "token": "a", "logprob": -0.5, "bytes": [97]}
    choice: dict[str, Any] = {"index": 0, "finish_reason": None, "delta": {"content": "a"}}
    choice["logprobs"] = {"content": [{**token, "top_logprobs": [token]}]}

    first = fed(event({"choices": [choice]}) + delta(finish="stop") + DONE)[0]

    plain = {"token": "a", "logprob": -0.5, "bytes": [97]}
    assert [{**plain, "top_logprobs": [plain]}] == first["logprobs"]


def test_an_error_in_the_middle_is_the_last_line() -> None:
    stream = delta(content="Well") + event({"error": {"code": 500, "message": "out of memory"}}) + delta(content="!")

    said, last = fed(stream)

    assert ("Well", {"error": "out of memory"}) == (said["message"]["content"], last)


def test_an_error_of_older_servers_is_one_too() -> None:
    assert {"error": "out of memory"} == fed(b'error: {"message": "out of memory"}\n\n')[-1]


@pytest.mark.parametrize(
    "stream",
    [
        delta(content="Well"),
        b"",
        b"data: {not json}\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": [{"delta": {"content": 5}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": 1e999}]}}]}\n\n',
        b'data: {"choices": [7]}\n\n',
        b"data: " + b"[" * 100_000 + b"\n\n",
        delta(finish="stop") + event({"choices": [], "timings": {"prompt_n": "many"}}),
        b"<html>502</html>",
    ],
)
def test_a_stream_that_is_none_ends_with_an_error(stream: bytes) -> None:
    assert "error" in fed(stream)[-1]


def test_a_line_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heisenberg.server.dialects.ollama.stream.LONGEST_LINE_BYTES", 1000)
    found = translator()

    raw = b"".join(found.feed(b"x" * 400) for _ in range(5))

    assert [{"error": "the model's server sent a line without end"}] == lines(raw)


def test_completions_and_infill_are_translated_too() -> None:
    completion = event({"choices": [{"text": "a", "index": 0, "logprobs": None, "finish_reason": None}]})
    completion += event({"choices": [{"text": "", "index": 0, "finish_reason": "stop"}], "timings": TIMINGS}) + DONE
    infill = event({"content": "a", "stop": False})
    infill += event({"content": "", "stop": True, "stop_type": "limit", "timings": TIMINGS})

    for stream, reason in ((completion, "stop"), (infill, "length")):
        first, last = fed(stream, "generate")
        assert ("a", 5, reason) == (first["response"], last["eval_count"], last["done_reason"])


def test_one_read_makes_one_write() -> None:
    assert 3 == translator().feed(delta(content="a") * 3).count(b"\n")


def test_nothing_comes_after_the_last_line() -> None:
    found = translator()
    found.feed(delta(content="a") + delta(finish="stop") + DONE)

    assert (b"", b"") == (found.feed(delta(content="b")), found.finish())


def test_folded_lines_are_one_answer() -> None:
    call = {"index": 0, "function": {"name": "now", "arguments": "{}"}}
    stream = delta(reasoning_content="Hm", content="Go") + delta(content="od") + delta(tool_calls=[call])
    found = translator()

    whole = fold(found.feed(stream + delta(finish="stop") + DONE))

    assert whole["message"] == {
        "role": "assistant",
        "content": "Good",
        "thinking": "Hm",
        "tool_calls": [{"function": {"index": 0, "name": "now", "arguments": {}}}],
    }
    assert (True, 3) == (whole["done"], whole["eval_count"])


# ── whatever is said arrives ─────────────────────────────────────────────────────────────────────

text = st.text(max_size=12)
arguments = st.dictionaries(text, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text, max_size=3)
calls = st.lists(st.tuples(st.text(min_size=1, max_size=8), arguments), max_size=3)
said = st.lists(st.tuples(st.sampled_from(["content", "reasoning_content"]), text), max_size=12)
comments = st.sampled_from([b"", b":\n\n", b": ping\n\n", b"event: x\nid: 5\n", b"\n"])


def tool_deltas(wanted: Sequence[tuple[str, dict[str, Any]]], cut: int) -> list[bytes]:
    """Each call in three deltas, its arguments cut at *cut*; the calls in turns."""
    found = []
    texts = [json.dumps(arguments) for _, arguments in wanted]
    for index, (name, _) in enumerate(wanted):
        start = {"index": index, "id": f"c{index}", "type": "function", "function": {"name": name, "arguments": ""}}
        found.append(delta(tool_calls=[start]))
    for part in (slice(0, cut), slice(cut, None)):
        for index, text in enumerate(texts):
            found.append(delta(tool_calls=[{"index": index, "function": {"arguments": text[part]}}]))
    return found


@given(
    pieces=said,
    wanted=calls,
    cut=st.integers(0, 8),
    comment=comments,
    ends=st.sampled_from([b"\n", b"\r\n"]),
    escaped=st.booleans(),
    data=st.data(),
)
def test_what_the_client_puts_together_is_what_was_said(
    pieces: list[tuple[str, str]],
    wanted: list[tuple[str, dict[str, Any]]],
    cut: int,
    comment: bytes,
    ends: bytes,
    escaped: bool,
    data: st.DataObject,
) -> None:
    """Any text, tools and comments, cut anywhere into reads: text, thinking, tools and counts survive."""
    events = [delta(role="assistant", content=None), *(delta(**{kind: piece}) for kind, piece in pieces)]
    if not escaped:  # llama-server sends UTF-8 as it is
        events = [json.dumps(json.loads(e[6:]), ensure_ascii=False).encode() for e in events]
        events = [b"data: " + e + b"\n\n" for e in events]
    events += tool_deltas(wanted, cut)
    events.append(event({"choices": [{"index": 0, "finish_reason": "stop", "delta": {}}], "timings": TIMINGS}))
    stream = comment.join([*events, DONE]).replace(b"\n", ends)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    found = translator()

    raw = b"".join(found.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))
    responses = [ChatResponse(**json.loads(line)) for line in (raw + found.finish()).decode().splitlines()]

    messages = [response.message for response in responses]
    assert "".join(piece for kind, piece in pieces if kind == "content") == "".join(m.content or "" for m in messages)
    assert "".join(piece for kind, piece in pieces if kind != "content") == "".join(m.thinking or "" for m in messages)
    heard = [(call.function.name, call.function.arguments) for m in messages for call in m.tool_calls or ()]
    assert wanted == heard
    last = responses[-1]
    assert (True, "stop", 32, 5) == (last.done, last.done_reason, last.prompt_eval_count, last.eval_count)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_bytes_at_all_upset_it(raw: bytes, size: int) -> None:
    found = translator("generate")

    out = b"".join(found.feed(raw[at : at + size]) for at in range(0, len(raw), size)) + found.finish()

    assert "error" in json.loads(out.splitlines()[-1])


def test_the_conversation_is_given_back_with_an_answer() -> None:
    stream = delta(content="Good") + delta(content="bye.") + delta(finish="stop") + DONE

    last = GenerateResponse(**fed(stream, "generate", conversation=[{"role": "user", "content": "Hello"}])[-1])

    assert last.context is not None
    assert len(last.context) > 2
