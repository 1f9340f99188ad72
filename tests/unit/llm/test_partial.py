"""The parser of the growing answer: the same result for every way to cut it, and nothing before its time."""

import json
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.config import DEFAULT_VISUAL_SCHEMA
from heisenberg.core.stages import ReplyToken, VisualField
from heisenberg.llm.partial import PREAMBLE_CHARS, AnswerParser, Piece, ReplyEnded
from heisenberg.llm.visuals import VisualSchema

SCHEMA = VisualSchema(DEFAULT_VISUAL_SCHEMA, max_tokens=1000)
VISUAL = {"prompt": "a red sky", "mood": "calm", "intensity": 0.5}
ANSWER = json.dumps({"reply": "Hello, you.", "visual": VISUAL})


def parse(*pieces: str, is_cut: bool = False) -> list[Piece]:
    parser = AnswerParser(SCHEMA)
    found = [found for piece in pieces for found in parser.feed(piece)]
    return _joined([*found, *parser.finish(is_cut=is_cut)])


def _joined(found: list[Piece]) -> list[Piece]:
    """Neighbouring tokens put together."""
    result: list[Piece] = []
    for is_token, group in groupby(found, lambda piece: isinstance(piece, ReplyToken)):
        pieces = list(group)
        result += [ReplyToken("".join(piece.text for piece in pieces))] if is_token else pieces
    return result


def answer(reply: str, *fields: VisualField) -> list[Piece]:
    return [ReplyToken(reply), ReplyEnded(True), *fields]


FIELDS = [VisualField("prompt", "a red sky"), VisualField("mood", "calm"), VisualField("intensity", 0.5)]


def test_the_reply_grows_and_each_field_comes_once_when_it_is_complete() -> None:
    parser = AnswerParser(SCHEMA)

    assert [ReplyToken("Hel")] == list(parser.feed('{"reply":"Hel'))
    assert [ReplyToken("lo"), ReplyEnded(True)] == list(parser.feed('lo","visual":{"prompt":"a red'))
    assert [VisualField("prompt", "a red sky")] == list(parser.feed(' sky","mood":"cal'))
    assert [VisualField("mood", "calm")] == list(parser.feed('m","intensity":0.5'))
    assert [VisualField("intensity", 0.5)] == list(parser.feed("}"))
    assert parser.is_complete is False
    assert [] == list(parser.feed("}"))
    assert parser.is_complete
    assert [] == list(parser.finish(is_cut=False))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ANSWER, answer("Hello, you.", *FIELDS)),
        (json.dumps(json.loads(ANSWER), indent=2), answer("Hello, you.", *FIELDS)),
        (f"```json\n{ANSWER}\n```", answer("Hello, you.", *FIELDS)),
        (f"Sure! Here is the JSON:\n\n```\n{ANSWER}\n```\nEnjoy!", answer("Hello, you.", *FIELDS)),
        (f"<think>\nThe user greets {{ {ANSWER} }}\n</think>\n\n{ANSWER}", answer("Hello, you.", *FIELDS)),
        (f"<think></think>{ANSWER}", answer("Hello, you.", *FIELDS)),
        (json.dumps({"visual": VISUAL, "reply": "Hello."}), [*FIELDS, ReplyToken("Hello."), ReplyEnded(True)]),
        (json.dumps({"reply": "Hello.", **VISUAL}), answer("Hello.", *FIELDS)),
        (
            json.dumps({"reply": "Hello.", "visual": {**VISUAL, "mood": "angry"}}),
            answer("Hello.", FIELDS[0], FIELDS[2]),
        ),
        (json.dumps({"reply": "Hello.", "visual": {"intensity": 7}}), answer("Hello.", VisualField("intensity", 1.0))),
        ('{"reply":"A","reply":"B","visual":{"mood":"calm","mood":"dark"}}', answer("A", FIELDS[1])),
        ('{"reply":42}', answer("42")),
        ('{"reply":null,"visual":{"mood":"calm"}}', [FIELDS[1]]),
        ("Paris is the capital of France.", answer("Paris is the capital of France.")),
        ("Use {braces} and <think> twice.", answer("Use {braces} and <think> twice.")),
        (f'Paris. {{"visual": {json.dumps(VISUAL)}}}', [*FIELDS, *answer("Paris.")]),
        (f'{{"visual": {json.dumps(VISUAL)}}} Paris.', [*FIELDS, *answer("Paris.")]),
        ("word " * 60 + ANSWER, answer(("word " * 60) + "Hello, you.", *FIELDS)),
        ("", []),
        ("   \n", []),
        ("{}", []),
        ('{"reply":""}', []),
        ("<think>I wonder about", []),
        ("```\n```", []),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_answers_of_all_kinds_of_servers_are_understood(text: str, expected: list[Piece]) -> None:
    assert expected == parse(text) == parse(*text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"reply":"Hello, yo', [ReplyToken("Hello, yo"), ReplyEnded(False)]),
        ('{"reply":"Hello.","visual":{"prompt":"a red', answer("Hello.")),
        ('{"reply":"Hello.","visual":{"intensity":0.5', answer("Hello.")),
        ('{"reply":"Hello.\\', [ReplyToken("Hello."), ReplyEnded(False)]),
        ("Paris is the cap", [ReplyToken("Paris is the cap"), ReplyEnded(False)]),
    ],
)
def test_of_an_answer_that_was_cut_off_the_complete_parts_count(text: str, expected: list[Piece]) -> None:
    assert expected == parse(text, is_cut=True) == parse(*text, is_cut=True)


def test_a_reply_that_fills_its_longest_length_is_known_to_be_cut() -> None:
    schema = VisualSchema(DEFAULT_VISUAL_SCHEMA, max_tokens=160)
    for ending, is_whole in (("wor", False), ("wo.", True)):
        reply = "x" * (schema.reply_chars - 3) + ending
        pieces = list(AnswerParser(schema).feed(json.dumps({"reply": reply})))

        assert ReplyEnded(is_whole) == pieces[-1]


def test_a_long_text_without_an_object_is_spoken_while_it_grows() -> None:
    parser = AnswerParser(SCHEMA)
    text = "word " * (PREAMBLE_CHARS // 5 + 1)
    spoken = list(parser.feed(text))

    assert [ReplyToken(text.rstrip())] == spoken
    assert [ReplyToken(" more")] == list(parser.feed("more"))


def test_what_cannot_be_spoken_is_left_out() -> None:
    assert answer("a b\nc") == parse(r'{"reply":" \u0000a \u0007b\u2028\nc \n"}')


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ANSWERS = st.builds(
    lambda reply, prompt, mood, number, is_ascii, around: (
        around[0]
        + json.dumps(
            {"reply": reply, "visual": {"prompt": prompt, "mood": mood, "intensity": number}}, ensure_ascii=is_ascii
        )
        + around[1]
    ),
    TEXTS,
    TEXTS,
    st.sampled_from(["calm", "Dark ", "odd"]),
    st.floats(),
    st.booleans(),
    st.sampled_from([("", ""), ("Sure:\n```json\n", "\n```"), ('<think>{"}</think>', " bye"), ("x" * 170, "")]),
)
LOOSE = st.text(alphabet=st.sampled_from('{}"`:,\\ \nj<>/thinkreply0.5é'), max_size=400)


@given(st.one_of(ANSWERS, LOOSE), st.lists(st.integers(0, 600)), st.booleans())
def test_the_result_does_not_depend_on_the_pieces(text: str, places: list[int], is_cut: bool) -> None:
    bounds = sorted({0, len(text), *(place for place in places if place < len(text))})
    pieces = [text[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]

    assert parse(text, is_cut=is_cut) == parse(*pieces, is_cut=is_cut) == parse(*text, is_cut=is_cut)


@given(TEXTS, TEXTS)
def test_what_goes_in_as_json_comes_out(reply: str, prompt: str) -> None:
    """Apart from control characters and space at the ends."""
    found = parse(*json.dumps({"reply": reply, "visual": {"prompt": prompt}}))
    texts = [piece.text for piece in found if isinstance(piece, ReplyToken)]
    spoken = "".join(
        char for char in reply if char == "\n" or char == "\t" or char.isprintable() or not ord(char) < 0xA0
    )

    assert "".join("".join(texts).split()) == "".join(
        spoken.replace("\u2028", "").replace("\u2029", "").replace("\ufeff", "").split()
    )


def test_a_very_long_answer_is_read_letter_by_letter() -> None:
    """400 KB: this would take minutes if each piece cost as much as all before it."""
    text = json.dumps({"reply": "é" * 200_000, "visual": {"prompt": "y" * 200_000}}, ensure_ascii=False)

    assert [ReplyToken("é" * 200_000), ReplyEnded(False), VisualField("prompt", "y" * 120)] == parse(*text)
