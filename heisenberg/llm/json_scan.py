"""Reads one JSON object while it grows, and says at once what is there.

A pushdown automaton over characters: each is looked at once, whatever the pieces it arrives in. It never
fails: what is not JSON is read as the nearest thing that is. jiter's partial mode, the obvious way, parses
everything again for each token and cannot say whether a number is complete. What the values mean is
``partial.py``'s affair.
"""

import re
from dataclasses import dataclass

Path = tuple[str, ...]
"""The keys that lead to a value; ``[]`` stands for any place in an array."""


@dataclass(frozen=True, slots=True)
class StringGrew:
    """More of a string value, decoded."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True)
class StringEnded:
    """A string value is complete; there may have been no text."""

    path: Path


@dataclass(frozen=True, slots=True)
class ScalarEnded:
    """A number, true, false or null is complete: a delimiter followed."""

    path: Path
    raw: str


Found = StringGrew | StringEnded | ScalarEnded

_PLAIN = re.compile(r'[^"\\]+')
_SPACE = re.compile(r"\s+")
_SCALAR = re.compile(r'[^\s,:"{}\[\]]+')
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_UNICODE_ESCAPE = re.compile(r"\\u[0-9a-fA-F]{0,4}")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CLOSERS = {"{": "}", "[": "]"}


class Surrogates:
    """Joins the halves of a character that was written as two escapes; a lone half becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """What is certain of *text* and what came before."""
        text, self._held = self._held + text, ""
        if not _SURROGATE.search(text):
            return text
        if "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def flush(self) -> str:
        """What was held back."""
        lone, self._held = self._held, ""
        return "\ufffd" if lone else ""


class JsonScanner:
    """One JSON object. Feed it text from the opening brace on."""

    def __init__(self) -> None:
        self.is_done = False
        """Whether the object is closed."""
        self._open: list[str] = []
        self._keys: list[str] = []
        self._wants_value = True
        self._in_string = False
        self._is_key = False
        self._key: list[str] = []
        self._escape = ""
        self._scalar: list[str] = []
        self._halves = Surrogates()

    def feed(self, text: str) -> tuple[list[Found], str]:
        """What *text* adds, and the part of it that comes after the object."""
        found: list[Found] = []
        at = 0
        while at < len(text) and not self.is_done:
            if self._in_string:
                at = self._read_string(text, at, found)
            elif self._scalar or (self._wants_value and _SCALAR.match(text, at)):
                at = self._read_scalar(text, at, found)
            else:
                at = self._read_structure(text, at)
        return found, text[at:]

    def is_inside(self, path: Path) -> bool:
        """Whether the string at *path* has begun and not ended."""
        return self._in_string and not self._is_key and tuple(self._keys) == path

    # ── strings ──────────────────────────────────────────────────────────────────────────────────

    def _read_string(self, text: str, at: int, found: list[Found]) -> int:
        if self._escape:
            return self._read_escape(text, at, found)
        if plain := _PLAIN.match(text, at):
            self._say(plain[0], found)
            return plain.end()
        if text[at] == "\\":
            self._escape = "\\"
        else:
            self._end_string(found)
        return at + 1

    def _read_escape(self, text: str, at: int, found: list[Found]) -> int:
        """One more character of an escape sequence."""
        longer = self._escape + text[at]
        if _UNICODE_ESCAPE.fullmatch(longer):
            self._escape = longer
            if len(longer) == 6:
                self._escape = ""
                self._say(chr(int(longer[2:], 16)), found)
            return at + 1
        was_unicode, self._escape = len(self._escape) > 1, ""
        if was_unicode:
            self._say("\ufffd", found)
            return at
        self._say(_ESCAPES.get(text[at], text[at]), found)
        return at + 1

    def _say(self, text: str, found: list[Found]) -> None:
        certain = self._halves.feed(text)
        if self._is_key:
            self._key.append(certain)
        elif certain:
            found.append(StringGrew(tuple(self._keys), certain))

    def _end_string(self, found: list[Found]) -> None:
        if rest := self._halves.flush():
            self._key.append(rest)
            if not self._is_key:
                found.append(StringGrew(tuple(self._keys), rest))
        self._in_string = False
        if self._is_key:
            self._keys[-1] = "".join(self._key)
        else:
            found.append(StringEnded(tuple(self._keys)))
            self._wants_value = False

    # ── everything else ──────────────────────────────────────────────────────────────────────────

    def _read_scalar(self, text: str, at: int, found: list[Found]) -> int:
        """A scalar ends where something else begins, and not before that is seen."""
        if more := _SCALAR.match(text, at):
            self._scalar.append(more[0])
            return more.end()
        found.append(ScalarEnded(tuple(self._keys), "".join(self._scalar)))
        self._scalar = []
        self._wants_value = False
        return at

    def _read_structure(self, text: str, at: int) -> int:
        if space := _SPACE.match(text, at):
            return space.end()
        match text[at]:
            case "{" | "[" as opener:
                self._open.append(opener)
                self._keys.append("" if opener == "{" else "[]")
                self._wants_value = opener == "["
            case "}" | "]":
                self._close()
            case '"':
                self._in_string = True
                self._is_key = self._open[-1] == "{" and not self._wants_value
                self._key = []
            case ":":
                self._wants_value = True
            case ",":
                self._wants_value = self._open[-1] == "["
        return at + 1

    def _close(self) -> None:
        self._open.pop()
        self._keys.pop()
        self._wants_value = False
        self.is_done = not self._open
