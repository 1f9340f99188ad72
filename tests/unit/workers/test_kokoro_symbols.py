"""How espeak-ng's phonemes become Kokoro's symbols, and long sentences shorter ones."""

import unicodedata

import pytest

from heisenberg.workers.kokoro_symbols import LONGEST, NUMBERS, pieces, symbols


def written(phonemes: str, language: str) -> str:
    """The letters of the symbols, to be read by people."""
    letters = {number: letter for letter, number in NUMBERS.items()}
    return "".join(letters[number] for number in symbols(unicodedata.normalize("NFD", phonemes), language))


@pytest.mark.parametrize(
    ("language", "heard", "expected"),
    [
        ("fr", "bɔ̃ʒˈuʁ, ʒə- vudʁˈɛ.", "bɔ̃ʒˈuʁ, ʒə vudʁˈɛ."),
        ("fr", "dˈɑ̃s", "dˈɑ̃s"),
        ("en-us", "ðeɪ mˈuːv slˈoʊli", "ðA mˈuv slˈOli"),
        ("en-us", "tʃˈɜːtʃ bˈɜːd", "ʧˈɜɹʧ bˈɜɹd"),
        ("en-us", "kwˈaɪɚ", "kwˈIəɹ"),
        ("en-gb", "slˈəʊli bˈɜːd", "slˈQli bˈɜːd"),
        ("it", "pˈittsa", "pˈitʦa"),
        ("de", "ɪç ɣ", "ɪç ɣ"),  # a mark that belongs to its letter
        ("fr", "\u0001 ¿ 🙂", "  "),  # what it does not know
    ],
)
def test_sounds_are_written_as_the_model_learnt_them(language: str, heard: str, expected: str) -> None:
    assert expected == written(heard, language)


def test_every_symbol_has_a_number_of_its_own() -> None:
    assert 114 == len(NUMBERS) == len(set(NUMBERS.values()))
    assert (16, 69, 131, 177) == tuple(NUMBERS[letter] for letter in " ɑʃᵻ")


def test_a_sentence_that_is_short_enough_is_one_piece() -> None:
    assert [[43, 4]] == list(pieces([43, 4]))


@pytest.mark.parametrize("sentence", [[], [4], [16, 4, 6, 16], symbols("…—.!?", "fr")], ids=str)
def test_nothing_is_spoken_where_there_is_no_sound(sentence: list[int]) -> None:
    assert [] == list(pieces(sentence))


def test_a_long_sentence_is_cut_after_a_comma_else_between_words() -> None:
    comma, space, letter = NUMBERS[","], NUMBERS[" "], NUMBERS["a"]
    clause, words = [letter] * 120 + [comma], ([letter] * 9 + [space]) * 30

    first, second = pieces(clause + [letter] * 150)
    assert (clause, 150) == (first, len(second))
    assert [LONGEST, 100] == [len(piece) for piece in pieces(words)]
    assert all(piece[-1] == space for piece in pieces(words))


def test_what_cannot_be_cut_well_is_cut_all_the_same() -> None:
    assert [LONGEST, LONGEST, 1] == [len(piece) for piece in pieces([43] * (2 * LONGEST + 1))]
