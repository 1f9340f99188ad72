"""Words become the passages of a recording."""

from heisenberg.workers.moshi_passages import Passages
from heisenberg.workers.moshi_text import Word


def words(*said: tuple[str, float, float]) -> list[Word]:
    return [Word(*one) for one in said]


def test_a_sentence_is_a_passage() -> None:
    passages = Passages("en", with_words=True)
    (found,) = passages.add(words(("Turn", 0.4, 0.8), ("it.", 0.8, 1.1), ("Now", 1.3, 1.6)))

    assert {
        "start": 0.4, "end": 1.1, "text": "Turn it.", "language": "en",
        "words": [["Turn", 0.4, 0.8], ["it.", 0.8, 1.1]],
    } == found  # fmt: skip
    assert ["Now"] == [one["text"] for one in passages.rest()]
    assert [] == passages.rest()


def test_a_silence_ends_a_passage_too() -> None:
    passages = Passages("fr", with_words=False)
    found = passages.add(words(("oui", 0.0, 0.4), ("non", 2.0, 2.4)))

    assert [{"start": 0.0, "end": 0.4, "text": "oui", "language": "fr"}] == found


def test_who_never_pauses_is_cut_after_half_a_minute() -> None:
    passages = Passages("en", with_words=False)
    found = passages.add(words(*(("so", float(n), n + 0.9) for n in range(100))))

    assert 3 == len(found)
    assert all(one["end"] - one["start"] <= 32 for one in found)
