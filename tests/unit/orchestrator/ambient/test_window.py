"""What the language model is shown of what was said."""

from heisenberg.orchestrator.ambient.sentences import Sentence
from heisenberg.orchestrator.ambient.window import Window


def said(text: str, at: float) -> Sentence:
    return Sentence(text, at - 1.0, at, "complete")


def test_the_last_minute_is_shown_the_newest_last() -> None:
    window = Window(60.0)
    for text, at in (("Old.", 10.0), ("Middle.", 40.0), ("New.", 70.5)):
        window.add(said(text, at))

    assert ("Middle.\nNew.", 70.5) == (window.text, window.until_s)


def test_nothing_was_said_at_first_and_after_forgetting() -> None:
    window = Window(60.0)
    window.add(said("Old.", 10.0))
    window.forget()

    assert ("", 0.0) == (window.text, window.until_s)


def test_a_flood_of_sentences_in_no_time_is_bounded() -> None:
    window = Window(60.0)
    for _ in range(100_000):
        window.add(said("No.", 1.0))

    assert len(window.text) < 3_000
