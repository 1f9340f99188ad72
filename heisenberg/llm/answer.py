"""One answer while it grows: deltas in; tokens, sentences and fields out, and the whole at the end."""

import re
from collections.abc import Iterator

from heisenberg.core.errors import BrainError
from heisenberg.core.stages import Answer, ReplySentence, ReplyToken, Thought, VisualField
from heisenberg.llm.deltas import Delta
from heisenberg.llm.partial import AnswerParser, Piece, ReplyEnded
from heisenberg.llm.sentences import SentenceCutter
from heisenberg.llm.visuals import VisualSchema

SHOWN_CHARS = 80
"""How much of an unusable answer is quoted."""

_LAST_WORD = re.compile(r"(\s+|^)\S+$")


class GrowingAnswer:
    """One answer.

    Args:
        schema: what it may consist of.
    """

    def __init__(self, schema: VisualSchema) -> None:
        self._parser = AnswerParser(schema)
        self._cutter = SentenceCutter()
        self._reply = ""
        self._visual: dict[str, str | float] = {}
        self._finish = ""
        self._deltas = 0
        self._tokens = 0
        self._beginning = ""

    def take(self, delta: Delta) -> Iterator[Thought]:
        """What *delta* adds."""
        self._finish = delta.finish or self._finish
        self._tokens = max(self._tokens, delta.tokens)
        self._deltas += bool(delta.text)
        self._beginning = self._beginning or delta.text[:SHOWN_CHARS].strip()
        yield from self._thoughts(self._parser.feed(delta.text))

    def finish(self) -> Iterator[Thought]:
        """What the end of the stream completes; the Answer is the last.

        Raises: BrainError, with code ``llm-bad-answer`` if there is neither a reply nor a field.
        """
        if not self._finish and not self._parser.is_complete:
            raise BrainError("The language model's server ended its answer in the middle.")
        yield from self._thoughts(self._parser.finish(is_cut=self._finish == "length"))
        if not self._reply and not self._visual:
            seen = f"it began with {self._beginning!r}" if self._beginning else "it was empty"
            advice = "Try another model, or another llm.prompt_format."
            raise BrainError(f"The language model's answer has no reply; {seen}. {advice}", code="llm-bad-answer")
        yield Answer(self._reply, self._visual, self._tokens or self._deltas)

    def _thoughts(self, pieces: Iterator[Piece]) -> Iterator[Thought]:
        for piece in pieces:
            match piece:
                case ReplyToken(text):
                    self._reply += text
                    yield piece
                    yield from map(ReplySentence, self._cutter.feed(text))
                case VisualField(name, value):
                    self._visual[name] = value
                    yield piece
                case ReplyEnded(is_whole):
                    yield from map(ReplySentence, self._last_sentences(is_whole=is_whole))

    def _last_sentences(self, *, is_whole: bool) -> list[str]:
        """What remains to be said; where the reply was cut off, without its last, broken word."""
        sentences = self._cutter.flush()
        if is_whole or not sentences or " " not in self._reply:
            return sentences
        self._reply = _LAST_WORD.sub("", self._reply)
        sentences[-1] = _LAST_WORD.sub("", sentences[-1])
        return [sentence for sentence in sentences if sentence]
