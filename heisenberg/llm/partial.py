"""Takes the model's text while it grows and gives the reply's characters and the complete visual fields.

A reply's characters leave as they come; a field leaves once, when it is complete and valid. The result does
not depend on how the text was cut into pieces. Servers that do not honour the schema are met half-way: what
stands around the object is ignored, ``<think>`` sections too, fields beside ``visual`` count; and text with
no object at all is a reply without visuals, so that nothing is lost. It knows nothing of HTTP.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from heisenberg.core.stages import ReplyToken, VisualField
from heisenberg.llm.json_scan import Found, JsonScanner, Path, ScalarEnded, StringEnded, StringGrew, Surrogates
from heisenberg.llm.visuals import VisualSchema

PREAMBLE_CHARS = 160
"""Text before an object is dropped up to this length ("Sure, here is the JSON:"); longer text is spoken."""

AFTERWORD_CHARS = 2000
"""How much text after the object is kept, for when there was no reply in it."""

_FENCE = re.compile(r"`{3}\w{0,12}")
_OBJECT = re.compile(r'(?:`{3}\w{0,12}\s{0,8})?\{\s{0,40}["}]')
_MAYBE_OBJECT = re.compile(r"(?:`{1,3}\w{0,12}\s{0,8}(?:\{\s{0,40})?|\{\s{0,40})$")
_THINK, _END_OF_THINK = "<think>", "</think>"
_UNSPEAKABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
_ENDS_WELL = re.compile(r"[.!?…。！？][\"'”’»)\]]*$")
_REPLY: Path = ("reply",)


@dataclass(frozen=True, slots=True)
class ReplyEnded:
    """No more of the reply comes."""

    is_whole: bool
    """False if it was cut off, perhaps within a word."""


Piece = ReplyToken | ReplyEnded | VisualField


class AnswerParser:
    """One answer of the model.

    Args:
        schema: which fields there may be, and how long the reply may get.
    """

    def __init__(self, schema: VisualSchema) -> None:
        self._schema = schema
        self._reply = _Reply()
        self._front = _Front()
        self._scanner = JsonScanner()
        self._halves = Surrogates()
        self._texts: dict[Path, list[str]] = {}
        self._seen: set[str] = set()
        self._afterword = ""
        self._has_reply_ended = False

    @property
    def is_complete(self) -> bool:
        """Whether the answer could end here: its object is closed, or there is none."""
        return self._scanner.is_done or not self._front.is_past

    def feed(self, text: str) -> Iterator[Piece]:
        """What *text* adds to the answer."""
        if not self._front.is_past:
            spoken, text = self._front.feed(text)
            yield from self._say(self._halves.feed(spoken))
        if self._front.is_past and text:
            found, rest = self._scanner.feed(text)
            self._afterword = (self._afterword + rest)[:AFTERWORD_CHARS]
            for piece in found:
                yield from self._take(piece)

    def finish(self, *, is_cut: bool) -> Iterator[Piece]:
        """What is left when no more text comes; *is_cut* if the model had to stop before it was done."""
        if self._scanner.is_inside(_REPLY) and not self._has_reply_ended:
            yield from self._end(is_whole=False)
        if not self._reply.is_empty and self._front.is_past:
            yield from self._end(is_whole=True)
            return
        rest = self._front.rest() + self._halves.flush() + _FENCE.sub(" ", self._afterword)
        yield from self._say(rest)
        yield from self._end(is_whole=not is_cut)

    def _take(self, piece: Found) -> Iterator[Piece]:
        match piece:
            case StringGrew(path, text) if path == _REPLY:
                yield from self._say(text)
            case StringGrew(path, text):
                self._texts.setdefault(path, []).append(text)
            case StringEnded(path) if path == _REPLY:
                has_room = self._reply.length < self._schema.reply_chars
                yield from self._end(is_whole=has_room or self._reply.ends_well)
            case StringEnded(path):
                yield from self._field(path, "".join(self._texts.pop(path, [])))
            case ScalarEnded(path, raw) if path == _REPLY and raw != "null":
                yield from self._say(raw)
                yield from self._end(is_whole=True)
            case ScalarEnded(path, raw):
                yield from self._field(path, raw if raw not in ("true", "false", "null") else None)

    def _say(self, text: str) -> Iterator[Piece]:
        if not self._has_reply_ended and (grown := self._reply.feed(text)):
            yield ReplyToken(grown)

    def _end(self, *, is_whole: bool) -> Iterator[Piece]:
        if not self._has_reply_ended and not self._reply.is_empty:
            self._has_reply_ended = True
            yield ReplyEnded(is_whole)

    def _field(self, path: Path, value: str | None) -> Iterator[Piece]:
        """The field at ``visual.NAME``, or at ``NAME`` where a server ignores the schema."""
        if path[:-1] not in ((), ("visual",)) or path[-1] in self._seen:
            return
        accepted = self._schema.accept(path[-1], value)
        if accepted is not None:
            self._seen.add(path[-1])
            yield VisualField(path[-1], accepted)


class _Front:
    """The text before the object: dropped if short, spoken if long, not read if thought."""

    def __init__(self) -> None:
        self.is_past = False
        self._held = ""
        self._is_spoken = False
        self._is_thought: bool | None = None

    def feed(self, text: str) -> tuple[str, str]:
        """What is to be spoken, and from where the object has begun."""
        self._held += text
        if not self._is_thought_over():
            return "", ""
        if begun := _OBJECT.search(self._held):
            self.is_past = True
            spoken, text = self._held[: begun.start()], self._held[self._held.index("{", begun.start()) :]
            self._held = "" if self._may_speak(spoken) else spoken
            return (spoken if self._is_spoken else ""), text
        maybe = _MAYBE_OBJECT.search(self._held)
        certain = maybe.start() if maybe else len(self._held)
        if not self._may_speak(self._held[:certain]):
            return "", ""
        spoken, self._held = self._held[:certain], self._held[certain:]
        return spoken, ""

    def rest(self) -> str:
        """What was held back; empty if it is a thought that never ended."""
        return "" if self._is_thought else _FENCE.sub(" ", self._held)

    def _may_speak(self, text: str) -> bool:
        self._is_spoken = self._is_spoken or len(text) > PREAMBLE_CHARS
        return self._is_spoken

    def _is_thought_over(self) -> bool:
        """Whether what is held is no thought; thoughts are thrown away as they come."""
        if self._is_thought is None:
            start = self._held.lstrip()
            if len(start) < len(_THINK) and _THINK.startswith(start):
                return False
            self._is_thought = start.startswith(_THINK)
        if self._is_thought:
            _, end, after = self._held.partition(_END_OF_THINK)
            self._held = after.lstrip() if end else self._held[-len(_END_OF_THINK) :]
            self._is_thought = not end
        return not self._is_thought


class _Reply:
    """The reply's text without what cannot be spoken and without space at its ends."""

    def __init__(self) -> None:
        self.length = 0
        self._space = ""
        self._tail = ""

    @property
    def is_empty(self) -> bool:
        return not self._tail

    @property
    def ends_well(self) -> bool:
        return bool(_ENDS_WELL.search(self._tail))

    def feed(self, text: str) -> str:
        """What may be added; space waits until something follows it."""
        self.length += len(text)
        text = self._space + _UNSPEAKABLE.sub("", text)
        if self.is_empty:
            text = text.lstrip()
        solid = text.rstrip()
        self._space = text[len(solid) :]
        self._tail = (self._tail + solid)[-8:]
        return solid
