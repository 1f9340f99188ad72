"""The wake phrase is cut off a transcript, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.orchestrator.wake_phrase import without_wake_phrase


@pytest.mark.parametrize(
    ("heard", "command"),
    [
        ("Hey Jarvis, what time is it?", "What time is it?"),
        ("Hey, Jarvis. What time is it?", "What time is it?"),
        ("Hey Jarvis what time is it", "What time is it"),
        ("HEY JARVIS! Turn on the lights.", "Turn on the lights."),
        ("A Jarvis, turn on the lights.", "Turn on the lights."),
        ("A Travis, turn on the lights.", "Turn on the lights."),
        ("Hey Travis, turn on the lights.", "Turn on the lights."),
        ("Hey Jarvis' what time is it?", "What time is it?"),
        ("Hey Jervis, play some jazz.", "Play some jazz."),
        ("Hey Jarvis… what time is it?", "What time is it?"),
        ("Hey Jarvis — stop", "Stop"),
        ("Um, hey Jarvis, stop.", "Stop."),
        ("Hey Jarvis, Jarvis is a name.", "Jarvis is a name."),
        ("Hey Jarvis, quelle heure est-il ?", "Quelle heure est-il ?"),
    ],
)
def test_what_follows_the_phrase_is_the_command(heard: str, command: str) -> None:
    assert command == without_wake_phrase(heard, "hey_jarvis")


@pytest.mark.parametrize("heard", ["Hey Jarvis.", "Hey, Jarvis!", "hey jarvis", "A Travis.", "Hey Jarvis, …"])
def test_the_phrase_alone_leaves_nothing(heard: str) -> None:
    assert "" == without_wake_phrase(heard, "hey_jarvis")


@pytest.mark.parametrize("phrase", ["hey_jarvis", "okay_nabu", "hey_mycroft", "alexa"])
@pytest.mark.parametrize(
    "text",
    [
        "What time is it?",
        "Turn the lights red and make them pulse.",
        "Have you ever been to Paris?",
        "Is Jarvis a name?  I think so.",
        "Show me a calm blue sea, and then a storm.",
        "Here is a harvest of names for the garden.",
        "Okay, now turn everything green.",
        "Hey, make my coffee image darker.",
        "Relax, and explain everything to me.",
        "Quelle heure est-il ?",
        "Est-ce que j'arrive à temps ?",
        "Dessine-moi un mouton, s'il te plaît.",
        "Hé, j'arrive demain à Paris.",
        "Montre l'océan au coucher du soleil.",
        "Et j'avais dit que la mer est bleue.",
        "Stop.",
        "",
        "…",
    ],
)
def test_other_text_stays_as_it_is(text: str, phrase: str) -> None:
    """The audio does not begin with the phrase: the command came later."""
    assert text == without_wake_phrase(text, phrase, is_expected=False)


def test_a_repeated_phrase_is_cut_off_even_where_it_is_not_expected() -> None:
    assert "Stop." == without_wake_phrase("Hey Jarvis, stop.", "hey_jarvis", is_expected=False)


@pytest.mark.parametrize(
    "text", ["What time is it?", "Have you ever been to Paris?", "Quelle heure est-il ?", "Stop.", "Alors, dessine."]
)
def test_a_phrase_that_was_not_transcribed_costs_no_word(text: str) -> None:
    """Whisper sometimes leaves the phrase out, although it is in the audio."""
    assert text == without_wake_phrase(text, "hey_jarvis")


def test_a_phrase_deep_in_the_command_is_part_of_it() -> None:
    text = "Please tell everybody in the room that hey Jarvis is a wake word."

    assert text == without_wake_phrase(text, "hey_jarvis")


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("okay_nabu", "Okay Nabu, stop."),
        ("okay_nabu", "OK Nabu, stop."),
        ("okay_nabu", "Okay, Naboo. Stop."),
        ("hey_mycroft", "Hey Mycroft, stop."),
        ("hey_mycroft", "Hey, my croft, stop."),
        ("alexa", "Alexa, stop."),
    ],
)
def test_other_phrases_are_cut_off_too(phrase: str, heard: str) -> None:
    assert "stop." == without_wake_phrase(heard, phrase).lower()


@given(st.text(max_size=80), st.sampled_from(["hey_jarvis", "alexa", "", "_", "okay_nabu"]))
def test_it_never_fails_and_never_invents(text: str, phrase: str) -> None:
    rest = without_wake_phrase(text, phrase)

    assert text.endswith(rest[1:])


@given(st.lists(st.sampled_from(["turn", "the", "red", "lights", "sea", "show", "me"]), min_size=1, max_size=8))
def test_no_word_of_the_command_is_lost(words: list[str]) -> None:
    command = " ".join(words)

    assert command == without_wake_phrase(f"Hey Jarvis, {command}", "hey_jarvis").lower()
