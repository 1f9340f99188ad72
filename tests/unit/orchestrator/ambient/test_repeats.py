"""A recogniser that makes up the same text again and again is not believed."""

from heisenberg.orchestrator.ambient.repeats import Repeats


def test_the_third_thank_you_in_a_row_is_one_too_many() -> None:
    repeats = Repeats()

    assert [False, False, True, True] == [
        repeats.is_one_too_many(text) for text in ("Thank you.", "thank you", "Thank you!", " Thank  you. ")
    ]


def test_something_else_in_between_makes_it_new() -> None:
    repeats = Repeats()
    texts = ["Thank you.", "Thank you.", "The sea is calm.", "Thank you.", "Thank you."]

    assert not any(repeats.is_one_too_many(text) for text in texts)


def test_a_long_refrain_is_believed() -> None:
    repeats = Repeats()
    refrain = "And the sea, the sea, the sea is all around us, and the night is very long."

    assert not any(repeats.is_one_too_many(refrain) for _ in range(5))


def test_an_evening_of_made_up_thanks_is_two_sentences() -> None:
    repeats = Repeats()

    assert 2 == sum(not repeats.is_one_too_many("Thank you.") for _ in range(10_000))
