"""Which words sound like the end of a sentence. The texts are as Whisper writes them, full stops and all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heisenberg.core.config import DEFAULT_STOP_WORDS
from heisenberg.vad.phrase_end import sounds_complete

COMPLETE = {
    "en": """
        Yes. | No. | Stop. | Yes, please. | Thank you. | Why? | When? | Again! | Never mind. | OK.
        Paint me a quiet forest. | What time is it? | What time is it in Paris right now? | Turn it on.
        Turn the lights off. | Turn the volume up. | Come in. | Go on. | Calm down. | Wake up. | What is it for?
        What is it about? | Where are you from? | Who are you talking to? | What are you looking at?
        What does it look like? | What is the weather like? | What is this made of? | Where do lions come from?
        What do you want? | What can you do? | How do you do? | Who are you? | How are you? | What is it?
        What's that? | Tell me what time it is. | Do you know where the station is? | I don't know who they are.
        Yes, I can. | Yes, it is. | I think so. | Why not? | Give me that. | Do you like it? | Call her.
        Hello. What time is it? | Um, what time is it? | "Paint me a forest." | Set a timer for 10. | It's mine.
        Where am I? | Help me. | Show me what you can do. | It's nice, isn't it? | Let it be. | Tell me when.
        Turn it on, please. | Is it raining or not? | What would you like? | He said, "Stop it!"
    """,
    "fr": """
        Oui. | Non. | Stop. | Merci. | Quel âge as-tu ? | Non, s'il te plaît. | Pourquoi ?
        Quelle heure est-il ? | Quelle heure il est ? | Ça va ? | Comment ça va ? | Comment vas-tu ?
        Comment allez-vous ? | Qui es-tu ? | Qui est-ce ? | Où es-tu ? | C'est pour quoi ? | C'est pour quoi.
        C'est quoi ? | C'est qui ? | Tu vas où ? | Et pourquoi pas ? | Allume-la. | Éteins-les. | Prends-le.
        Arrête-toi. | Vas-y. | Va-t'en. | Aide-moi. | Parle-moi de la mer. | Peins-moi une forêt calme.
        Raconte-moi une histoire. | Coupe le son. | Monte un peu le son. | Qu'est-ce que c'est ?
        Qu'est-ce que tu veux ? | Qu'est-ce qu'il y a ? | Je ne sais pas ce que c'est. | Fais ce que tu veux.
        Comme tu veux. | Dis-moi où est la gare. | Oui, je peux. | On y va. | Mais si. | Qu’est-ce que c’est ?
        Il fait quel temps aujourd'hui ? | Viens chez moi. | C'est à toi.
    """,
}
INCOMPLETE = {
    "en": """
        Paint me a. | Paint me a? | Paint me a | Paint me. | Tell me. | Tell me about the.
        Turn the lights. Um. | The. | I want to. | I want. | I would like. | I'd like. | I'd like to. | Can you.
        Could you please. | How do I. | What time is. | The sky is. | What is the. | What is the capital of?
        What is the weather like in? | What is the weather in. | Set a timer for. | Turn on. | Switch off.
        Tell me a story about. | It's. | I'm. | What's. | And. | Make it blue and. | Make it blue,
        Make it blue... | Make it blue… | I think that. | Let me. | My. | Play something by my.
        If it rains then. | Because. | So. | Uh... | Er. | What about. | How many. | Hello. Paint me a.
        Stop. I want to. | Can you put the lights to? | Is it. | I. | Do you. | What can you. | Make it blue -
        Tell me how. I'd. | Please. | Can you tell me what. | The lights are.
        Turn the lights off when. | And then. | And so.
    """,
    "fr": """
        Peins-moi une. | Peins-moi un ? | Peins-moi. | Dis-moi. | Raconte-moi une histoire sur la. | Allume la.
        Je voudrais. | Je veux. | Je. | J'aimerais. | Est-ce que. | Est-ce que tu peux. | Est-ce que c'est.
        Qu'est-ce que. | Quelle est la capitale de. | Quelle est la capitale du. | Quel temps fait-il à.
        Il est. | Le ciel est. | C'est. | Et. | Mets du bleu et. | Mets du bleu, | Mets du bleu...
        Parle-moi de l'. | Parle-moi d'un. | Parce que. | Peux-tu. | Pourrais-tu. | Comment puis-je. | Euh.
        Mets de la musique euh... | Avec mon. | Je crois que. | Si. | Bonjour. Peins-moi une. | Jusqu'à.
        Il y a. | Montre moi.
    """,
}
UNKNOWN = {
    "en": "Make it blue | my mother is tall | Turn the lights blue",
    "fr": "Mets la lumière en bleu",
    "de": "Wie spät ist es? | Male mir ein. | Male mir ein",
    "ja": "今何時ですか。",
}


Row = tuple[str, str]


def rows(table: dict[str, str]) -> list[Row]:
    lines = [(language, line) for language, block in table.items() for line in block.strip().split("\n")]
    return [(language, text.strip()) for language, line in lines for text in line.split(" | ")]


@pytest.mark.parametrize(("language", "text"), rows(COMPLETE))
def test_a_whole_sentence_sounds_complete(language: str, text: str) -> None:
    assert sounds_complete(text, language) is True


@pytest.mark.parametrize(("language", "text"), rows(INCOMPLETE))
def test_words_that_break_off_sound_incomplete(language: str, text: str) -> None:
    assert sounds_complete(text, language) is False


@pytest.mark.parametrize(("language", "text"), rows(UNKNOWN))
def test_what_cannot_be_told_is_left_open(language: str, text: str) -> None:
    assert sounds_complete(text, language) is None


@pytest.mark.parametrize("text", ["", " ", "...", "…", ".", "?!", "♪", "\n"])
def test_without_words_nothing_can_be_told(text: str) -> None:
    assert sounds_complete(text, "en") is None


@pytest.mark.parametrize("text", ["Male mir ein...", "Male mir ein,", "Male mir …"])
def test_an_ellipsis_or_a_comma_goes_on_in_any_language(text: str) -> None:
    assert sounds_complete(text, "de") is False


@pytest.mark.parametrize("phrase", DEFAULT_STOP_WORDS)
def test_a_stop_word_is_never_waited_for(phrase: str) -> None:
    assert [True, True] == [sounds_complete(f"{phrase.capitalize()}.", language) for language in ("en", "fr")]


@pytest.mark.parametrize("language", ["en", "EN", "en-GB", "en_US"])
def test_regions_do_not_matter(language: str) -> None:
    assert sounds_complete("Paint me a.", language) is False


@given(text=st.text(max_size=200), language=st.sampled_from(["en", "fr", "de", ""]))
def test_any_text_has_a_verdict(text: str, language: str) -> None:
    assert sounds_complete(text, language) in (True, False, None)
