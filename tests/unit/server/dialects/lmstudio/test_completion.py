"""OpenAI's answers with LM Studio's figures at their end."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.server.dialects.lmstudio.completion import Ending, whole
from heisenberg.server.dialects.lmstudio.figures import Figures
from heisenberg.server.sse import DONE, Payloads
from heisenberg.server.upstream import Refused

EXTRAS = {"model_info": {"arch": "llama"}, "runtime": {"name": "x"}}
TIMINGS = {"prompt_n": 2, "prompt_ms": 250.0, "predicted_n": 5, "predicted_ms": 500.0}


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    says = {} if text is None else {"content": text}
    return json.dumps({"choices": [{"index": 0, "finish_reason": finish, "delta": says}], **more}).encode()


def ending(*, has_usage: bool = False) -> Ending:
    return Ending(lambda: 1.0, EXTRAS, has_usage=has_usage)


def heard(*payloads: bytes, has_usage: bool = False) -> list[bytes]:
    found = ending(has_usage=has_usage)
    raw = b"".join(found.hear(payload) for payload in payloads)
    return Payloads().feed(raw + found.finish())


def test_the_last_chunk_has_the_figures_and_all_others_stay_as_they_are() -> None:
    first, second = chunk("Good"), chunk(' "finish_reason":"stop" ')
    usage = json.dumps({"choices": [], "usage": {"completion_tokens": 5}, "timings": TIMINGS}).encode()

    *before, last, done = heard(first, second, chunk(finish="length"), usage, DONE)

    assert [first, second] == before
    assert DONE == done
    found = json.loads(last)
    assert {"arch": "llama"} == found["model_info"]
    assert found["stats"] == {
        "tokens_per_second": 10.0,
        "time_to_first_token": 0.0,
        "generation_time": 0.5,
        "stop_reason": "maxPredictedTokensReached",
    }


def test_timings_in_the_last_chunk_count_and_are_not_handed_on() -> None:
    last = json.loads(heard(chunk("a"), chunk(finish="stop", timings=TIMINGS), DONE)[-2])

    assert ("eosFound", 10.0) == (last["stats"]["stop_reason"], last["stats"]["tokens_per_second"])
    assert "timings" not in last


def test_the_chunk_of_usage_comes_only_to_who_asks_for_it() -> None:
    usage = json.dumps({"choices": [], "usage": {"completion_tokens": 5}}).encode()
    stream = (chunk("a"), chunk(finish="stop"), usage, DONE)

    assert (3, 4) == (len(heard(*stream)), len(heard(*stream, has_usage=True)))
    assert json.loads(usage) == json.loads(heard(*stream, has_usage=True)[-2])


def test_an_end_without_done_is_an_end() -> None:
    assert DONE == heard(chunk("a"), chunk(finish="stop"))[-1]


@pytest.mark.parametrize("payload", [b"{", b'{"error": {"message": "no"}}', b'{"choices": 3}', b"{}", b"3"])
def test_nonsense_and_errors_are_refused(payload: bytes) -> None:
    with pytest.raises(Refused):
        ending().hear(payload)


def test_an_answer_that_breaks_off_is_refused() -> None:
    found = ending()
    found.hear(chunk("a"))

    with pytest.raises(Refused, match="broke off"):
        found.finish()


def test_an_answer_in_one_piece() -> None:
    answer = {"choices": [{"finish_reason": "stop", "message": {"content": "a"}}], "timings": TIMINGS}

    found = whole(answer, Figures(lambda: 1.0), EXTRAS)

    assert 0.25 == found["stats"]["time_to_first_token"]
    assert {"choices", "stats", "model_info", "runtime"} == set(found)


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"choices": [1]}, {"choices": "x"}])
def test_what_is_no_answer_is_refused(answer: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        whole(answer, Figures(lambda: 1.0), EXTRAS)


@given(st.lists(st.text(min_size=1), max_size=20), st.booleans())
def test_any_stream_keeps_its_text_and_counts(texts: list[str], has_usage: bool) -> None:
    usage = json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": len(texts)}}).encode()
    found = ending(has_usage=has_usage)
    raw = b"".join(found.hear(payload) for payload in [*map(chunk, texts), chunk(finish="stop"), usage, DONE])

    events = [json.loads(payload) for payload in Payloads().feed(raw) if payload != DONE]
    choices = [event["choices"][0] for event in events if event["choices"]]
    assert "".join(texts) == "".join(choice["delta"].get("content", "") for choice in choices)
    assert 1 == sum("stats" in event for event in events)
    assert len(texts) == found.figures.output_tokens
