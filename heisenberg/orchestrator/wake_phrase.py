"""Takes the wake phrase out of a transcript.

A command spoken in the same breath is transcribed together with the wake phrase, because Whisper needs
the words' beginnings to understand them. The phrase itself ("Hey Jarvis", also misheard as "A Travis")
is then cut off here, on text, where nothing can be clipped.
"""

import difflib
import re

SEARCHED_WORDS = 6
"""The phrase is looked for among the first words only; later it is part of the command."""

SIMILAR_ENOUGH = 0.7
"""For words that come from audio which begins with the phrase."""

NEARLY_THE_SAME = 0.85
"""For other words: "Okay, now" is not "Okay Nabu"."""

MISHEARD = {"hey jarvis": ("a travis",)}
"""What Whisper makes of a phrase, where it looks quite different on paper."""

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def without_wake_phrase(text: str, phrase: str, *, is_expected: bool = True) -> str:
    """*text* from behind the first words that sound like *phrase*; all of it if none do.

    Args:
        text: a transcript.
        phrase: the wake word's name, for example ``hey_jarvis``.
        is_expected: whether the audio begins with the phrase, so that the words may be taken less literally.
    """
    wanted = phrase.replace("_", " ").lower()
    spellings = (wanted, *MISHEARD.get(wanted, ()))
    words = list(_WORD.finditer(text))[:SEARCHED_WORDS]
    best, best_score = None, SIMILAR_ENOUGH if is_expected else NEARLY_THE_SAME
    for first in range(len(words)):
        for last in range(first, min(first + len(wanted.split()) + 1, len(words))):
            heard = " ".join(word.group().lower() for word in words[first : last + 1])
            score = max(difflib.SequenceMatcher(None, heard, spelling).ratio() for spelling in spellings)
            if score > best_score:
                best, best_score = words[last], score
    if best is None:
        return text
    rest = text[best.end() :].lstrip(" ,.;:!?…-–—'’\"»")
    return rest[:1].upper() + rest[1:]
