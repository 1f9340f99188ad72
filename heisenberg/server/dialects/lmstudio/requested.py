"""LM Studio's requests as bodies for a model's server.

Pure translation: only keys that are named here get through, numbers stay in their range (they reach C++ code), and
images come with the request, since nothing is fetched for a client. The way back is ``completion.py`` (v0) and
``events.py`` (v1).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg.runner.catalog.entry import Model
from heisenberg.server.dialects.lmstudio.errors import BadParameter
from heisenberg.server.request_guard import refuse_remote_media

Request = Mapping[str, Any]
Message = Mapping[str, Any]

MOST_SECONDS_TO_LIVE = 1e9

_IMAGE = re.compile(r"data:image/[a-z0-9.+-]{1,40};base64,[A-Za-z0-9+/=\s]+", re.IGNORECASE)

# ── numbers ──────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Range:
    """What a number may be."""

    least: float
    most: float
    is_whole: bool = False


_TOKENS = Range(-1, 2**31 - 1, is_whole=True)

RANGES: Mapping[str, Range] = {
    "temperature": Range(0, 100),
    "top_p": Range(0, 1),
    "top_k": Range(0, 1_000_000, is_whole=True),
    "min_p": Range(0, 1),
    "repeat_penalty": Range(0, 100),
    "presence_penalty": Range(-100, 100),
    "frequency_penalty": Range(-100, 100),
    "seed": Range(-1, 2**32 - 1, is_whole=True),
}
V1_NUMBERS = ("temperature", "top_p", "top_k", "min_p", "repeat_penalty")

PLAIN = frozenset(
    {
        "messages", "prompt", "stop", "tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs",
        "top_logprobs", "logit_bias", "reasoning_effort", "chat_template_kwargs", "echo", "suffix", "user",
    }
)  # fmt: skip
"""Keys of v0 that a model's server checks itself; what is not named anywhere here does not reach it."""


def numbers(request: Request, names: Sequence[str]) -> dict[str, Any]:
    """Those of *names* that are given, within their ranges. Raises BadParameter if one is no number."""
    return {name: clamped(name, request[name], RANGES[name]) for name in names if request.get(name) is not None}


def clamped(name: str, value: object, allowed: Range) -> float:
    """The nearest number that is allowed. Raises BadParameter if *value* is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise BadParameter(name, f"'{name}' has to be a number", code="invalid_type")
    near = min(max(value, allowed.least), allowed.most)
    return int(near) if allowed.is_whole else near


# ── both ─────────────────────────────────────────────────────────────────────────────────────────


def model_name(request: Request, param: str = "model") -> str:
    """The model that is asked for. Raises BadParameter."""
    name = request.get(param)
    if not isinstance(name, str) or not name.strip():
        raise BadParameter(param, f"'{param}' is required", code="missing_required_parameter")
    return name.strip()


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    """true or false. Raises BadParameter for anything else."""
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise BadParameter(name, f"'{name}' has to be true or false", code="invalid_type")
    return value


def ttl_s(request: Request) -> float | None:
    """Seconds that the model is to stay after its last use; None if the request does not say. Raises BadParameter."""
    value = request.get("ttl")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise BadParameter("ttl", "'ttl' has to be a number of seconds, 0 or more", code="invalid_type")
    return -1.0 if value > MOST_SECONDS_TO_LIVE else float(value)


# ── v0 ───────────────────────────────────────────────────────────────────────────────────────────


def completion(request: Request, model: Model, *, is_chat: bool, allows_web: bool = False) -> dict[str, Any]:
    """POST /api/v0/chat/completions and /api/v0/completions; a stream always has figures at its end.

    Args:
        allows_web: whether the model's server may fetch images.
    Raises: BadRequest.
    """
    needed = "messages" if is_chat else "prompt"
    if request.get(needed) is None:
        raise BadParameter(needed, f"'{needed}' is required", code="missing_required_parameter")
    body = {key: value for key, value in request.items() if key in PLAIN and value is not None}
    body |= numbers(request, tuple(RANGES))
    if (most := _most_tokens(request)) is not None:
        body["max_tokens"] = most
    if is_chat:
        _check_messages(request["messages"])
    elif not isinstance(request["prompt"], str | list):
        raise BadParameter("prompt", "'prompt' has to be a string or a list", code="invalid_type")
    refuse_remote_media(body, allows_web=allows_web)
    if not model.supports_tools:
        body = {key: value for key, value in body.items() if "tool" not in key}
    if flag(request, "stream"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def wants_usage(request: Request) -> bool:
    """Whether a stream is to end with OpenAI's chunk of figures."""
    options = request.get("stream_options")
    return isinstance(options, Mapping) and options.get("include_usage") is True


def embeddings(request: Request) -> dict[str, Any]:
    """POST /api/v0/embeddings. Raises BadParameter."""
    if request.get("input") is None:
        raise BadParameter("input", "'input' is required", code="missing_required_parameter")
    said = request["input"]
    texts = said if isinstance(said, list) else [said]
    is_text = all(isinstance(text, str) for text in texts)
    if not texts or not (is_text or all(_is_tokens(text) for text in texts) or _is_tokens(said)):
        raise BadParameter("input", "'input' has to be a text, or a list of texts or of tokens", code="invalid_type")
    return {key: request[key] for key in ("input", "encoding_format", "dimensions") if request.get(key) is not None}


def _is_tokens(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(token, int) and not isinstance(token, bool) for token in value)


def _most_tokens(request: Request) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        if request.get(name) is not None:
            most = int(clamped(name, request[name], _TOKENS))
            return most if most >= 0 else None  # -1 is LM Studio's "until the model has ended"
    return None


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise BadParameter("messages", "'messages' has to be a list of objects", code="invalid_type")


def _image_url(url: object) -> str:
    """*url*, if the image is in it. Raises BadParameter."""
    if not isinstance(url, str) or not _IMAGE.fullmatch(url):
        raise BadParameter("input", "images have to be data URLs (data:image/png;base64,…); addresses are not fetched")
    return url


# ── v1 ───────────────────────────────────────────────────────────────────────────────────────────

REASONING = ("off", "low", "medium", "high", "on")


def chat(request: Request, model: Model, before: Sequence[Message]) -> tuple[dict[str, Any], list[Message]]:
    """POST /api/v1/chat: the body, and the messages to be kept.

    Args:
        before: what was said until now.
    Raises: BadParameter.
    """
    if request.get("integrations"):
        said = "integrations (MCP servers, plugins) are not supported; tools are, at POST /v1/chat/completions"
        raise BadParameter("integrations", said, 501, kind="not_implemented")
    check_context(request, model)
    messages = [*_with_system(request, before), {"role": "user", "content": _content(request, model)}]
    body: dict[str, Any] = {"messages": messages, **numbers(request, V1_NUMBERS), **_reasoning(request, model)}
    if request.get("max_output_tokens") is not None:
        most = int(clamped("max_output_tokens", request["max_output_tokens"], _TOKENS))
        body |= {"max_tokens": most} if most >= 0 else {}
    body |= {"stream": True, "stream_options": {"include_usage": True}}
    if not model.is_remote:
        body["return_progress"] = True  # llama-server tells how much of the prompt it has read
    return body, messages


def check_context(request: Request, model: Model) -> None:
    """Raises BadParameter if a longer context is wanted than there is: it is set in the configuration."""
    if request.get("context_length") is None:
        return
    wanted = clamped("context_length", request["context_length"], Range(1, 2**31 - 1, is_whole=True))
    if 0 < model.context_tokens < wanted:
        raise BadParameter(
            "context_length",
            f"context_length is {wanted:.0f}, but {model.name} has {model.context_tokens} tokens for a request; "
            "that is set in the configuration, not by request",
        )


def _with_system(request: Request, before: Sequence[Message]) -> list[Message]:
    prompt = request.get("system_prompt")
    if prompt is None:
        return list(before)
    if not isinstance(prompt, str):
        raise BadParameter("system_prompt", "'system_prompt' has to be a string", code="invalid_type")
    others = [message for message in before if message["role"] != "system"]
    return [{"role": "system", "content": prompt}, *others] if prompt else others


def _content(request: Request, model: Model) -> str | list[dict[str, Any]]:
    said = request.get("input")
    if said is None:
        raise BadParameter("input", "'input' is required", code="missing_required_parameter")
    if isinstance(said, str):
        return said
    if not isinstance(said, list) or not said:
        raise BadParameter("input", "'input' has to be a string or a list of parts", code="invalid_type")
    parts = [_part(part, model) for part in said]
    if all(part["type"] == "text" for part in parts):  # templates of models without eyes know strings only
        return "\n".join(part["text"] for part in parts)
    return parts


def _part(part: object, model: Model) -> dict[str, Any]:
    match part:
        case {"type": "text" | "message", "content": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image", "data_url": url}:
            if model.header is not None and not model.is_remote and "vision" not in model.capabilities:
                raise BadParameter("input", f"{model.name} does not support images")
            return {"type": "image_url", "image_url": {"url": _image_url(url)}}
    said = '\'input\': a part has to be {"type": "text", "content": …} or {"type": "image", "data_url": …}'
    raise BadParameter("input", said, code="invalid_union")


def _reasoning(request: Request, model: Model) -> dict[str, Any]:
    setting = request.get("reasoning")
    if setting is None:
        return {}
    if setting not in REASONING:
        raise BadParameter("reasoning", f"'reasoning' has to be one of {', '.join(REASONING)}", code="invalid_value")
    if setting != "off" and model.header is not None and not model.is_remote and "thinking" not in model.capabilities:
        raise BadParameter("reasoning", f"{model.name} does not support reasoning")
    effort = {"reasoning_effort": setting} if setting in ("low", "medium", "high") else {}
    return {"chat_template_kwargs": {"enable_thinking": setting != "off", **effort}}
