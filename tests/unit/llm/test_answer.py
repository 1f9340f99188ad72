"""A growing answer: what is said aloud is what is remembered."""

import json

from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.config import DEFAULT_VISUAL_SCHEMA
from heisenberg.core.stages import Answer, ReplySentence, Thought
from heisenberg.llm.answer import GrowingAnswer
from heisenberg.llm.deltas import Delta
from heisenberg.llm.visuals import VisualSchema

SCHEMA = VisualSchema(DEFAULT_VISUAL_SCHEMA, max_tokens=160)


def grow(text: str, finish: str) -> list[Thought]:
    answer = GrowingAnswer(SCHEMA)
    thoughts = [thought for char in text for thought in answer.take(Delta(char, "", 0))]
    thoughts += answer.take(Delta("", finish, 7))
    return [*thoughts, *answer.finish()]


@given(st.text(alphabet="ab .,!?\n«»é", min_size=1), st.booleans(), st.integers(0, 40))
def test_the_sentences_join_to_the_reply(reply: str, is_cut: bool, missing: int) -> None:
    """Apart from white space; cut off or not."""
    text = json.dumps({"reply": f"x {reply}", "visual": {"mood": "dark"}})
    end = max(len(text) - missing, len('{"reply": "x')) if is_cut else len(text)
    thoughts = grow(text[:end], "length" if is_cut else "stop")
    said = "".join(thought.text for thought in thoughts if isinstance(thought, ReplySentence))
    *_, last = thoughts

    assert isinstance(last, Answer)
    assert "".join(last.text.split()) == "".join(said.split())


def test_the_servers_count_of_tokens_is_believed() -> None:
    assert Answer("Hi", {}, 7) == grow('{"reply":"Hi"}', "stop")[-1]


def test_a_single_word_is_kept_although_it_may_be_cut() -> None:
    assert Answer("Hel", {}, 7) == grow('{"reply":"Hel', "length")[-1]
