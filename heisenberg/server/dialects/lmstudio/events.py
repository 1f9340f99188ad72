"""A model's answer (OpenAI's stream) as the events of LM Studio's ``/api/v1/chat``.

Pure: payloads in, events out, always in the order that clients rely on; a block (reasoning, message) is closed before
the next one begins. The last event holds everything that was said, which is also the answer in one piece. Whoever
has the connections is ``chat.py``.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from heisenberg.server.dialects.lmstudio.figures import Figures
from heisenberg.server.sse import DONE, named_event
from heisenberg.server.upstream import Refused, parsed

Event = dict[str, Any]
Block = Literal["", "reasoning", "message"]


class Narrator:
    """Tells one chat as it happens. Every method returns the events that are to be sent now.

    Args:
        model: the name of the instance.
        clock: seconds, monotonic.
    """

    def __init__(self, model: str, clock: Callable[[], float]) -> None:
        self.figures = Figures(clock)
        self.is_over = False
        self._model, self._clock = model, clock
        self._load_s = 0.0
        self._has_begun = self._is_reading = False
        self._progress = 0.0
        self._block: Block = ""
        self._text: list[str] = []
        self._output: list[Event] = []
        self._calls: dict[int, Event] = {}

    # ── before the answer ────────────────────────────────────────────────────────────────────────

    def begin(self) -> list[Event]:
        """The chat begins. Once: not when another server is asked."""
        if self._has_begun:
            return []
        self._has_begun = True
        return [{"type": "chat.start", "model_instance_id": self._model}]

    def begin_loading(self) -> list[Event]:
        """The model is not in memory. How far it is, nobody can tell before it is there."""
        found = {"model_instance_id": self._model}
        return [{"type": "model_load.start", **found}, {"type": "model_load.progress", **found, "progress": 0.0}]

    def end_loading(self, seconds: float) -> list[Event]:
        """It is there."""
        self._load_s = seconds
        found = {"model_instance_id": self._model}
        done = {"type": "model_load.end", **found, "load_time_seconds": seconds}
        return [{"type": "model_load.progress", **found, "progress": 1.0}, done]

    def ask(self) -> list[Event]:
        """The model was asked; maybe another time, since the first server gave no answer."""
        self.figures = Figures(self._clock)
        if self._is_reading:
            return []
        self._is_reading = True
        return [{"type": "prompt_processing.start"}, {"type": "prompt_processing.progress", "progress": 0.0}]

    # ── the answer ───────────────────────────────────────────────────────────────────────────────

    def hear(self, payload: bytes) -> list[Event]:
        """One payload of the model's server. Raises Refused if it is an error, or nonsense."""
        if self.is_over:
            return []
        if payload == DONE:
            return self._end() if self.figures.finish else []
        event = parsed(payload)
        try:
            return self._heard(event)
        except (TypeError, ValueError, LookupError, AttributeError) as exc:
            raise Refused(f"the model's server answered with nonsense: {str(exc)[:200]}") from exc

    def finish(self) -> list[Event]:
        """The model's server has closed the stream. Raises Refused if that was too early."""
        if self.is_over:
            return []
        if not self.figures.finish:
            raise Refused("the model's server broke off in the middle of its answer")
        return self._end()

    def fail(self, error: Mapping[str, Any]) -> list[Event]:
        """It cannot be completed; what was said until now is in the last event all the same."""
        self._is_reading = False  # the prompt's end is not told if it was not reached
        events = self._close()
        self.is_over = True
        self.figures.end()
        return [*events, {"type": "error", "error": dict(error)}, {"type": "chat.end", "result": self.result()}]

    def result(self, response_id: str = "") -> Event:
        """Everything that was said."""
        return {
            "model_instance_id": self._model,
            "output": self._output,
            "stats": self.figures.v1(self._load_s),
            **({"response_id": response_id} if response_id else {}),
        }

    @property
    def message(self) -> str:
        """What the model has said, without its reasoning."""
        return "".join(item["content"] for item in self._output if item["type"] == "message")

    def _heard(self, event: Mapping[str, Any]) -> list[Event]:
        self.figures.note(event)
        events = self._read(event.get("prompt_progress"))
        for choice in (event.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            events += self._say("reasoning", delta.get("reasoning_content") or delta.get("reasoning"))
            events += self._say("message", delta.get("content"))
            for call in delta.get("tool_calls") or ():
                self._call(call)
            self.figures.finish = choice.get("finish_reason") or self.figures.finish
        return events

    def _read(self, progress: object) -> list[Event]:
        """llama-server tells how much of the prompt it has read."""
        if not self._is_reading or not isinstance(progress, Mapping) or not progress.get("total"):
            return []
        share = min(1.0, max(0.0, progress["processed"] / progress["total"]))
        if share <= self._progress:
            return []
        self._progress = share
        return [{"type": "prompt_processing.progress", "progress": share}]

    def _say(self, block: Block, text: object) -> list[Event]:
        if not text:
            return []
        if not isinstance(text, str):
            raise TypeError("text that is no string")
        self.figures.count(is_thought=block == "reasoning")
        events = self._open(block)
        self._text.append(text)
        return [*events, {"type": f"{block}.delta", "content": text}]

    def _open(self, block: Block) -> list[Event]:
        if block == self._block:
            return []
        events = self._close()
        self._block = block
        return [*events, {"type": f"{block}.start"}]

    def _close(self) -> list[Event]:
        events = self._end_reading()
        if self._block:
            self._output.append({"type": self._block, "content": "".join(self._text)})
            events.append({"type": f"{self._block}.end"})
            self._text.clear()
            self._block = ""
        return events

    def _end_reading(self) -> list[Event]:
        if not self._is_reading:
            return []
        self._is_reading = False
        last = [{"type": "prompt_processing.progress", "progress": 1.0}] if self._progress < 1 else []
        return [*last, {"type": "prompt_processing.end"}]

    def _end(self) -> list[Event]:
        events = [*self._close(), *self._refuse_calls()]
        self.is_over = True
        self.figures.end()
        return events

    # ── tools ────────────────────────────────────────────────────────────────────────────────────

    def _call(self, delta: Mapping[str, Any]) -> None:
        self.figures.count()
        call = self._calls.setdefault(int(delta.get("index") or 0), {"name": "", "arguments": ""})
        function = delta.get("function") or {}
        call["name"] += function.get("name") or ""
        call["arguments"] += function.get("arguments") or ""

    def _refuse_calls(self) -> list[Event]:
        """No tools are offered here; a model that calls one all the same has invented it."""
        events: list[Event] = []
        for _, call in sorted(self._calls.items()):
            name = call["name"]
            reason = f"Cannot find tool with name {name}."
            metadata = {"type": "invalid_name", "tool_name": name}
            events += [
                {"type": "tool_call.start", "tool": name},
                {"type": "tool_call.arguments", "tool": name, "arguments": _arguments(call["arguments"])},
                {"type": "tool_call.failure", "reason": reason, "metadata": metadata},
            ]
            self._output.append({"type": "invalid_tool_call", "reason": reason, "metadata": metadata})
        return events


def as_bytes(events: list[Event]) -> bytes:
    """*events*, as they are sent."""
    return b"".join(named_event(event["type"], event) for event in events)


def _arguments(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
