"""Cuts a growing reply into stretches that can be spoken.

A stretch ends with its sentence; the first may already end with a clause, so that speech starts early. No
character is lost or said twice, except white space at a cut, and the cuts do not depend on the pieces in which
the text arrives. English and French are known well; other languages by their punctuation.
"""

import re
from collections.abc import Iterator

from heisenberg.core.abbreviations import BEFORE_NUMBERS, NEVER_AN_END

FIRST_CLAUSE_CHARS = 12
FIRST_CLAUSE_WORDS = 3
"""A first clause is spoken on its own if it is at least this long. That is most of a second of speech, in which the
next stretch can be made; shorter ones sound chopped ("Well,") and leave a gap behind them."""

SHORTEST_CHARS = 12
"""A sentence shorter than this waits for the next one, unless it is the first."""

LONGEST_CHARS = 200
"""A stretch without an end is cut at a space before this."""


def _ends(closers: str) -> re.Pattern[str]:
    """What may end a stretch, where *closers* may stand behind a sentence."""
    return re.compile(
        rf"(?P<sentence>[.!?…]+)(?P<closers>{closers})(?=\s|$)"
        r"|(?P<wide>[。！？]+[」』”]*)"  # Chinese and Japanese put no space after it
        r"|(?P<line>\n)"
        r"|(?P<clause>(?P<comma>(?<=[^\W\d_])[,;])|[,;:—–](?=\s|$))"  # both dashes; no space after a letter's comma
    )


_END = _ends(r"(?:[\u00a0\u202f ]?»|[\"'”’)\]])*")
_END_UNQUOTED = _ends(r"[»\"'”’)\]]*")
"""The same where no guillemet is open that one behind a space could close."""

_NOT_AN_END = NEVER_AN_END | frozenset("inc ltd co corp".split())
"""A pause behind a company's name is heard, and two sentences in one stretch are not."""

_MAY_END = frozenset("etc a.m p.m".split())
"""The end of a sentence only if a capital follows."""

_ACRONYM = re.compile(r"\w(?:\.\w)+")


class SentenceCutter:
    """One text. Feed it what arrives, say what it gives, flush it at the end."""

    def __init__(self) -> None:
        self._text = ""
        self._is_first = True

    def feed(self, text: str) -> list[str]:
        """The stretches that *text* completes."""
        self._text += text
        return list(self._stretches(is_final=False))

    def flush(self) -> list[str]:
        """What is left; more text then begins a new stretch."""
        return list(self._stretches(is_final=True))

    def _stretches(self, *, is_final: bool) -> Iterator[str]:
        while True:
            self._text = self._text.lstrip()
            end = self._next_end(is_final=is_final)
            if end is None:
                return
            stretch, self._text = self._text[:end].rstrip(), self._text[end:]
            self._is_first = False
            yield stretch

    def _next_end(self, *, is_final: bool) -> int | None:
        """Where the next stretch ends, None if more text must decide."""
        text = self._text
        for mark in _marks(text):
            if mark.end() > LONGEST_CHARS:
                break
            is_end = self._is_end(mark)
            if is_end:
                return mark.end()
            if is_end is None and not is_final:
                return None
        if len(text) > LONGEST_CHARS:
            return _forced_end(text)
        return len(text) if is_final and text else None

    def _is_end(self, mark: re.Match[str]) -> bool | None:
        """Whether a stretch ends at *mark*; None if that depends on what follows."""
        stretch = mark.string[: mark.end()]
        if not any(char.isalnum() for char in stretch):
            return False
        if mark["line"]:
            return True
        if mark.end() == len(mark.string) and not mark["comma"]:
            return None
        if mark["clause"]:
            is_long = mark.end() >= FIRST_CLAUSE_CHARS and len(stretch.split()) >= FIRST_CLAUSE_WORDS
            return self._is_first and is_long
        if len(stretch) < SHORTEST_CHARS and not self._is_first:
            return False
        return True if mark["wide"] else _ends_sentence(mark, stretch)


def _marks(text: str) -> Iterator[re.Match[str]]:
    for mark in _END.finditer(text):
        is_open = text.count("«", 0, mark.start()) > text.count("»", 0, mark.start())
        yield mark if is_open else _END_UNQUOTED.match(text, mark.start()) or mark


def _ends_sentence(mark: re.Match[str], stretch: str) -> bool | None:
    """Whether the full stop (or other mark) ends a sentence, by what stands before and after it."""
    following = mark.string[mark.end() :].lstrip()[:1]
    is_quoted = bool(mark["closers"])
    if mark["sentence"] == "." and not is_quoted:
        return _full_stop_ends(stretch[:-1], following)
    if stretch.count("«") > stretch.count("»"):
        return None if not following else following != "»"
    if is_quoted or mark["sentence"].endswith(("..", "…")):
        return None if not following else not following.islower()
    return True


def _full_stop_ends(before: str, following: str) -> bool | None:
    written = before.split()[-1].lstrip("([«\"“'’")
    word = written.lower()
    if word in _NOT_AN_END or (word.isdigit() and before.strip() == word):
        return False
    if word in BEFORE_NUMBERS:
        return None if not following else not following.isdigit()
    if word in _MAY_END or written == "I":
        return None if not following else following.isupper()
    is_initial = len(word) == 1 and word.isalpha()
    return not is_initial and not _ACRONYM.fullmatch(word)


def _forced_end(text: str) -> int:
    """Where to cut a stretch that has no end: after a late clause, else at a space, else anywhere."""
    clauses = [mark.end() for mark in _END.finditer(text[: LONGEST_CHARS + 1]) if mark["clause"]]
    late = [end for end in clauses if LONGEST_CHARS // 2 <= end <= LONGEST_CHARS]
    return late[-1] if late else max(text.rfind(" ", 1, LONGEST_CHARS + 1), 0) or LONGEST_CHARS


def sentences_of(text: str) -> list[str]:
    """A whole *text* in stretches that can be spoken."""
    cutter = SentenceCutter()
    return [stretch.strip() for stretch in (*cutter.feed(text), *cutter.flush()) if stretch.strip()]
