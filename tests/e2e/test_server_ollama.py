"""Ollama's own client against the program with a real model."""

import json
from collections.abc import Iterator, Sequence

import ollama
import pytest

from tests.e2e.program import running
from tests.e2e.test_serve import ANY_PORT, address, ended

pytestmark = pytest.mark.e2e

MODEL = "smollm2-135m"
START_S = 60.0
HELLO = [{"role": "user", "content": "What is the capital of France?"}]
SCHEMA = {
    "type": "object",
    "properties": {"capital": {"type": "string", "maxLength": 20}, "is_big": {"type": "boolean"}},
    "required": ["capital", "is_big"],
}
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 24}


@pytest.fixture
def client() -> Iterator[ollama.Client]:
    """A client of `heisenberg serve` on free ports."""
    with running("serve", *ANY_PORT, "--log-level", "error") as process:
        with ollama.Client(address(process), timeout=START_S) as found:
            yield found
        assert 0 == ended(process)


def test_a_model_chats_and_is_unloaded(client: ollama.Client) -> None:
    """A stream with its figures, output that keeps to a schema, a conversation that goes on, and then it is gone."""
    *pieces, last = client.chat(MODEL, HELLO, stream=True, options=OPTIONS)
    assert "".join(piece.message.content or "" for piece in pieces).strip()
    assert 0 < (last.eval_count or 0) <= OPTIONS["num_predict"]
    assert 5 < (last.prompt_eval_count or 0)
    assert 0 < (last.eval_duration or 0) < (last.total_duration or 0)
    assert f"{MODEL}:latest" in [model.name for model in client.ps().models]

    answer = client.chat(MODEL, HELLO, format=SCHEMA, options={**OPTIONS, "num_predict": 80})
    assert {"capital", "is_big"} == set(json.loads(answer.message.content or ""))

    first = client.generate(MODEL, "Hello", options=OPTIONS)
    second = client.generate(MODEL, "Go on", context=first.context, options=OPTIONS)
    assert (second.prompt_eval_count or 0) > (first.prompt_eval_count or 0) + (first.eval_count or 0) // 2

    assert "unload" == client.generate(MODEL, "", keep_alive=0).done_reason
    assert [] == client.ps().models


def test_texts_are_embedded_and_long_ones_cut(client: ollama.Client) -> None:
    found = client.embed(MODEL, ["A cat sits.", "A cat is sitting.", "Interest rates rise. " * 2000])

    cat, other_cat, rates = found.embeddings
    assert _likeness(cat, other_cat) > _likeness(cat, rates)
    assert 1 == pytest.approx(_likeness(cat, cat), abs=1e-3)


def _likeness(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
