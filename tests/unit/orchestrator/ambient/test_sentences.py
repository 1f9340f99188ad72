"""Sentences are cut where a reader would cut them, whatever the pieces in which the words come."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.recordings import TimedWord
from heisenberg.orchestrator.ambient.sentences import LONG_SILENCE_S, Sentence, Sentences, spread

ENGLISH = [
    ["The sea is calm.", "A boat goes by!", "Is it red?", "We wait…", "Then it is gone."],
    ["Dr. Mercier met Mr. Holmes and Mrs. Hudson at St. Pancras.", "They left."],
    ["It costs 3.14 euros, i.e. 3 euros and 14 cents.", "Or 1,000.50 dollars."],
    ["J. R. R. Tolkien wrote it.", "So did I.", "He read e.g. the first volume."],
    ["See www.example.com for more.", "Or example.org/page.html?x=1.", "Bye."],
    ["No. 5 is alive.", "No.", "It was him."],
    ["We met at 5 p.m. and left at 7 a.m.", "Then we slept."],
    ["The U.S. Army came.", "It left."],
    ["Well... I do not know.", "Wait...", "Who goes there?"],
    ["He told me.", "Then she told me, too."],
    ['He said "stop it."', "Then he ran."],
    ['"Who is it?" she asked.', '"Nobody."', "She left."],
    ["1. First we walk.", "In 1950.", "It had 3.", "Apples, pears, etc.", "All gone."],
    ["The ABC stopped.", "What?!", "Yes!!!", "Good (very good.)", "Bad."],
]
FRENCH = [
    ["Vous venez ?", "Oui !", "Alors partons."],
    ["« Bonjour », dit-il.", "« Tu viens ? » demande-t-elle.", "« Non ! »", "Il part."],
    ["M. Dupont et Mme. Durand habitent au 3 bd. Voltaire.", "Ils y sont bien."],
    ["Le nombre 3,14 est connu.", "Il vaut 1 000,50 euros."],
    ["Prenez un fruit, p. ex. une pomme.", "Ou bien cf. la page 3.", "Voilà."],
    ["Eh bien… je ne sais pas.", "Attendez…", "Qui est là ?"],
    ["C'est le n° 5 !", "Le no. 7 est parti.", "Il est 8 h.", "Il dort."],
    ["Dr. Martin, Mlle. Petit, etc. sont venus.", "Enfin."],
    ["« La mer est calme. »", "Le soleil se lève ; il fait froid."],
]


@pytest.mark.parametrize("reader", ENGLISH + FRENCH, ids=lambda reader: reader[0])
def test_a_text_is_cut_where_a_reader_would_cut_it(reader: list[str]) -> None:
    sentences = Sentences(timeout_s=60)
    words = spread(" ".join(reader), 0.0, 30.0)
    found = sentences.hear(words) + sentences.flush("end_of_input")

    assert reader == [sentence.text for sentence in found]
    assert {"complete"} == {sentence.reason for sentence in found}


def test_a_sentence_is_told_when_a_pause_follows_it() -> None:
    sentences = Sentences(timeout_s=5)

    assert [] == sentences.hear_stretch(spread("The sea is calm.", 1.0, 2.5))
    assert [Sentence("The sea is calm.", 1.0, 2.5, "complete")] == sentences.settle()


def test_three_dots_may_go_on_behind_a_pause() -> None:
    """Whisper writes them where a segment breaks off in mid-sentence."""
    sentences = Sentences(timeout_s=5)
    first = sentences.hear_stretch(spread("And then we went...", 0.0, 1.0)) + sentences.settle()
    then = sentences.hear_stretch(spread("to the sea.", 1.8, 2.4)) + sentences.settle()

    assert ([], ["And then we went... to the sea."]) == (first, [sentence.text for sentence in then])


def test_what_is_not_finished_is_taken_as_it_is_after_the_timeout() -> None:
    """A streaming recogniser: one word a second, and no full stop."""
    sentences = Sentences(timeout_s=5)
    words = [TimedWord(str(at), float(at), at + 0.9) for at in range(12)]
    found = sentences.hear(words) + sentences.pass_time(15.9)

    assert [("0 1 2 3 4", "timeout"), ("5 6 7 8 9", "timeout"), ("10 11", "silence")] == [
        (sentence.text, sentence.reason) for sentence in found
    ]


def test_a_long_silence_ends_what_is_not_finished() -> None:
    sentences = Sentences(timeout_s=5)
    sentences.hear_stretch(spread("and the gulls are", 1.0, 2.0))

    assert [] == sentences.pass_time(2.0 + LONG_SILENCE_S - 0.01)
    assert [Sentence("and the gulls are", 1.0, 2.0, "silence")] == sentences.pass_time(2.0 + LONG_SILENCE_S)


def test_the_moment_at_which_time_is_told_changes_nothing() -> None:
    """The next words come after the silence, whether or not anybody said in between that it was one."""

    def cut(*ticks: float) -> list[str]:
        sentences = Sentences(timeout_s=5)
        found = sentences.hear_stretch(spread("and the gulls are", 1.0, 2.0))
        for at in ticks:
            found += sentences.pass_time(at)
        found += sentences.hear_stretch(spread("back again", 4.3, 5.0))
        return [sentence.text for sentence in found + sentences.flush("end_of_input")]

    assert ["and the gulls are", "back again"] == cut() == cut(2.5, 3.0, 3.5, 4.0) == cut(4.2)


def test_a_sentence_that_a_recogniser_hears_at_once_is_not_cut_in_two_for_its_length() -> None:
    sentences = Sentences(timeout_s=5)
    text = "This is one very long sentence that somebody speaks slowly and without any hurry at all."
    found = sentences.hear_stretch(spread(text, 0.0, 11.0)) + sentences.settle()

    assert [text] == [sentence.text for sentence in found]


def test_words_without_any_full_stop_do_not_pile_up() -> None:
    """Whisper sometimes forgets all punctuation."""
    sentences = Sentences(timeout_s=5)
    found = [
        sentence
        for at in range(0, 600, 12)
        for sentence in sentences.hear_stretch(spread("word " * 30, float(at), at + 12.0))
    ]

    assert 49 == len(found)
    assert 30 == len(sentences.unfinished.split())


TOKENS = st.sampled_from(
    "the sea The moon M. Mme. Dr. 3.14 3 5. no. etc. e.g. U.S. is. gone! what? … ... wait… ? ! » « »! I. A. ».".split()
)


@st.composite
def timed_words(draw: st.DrawFn) -> list[TimedWord]:
    texts = draw(st.lists(TOKENS, max_size=40))
    at, words = 0.0, []
    for text in texts:
        at += draw(st.sampled_from([0.0, 0.1, 0.5, 3.0]))
        words.append(TimedWord(text, at, at + 0.3))
        at += 0.3
    return words


@given(timed_words(), st.floats(1, 10))
def test_nothing_is_lost_and_the_order_is_kept(words: list[TimedWord], timeout_s: float) -> None:
    sentences = Sentences(timeout_s)
    found = sentences.hear(words) + sentences.flush("end_of_input")

    assert [word.word for word in words] == [word for sentence in found for word in sentence.text.split()]
    assert all(before.end <= after.start for before, after in itertools.pairwise(found))
    assert all(sentence.start < sentence.end for sentence in found)


@given(timed_words(), st.lists(st.integers(0, 40)))
def test_the_pieces_in_which_words_come_do_not_matter(words: list[TimedWord], cuts: list[int]) -> None:
    whole, pieces = Sentences(5.0), Sentences(5.0)
    expected = whole.hear(words) + whole.flush("end_of_input")
    edges = sorted({0, len(words), *(cut for cut in cuts if cut < len(words))})
    actual = [found for begin, end in itertools.pairwise(edges) for found in pieces.hear(words[begin:end])]

    assert expected == actual + pieces.flush("end_of_input")


@given(timed_words())
def test_no_sentence_is_open_for_longer_than_the_timeout(words: list[TimedWord]) -> None:
    sentences = Sentences(5.0)
    found = sentences.hear(words) + sentences.flush("end_of_input")

    assert all(sentence.end - sentence.start <= 5.0 + 0.3 for sentence in found)
