"""The analyst of ambient mode: what is being said in, visual fields out while they grow, and not a word of its own.

Asks the same language models as the brain, with a style preset in place of a personality. It does not decide when;
the lease that it is given decides who goes first.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import aiohttp

from heisenberg.core.config import LlmConfig, PresetConfig, VisualConfig
from heisenberg.core.errors import BrainError
from heisenberg.core.stages import Answer, LeaseService, VisualField
from heisenberg.llm.answer import GrowingAnswer
from heisenberg.llm.model import LanguageModel
from heisenberg.llm.personalities import ENGLISH
from heisenberg.llm.presets import BUILT_IN
from heisenberg.llm.prompts import CHARS_PER_TOKEN, MESSAGE_TOKENS, Message, Prompt, as_prompt, without_markers
from heisenberg.llm.visuals import VisualSchema

SYSTEM_PROMPT = (
    "Somebody is speaking, and pictures follow what they say. Imagine one scene for it, most of all for the last "
    "sentences. Always describe it in English."
)
"""For presets without a system prompt; the form of the answer comes after it."""

LEAST_CONTEXT_TOKENS = 32
"""So much of what was said is shown even where the preset leaves no room."""


class SchemaAnalyst:
    """A language model that answers with visual fields.

    Args:
        llm: the model and its limits.
        visual: the fields of presets that have none.
        lease: gives the model's server for the length of a block.
        http: a session to share; without it the analyst makes its own, and ``close`` closes it.
    """

    def __init__(
        self,
        llm: LlmConfig,
        visual: VisualConfig,
        lease: LeaseService,
        *,
        http: aiohttp.ClientSession | None = None,
    ) -> None:
        self.model = llm.model
        self._model = LanguageModel(llm, lease, http=http, is_voice=False)
        self._llm = llm
        self._visual = visual

    async def analyse(self, context: str, preset: PresetConfig) -> AsyncGenerator[VisualField | Answer, None]:
        """Stream what *context* looks like: each field when it is complete and valid, then one Answer without text.

        The beginning of a long context is left out. Fields that the model leaves out or gets wrong are absent.

        Raises: BrainError, with code ``llm-bad-answer`` if there is no valid field at all; RunnerError if the model
            cannot be started.
        """
        schema = self._schema(preset)
        answer = GrowingAnswer(schema)
        most_tokens = self._most_tokens(schema)
        prompt = self._prompt(context, preset, schema)
        async with aclosing(self._model.answer(prompt, schema.json_schema(), most_tokens)) as deltas:
            async for delta in deltas:
                for thought in answer.take(delta):
                    if isinstance(thought, VisualField):
                        yield thought
        for thought in answer.finish():
            if isinstance(thought, VisualField):
                yield thought
            elif isinstance(thought, Answer):
                yield _silent(thought)

    async def warm_up(self) -> None:
        """Start the server. Raises HeisenbergError."""
        preset = PresetConfig()
        schema = self._schema(preset)
        await self._model.warm_up(self._prompt("Hello!", preset, schema), schema.json_schema())

    async def close(self) -> None:
        """Close the connections that are ours. May be called twice."""
        await self._model.close()

    def _schema(self, preset: PresetConfig) -> VisualSchema:
        fields = preset.fields or self._visual.fields
        return VisualSchema(fields, max_tokens=self._llm.max_tokens, has_reply=False)

    def _most_tokens(self, schema: VisualSchema) -> int:
        """llm.max_tokens is for a reply; a preset of many fields may need more."""
        return min(max(self._llm.max_tokens, schema.visual_tokens), self._llm.window_tokens // 2)

    def _prompt(self, context: str, preset: PresetConfig, schema: VisualSchema) -> Prompt:
        own = preset.system_prompt.strip()
        system = Message("system", f"{own or SYSTEM_PROMPT} {schema.hint(ENGLISH)}")
        # A style of the user's is not contradicted by our pictures; ours needs them, since small models only imitate.
        worked = [] if own and preset not in BUILT_IN.values() else self._worked_answers(schema)
        left = self._llm.window_tokens - self._most_tokens(schema) - MESSAGE_TOKENS
        left -= sum(message.tokens for message in (system, *worked))
        said = _newest(without_markers(context), max(left, LEAST_CONTEXT_TOKENS) * CHARS_PER_TOKEN)
        return as_prompt([system, *worked, Message("user", said)], self._llm.prompt_format)

    def _worked_answers(self, schema: VisualSchema) -> list[Message]:
        messages: list[Message] = []
        for example in ENGLISH.examples:
            messages += [Message("user", example.reply), Message("assistant", schema.example(example))]
        return messages


def _silent(answer: Answer) -> Answer:
    """*answer* without what a model said in spite of its schema."""
    if not answer.visual:
        raise BrainError(
            "The language model's analysis has no valid visual field. Try another model.", code="llm-bad-answer"
        )
    return Answer("", answer.visual, answer.tokens)


def _newest(text: str, most_chars: int) -> str:
    """The end of *text*, from the beginning of a word on."""
    if len(text) <= most_chars:
        return text
    kept = text[-most_chars:]
    return kept if text[-most_chars - 1].isspace() else kept.partition(" ")[2] or kept
