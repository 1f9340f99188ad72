"""What was said is laid beside what was heard, language by language."""

from heisenberg.bench.ambient_talk import Spoken
from heisenberg.bench.ambient_words import Understood, compare, same_in_both

SPOKEN = [Spoken("The sea is calm."), Spoken("A boat comes by."), Spoken("Who is it?")]
FRENCH = [Spoken("La mer est calme.", "fr"), Spoken("Qui est là ?", "fr")]


def figures(heard: list[str]) -> tuple[float, float, float]:
    (english,) = compare(SPOKEN, heard)
    return english.wrong, english.ends_found, english.cuts_right


def test_a_talk_that_was_understood_to_the_word() -> None:
    assert (0.0, 1.0, 1.0) == figures([sentence.text for sentence in SPOKEN])


def test_sentences_that_were_joined_or_cut_in_two() -> None:
    assert (0.0, 2 / 3, 1.0) == figures(["The sea is calm a boat comes by.", "Who is it?"])
    assert (0.0, 1.0, 3 / 4) == figures(["The sea", "is calm.", "A boat comes by.", "Who is it?"])


def test_a_last_word_that_was_misheard_is_still_an_end() -> None:
    assert (1 / 11, 1.0, 1.0) == figures(["The sea is palm.", "A boat comes by.", "Who is it?"])


def test_words_that_were_left_out_and_words_that_nobody_said() -> None:
    assert (2 / 11, 1.0, 1.0) == figures(["The sea is calm.", "A boat comes by.", "It?"])
    assert 1 / 11 == figures(["The sea is very calm.", "A boat comes by.", "Who is it?"])[0]


def test_each_language_has_figures_of_its_own() -> None:
    """French typography sets a space before a question mark, and a recogniser may not."""
    english, french = compare(
        [*SPOKEN, *FRENCH], [*(sentence.text for sentence in SPOKEN), "La mère est calme, qui est là?"]
    )

    assert Understood("en", 3, 0.0, 1.0, 1.0) == english
    assert Understood("fr", 2, 1 / 7, 1 / 2, 1.0) == french


def test_nothing_was_heard() -> None:
    assert (1.0, 0.0, 0.0) == figures([])


def test_how_many_sentences_are_the_same_in_two_runs() -> None:
    assert (3, 3) == same_in_both(["a", "b", "c"], ["a", "b", "c"])
    assert (2, 3) == same_in_both(["a", "b", "c"], ["a", "c"])
    assert (1, 2) == same_in_both(["a"], ["b", "a"])
