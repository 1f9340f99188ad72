"""Do these words sound like the end of a sentence, or do they break off in mid-phrase? Pure.

In: the transcript up to a pause; out: yes, no, or cannot tell. How long the pause is then waited for is decided
elsewhere. The words count more than the punctuation, since Whisper puts a full stop after anything. Which words
leave a sentence open is listed in ``vad/phrase_words.py``; no grammar is attempted beyond the last few words, and
where both readings are common the answer is the careful one: a wrong "no" costs half a second, a wrong "yes" cuts
the user off.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

from heisenberg.vad.phrase_words import LANGUAGES, LanguageWords

_SENTENCES = re.compile(r"(?<=[.?!])\s+")
_BREAKS_OFF = re.compile(r"(\.\.|…|[,;:—–-])[\s\"'»”)]*$")
_ENDS = re.compile(r"[.?!][\s\"'»”)]*$")
_ASKS = re.compile(r"\?[\s\"'»”)]*$")


def sounds_complete(text: str, language: str) -> bool | None:
    """Whether *text*, a transcript up to a pause, is a whole sentence; None if that cannot be told.

    Args:
        text: what Whisper wrote, with its capitals and punctuation.
        language: ISO 639-1 code, in which ``en`` and ``fr`` are known. In others only an ellipsis or a comma says
            something: that it goes on.
    """
    if _BREAKS_OFF.search(text):
        return False if any(character.isalnum() for character in text) else None
    known = LANGUAGES.get(language.lower()[:2])
    if known is None:
        return None
    words = known.words(_SENTENCES.split(text.strip())[-1])
    if not words:
        return None
    if _breaks_off(words, known, is_question=bool(_ASKS.search(text))):
        return False
    return True if _ENDS.search(text) else None


def _breaks_off(words: Sequence[str], known: LanguageWords, *, is_question: bool) -> bool:
    """Whether the last of *words* wants another one after it."""
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if (before, last) in known.closed_pairs:
        return False
    if before in known.auxiliaries and last in known.inverted_pronouns:
        return not (before in known.copulas and _question_word(words[:-2], known))
    if last in known.open_words or (before, last) in known.open_pairs:
        return True
    if last in known.auxiliaries:
        return not _closes_clause(words, known)
    if last in known.prepositions:
        return not (_question_word(words[:-1], known) and _may_be_stranded(before, known, is_question=is_question))
    if last in known.particles:
        return len(words) == 1 or before in known.particle_verbs
    return last in known.asking_verbs and not _question_word(words[:-1], known)


def _closes_clause(words: Sequence[str], known: LanguageWords) -> bool:
    """Whether an auxiliary may be the last word: "what time it is", "where the station is", "yes, I can"."""
    subject = next((word for word in reversed(words[:-1]) if word not in known.auxiliaries), "")
    if words[0] in known.answers:
        return subject in known.pronouns
    if not _question_word(words[:-1], known):
        return False
    return subject in known.pronouns or any(
        article in known.articles and noun not in known.question_words for article, noun in pairwise(words[:-1])
    )


def _may_be_stranded(before: str, known: LanguageWords, *, is_question: bool) -> bool:
    """Whether a preposition may follow *before* as the last word: "who are you talking to?", "what is it for?"."""
    verb_or_pronoun = before in known.pronouns or before in known.stranding or before.endswith(known.verb_endings)
    return verb_or_pronoun and (is_question or before in known.copulas or before.endswith(known.verb_endings))


def _question_word(words: Sequence[str], known: LanguageWords) -> bool:
    return any(word in known.question_words for word in words)
