"""Puts a question into words for the model: who speaks, in which form, what was said before.

What stays the same comes first (the system prompt, worked answers, the history), so that the server finds it in
its prompt cache; only the question is new. Two ways to send it: ``messages``, for the server's own chat template,
or text in one of our templates, for servers and models without one. It does not send anything.
"""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from heisenberg.core.config import LlmConfig
from heisenberg.core.stages import Exchange
from heisenberg.llm.personalities import ENGLISH, LANGUAGE_NAMES, SPEECHES, Speech
from heisenberg.llm.visuals import VisualSchema, compact

log = logging.getLogger(__name__)

CHARS_PER_TOKEN = 3
"""An estimate on the safe side: English has more than 4 characters a token, French about 3. Counting for
certain would need the model's tokenizer."""

MESSAGE_TOKENS = 6
"""What a template adds to each message, at most."""


QUESTION_TOKENS = 64
"""Kept free for the question, so that no shorter one changes how much of the history fits: what stands before it
stays the same to the byte."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat."""

    role: str
    """``system``, ``user`` or ``assistant``."""
    content: str

    @property
    def tokens(self) -> int:
        """Its length, estimated."""
        return len(self.content) // CHARS_PER_TOKEN + MESSAGE_TOKENS


@dataclass(frozen=True, slots=True)
class Template:
    """A chat written as text."""

    render: Callable[[Sequence[Message]], str]
    stop: tuple[str, ...]
    """Where the model begins to speak for others."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is sent."""

    path: str
    """``/v1/chat/completions`` or ``/v1/completions``."""
    fields: dict[str, Any]
    """``messages``; or ``prompt`` and ``stop``."""
    tokens: int
    """Its length, estimated."""


class PromptBuilder:
    """Prompts as configured.

    Args:
        llm: personality, language, format and the sizes of context and answer.
        schema: the form of the answer.
    """

    def __init__(self, llm: LlmConfig, schema: VisualSchema) -> None:
        self._llm = llm
        self._schema = schema

    def build(self, question: str, history: Sequence[Exchange] = (), language: str | None = None) -> Prompt:
        """The prompt for *question*.

        The oldest exchanges are left out where the context is too short for all, a long question loses its end.

        Args:
            language: ISO 639-1 code of the question; counts where llm.language is "auto".
        """
        system = Message("system", self._system(language))
        window = self._llm.window_tokens
        left = max(window - self._llm.max_tokens, window // 2) - system.tokens
        asked = Message("user", without_markers(_shortened(question, left)))
        left -= max(asked.tokens, QUESTION_TOKENS)
        worked = self._worked_answers(language, left // 2)
        left -= sum(message.tokens for message in worked)
        return as_prompt([system, *worked, *_recent(history, left), asked], self._llm.prompt_format)

    def speech(self, language: str | None) -> Speech:
        """The texts for the language of the answer."""
        return SPEECHES.get(self._language(language), ENGLISH)

    def _language(self, asked: str | None) -> str:
        language = self._llm.language if self._llm.language != "auto" else asked or "en"
        return re.split(r"[-_]", language.strip().lower())[0]

    def _system(self, language: str | None) -> str:
        speech, code = self.speech(language), self._language(language)
        own = self._llm.system_prompt.strip()
        parts = [own or f"{speech.characters[self._llm.personality]} {speech.manner}"]
        if code not in SPEECHES:
            parts.append(f"Reply in {LANGUAGE_NAMES.get(code, f'the language {code!r}')}.")
        return " ".join([*parts, self._schema.hint(speech)])

    def _worked_answers(self, language: str | None, most_tokens: int) -> list[Message]:
        """As many worked answers as fit; the user's own system prompt is not contradicted by ours."""
        speech = self.speech(language)
        introduction = () if self._llm.system_prompt.strip() else (speech.introduction,)
        messages: list[Message] = []
        for example in (*speech.examples[::-1], *introduction):
            pair = [Message("user", example.question), Message("assistant", self._schema.example(example))]
            most_tokens -= sum(message.tokens for message in pair)
            if most_tokens < 0:
                break
            messages[:0] = pair
        return messages


def as_prompt(messages: Sequence[Message], prompt_format: str) -> Prompt:
    """*messages* as ``llm.prompt_format`` wants them sent."""
    tokens = sum(message.tokens for message in messages)
    if prompt_format == "server":
        chat = [{"role": message.role, "content": message.content} for message in messages]
        return Prompt("/v1/chat/completions", {"messages": chat}, tokens)
    template = TEMPLATES[prompt_format]
    fields = {"prompt": template.render(messages), "stop": list(template.stop)}
    return Prompt("/v1/completions", fields, tokens)


# ── what others wrote ────────────────────────────────────────────────────────────────────────────

_MARKERS = re.compile(
    r"<[|｜][^<>]{0,60}[|｜]>"  # <|im_start|>, <|eot_id|>; DeepSeek's bar is a wide one
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
    r"|<</?SYS>>"
    r"|</?(?:s|bos|eos|pad|unk|start_of_turn|end_of_turn|think)>",
    re.IGNORECASE,
)


def without_markers(text: str) -> str:
    """*text* without what a chat template could take for the end of a message.

    Servers read the markers of their model in any message, so this matters for the server's own template, too.
    """
    text, found = text.replace("\0", " "), 1
    while found:  # taking one away may have made another
        text, found = _MARKERS.subn(" ", text)
    return text.strip()


def _shortened(text: str, most_tokens: int) -> str:
    most_chars = max(most_tokens - MESSAGE_TOKENS, 16) * CHARS_PER_TOKEN
    if len(text) <= most_chars:
        return text
    log.warning(
        "The question has %d characters and is cut to %d, which is what llm.context_tokens leaves.",
        len(text),
        most_chars,
    )
    return text[:most_chars]


def _recent(history: Sequence[Exchange], most_tokens: int) -> list[Message]:
    """As many of the latest exchanges as fit, oldest first."""
    messages: list[Message] = []
    for exchange in reversed(history):
        answer = compact({"reply": without_markers(exchange.answer)})
        pair = [Message("user", without_markers(exchange.question)), Message("assistant", answer)]
        most_tokens -= sum(message.tokens for message in pair)
        if most_tokens < 0:
            break
        messages[:0] = pair
    return messages


# ── templates ────────────────────────────────────────────────────────────────────────────────────


def _chatml(messages: Sequence[Message]) -> str:
    turns = (f"<|im_start|>{message.role}\n{message.content}<|im_end|>\n" for message in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


def _llama2(messages: Sequence[Message]) -> str:
    """The server adds the first ``<s>`` itself."""
    system, *turns = messages
    text = f"<<SYS>>\n{system.content}\n<</SYS>>\n\n"
    for message in turns:
        text += f"{message.content} [/INST]" if message.role == "user" else f" {message.content} </s><s>[INST] "
    return f"[INST] {text}"


_ROLE = re.compile(r"\b(user|assistant|system)\s*:", re.IGNORECASE)


def _plain(messages: Sequence[Message]) -> str:
    """One line a message, so that nobody can begin another's; nor does a line name a role twice."""
    system, *turns = messages
    lines = (f"{message.role.capitalize()}: {_one_line(message.content)}" for message in turns)
    return "\n".join([system.content, "", *lines, "Assistant:"])


def _one_line(content: str) -> str:
    return _ROLE.sub(r"\1 -", " ".join(content.split()))


TEMPLATES = {
    "chatml": Template(_chatml, ("<|im_end|>", "<|im_start|>")),
    "llama2": Template(_llama2, ("</s>", "[INST]")),
    "plain": Template(_plain, ("\nUser:", "\nSystem:")),
}
"""By ``llm.prompt_format``."""
