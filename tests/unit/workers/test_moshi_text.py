"""Tokens become characters and words; the odd ones too."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.workers.moshi_text import LONGEST_TAIL_S, SentencePieces, Word, WordAssembly
from tests.fakes.moshi_stepper import Pieces

FRAME_S = 0.08
BEGINS, PADDING = 0, 3
PIECES: dict[int, str | bytes] = {
    10: "▁turn",
    11: "▁kit",
    12: "chen",
    13: ".",
    14: "▁",
    15: "▁now▁and",
    20: "▁lumi",
    21: b"\xc3",
    22: b"\xa8",
    23: "re",
}


def told(*tokens: int, step_s: float = FRAME_S) -> tuple[str, list[Word]]:
    """What a stream of tokens says in all, and its words."""
    assembly = WordAssembly(Pieces(PIECES))
    said = [assembly.hear(token, n * step_s) for n, token in enumerate(tokens)]
    said.append(assembly.end(len(tokens) * step_s))
    return "".join(one.text for one in said), [word for one in said for word in one.words]


@pytest.mark.parametrize(
    ("tokens", "text", "words"),
    [
        ((3, 0, 10, 3, 0, 11, 12, 3), "turn kitchen", ["turn", "kitchen"]),
        ((10, 11, 12, 13), "turn kitchen.", ["turn", "kitchen."]),
        ((0, 10, 3, 13), "turn.", ["turn."]),
        ((0, 10, 99, 2, 1, -5, 11), "turn kit", ["turn", "kit"]),
        ((14, 12, 14, 14, 12), "chen chen", ["chen", "chen"]),
        ((0, 15), "now and", ["now", "and"]),
        ((0, 12, 0, 12), "chen chen", ["chen", "chen"]),
        ((0, 0, 3, 0), "", []),
        ((0, 20, 21, 22, 23), "lumière", ["lumière"]),
        ((0, 20, 21, 23), "lumire", ["lumire"]),
        ((0, 20, 21, 3, 3, 22, 23), "lumière", ["lumière"]),
        ((0, 20, 21, 0, 10), "lumi turn", ["lumi", "turn"]),
        ((22, 23), "re", ["re"]),
    ],
    ids=[
        "in order", "without their zero", "a mark after a padding", "control tokens and unknown numbers",
        "an underscore alone", "a space inside a piece", "pieces without underscore", "beginnings of nothing",
        "bytes", "a byte that stays alone", "bytes with paddings between", "a word that ends in half a character",
        "a byte that begins nothing",
    ],
)  # fmt: skip
def test_what_tokens_say(tokens: tuple[int, ...], text: str, words: list[str]) -> None:
    shown, found = told(*tokens)

    assert text == shown
    assert words == [word.text for word in found]


def test_a_word_runs_from_its_zero_to_the_next() -> None:
    _, words = told(3, 3, 0, 10, 3, 0, 11, 12)

    assert [("turn", 2, 5), ("kitchen", 5, 8)] == [
        (word.text, round(word.start_s / FRAME_S), round(word.end_s / FRAME_S)) for word in words
    ]


def test_a_word_before_a_silence_ends_soon_and_is_told_then() -> None:
    assembly = WordAssembly(Pieces(PIECES))
    assembly.hear(10, 1.0)

    assert () == assembly.hear(PADDING, 1.4).words
    assert (Word("turn", 1.0, 1.0 + LONGEST_TAIL_S),) == assembly.hear(PADDING, 1.6).words
    assert () == assembly.hear(PADDING, 1.7).words


@given(st.lists(st.sampled_from([BEGINS, PADDING, *PIECES, 2, 77])))
def test_whatever_comes_text_and_words_say_the_same(tokens: list[int]) -> None:
    text, words = told(*tokens)

    assert "".join(word.text for word in words) == text.replace(" ", "")
    assert text == " ".join(text.split())
    assert all(word.text and word.start_s <= word.end_s for word in words)
    assert [word.start_s for word in words] == sorted(word.start_s for word in words)


@given(st.text(alphabet="aé€🎉", min_size=1), st.integers(0, 3))
def test_any_character_may_come_as_bytes(spoken: str, paddings: int) -> None:
    table: dict[int, str | bytes] = {100 + value: bytes([value]) for value in range(256)}
    assembly = WordAssembly(Pieces(table))
    shown = ""
    for value in spoken.encode():
        shown += assembly.hear(100 + value, 0.0).text
        for _ in range(paddings):
            assembly.hear(PADDING, 0.0)

    assert spoken == shown


class Processor:
    """As sentencepiece has it, as far as it is asked."""

    pieces = ("<unk>", "<s>", "</s>", "<pad>", "<0xC3>", "▁hello")

    def get_piece_size(self) -> int:
        return len(self.pieces)

    def id_to_piece(self, token: int) -> str:
        return self.pieces[token]

    def is_unknown(self, token: int) -> bool:
        return token == 0

    def is_control(self, token: int) -> bool:
        return token in (1, 2)

    def is_unused(self, token: int) -> bool:
        return False

    def is_byte(self, token: int) -> bool:
        return token == 4


def test_the_vocabulary_of_a_checkpoint() -> None:
    """Padding is an ordinary piece to sentencepiece; the checkpoint says that it is none."""
    pieces = SentencePieces(Processor(), frozenset({0, 3}))

    assert [None, None, None, None, b"\xc3", "▁hello", None, None] == [
        pieces.piece(n) for n in (0, 1, 2, 3, 4, 5, 6, -1)
    ]
