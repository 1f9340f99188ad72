"""Every brain there is, over scripted servers, and the tests' own fake: each is told in the same words what to do."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from heisenberg.core.config import LlmConfig, VisualConfig, VisualField
from heisenberg.core.errors import BrainError
from heisenberg.core.stages import Brain
from heisenberg.llm.analyst import SchemaAnalyst
from heisenberg.llm.answer import GrowingAnswer
from heisenberg.llm.brain import SchemaBrain
from heisenberg.llm.deltas import Delta
from heisenberg.llm.visuals import VisualSchema
from tests.fakes.llama_server import DROP, STALL, Fail, FakeLlamaServer
from tests.fakes.ollama_server import FakeOllama
from tests.fakes.stages import FakeBrain

BACKENDS = ["llama.cpp", "openai", "ollama"]

FAILURES = {
    "an error in the stream": "upstream-error",
    "an HTTP error": "upstream-error",
    "the connection breaks": "llm-failed",
    "silence before the first token": "llm-timeout",
    "silence in the middle": "llm-timeout",
    "too slow altogether": "llm-timeout",
    "the end comes too early": "llm-failed",
    "nothing": "llm-bad-answer",
    "nobody there": "llm-failed",
}
"""What may go wrong, and the code that says so, whichever server it is."""

_LIMITS: dict[str, dict[str, float]] = {
    "silence before the first token": {"stall_seconds": -8},  # the prompt's length gives it as much again
    "silence in the middle": {"stall_seconds": 0.2},
    "too slow altogether": {"timeout_seconds": 0.2},
}


@dataclass
class ScriptedBrain:
    """A brain of ours, whose server says what the test wants."""

    backend: str
    server: FakeLlamaServer | FakeOllama
    ended: asyncio.Event
    """The server saw that somebody went away."""
    _close: list[Callable[[], Any]] = field(default_factory=list)
    _limits: dict[str, float] = field(default_factory=dict)

    def says(self, *pieces: str) -> None:
        """Answer in these pieces of text."""
        self.server.enqueue(*pieces)

    def never_ends(self, *pieces: str) -> None:
        """Begin to answer, and go on for ever."""
        self.server.enqueue(*pieces, STALL)

    def fails(self, how: str) -> None:
        """Fail as :data:`FAILURES` has it."""
        self._limits = _LIMITS.get(how, {})
        match how:
            case "an error in the stream":
                self.server.enqueue('{"reply": "The', Fail("out of memory"))
            case "an HTTP error":
                self.server.enqueue(status=500, message="out of memory")
            case "the connection breaks":
                self.server.enqueue('{"reply": "The', DROP)
            case "silence before the first token":
                self.server.enqueue(STALL)
            case "silence in the middle" | "too slow altogether":
                self.server.enqueue('{"reply": "The', STALL)
            case "the end comes too early":
                self.server.enqueue('{"reply": "The', finish="")
            case "nothing":
                self.server.enqueue("{}")
            case "nobody there":
                self.server.url = "http://127.0.0.1:9"

    def brain(self, fields: dict[str, VisualField] | None = None, **llm: Any) -> SchemaBrain:
        """The brain; closed in the end."""
        visual = VisualConfig() if fields is None else VisualConfig(fields=fields)
        brain = SchemaBrain(self._config(llm), visual, self.server.lease)
        self._close.append(brain.close)
        return brain

    def analyst(self, visual: VisualConfig | None = None, **llm: Any) -> SchemaAnalyst:
        """The analyst of the same model; closed in the end."""
        analyst = SchemaAnalyst(self._config(llm), visual or VisualConfig(), self.server.lease)
        self._close.append(analyst.close)
        return analyst

    def heard(self) -> list[str]:
        """What was said to the model with the last question, and by it."""
        return [message["content"] for message in self.server.requests[-1]["messages"]]

    def _config(self, llm: dict[str, Any]) -> LlmConfig:
        update = {"backend": self.backend, "model": "tiny", **self._limits, **llm}
        return LlmConfig().model_copy(update=update)  # unchecked, so that tests may be impatient

    async def close(self) -> None:
        for close in self._close:
            await close()


class ScriptedFake:
    """The brain of the orchestrator's tests."""

    backend = "fake"

    def __init__(self) -> None:
        self._brain = FakeBrain()
        self.ended = asyncio.Event()

    def says(self, *pieces: str) -> None:
        growing = GrowingAnswer(VisualSchema(VisualConfig().fields, max_tokens=160))
        thoughts = [thought for piece in pieces for thought in growing.take(Delta(piece, "", 0))]
        self._brain.enqueue(*thoughts, *growing.take(Delta("", "stop", len(pieces))), *growing.finish())

    def never_ends(self, *pieces: str) -> None:
        growing = GrowingAnswer(VisualSchema(VisualConfig().fields, max_tokens=160))
        thoughts = [thought for piece in pieces for thought in growing.take(Delta(piece, "", 0))]
        self._brain.enqueue(*thoughts, asyncio.Event())

    def fails(self, how: str) -> None:
        self._brain.enqueue(BrainError(how, code=FAILURES[how]))

    def brain(self, **llm: Any) -> Brain:
        return self._brain

    def heard(self) -> list[str]:
        question, history, _ = self._brain.asked[-1]
        return [text for told in history for text in (told.question, said_before(told.answer))] + [question]

    async def close(self) -> None:
        """Nothing to close."""


Scripted = ScriptedBrain | ScriptedFake


def said_before(answer: str) -> str:
    """An answer of the past, as a model is shown it."""
    return json.dumps({"reply": answer}, separators=(",", ":"), ensure_ascii=False)


def in_pieces(text: str, size: int = 4) -> Sequence[str]:
    """*text* as a model's tokens."""
    return [text[at : at + size] for at in range(0, len(text), size)]


@asynccontextmanager
async def scripted(backend: str) -> AsyncIterator[Scripted]:
    """The brain called *backend*."""
    if backend == "fake":
        yield ScriptedFake()
        return
    async with AsyncExitStack() as stack:
        fake: FakeLlamaServer | FakeOllama = FakeOllama() if backend == "ollama" else FakeLlamaServer()
        server = await stack.enter_async_context(fake)
        brain = ScriptedBrain(backend, server, server.cancelled)
        stack.push_async_callback(brain.close)
        yield brain
