"""Finds stop words in transcripts, and tells words from noise and from the assistant's own voice. Pure."""

import difflib
import re
from collections.abc import Sequence

POLITE = frozenset(
    {"please", "ok", "okay", "hey", "oh", "now", "just", "no", "non", "s'il", "te", "vous", "plaît", "plait"}
)
"""Words that may stand around a stop word."""

SOUNDS = frozenset({"um", "uh", "hm", "hmm", "mm", "mmm", "mhm", "ah", "oh", "huh", "eh", "euh", "hein", "heu", "hum"})
"""What Whisper makes of a cough or of somebody who agrees; no words."""

OWN_VOICE_SHARE = 0.75
"""If so many of the words heard are, in this order, in the reply being spoken, they are its echo."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


def words(text: str) -> list[str]:
    """The words of *text* in lower case, with straight apostrophes."""
    return [word.group().lower().replace("’", "'") for word in _WORD.finditer(text)]


def is_stop(text: str, stop_words: Sequence[str]) -> bool:
    """Whether *text* is a stop word (once or repeated, politely or not) and nothing else."""
    rest = [word for word in words(text) if word not in POLITE]
    phrases = sorted(({tuple(w for w in words(phrase) if w not in POLITE) for phrase in stop_words}), key=len)
    if not rest:
        return False
    while rest:
        found = next((phrase for phrase in reversed(phrases) if phrase and tuple(rest[: len(phrase)]) == phrase), None)
        if found is None:
            return False
        rest = rest[len(found) :]
    return True


def holds_stop(text: str, stop_words: Sequence[str], reply: str) -> bool:
    """Whether a stop word is somewhere in *text*, and not because the *reply* that is being spoken holds it."""
    heard, own = f" {' '.join(words(text))} ", f" {' '.join(words(reply))} "
    spoken = (f" {' '.join(words(phrase))} " for phrase in stop_words)
    return any(phrase in heard and phrase not in own for phrase in spoken)


def has_words(text: str, reply: str) -> bool:
    """Whether somebody said something in *text* that is not an echo of *reply*."""
    heard = [word for word in words(text) if word not in SOUNDS]
    if not heard:
        return False
    matcher = difflib.SequenceMatcher(None, heard, words(reply), autojunk=False)
    # Single words are in every reply; an echo repeats it for two words at least.
    echoed = sum(run.size for run in matcher.get_matching_blocks() if run.size >= min(2, len(heard)))
    return echoed < OWN_VOICE_SHARE * len(heard)


def says(reply: str, phrase: str) -> bool:
    """Whether *reply* holds the words of a wake word's name, such as ``hey_jarvis``."""
    return f" {' '.join(words(phrase.replace('_', ' ')))} " in f" {' '.join(words(reply))} "
