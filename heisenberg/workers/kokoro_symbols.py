"""From espeak-ng's phonemes to the numbers that Kokoro was taught with, and from long sentences to shorter ones.

Kokoro's own way of writing sounds has one letter for a diphthong (``A`` as in *day*) and for an affricate (``ʧ``), and
American English without length marks. Sounds that it does not know are left out. Pure.

Source of the numbers: ``config.json`` of hexgrad/Kokoro-82M; of the letters: its phonemiser, hexgrad/misaki.
"""

import unicodedata
from collections.abc import Iterator, Mapping

LONGEST = 200
"""Symbols that are spoken at once, 10 to 15 s of sound. The model takes 510, but all are done before one is heard."""

_RUNS: Mapping[int, str] = {
    1: ";:,.!?",
    9: "—…\"()“” \u0303ʣʥʦʨᵝ\uab67AI",
    31: "O",
    33: "Q",
    35: "ST",
    39: "W",
    41: "Yᵊabcdef",
    50: "hijklmnopqrstuvwxyzɑɐɒæ",
    75: "βɔɕç",
    80: "ɖðʤə",
    85: "ɚɛɜ",
    90: "ɟ",
    92: "ɡ",
    99: "ɥ",
    101: "ɨɪʝ",
    110: "ɯɰŋɳɲɴø",
    118: "ɸθœ",
    123: "ɹ",
    125: "ɾɻ",
    128: "ʁɽʂʃʈʧ",
    135: "ʊʋ",
    138: "ʌɣɤ",
    142: "χʎ",
    147: "ʒʔ",
    156: "ˈˌː",
    162: "ʰ",
    164: "ʲ",
    169: "↓",
    171: "→↗↘",
    177: "ᵻ",
}  # fmt: skip
"""The number of the first letter, and the letters that follow each other from there."""

NUMBERS: Mapping[str, int] = {letter: first + at for first, run in _RUNS.items() for at, letter in enumerate(run)}
"""Letter → number. 0 is for the ends."""

_STOPS = frozenset(NUMBERS[mark] for mark in ".!?;:,—…")
_SPACE = NUMBERS[" "]
_SILENT = frozenset(range(17))
"""Punctuation and the space."""

_EVERYWHERE = (
    ("eɪ", "A"), ("aɪ", "I"), ("ɔɪ", "Y"), ("aʊ", "W"), ("oʊ", "O"), ("əʊ", "Q"),
    ("tʃ", "ʧ"), ("dʒ", "ʤ"), ("ts", "ʦ"), ("dz", "ʣ"),
)  # fmt: skip
_ENGLISH = (("ʦ", "ts"), ("ʣ", "dz"), ("ɐ", "ə"), ("r", "ɹ"), ("ʲ", ""), ("x", "k"))
_AMERICAN = (
    ("ɜːɹ", "ɜɹ"), ("ɜː", "ɜɹ"), ("ɚ", "əɹ"), ("ɪə", "iə"), ("ː", ""), ("o", "ɔ"), ("ɾ", "T"), ("ʔ", "t"),
)  # fmt: skip
_BRITISH = (("eə", "ɛː"), ("iə", "ɪə"), ("ɚ", "ə"))
_FURTHER = {"en-us": (*_ENGLISH, *_AMERICAN), "en-gb": (*_ENGLISH, *_BRITISH)}


def symbols(phonemes: str, language: str) -> list[int]:
    """*phonemes* as numbers; *language* as espeak-ng calls it."""
    for heard, written in (*_EVERYWHERE, *_FURTHER.get(language, ())):
        phonemes = phonemes.replace(heard, written)
    # Some letters are known with their mark (ç), of others the mark counts by itself (ɑ̃).
    letters: list[str] = []
    for letter in unicodedata.normalize("NFC", phonemes):
        letters += [letter] if letter in NUMBERS else unicodedata.normalize("NFD", letter)
    return [NUMBERS[letter] for letter in letters if letter in NUMBERS]


def pieces(sentence: list[int]) -> Iterator[list[int]]:
    """*sentence* in pieces of at most ``LONGEST``, cut after punctuation, else between words; none without a sound."""
    while sentence:
        cut = len(sentence) if len(sentence) <= LONGEST else _cut(sentence[:LONGEST])
        piece, sentence = sentence[:cut], sentence[cut:]
        if not _SILENT.issuperset(piece):
            yield piece


def _cut(start: list[int]) -> int:
    """After its last punctuation in the second half, else after its last space, else at its end."""
    for marks, earliest in ((_STOPS, len(start) // 2), ({_SPACE}, 0)):
        places = [at for at in range(earliest, len(start)) if start[at] in marks]
        if places:
            return places[-1] + 1
    return len(start)
