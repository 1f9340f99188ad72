"""The cutter, over whole texts and over every way to cut them into pieces."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heisenberg.llm.sentences import LONGEST_CHARS, SentenceCutter, sentences_of


def cut(*pieces: str) -> list[str]:
    cutter = SentenceCutter()
    return [stretch for piece in pieces for stretch in cutter.feed(piece)] + cutter.flush()


@pytest.mark.parametrize(
    "expected",
    [
        ["Hello there.", "How are you today?", "I am very well!"],
        ["Dr. Smith met Mr. Jones at St. Paul's.", "They talked for hours."],
        ["Lt. Smith drew figs. 3 and 4 for Acme Inc. in May.", "They talked for hours."],
        ["Pi is about 3.14 and e is 2.718.", "Both are irrational."],
        ["J. R. R. Tolkien wrote it.", "Everybody read it."],
        ["Well... maybe not today.", "Ask me again tomorrow."],
        ["It begins at 10:30 in the hall.", "Doors open at 9.45 sharp."],
        ["See www.example.com/a.b?c=d now.", "It has everything you need."],
        ["Bring apples, pears, etc. and some bread.", "We eat at noon, of course."],
        ["Big cats, e.g. lions, sleep a lot.", "Small ones, i.e. yours, sleep more."],
        ["It opens at 5 p.m. on Mondays.", "It closes at 9 p.m.", "Then it is dark."],
        ['She said "Stop!" and then left.', "Nobody followed her home."],
        ['He asked "Why?"', "Nobody answered him there."],
        ["See fig. 3 and no. 12 in the book.", "They are on page 40 or so."],
        ["It was in 1999. Then came the rain.", "It rained for forty days."],
        ["(It was a very long day.)", "Then the night began at last."],
        ["Bonjour\u00a0!", "Comment allez-vous aujourd'hui\u202f?", "Très bien, merci\u00a0!"],
        ["M. Dupont et Mme. Martin sont là.", "Ils parlent du temps, p. ex. de la pluie."],
        ["«\u00a0Allez\u202f!\u00a0» dit-il en riant.", "Puis il partit dans la nuit."],
        ["Il dit : « Venez ! »", "Et tout le monde est venu."],
        ["Le prix est de 3,50 euros.", "C'est vraiment donné, non\u00a0?"],
        ["1. Take an egg and boil it.", "2. Eat it while it is warm."],
        ["今日は晴れです。", "散歩に行きましょう、今すぐに。"],
        ["Roses are red", "Violets are blue"],
    ],
    ids=lambda expected: expected[0][:24],
)
def test_text_is_cut_at_its_sentences(expected: list[str]) -> None:
    """Abbreviations, numbers, initials, quotes and French spacing are no sentence ends."""
    joiner = "\n" if expected[0] == "Roses are red" else "" if expected[0].endswith("。") else " "
    text = joiner.join(expected)

    merged = [part.strip() for stretch in cut(text) for part in stretch.split("\n")]
    assert expected == _without_first_clause(merged, expected)


def _without_first_clause(stretches: list[str], expected: list[str]) -> list[str]:
    """The first sentence may have been begun early; put it together again."""
    joined = [stretches[0]]
    for stretch in stretches[1:]:
        if joined[0] != expected[0] and expected[0].startswith(joined[0]):
            joined[0] = f"{joined[0]} {stretch}"
        else:
            joined.append(stretch)
    return joined


def test_the_first_stretch_may_be_a_clause_so_that_speech_starts_early() -> None:
    assert ["In the middle of the night,", "the sea, dark and wide, began to sing."] == cut(
        "In the middle of the night, the sea, dark and wide, began to sing."
    )


def test_three_words_are_enough_to_begin_with() -> None:
    assert ["Cats purr often,", "because they are happy, and so on."] == cut(
        "Cats purr often, because they are happy, and so on."
    )


def test_a_comma_after_a_letter_does_not_wait_for_what_follows() -> None:
    cutter = SentenceCutter()

    assert ["In the middle of the night,"] == cutter.feed("In the middle of the night,")


def test_a_comma_within_a_number_waits() -> None:
    cutter = SentenceCutter()

    assert [] == cutter.feed("It is about 12,")
    assert ["It is about 12,500 metres."] == [*cutter.feed("500 metres."), *cutter.flush()]


def test_a_short_opening_is_not_cut_at_its_comma() -> None:
    assert ["Well, yes, of course it is."] == cut("Well, yes, of course it is.")


def test_a_short_first_sentence_is_spoken_at_once() -> None:
    cutter = SentenceCutter()

    assert ["Yes."] == cutter.feed("Yes. It")


def test_a_short_later_sentence_waits_for_the_next() -> None:
    assert ["That is right.", "Yes. It is the capital."] == cut("That is right. Yes. It is the capital.")


def test_a_sentence_is_given_as_soon_as_a_space_follows_it() -> None:
    cutter = SentenceCutter()

    assert [] == cutter.feed("The sky is blue.")
    assert ["The sky is blue."] == cutter.feed(" ")


def test_a_sentence_without_an_end_is_cut_at_a_space() -> None:
    stretches = cut("word " * 100)

    assert ["word " * 39 + "word"] * 2 == stretches[:2]
    assert all(len(stretch) <= LONGEST_CHARS for stretch in stretches)


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    assert ["x" * 200, "x" * 200, "x" * 50] == cut("x" * 450)


def test_after_a_flush_a_new_text_may_follow() -> None:
    cutter = SentenceCutter()
    cutter.feed("One is here")

    assert ["One is here"] == cutter.flush()
    assert [] == cutter.flush()
    assert ["Two is here, too."] == [*cutter.feed("Two is here, too."), *cutter.flush()]


SPEECH = st.text(alphabet=st.sampled_from("aAbI1 .,!?…;:—\n\u00a0\u202f«»\"')-é。"), max_size=260)


@given(SPEECH, st.lists(st.integers(0, 260)))
@example("1! »", [3])
@example("1。。", [2])
def test_the_cuts_do_not_depend_on_the_pieces(text: str, places: list[int]) -> None:
    bounds = sorted({0, len(text), *(place for place in places if place < len(text))})
    pieces = [text[start:end] for start, end in zip(bounds, bounds[1:], strict=False)]

    assert cut(text) == cut(*pieces) == cut(*text)


@given(st.one_of(SPEECH, st.text(max_size=500)))
def test_no_character_is_lost_or_said_twice(text: str) -> None:
    stretches = cut(text)

    assert "".join(text.split()) == "".join("".join(stretches).split())
    assert all(0 < len(stretch) <= LONGEST_CHARS for stretch in stretches)


def test_a_whole_text_is_cut_like_a_growing_one() -> None:
    assert ["Welcome to the show.", "Please take a seat!"] == sentences_of(
        " Welcome to the show. Please take a seat!\n"
    )
