"""From the tokens of a Kyutai recogniser to characters and words. Pure; knows no audio and no model library.

The model says one token for each frame: padding (3) where nobody speaks, 0 where a word begins, and pieces of text in
between. Everything odd about tokens ends here: pieces whose underscore (``▁``) is a space, words without their 0,
characters that come as bytes (``<0xC3>``, ``<0xA8>``), control tokens, and numbers that the vocabulary does not have.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Any, Protocol

RUNS = re.compile(r"\s+|\S+")

UNDERSCORE = "▁"
"""How sentencepiece writes a space."""

LONGEST_TAIL_S = 0.5
"""A word whose end is not told ends so long after its last piece."""


class Vocabulary(Protocol):
    """What a token says."""

    def piece(self, token: int) -> str | bytes | None:
        """Text with :data:`UNDERSCORE` for spaces, one byte of a character, or None where it says nothing."""


class SentencePieces:
    """The vocabulary of a checkpoint.

    Args:
        processor: a ``sentencepiece.SentencePieceProcessor``.
        silent: tokens that are not text, whatever their piece says (padding, the beginning of a word).
    """

    def __init__(self, processor: Any, silent: frozenset[int] = frozenset()) -> None:
        self._processor = processor
        self._silent = silent
        self._size = int(processor.get_piece_size())

    def piece(self, token: int) -> str | bytes | None:
        """As the Protocol says."""
        if token in self._silent or not 0 <= token < self._size:
            return None
        if self._processor.is_control(token) or self._processor.is_unknown(token) or self._processor.is_unused(token):
            return None
        text = str(self._processor.id_to_piece(token))
        return bytes([int(text[3:5], 16)]) if self._processor.is_byte(token) else text


@dataclass(frozen=True, slots=True)
class Word:
    """A word that will not change any more."""

    text: str
    start_s: float
    """Seconds of the audio."""
    end_s: float
    """Seconds of the audio; where the next word begins, or half a second after its last piece."""


@dataclass(frozen=True, slots=True)
class Said:
    """What one token added."""

    text: str = ""
    """New characters, its space before them."""
    words: tuple[Word, ...] = ()
    """Words that it closed."""


class WordAssembly:
    """Puts tokens together, one utterance long.

    Args:
        vocabulary: of the checkpoint.
        word_begins: the token that says so, 0 in Kyutai's.
    """

    def __init__(self, vocabulary: Vocabulary, word_begins: int = 0) -> None:
        self._vocabulary = vocabulary
        self._word_begins = word_begins
        self._bytes = codecs.getincrementaldecoder("utf-8")("ignore")
        self._has_text = False
        self._is_spaced = False
        self._begun_s: float | None = None
        self._word, self._start_s, self._last_s = "", 0.0, 0.0

    def hear(self, token: int, at_s: float) -> Said:
        """Take the next *token*, which is about the audio at *at_s* (never less than before)."""
        if token == self._word_begins:
            closed = self._close(at_s)
            self._begun_s, self._is_spaced = at_s, True
            return Said("", closed)
        piece = self._vocabulary.piece(token)
        if piece is None:
            is_over = bool(self._word) and at_s - self._last_s >= LONGEST_TAIL_S
            return Said("", self._close(at_s) if is_over else ())
        return self._take(piece, at_s)

    def end(self, at_s: float) -> Said:
        """Nothing comes any more, or nothing that belongs to the last word: close it."""
        return Said("", self._close(at_s))

    def _take(self, piece: str | bytes, at_s: float) -> Said:
        told = ""
        closed: tuple[Word, ...] = ()
        for run in RUNS.findall(self._decoded(piece)):
            if run.isspace():
                closed += self._close(at_s)
                self._is_spaced = True
            else:
                told += self._tell(run, at_s)
        return Said(told, closed)

    def _tell(self, run: str, at_s: float) -> str:
        """*run* as it is shown: one space between words, none before the first."""
        if not self._word:
            self._start_s = at_s if self._begun_s is None else self._begun_s
            self._begun_s = None
        gap = " " if self._is_spaced and self._has_text else ""
        self._word += run
        self._last_s = at_s
        self._has_text, self._is_spaced = True, False
        return gap + run

    def _decoded(self, piece: str | bytes) -> str:
        if isinstance(piece, bytes):
            return self._bytes.decode(piece)
        self._bytes.reset()  # a character that never got its last byte
        return piece.replace(UNDERSCORE, " ")

    def _close(self, at_s: float) -> tuple[Word, ...]:
        self._bytes.reset()
        if not self._word:
            return ()
        end_s = max(self._start_s, min(at_s, self._last_s + LONGEST_TAIL_S))
        word = Word(self._word, self._start_s, end_s)
        self._word = ""
        return (word,)
