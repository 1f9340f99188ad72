"""Ollama's ``context``: the conversation so far, as numbers that a client hands back with its next prompt.

Ollama puts token ids there. Ours holds the messages themselves, three bytes to a number, so that it survives another
model or a restart and costs no call to a tokenizer. Clients treat it as opaque. Pictures are not kept.
"""

import json
from collections.abc import Sequence
from typing import Any

from heisenberg.server.asgi import BadRequest

MAGIC = 0x484531
"""The first number; the second is how many bytes follow."""

BYTES_EACH = 3
"""Numbers stay below 2**24: some clients read them as 32-bit integers."""

Message = dict[str, Any]


def encode(messages: Sequence[Message]) -> list[int]:
    """*messages* (role and text only) as numbers; never empty."""
    raw = json.dumps(messages, separators=(",", ":")).encode()
    numbers = [int.from_bytes(raw[at : at + BYTES_EACH], "big") for at in range(0, len(raw), BYTES_EACH)]
    return [MAGIC, len(raw), *numbers]


def decode(context: object) -> list[Message]:
    """What :func:`encode` was given. Raises BadRequest if *context* is not from this server."""
    try:
        return _checked(json.loads(_bytes(context)))
    except (ValueError, TypeError, OverflowError, RecursionError) as exc:
        raise BadRequest("context is not one that this server has given out; send the prompt without it") from exc


def _bytes(context: object) -> bytes:
    if not isinstance(context, list) or len(context) < 2 or context[0] != MAGIC:
        raise ValueError("no context of ours")
    size, numbers = context[1], context[2:]
    last = size - BYTES_EACH * (len(numbers) - 1)
    if not numbers or not 1 <= last <= BYTES_EACH:
        raise ValueError("not as long as it says")
    widths = [BYTES_EACH] * (len(numbers) - 1) + [last]
    return b"".join(int.to_bytes(number, width, "big") for number, width in zip(numbers, widths, strict=True))


def _checked(messages: object) -> list[Message]:
    if not isinstance(messages, list):
        raise TypeError("no list")
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise TypeError("no message")
        if message["role"] not in {"system", "user", "assistant"} or not isinstance(message["content"], str):
            raise TypeError("no text")
    return messages
