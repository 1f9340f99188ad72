"""llama-server's answers (OpenAI's server-sent events) as Ollama's: one JSON object a line.

The hot path of the dialect: bytes of one read in, the lines they make out, in one piece. Pure; whoever has the
connections is ``generation.py``. Everything is written as ASCII: clients that split lines at any of Unicode's
line separators (httpx does) would otherwise cut text in two.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from heisenberg.server.dialects.ollama import conversation
from heisenberg.server.folders import without_folders
from heisenberg.server.upstream import reason_in

LONGEST_LINE_BYTES = 32_000_000
"""Of an event; a server that sends more without a line's end is broken."""

Event = Mapping[str, Any]
Shape = Literal["chat", "generate"]


class BrokenStream(Exception):
    """The model's server sent something that is no answer, or an error; the text is for people."""


def rfc3339(moment: datetime) -> str:
    """*moment* (in UTC), as Ollama writes it."""
    return moment.isoformat().replace("+00:00", "Z")


def now() -> str:
    """This moment, as Ollama writes it."""
    return rfc3339(datetime.now(UTC))


def as_line(found: object) -> bytes:
    """One line of an answer."""
    return json.dumps(found, separators=(",", ":")).encode() + b"\n"


def message_of(shape: Shape, text: str, thinking: str = "", **more: object) -> dict[str, Any]:
    """The part of an object that holds what was said."""
    said: dict[str, Any] = {"thinking": thinking} if thinking else {}
    if shape == "generate":
        return {"response": text, **said}
    return {"message": {"role": "assistant", "content": text, **said, **more}}


@dataclass(slots=True)
class _Call:
    """A tool call, as far as it has come."""

    identity: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Translator:
    """One answer on its way from llama-server to an Ollama client.

    Args:
        model: what the client calls it.
        clock: seconds, monotonic.
        began_s: when the request came, by that clock.
        load_s: how long the model was loaded for it.
        conversation: what was said before, for generate's ``context``; None gives none back.
    """

    def __init__(
        self,
        model: str,
        shape: Shape,
        *,
        clock: Callable[[], float],
        began_s: float,
        load_s: float = 0.0,
        conversation: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.is_over = False
        """The last line was made; nothing more comes."""
        self.error = ""
        """What that line says, if it is an error."""
        self.tokens = 0
        """Generated, once it is over."""
        self._model, self._shape = model, shape
        self._clock, self._began_s, self._load_s = clock, began_s, load_s
        self._conversation = conversation
        self._said: list[str] = []
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._calls: dict[int, _Call] = {}
        self._finish = ""
        self._pieces = 0
        self._asked_s = clock()
        self._first_s: float | None = None
        self._timings: Event = {}
        self._usage: Event = {}
        self._head = f'{{"model":{json.dumps(model)},"created_at":"'
        self._opening = '","response":' if shape == "generate" else '","message":{"role":"assistant","content":'
        self._closing = ',"done":false}\n' if shape == "generate" else '},"done":false}\n'

    def feed(self, data: bytes) -> bytes:
        """The lines that *data* (of one read, cut anywhere) completes; often empty."""
        if self.is_over:
            return b""
        end = data.rfind(b"\n")
        if end < 0:
            return self._keep(data)
        block = b"".join((*self._rest, data[:end])) if self._rest else data[:end]
        self._rest = [data[end + 1 :]]
        self._rest_bytes = len(self._rest[0])
        out: list[str] = []
        fault = self._safely(lambda: self._lines(block, out))
        return "".join(out).encode() + fault

    def finish(self) -> bytes:
        """The last line, now that the model's server has closed the stream."""
        rest = self.feed(b"\n") if self._rest_bytes else b""
        if self.is_over:
            return rest
        if not self._finish:
            return rest + self.fail("the model's server broke off in the middle of its answer")
        out: list[str] = []
        fault = self._safely(lambda: out.append(self._last()))
        return rest + "".join(out).encode() + fault

    def fail(self, message: str) -> bytes:
        """The last line, if the answer cannot be completed."""
        self.is_over, self.error = True, without_folders(message)
        return as_line({"error": self.error})

    def _safely(self, work: Callable[[], None]) -> bytes:
        """Do *work*; the line that says what was wrong, or nothing."""
        try:
            work()
        except BrokenStream as exc:
            return self.fail(str(exc))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as exc:
            return self.fail(f"the model's server answered with nonsense: {str(exc)[:200]}")
        return b""

    def _lines(self, block: bytes, out: list[str]) -> None:
        before = self._head + now() + self._opening
        for line in block.split(b"\n"):
            if line.startswith(b"data:"):
                self._event(line[5:], before, out)
            elif line.startswith(b"error:"):  # llama-server, some years ago
                raise BrokenStream(reason_in(json.loads(line[6:])))
            if self.is_over:
                return

    def _keep(self, data: bytes) -> bytes:
        self._rest.append(data)
        self._rest_bytes += len(data)
        if self._rest_bytes > LONGEST_LINE_BYTES:
            return self.fail("the model's server sent a line without end")
        return b""

    def _event(self, raw: bytes, before: str, out: list[str]) -> None:
        if raw.strip() == b"[DONE]":
            if self._finish:
                out.append(self._last())
            return
        event = json.loads(raw)
        # The plain piece of text, as nearly every event is.
        try:
            choice = event["choices"][0]
            text = choice["delta"]["content"]
            is_plain = len(choice["delta"]) == 1 and choice["finish_reason"] is None and choice.get("logprobs") is None
        except (KeyError, IndexError, TypeError):
            is_plain = False
        if is_plain and type(text) is str and "error" not in event and "timings" not in event:
            if text:
                self._count(text)
                out.append(before + json.dumps(text) + self._closing)
            return
        self._other_event(event, out)

    def _other_event(self, event: Event, out: list[str]) -> None:
        if error := event.get("error"):
            raise BrokenStream(reason_in({"error": error}))
        self._timings = event.get("timings") or self._timings
        self._usage = event.get("usage") or self._usage
        if "choices" not in event:
            self._native(event, out)
        for choice in (event.get("choices") or ())[:1]:
            delta = choice.get("delta") or {}
            text = delta.get("content") or choice.get("text") or ""
            thinking = delta.get("reasoning_content") or delta.get("reasoning") or ""
            self._say(text, thinking, _logprobs(choice.get("logprobs")), out)
            for call in delta.get("tool_calls") or ():
                self._tool_delta(call)
            self._finish = choice.get("finish_reason") or self._finish

    def _native(self, event: Event, out: list[str]) -> None:
        """llama-server's own events, which ``/infill`` answers with; they end without ``[DONE]``."""
        self._say(event.get("content") or "", "", [], out)
        if event.get("stop"):
            self._finish = "length" if event.get("stop_type") == "limit" else "stop"
            out.append(self._last())

    def _say(self, text: str, thinking: str, logprobs: list[Any], out: list[str]) -> None:
        if not isinstance(text, str) or not isinstance(thinking, str):
            raise TypeError("text that is no string")
        if not (text or thinking or logprobs):
            return
        self._count(text)
        more = {"logprobs": logprobs} if logprobs else {}
        out.append(self._line(message_of(self._shape, text, thinking), done=False, **more))

    def _count(self, text: str) -> None:
        self._pieces += 1
        if self._first_s is None:
            self._first_s = self._clock()
        if self._conversation is not None:
            self._said.append(text)

    def _tool_delta(self, delta: Event) -> None:
        self._count("")
        call = self._calls.setdefault(int(delta.get("index") or 0), _Call())
        function = delta.get("function") or {}
        call.identity = delta.get("id") or call.identity
        call.name = function.get("name") or call.name
        if arguments := function.get("arguments"):
            call.arguments.append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def _last(self) -> str:
        """The tool calls, whole, and the line that ends the answer."""
        calls = self._whole_calls()
        self.is_over = True
        before = self._line(message_of(self._shape, "", tool_calls=calls), done=False) if calls else ""
        reason = "length" if self._finish == "length" else "stop"
        more: dict[str, Any] = {"done_reason": reason, **self._counts()}
        self.tokens = more["eval_count"]
        if self._conversation is not None:
            answer = {"role": "assistant", "content": "".join(self._said)}
            more["context"] = conversation.encode([*self._conversation, answer])
        return before + self._line(message_of(self._shape, ""), done=True, **more)

    def _whole_calls(self) -> list[dict[str, Any]]:
        calls = []
        for index, call in sorted(self._calls.items()):
            try:
                arguments = json.loads("".join(call.arguments) or "{}")
            except ValueError:
                arguments = None
            if isinstance(arguments, dict):
                function = {"index": index, "name": call.name, "arguments": arguments}
                calls.append({**({"id": call.identity} if call.identity else {}), "function": function})
            elif self._finish != "length":  # what was cut off is told by done_reason
                raise BrokenStream(f'the model called the tool "{call.name}" with arguments that are no JSON object')
        return calls

    def _counts(self) -> dict[str, int]:
        """How many tokens and nanoseconds: llama-server's figures, else the usage and our own clock."""
        timings, usage, end_s = self._timings, self._usage, self._clock()
        first_s = end_s if self._first_s is None else self._first_s
        prompt = timings.get("prompt_n", 0) + timings.get("cache_n", 0) or usage.get("prompt_tokens") or 0
        return {
            "total_duration": _nanoseconds(end_s - self._began_s),
            "load_duration": _nanoseconds(self._load_s),
            "prompt_eval_count": int(prompt),
            "prompt_eval_duration": _nanoseconds(timings.get("prompt_ms", (first_s - self._asked_s) * 1e3) / 1e3),
            "eval_count": int(timings.get("predicted_n") or usage.get("completion_tokens") or self._pieces),
            "eval_duration": _nanoseconds(timings.get("predicted_ms", (end_s - first_s) * 1e3) / 1e3),
        }

    def _line(self, said: Event, *, done: bool, **more: object) -> str:
        found = {"model": self._model, "created_at": now(), **said, "done": done, **more}
        return json.dumps(found, separators=(",", ":")) + "\n"


def fold(lines: bytes) -> dict[str, Any]:
    """The answer as one object, for ``stream: false``; *lines* have to end well."""
    found = [json.loads(line) for line in lines.splitlines()]
    last: dict[str, Any] = found[-1]
    logprobs = [entry for line in found for entry in line.get("logprobs", ())]
    more = {"logprobs": logprobs} if logprobs else {}
    if "response" in last:
        thinking = "".join(line.get("thinking", "") for line in found)
        text = "".join(line["response"] for line in found)
        return {**last, **message_of("generate", text, thinking), **more}
    messages = [line["message"] for line in found]
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    thinking = "".join(message.get("thinking", "") for message in messages)
    text = "".join(message["content"] for message in messages)
    tools = {"tool_calls": calls} if calls else {}
    return {**last, **message_of("chat", text, thinking, **tools), **more}


def _logprobs(found: object) -> list[dict[str, Any]]:
    if not isinstance(found, dict):
        return []
    return [
        {**_token(entry), "top_logprobs": [_token(other) for other in entry.get("top_logprobs") or ()]}
        for entry in found.get("content") or ()
    ]


def _token(entry: Event) -> dict[str, Any]:
    return {key: entry[key] for key in ("token", "logprob", "bytes") if entry.get(key) is not None}


def _nanoseconds(seconds: float) -> int:
    return max(0, round(seconds * 1e9))
