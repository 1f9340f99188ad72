"""How many tokens and seconds an answer took, in LM Studio's words.

Pure. llama-server's own figures (``timings``) count first, then OpenAI's (``usage``), then our clock and the number
of pieces that came.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STOP_REASONS = {"stop": "eosFound", "length": "maxPredictedTokensReached", "tool_calls": "toolCalls"}
"""``finish_reason`` in LM Studio's words; those of others are not known."""


@dataclass(slots=True)
class Figures:
    """Of one answer, collected while it comes.

    Args:
        clock: seconds, monotonic.
    """

    clock: Callable[[], float]
    finish: str = ""
    """``finish_reason``, once it is known."""
    pieces: int = 0
    """Events with something in them: a token each, at most servers."""
    thought: int = 0
    """Those of them that were reasoning."""
    timings: Mapping[str, Any] = field(default_factory=dict)
    usage: Mapping[str, Any] = field(default_factory=dict)
    _asked_s: float = 0.0
    _first_s: float | None = None
    _last_s: float | None = None

    def __post_init__(self) -> None:
        self._asked_s = self.clock()

    def count(self, *, is_thought: bool = False) -> None:
        """A piece has come."""
        self.pieces += 1
        self.thought += is_thought
        if self._first_s is None:
            self._first_s = self.clock()

    def note(self, event: Mapping[str, Any]) -> None:
        """Whatever *event* says of itself."""
        for key in ("timings", "usage"):
            if isinstance(found := event.get(key), Mapping) and found:
                setattr(self, key, found)

    def end(self) -> None:
        """Nothing more comes."""
        self._last_s = self.clock()

    @property
    def input_tokens(self) -> int:
        """Of the prompt, whether they were processed or remembered."""
        known = _whole(self.usage, "prompt_tokens")
        return known or _whole(self.timings, "prompt_n") + _whole(self.timings, "cache_n")

    @property
    def output_tokens(self) -> int:
        """Generated, reasoning included."""
        return _whole(self.usage, "completion_tokens") or _whole(self.timings, "predicted_n") or self.pieces

    @property
    def reasoning_tokens(self) -> int:
        """Those of them that were reasoning; counted in pieces where the server does not say."""
        details = self.usage.get("completion_tokens_details")
        known = _whole(details, "reasoning_tokens") if isinstance(details, Mapping) else 0
        return min(known or self.thought, self.output_tokens)

    @property
    def first_token_s(self) -> float:
        """From the question to the first token."""
        if self._first_s is not None:
            return max(0.0, self._first_s - self._asked_s)
        return _seconds(self.timings, "prompt_ms")

    @property
    def generation_s(self) -> float:
        """From the first token to the last; from the question, if the answer came in one piece."""
        if known := _seconds(self.timings, "predicted_ms"):
            return known
        if self._last_s is None:
            return 0.0
        return max(0.0, self._last_s - (self._asked_s if self._first_s is None else self._first_s))

    @property
    def tokens_per_second(self) -> float:
        """While it was generating."""
        return self.output_tokens / self.generation_s if self.generation_s > 0 else 0.0

    def v0(self) -> dict[str, Any]:
        """``stats`` of the old API."""
        return {
            "tokens_per_second": self.tokens_per_second,
            "time_to_first_token": self.first_token_s,
            "generation_time": self.generation_s,
            "stop_reason": STOP_REASONS.get(self.finish, self.finish or "unknown"),
        }

    def v1(self, load_s: float = 0.0) -> dict[str, Any]:
        """``stats`` of the new API; *load_s* is there if the model had to be loaded."""
        return {
            "input_tokens": self.input_tokens,
            "total_output_tokens": self.output_tokens,
            "reasoning_output_tokens": self.reasoning_tokens,
            "tokens_per_second": self.tokens_per_second,
            "time_to_first_token_seconds": self.first_token_s,
            **({"model_load_time_seconds": load_s} if load_s > 0 else {}),
        }


def _whole(found: Mapping[str, Any], key: str) -> int:
    value = _number(found, key)
    return int(value)


def _seconds(found: Mapping[str, Any], key: str) -> float:
    return _number(found, key) / 1e3


def _number(found: Mapping[str, Any], key: str) -> float:
    """0 if it is not there, no number, or none that could be."""
    value = found.get(key)
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15
    return value if is_number and isinstance(value, int | float) else 0
