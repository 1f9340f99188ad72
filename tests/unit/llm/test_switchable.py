"""Another brain takes the place of the one before, between two questions."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from heisenberg.core.config import PresetConfig
from heisenberg.core.stages import Answer, Exchange, ReplyToken, Thought, VisualField
from heisenberg.llm.switchable import SwitchableAnalyst, SwitchableBrain


class Mind:
    """Thinks its own name, and waits in the middle."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.closed = 0
        self.ended = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.done: list[str] = []

    async def think(
        self, question: str, history: Sequence[Exchange], language: str | None = None
    ) -> AsyncGenerator[Thought, None]:
        try:
            yield ReplyToken(self.model)
            await self.go_on.wait()
            assert not self.closed
            yield Answer(self.model, {}, 1)
        finally:
            self.ended += 1

    async def analyse(self, context: str, preset: PresetConfig) -> AsyncGenerator[VisualField | Answer, None]:
        yield VisualField("prompt", self.model)
        yield Answer("", {"prompt": self.model}, 1)

    async def prepare(self, history: Sequence[Exchange]) -> None:
        self.done.append("prepared")

    async def warm_up(self) -> None:
        self.done.append("warm")

    async def close(self) -> None:
        self.closed += 1


async def said(brain: SwitchableBrain) -> list[str]:
    return [thought.text async for thought in brain.think("Who?", ()) if not isinstance(thought, VisualField)]


async def test_the_next_question_goes_to_the_new_one() -> None:
    first, second = Mind("first"), Mind("second")
    brain = SwitchableBrain(first)
    before = await said(brain)
    brain.replace(second)
    after = await said(brain)
    await asyncio.sleep(0)

    assert (["first"] * 2, ["second"] * 2, "second") == (before, after, brain.model)
    assert (1, 0) == (first.closed, second.closed)

    await brain.close()

    assert (1, 1) == (first.closed, second.closed)


async def test_an_answer_under_way_is_finished_by_whom_it_began_with() -> None:
    first, second = Mind("first"), Mind("second")
    first.go_on.clear()
    brain = SwitchableBrain(first)
    answering = asyncio.create_task(said(brain))
    await asyncio.sleep(0)
    brain.replace(second)
    await asyncio.sleep(0)

    assert 0 == first.closed

    first.go_on.set()

    assert ["first", "first"] == await answering

    await asyncio.sleep(0)

    assert 1 == first.closed

    await brain.close()


async def test_an_answer_that_is_given_up_is_given_up_at_the_model() -> None:
    first = Mind("first")
    brain = SwitchableBrain(first)
    thoughts = brain.think("Who?", ())
    await anext(thoughts)
    await thoughts.aclose()

    assert 1 == first.ended

    await brain.close()
    await brain.close()


async def test_an_analyst_is_replaced_in_the_same_way() -> None:
    first, second = Mind("first"), Mind("second")
    analyst = SwitchableAnalyst(first)
    await analyst.warm_up()
    analyst.replace(second)
    found = [thought async for thought in analyst.analyse("The sea.", PresetConfig())]

    assert VisualField("prompt", "second") == found[0]
    assert ["warm"] == first.done
    assert "second" == analyst.model

    await analyst.close()
