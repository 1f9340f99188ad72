"""Ollama's chat and generate requests as bodies for llama-server.

Pure translation: only keys that are named here get through; options are clamped in ``options.py``. The other
way is ``stream.py``. Knows the model's description, not whether it is loaded.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from heisenberg.runner.catalog.entry import Model
from heisenberg.server.asgi import BadRequest
from heisenberg.server.dialects.ollama import conversation
from heisenberg.server.dialects.ollama.options import sampling

Request = Mapping[str, Any]
Message = dict[str, Any]

ROLES = frozenset({"system", "user", "assistant", "tool", "developer"})
LEVELS = ("low", "medium", "high", "max")
MOST_LOGPROBS = 20
MOST_OPEN_CALLS = 128
"""Tool calls that an answer is looked for among."""

CHATTED = ("system", "context", "images")
"""What makes a chat of a request to generate."""
TEMPLATES = frozenset({"chat-template", "chat-template-file"})
"""llama-server options by which a model has a template in place of its file's."""

# What llama-server can decode; the first bytes tell.
_IMAGE_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What to ask a llama-server."""

    path: str
    body: dict[str, Any]
    shape: Literal["chat", "generate"]
    """How the answer is to look."""
    conversation: tuple[Message, ...] | None = None
    """For generate's ``context``: what was said until now; None gives none back."""


def model_name(request: Request) -> str:
    """The model that is asked for. Raises BadRequest."""
    name = request.get("model") or request.get("name")
    if not isinstance(name, str) or not name.strip():
        raise BadRequest("model is required")
    return name.strip()


def is_streamed(request: Request) -> bool:
    """Whether the answer is to come line by line, which is Ollama's default. Raises BadRequest."""
    stream = request.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("stream has to be true or false")
    return stream is not False


def chat(request: Request, model: Model) -> Asked:
    """POST /api/chat. Raises BadRequest."""
    body = {"messages": _messages(_list(request, "messages"), model), **_common(request, model)}
    tools = _list(request, "tools")
    if not all(isinstance(tool, dict) for tool in tools):
        raise BadRequest("tools has to be a list of objects")
    if tools and model.supports_tools:
        if _is_unable(model, "tools"):
            raise BadRequest(f'"{model_name(request)}" does not support tools')
        body["tools"] = tools
    return Asked("/v1/chat/completions", {**body, **_format(request), **_thinking(request, model)}, "chat")


def generate(request: Request, model: Model) -> Asked:
    """POST /api/generate: a chat of one message, unless ``raw`` or ``suffix`` say otherwise. Raises BadRequest.

    A model that was never taught to chat goes on with the prompt as it is.
    """
    if _text(request, "template"):
        raise BadRequest("template is not supported: the model's own is used. For another, send raw prompts")
    if _text(request, "suffix"):
        return _infill(request, model)
    if request.get("raw") is True or (_only_completes(model) and not any(map(request.get, CHATTED))):
        return _raw(request, model)
    messages = _conversation(request)
    said = {"role": "user", "content": _text(request, "prompt")}
    pictured = _with_images(said, _list(request, "images"), model)
    body = {"messages": [*messages, pictured], **_common(request, model)}
    body |= {**_format(request), **_thinking(request, model)}
    return Asked("/v1/chat/completions", body, "generate", (*messages, said))


def _only_completes(model: Model) -> bool:
    """Without a template of its own llama-server would wrap the prompt in one that the model has never seen."""
    return model.header is not None and not model.header.has_chat_template and not TEMPLATES & model.parameters.keys()


def _conversation(request: Request) -> list[Message]:
    messages = conversation.decode(request["context"]) if request.get("context") else []
    if system := _text(request, "system"):
        messages = [message for message in messages if message["role"] != "system"]
        return [{"role": "system", "content": system}, *messages]
    return messages


def _raw(request: Request, model: Model) -> Asked:
    if _text(request, "system") or request.get("context") or request.get("images"):
        raise BadRequest("raw mode does not support template, system, context or images")
    body = {"prompt": _text(request, "prompt"), **_common(request, model), **_grammar(request)}
    if "logprobs" in body:
        body["logprobs"] = max(1, body.pop("top_logprobs"))  # completions want a number there
    return Asked("/v1/completions", body, "generate")


def _infill(request: Request, model: Model) -> Asked:
    if _is_unable(model, "insert"):
        raise BadRequest(f'"{model_name(request)}" does not support insert')
    prompt, suffix, common = _text(request, "prompt"), _text(request, "suffix"), _common(request, model)
    if model.is_remote:  # not every server is a llama-server; OpenAI's own key is the best guess
        return Asked("/v1/completions", {"prompt": prompt, "suffix": suffix, **common}, "generate")
    if (most := common.pop("max_tokens", None)) is not None:
        common["n_predict"] = most
    return Asked("/infill", {"input_prefix": prompt, "input_suffix": suffix, **common}, "generate")


def _common(request: Request, model: Model) -> dict[str, Any]:
    body = sampling(request.get("options"), model.context_tokens)
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.get("logprobs"):
        most = request.get("top_logprobs") or 0
        if isinstance(most, bool) or not isinstance(most, int) or not 0 <= most <= MOST_LOGPROBS:
            raise BadRequest(f"top_logprobs must be between 0 and {MOST_LOGPROBS}")
        body |= {"logprobs": True, "top_logprobs": most}
    return body


def _format(request: Request) -> dict[str, Any]:
    match request.get("format"):
        case None | "":
            return {}
        case "json":
            return {"response_format": {"type": "json_object"}}
        case dict() as schema:
            wrapped = {"name": "schema", "schema": schema}
            return {"response_format": {"type": "json_schema", "json_schema": wrapped}}
        case other:
            raise BadRequest(f'format is {json.dumps(other)[:40]}; expected "json" or a JSON schema')


def _grammar(request: Request) -> dict[str, Any]:
    """Like :func:`_format`, for completions, which know no ``response_format``."""
    match _format(request):
        case {"response_format": {"json_schema": {"schema": schema}}}:
            return {"json_schema": schema}
        case {"response_format": _}:
            return {"json_schema": {"type": "object"}}
    return {}


def _thinking(request: Request, model: Model) -> dict[str, Any]:
    think = request.get("think")
    if think is None:
        return {}
    if think is not False and not (think is True or think in LEVELS):
        raise BadRequest(f"think is {json.dumps(think)[:40]}; expected true, false, {', '.join(LEVELS)}")
    if think is not False and _is_unable(model, "thinking"):
        raise BadRequest(f'"{model_name(request)}" does not support thinking')
    arguments = {"enable_thinking": think is not False}
    if isinstance(think, str):
        return {"chat_template_kwargs": {**arguments, "reasoning_effort": think}}
    return {"chat_template_kwargs": arguments}


def _is_unable(model: Model, capability: Literal["tools", "thinking", "insert", "vision"]) -> bool:
    """Whether we know that *model* cannot: of a remote one, or one without a readable header, we do not."""
    return model.header is not None and not model.is_remote and capability not in model.capabilities


# ── messages ─────────────────────────────────────────────────────────────────────────────────────


def _messages(messages: Sequence[Any], model: Model) -> list[Message]:
    translated: list[Message] = []
    open_calls: list[tuple[str, str]] = []  # id and name of the calls that no tool has answered yet
    for message in messages:
        if not isinstance(message, dict):
            raise BadRequest("messages has to be a list of objects")
        role = str(message.get("role") or "").lower()
        if role not in ROLES:
            raise BadRequest(f'the role of a message is "{role[:40]}"; expected one of {", ".join(sorted(ROLES))}')
        found = _with_images({"role": role, "content": _text(message, "content")}, _list(message, "images"), model)
        if role == "assistant":
            found |= _assistant(message, open_calls)
        elif role == "tool":
            found |= _tool(message, open_calls)
        translated.append(found)
    return translated


def _assistant(message: Request, open_calls: list[tuple[str, str]]) -> Message:
    found: Message = {}
    if thinking := _text(message, "thinking"):
        found["reasoning_content"] = thinking
    calls = []
    for call in _list(message, "tool_calls"):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise BadRequest("a tool call needs a function with a name")
        identity = str(call.get("id") or f"call_{len(open_calls)}_{function['name']}")
        arguments = function.get("arguments") or {}
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        calls.append({"id": identity, "type": "function", "function": {"name": function["name"], "arguments": text}})
        open_calls.append((identity, function["name"]))
    del open_calls[:-MOST_OPEN_CALLS]
    return {**found, "tool_calls": calls} if calls else found


def _tool(message: Request, open_calls: list[tuple[str, str]]) -> Message:
    """Ollama's clients may name the tool only; llama-server's templates want the call's id."""
    name, identity = _text(message, "tool_name") or _text(message, "name"), _text(message, "tool_call_id")
    matching = [call for call in open_calls if identity == call[0] or (not identity and name in ("", call[1]))]
    if matching:
        open_calls.remove(matching[0])
        identity, name = matching[0]
    return {key: value for key, value in (("tool_call_id", identity), ("name", name)) if value}


def _with_images(message: Message, images: Sequence[Any], model: Model) -> Message:
    if not images:
        return message
    if _is_unable(model, "vision"):
        raise BadRequest(f'"{model.name}" does not support image input')
    parts: list[Message] = [{"type": "text", "text": message["content"]}] if message["content"] else []
    parts += [{"type": "image_url", "image_url": {"url": _data_url(image)}} for image in images]
    return {**message, "content": parts}


def _data_url(image: object) -> str:
    if not isinstance(image, str):
        raise BadRequest("images has to be a list of base64 texts")
    encoded = image.partition(",")[2] if image.startswith("data:") else image
    try:
        start = base64.b64decode(encoded[:64], validate=True)
    except (binascii.Error, ValueError) as exc:
        raise BadRequest("images has to be a list of base64 texts; addresses are not fetched") from exc
    for magic, kind in _IMAGE_KINDS.items():
        if start.startswith(magic):
            return f"data:image/{kind};base64,{encoded}"
    is_webp = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    what = "WebP, which llama.cpp cannot read" if is_webp else "of an unknown kind"
    raise BadRequest(f"the image is {what}; expected PNG, JPEG, GIF or BMP")


def _list(request: Request, key: str) -> list[Any]:
    value = request.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise BadRequest(f"{key} has to be a list")
    return value


def _text(request: Request, key: str) -> str:
    value = request.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadRequest(f"{key} has to be a string")
    return value
