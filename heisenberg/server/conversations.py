"""Conversations that clients go on with by the identity of an answer, kept in memory for a while.

Bounded in number, size and age: the oldest are forgotten, and all of them when the server ends. Nothing is written
anywhere. What the messages mean is the dialects' affair.
"""

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST = 500
MOST_BYTES = 64_000_000
KEPT_S = 24 * 3600.0
PREFIX = "resp_"

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Conversation:
    messages: tuple[Message, ...]
    size_bytes: int
    until_s: float


class Conversations:
    """What was said, by the identity of the last answer; so a conversation can branch at each answer.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, _Conversation] = OrderedDict()
        self._bytes = 0

    def keep(self, messages: Sequence[Message]) -> str:
        """Keep *messages*, the last answer included; the identity by which they are found."""
        identity = PREFIX + secrets.token_hex(24)
        size = len(json.dumps(messages))
        self._kept[identity] = _Conversation(tuple(messages), size, self._clock() + KEPT_S)
        self._bytes += size
        self._forget()
        return identity

    def find(self, identity: str) -> tuple[Message, ...] | None:
        """What was said up to the answer *identity*; None if it is not known, or not any more."""
        self._forget()
        found = self._kept.get(identity)
        return found.messages if found else None

    def _forget(self) -> None:
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept.values()))
            is_full = len(self._kept) > MOST or (self._bytes > MOST_BYTES and len(self._kept) > 1)
            if not is_full and oldest.until_s > now:
                return
            self._kept.popitem(last=False)
            self._bytes -= oldest.size_bytes
