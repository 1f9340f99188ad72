"""What the words of the configuration are called by a Wyoming service. Pure.

Services name their models (``ok_nabu_v0.1``) and say what is to be spoken ("ok nabu"); people write either.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_VERSION = re.compile(r"[ _-]v\d[\d.]*$")


@dataclass(frozen=True, slots=True)
class Offered:
    """A word that a service can listen for."""

    name: str
    phrase: str = ""
    """What is said; empty if the service does not tell."""


def known_words(words: Sequence[str], offered: Sequence[Offered]) -> dict[str, str]:
    """The service's name of each of *words* that it knows."""
    by_name = {_plain(each.name): each.name for each in reversed(offered)}
    by_phrase = {_plain(each.phrase): each.name for each in reversed(offered) if each.phrase}
    exact = {each.name: each.name for each in offered}
    found = {word: exact.get(word) or by_name.get(_plain(word)) or by_phrase.get(_plain(word)) for word in words}
    return {word: name for word, name in found.items() if name}


def word_called(name: str | None, words: dict[str, str]) -> str | None:
    """Which of *words* (ours → the service's) a detection of *name* means; without a name, the first."""
    if name is None:
        return next(iter(words), None)
    called = {theirs: ours for ours, theirs in words.items()}
    plain = {_plain(theirs): ours for ours, theirs in words.items()}
    return called.get(name) or plain.get(_plain(name))


def _plain(name: str) -> str:
    """*name* without its version, case and the sort of its gaps."""
    return " ".join(re.split(r"[\s_-]+", _VERSION.sub("", name.strip().lower())))
