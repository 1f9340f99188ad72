"""Texts are spoken sentence by sentence, and no word is lost."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.server.audio.sentences import LONGEST, complete, sentences


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Hello there. How are you?", ["Hello there.", "How are you?"]),
        ('He said "no." She left.', ['He said "no."', "She left."]),
        ("Pi is 3.14159 today", ["Pi is 3.14159 today"]),
        ("你好。再见。", ["你好。", "再见。"]),
        ("A title\n\nA text", ["A title", "A text"]),
        ("… — !", []),
        ("", []),
    ],
)
def test_sentences(text: str, parts: list[str]) -> None:
    assert parts == list(sentences(text))


@given(st.text(st.sampled_from("ab ,;.!?\n…"), max_size=3000))
def test_no_word_is_lost_and_no_part_is_too_long(text: str) -> None:
    parts = list(sentences(text))

    assert re.findall("[ab]", text) == re.findall("[ab]", "".join(parts))
    assert all(0 < len(part) <= LONGEST for part in parts)


@given(st.lists(st.text(st.sampled_from("ab .!?\n"), max_size=40), max_size=40))
def test_a_text_that_grows_is_spoken_as_if_it_were_whole(pieces: list[str]) -> None:
    spoken: list[str] = []
    rest = ""
    for piece in pieces:
        done, rest = complete(rest + piece)
        spoken += done
    spoken += sentences(rest)

    assert re.findall("[ab]", "".join(pieces)) == re.findall("[ab]", "".join(spoken))


def test_a_sentence_that_is_not_over_waits() -> None:
    assert (["One is over."], "Two is") == complete("One is over. Two is")
