"""How wide a text is, and how to cut it: the picture is drawn without knowing the reader's font.

It errs on the wide side: the table holds the widths of DejaVu Sans, about the widest of the usual fonts.
It knows nothing of SVG.
"""

import unicodedata

ELLIPSIS = "…"
MAX_LOST_CHARACTERS = 10
"""How much more may go so that a text is not cut within a word."""

_WIDTHS = {
    0.30: "'ijlIJ",
    0.34: " ,.’‘:;/\\|·",
    0.40: "f-()[]rt!",
    0.54: '"“”*_`?sz–',
    0.62: "ckvxyLFPTYaoeg«»" + "àâäáéèêëîïôöóùûüúçñ",
    0.64: "bdhnpquS$0123456789{}E",
    0.70: "AVXZBRCK",
    0.79: "UNHDGOQ&",
    0.84: "w#+<=>^~",
    1.03: "mMW%@…—œŒæÆ",
}
_WIDTH_OF = {character: width for width, characters in _WIDTHS.items() for character in characters}
_WIDTH_OF_THE_REST = 0.85
_WIDTH_OF_WIDE = 1.30
"""Chinese characters are as wide as high; emoji are wider still in some fonts."""
_BOLD = 1.14


def clean(text: str) -> str:
    """*text* on one line, with only the characters that XML allows."""
    return " ".join("".join(c if _is_printable(c) else " " for c in text).split())


def _is_printable(character: str) -> bool:
    """Control characters, lone surrogates and the two non-characters of XML have no place in a picture."""
    return unicodedata.category(character) not in ("Cc", "Cs") and character not in "\ufffe\uffff"


def text_width(text: str, size: float, *, is_bold: bool = False) -> float:
    """Pixels that *text* takes at font size *size*, on the generous side."""
    ems = sum(_WIDTH_OF.get(character) or _width_of_rare(character) for character in text)
    return ems * size * (_BOLD if is_bold else 1.0)


def _width_of_rare(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    wide = unicodedata.east_asian_width(character) in "WF" or ord(character) > 0xFFFF
    return _WIDTH_OF_WIDE if wide else _WIDTH_OF_THE_REST


def cut(text: str, room: float, size: float, *, is_bold: bool = False) -> str:
    """*text*, or its beginning and an ellipsis, within *room* pixels; empty if nothing sensible fits."""
    if text_width(text, size, is_bold=is_bold) <= room:
        return text
    taken = _how_many(text, room - text_width(ELLIPSIS, size, is_bold=is_bold), size, is_bold)
    kept = _whole_words(text[: taken + 1], taken)
    return kept.rstrip(" ,;:") + ELLIPSIS if taken >= 2 else ""


def cut_head(text: str, room: float, size: float) -> str:
    """Like :func:`cut`, but what is left out is the beginning: for a text that grows."""
    if text_width(text, size) <= room:
        return text
    mirrored = text[::-1]
    taken = _how_many(mirrored, room - text_width(ELLIPSIS, size), size, False)
    kept = _whole_words(mirrored[: taken + 1], taken)
    return ELLIPSIS + kept[::-1].lstrip() if taken >= 2 else ""


def _whole_words(text: str, taken: int) -> str:
    """The first *taken* characters of *text* (one longer), less a word cut in two if that costs little."""
    space = text.rfind(" ")
    return text[:space] if 0 < space and taken - space <= MAX_LOST_CHARACTERS else text[:taken]


def _how_many(text: str, room: float, size: float, is_bold: bool) -> int:
    for count, character in enumerate(text):
        room -= text_width(character, size, is_bold=is_bold)
        if room < 0:
            return count
    return len(text)
