"""llama-server's stream in, the events of LM Studio's chat out."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.server.dialects.lmstudio.events import Event, Narrator, as_bytes
from heisenberg.server.sse import DONE, Payloads
from heisenberg.server.upstream import Refused

TIMINGS = {"cache_n": 30, "prompt_n": 2, "prompt_ms": 8.5, "predicted_n": 5, "predicted_ms": 500.0}


def delta(finish: str | None = None, **says: Any) -> bytes:
    return json.dumps({"choices": [{"index": 0, "finish_reason": finish, "delta": says}]}).encode()


def progress(processed: int, total: int) -> bytes:
    found = {"total": total, "cache": 0, "processed": processed, "time_ms": 1}
    return json.dumps(
        {"choices": [{"index": 0, "finish_reason": None, "delta": {}}], "prompt_progress": found}
    ).encode()


def narrator() -> Narrator:
    seconds = itertools.count()
    return Narrator("tiny", lambda: float(next(seconds)))


def told(*payloads: bytes, of: Narrator | None = None) -> list[Event]:
    """Every event from the question on."""
    found = of or narrator()
    events = found.ask()
    for payload in payloads:
        events += found.hear(payload)
    return [*events, *found.finish()]


def names(events: Sequence[Event]) -> list[str]:
    return [event["type"] for event in events]


READING = ["prompt_processing.start", "prompt_processing.progress", "prompt_processing.progress"]
READ = [*READING, "prompt_processing.end"]


# ── the order of events ──────────────────────────────────────────────────────────────────────────


def test_a_message() -> None:
    events = told(delta(role="assistant"), delta(content="Good"), delta(content=" day"), delta("stop"), DONE)

    assert [*READ, "message.start", "message.delta", "message.delta", "message.end"] == names(events)


def test_reasoning_ends_before_the_message_begins() -> None:
    events = told(delta(reasoning_content="Hm."), delta(content="Yes"), delta("stop"), DONE)

    thought = ["reasoning.start", "reasoning.delta", "reasoning.end"]
    assert [*READ, *thought, "message.start", "message.delta", "message.end"] == names(events)


def test_reasoning_again_is_a_block_of_its_own() -> None:
    found = narrator()
    told(delta(reasoning="a"), delta(content="b"), delta(reasoning="c"), delta(content="d"), delta("stop"), of=found)

    assert [("reasoning", "a"), ("message", "b"), ("reasoning", "c"), ("message", "d")] == [
        (item["type"], item["content"]) for item in found.result()["output"]
    ]
    assert "bd" == found.message


def test_progress_of_the_prompt_only_grows() -> None:
    events = told(progress(5, 10), progress(4, 10), progress(10, 10), delta(content="a"), delta("stop"))

    shares = [event["progress"] for event in events if "progress" in event]
    assert [0.0, 0.5, 1.0] == shares


def test_loading_comes_before_everything_but_the_start() -> None:
    found = narrator()

    events = [*found.begin(), *found.begin_loading(), *found.end_loading(1.5), *told(delta("stop"), of=found)]

    loading = ["model_load.start", "model_load.progress", "model_load.progress", "model_load.end"]
    assert ["chat.start", *loading, *READ] == names(events)
    assert 1.5 == found.result()["stats"]["model_load_time_seconds"]
    assert {"tiny"} == {event["model_instance_id"] for event in events[:5]}


def test_an_invented_tool_call_is_a_failed_one() -> None:
    call = {"index": 0, "function": {"name": "clock", "arguments": '{"zone"'}}
    rest = {"index": 0, "function": {"arguments": ': "UTC"}'}}
    found = narrator()

    events = told(delta(tool_calls=[call]), delta(tool_calls=[rest]), delta("tool_calls"), of=found)

    assert [*READ, "tool_call.start", "tool_call.arguments", "tool_call.failure"] == names(events)
    assert {"zone": "UTC"} == events[-2]["arguments"]
    assert ["invalid_tool_call"] == [item["type"] for item in found.result()["output"]]


def test_a_failure_ends_with_what_was_said() -> None:
    found = narrator()
    events = found.ask() + found.hear(delta(content="Good"))

    events += found.fail({"type": "internal_error", "message": "no"})

    assert [*READ, "message.start", "message.delta", "message.end", "error", "chat.end"] == names(events)
    assert "Good" == events[-1]["result"]["output"][0]["content"]
    assert "response_id" not in events[-1]["result"]


def test_a_failure_before_the_first_word_tells_no_end_of_the_prompt() -> None:
    found = narrator()

    events = found.ask() + found.fail({"type": "internal_error", "message": "no"})

    assert [*READING[:2], "error", "chat.end"] == names(events)


def test_bytes_have_the_name_and_the_data() -> None:
    raw = as_bytes(narrator().begin())

    assert raw == b'event: chat.start\ndata: {"type": "chat.start", "model_instance_id": "tiny"}\n\n'


# ── figures ──────────────────────────────────────────────────────────────────────────────────────


def test_figures_of_llama_server() -> None:
    found = narrator()
    last = json.dumps({"choices": [], "timings": TIMINGS}).encode()
    told(delta(reasoning_content="a"), delta(content="b"), delta("stop"), last, DONE, of=found)

    stats = found.result("resp_1")["stats"]
    assert stats == {
        "input_tokens": 32,
        "total_output_tokens": 5,
        "reasoning_output_tokens": 1,
        "tokens_per_second": 10.0,
        "time_to_first_token_seconds": 1.0,
    }


def test_figures_of_others() -> None:
    usage = {"prompt_tokens": 7, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 4}}
    found = narrator()
    told(delta(content="b"), delta("stop"), json.dumps({"choices": [], "usage": usage}).encode(), of=found)

    stats = found.result()["stats"]
    assert (7, 9, 4) == (stats["input_tokens"], stats["total_output_tokens"], stats["reasoning_output_tokens"])


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b'{"error": {"message": "out of memory"}}',
        b'{"choices": 7}',
        b'{"choices": [3]}',
        b'{"choices": [{"delta": {"content": 3}}]}',
        b'{"choices": [{"delta": {"tool_calls": [{"index": "x"}]}}]}',
        b'{"choices": [], "prompt_progress": {"total": 3}}',
        b'{"choices": [], "prompt_progress": {"total": "a", "processed": 1}}',
    ],
)
def test_nonsense_and_errors_are_refused(payload: bytes) -> None:
    found = narrator()
    found.ask()

    with pytest.raises(Refused):
        found.hear(payload)


def test_an_answer_that_breaks_off_is_refused() -> None:
    found = narrator()
    found.ask()
    found.hear(delta(content="a"))

    with pytest.raises(Refused, match="broke off"):
        found.finish()


# ── any stream ───────────────────────────────────────────────────────────────────────────────────

TEXTS = st.lists(st.tuples(st.sampled_from(["content", "reasoning_content"]), st.text(min_size=1)), max_size=20)


@given(TEXTS, st.data())
def test_any_stream_says_the_same_as_its_events(pieces: list[tuple[str, str]], data: st.DataObject) -> None:
    """What a client puts together of the events is what the model said, and what the last event says."""
    payloads = [delta(**{kind: text}) for kind, text in pieces]
    usage = {"prompt_tokens": 3, "completion_tokens": len(pieces)}
    payloads += [delta("stop"), json.dumps({"choices": [], "usage": usage}).encode(), DONE]
    raw = b"".join(b"data: " + payload + b"\n\n" for payload in payloads)
    cut = data.draw(st.integers(0, len(raw)))
    reader, found = Payloads(), narrator()

    events = found.begin() + found.ask()
    for part in (raw[:cut], raw[cut:]):
        for payload in reader.feed(part):
            events += found.hear(payload)
    events += found.finish()

    for name, kind in (("message", "content"), ("reasoning", "reasoning_content")):
        said = "".join(text for key, text in pieces if key == kind)
        assert said == "".join(event["content"] for event in events if event["type"] == f"{name}.delta")
        assert said == "".join(item["content"] for item in found.result()["output"] if item["type"] == name)
    assert is_well_ordered(names(events))
    assert max(1, len(pieces)) == max(1, found.result()["stats"]["total_output_tokens"])


def is_well_ordered(found: Sequence[str]) -> bool:
    """Blocks neither nest nor overlap, and deltas are inside of one."""
    inside = ""
    for name in found:
        block, _, what = name.partition(".")
        if what == "start" and block != "chat":
            if inside:
                return False
            inside = block
        elif what in ("delta", "progress", "end"):
            if inside != block:
                return False
            inside = "" if what == "end" else block
    return not inside
