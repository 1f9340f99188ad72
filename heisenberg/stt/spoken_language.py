"""Is this English or French? For recognisers that write both and do not say which. Pure.

Counts the short words that one of the two cannot do without, and accents; no dictionary. A few words are enough for a
sentence; where nothing speaks for either, the caller's last guess stands.
"""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace

from heisenberg.core.recordings import Passage

_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
_ACCENTS = frozenset("àâæçèéêëîïôœùûüÿ")
ACCENT_WEIGHT = 2
"""An accented word counts as so many others: English has next to none."""

_COMMON: Mapping[str, frozenset[str]] = {
    "en": frozenset(
        "the and of to is it in that you was for are with this what who how my your he she they we do does did can "
        "could would should will not have has had be been at by from there here when where why which an or but me "
        "him her his its our their please tell show make turn hello yes i if out up about just like".split()
    ),
    "fr": frozenset(
        "le la les un une des du de et est il elle on nous vous je tu que qui quoi quel quelle dans pour pas ne sur "
        "avec ce cette ces mon ma mes ton ta tes son sa ses au aux se sont moi toi lui leur leurs ou mais plus oui "
        "bonjour comment pourquoi quand y en l d j c n s qu m t fait dis montre rouge bleu mer".split()
    ),
}
_ELISIONS = frozenset("cdjlmnst") | {"qu"}
"""Before an apostrophe only French has these: ``l'eau``, ``j'ai``; ``s`` and ``t`` follow it in English."""


def guessed_language(text: str, among: Sequence[str], default: str) -> str:
    """ISO 639-1 code of *text*: ``en`` or ``fr``, if it is one of *among*.

    Args:
        among: what it may be.
        default: the answer where nothing can be told.
    """
    scores = {code: _score(text.lower().replace("’", "'"), code) for code in ("en", "fr") if code in among}
    if not scores:
        return default
    best = max(scores, key=lambda code: scores[code])
    is_tied = sum(score == scores[best] for score in scores.values()) > 1
    return default if not scores[best] or is_tied else best


async def with_guessed_language(
    passages: AsyncGenerator[Passage, None], among: Sequence[str]
) -> AsyncGenerator[Passage, None]:
    """*passages* of a recogniser that does not tell the language, with the one that their words are in."""
    language = among[0]
    async with aclosing(passages):
        async for passage in passages:
            language = guessed_language(passage.text, among, language)
            yield replace(passage, language=language)


def _score(text: str, code: str) -> int:
    words = _WORD.findall(text)
    score = sum(word in _COMMON[code] for word in words)
    if code == "fr":
        score += ACCENT_WEIGHT * sum(not _ACCENTS.isdisjoint(word) for word in words)
        score += sum(before in _ELISIONS for before in re.findall(r"(?<![^\W_'])([a-z]{1,2})'(?=\w{2})", text))
    return score
