"""What the orchestrator may rely on, whichever brain it is given: its own tests' fake is held to the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from heisenberg.core.errors import BrainError, HeisenbergError
from heisenberg.core.stages import Answer, Exchange, ReplySentence, ReplyToken, Thought, VisualField
from tests.contract.brains import BACKENDS, FAILURES, Scripted, in_pieces, said_before, scripted

REPLY = "The sea is deep. It is dark, too."
VISUAL = {"mood": "dark", "intensity": 0.5, "prompt": "a deep sea"}
ANSWER = json.dumps({"mood": "dark", "intensity": 0.5, "reply": REPLY, "visual": {"prompt": "a deep sea"}})
A_WHILE_S = 20


@pytest.fixture(params=[*BACKENDS, "fake"])
async def one(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scripted]:
    monkeypatch.delenv("OLLAMA_API_KEY", raising=False)
    async with scripted(request.param) as brain:
        yield brain


async def thoughts_of(one: Scripted, *history: Exchange) -> list[Thought]:
    async with asyncio.timeout(A_WHILE_S):
        return [thought async for thought in one.brain().think("How is the sea?", history, "en")]


async def test_an_answer_grows_and_is_whole_in_the_end(one: Scripted) -> None:
    """Tokens, sentences and fields in the order in which they complete; the Answer once, and last."""
    pieces = in_pieces(ANSWER)
    one.says(*pieces)
    *grown, answer = await thoughts_of(one)

    assert Answer(REPLY, VISUAL, len(pieces)) == answer
    assert not [thought for thought in grown if isinstance(thought, Answer)]
    assert REPLY == "".join(thought.text for thought in grown if isinstance(thought, ReplyToken))
    assert ["The sea is deep.", "It is dark, too."] == [
        thought.text for thought in grown if isinstance(thought, ReplySentence)
    ]
    assert list(VISUAL.items()) == [(said.field, said.value) for said in grown if isinstance(said, VisualField)]
    assert isinstance(grown[0], VisualField)
    assert VisualField("prompt", "a deep sea") == grown[-1]


async def test_what_is_complete_does_not_wait_for_the_rest(one: Scripted) -> None:
    one.never_ends('{"mood": "dark",', ' "reply": "The sea is deep. It')
    async with asyncio.timeout(A_WHILE_S), aclosing(one.brain().think("How is the sea?", ())) as thoughts:  # type: ignore[type-var]
        assert [VisualField("mood", "dark"), ReplyToken("The sea is deep. It"), ReplySentence("The sea is deep.")] == [
            await anext(thoughts) for _ in range(3)
        ]


async def test_closing_the_thoughts_ends_them_at_once(one: Scripted) -> None:
    one.never_ends('{"reply": "The sea')
    brain = one.brain()
    async with asyncio.timeout(A_WHILE_S):
        thoughts = brain.think("How is the sea?", ())
        assert ReplyToken("The sea") == await anext(thoughts)
        await thoughts.aclose()  # type: ignore[attr-defined]
        if one.backend != "fake":
            await one.ended.wait()


async def test_a_cancelled_task_ends_them_at_once(one: Scripted) -> None:
    one.never_ends('{"reply": "The sea')
    has_begun = asyncio.Event()

    async def listen() -> None:
        async for _ in one.brain().think("How is the sea?", ()):
            has_begun.set()

    async with asyncio.timeout(A_WHILE_S):
        listening = asyncio.create_task(listen())
        await has_begun.wait()
        listening.cancel()
        await asyncio.wait([listening])
        if one.backend != "fake":
            await one.ended.wait()

    assert listening.cancelled()


async def test_it_remembers_what_was_said(one: Scripted) -> None:
    one.says(ANSWER)
    await thoughts_of(one, Exchange("Who are you?", "A friend."), Exchange("And the sky?", "It is blue."))

    assert ["Who are you?", said_before("A friend."), "And the sky?", said_before("It is blue.")] == one.heard()[-5:-1]
    assert "How is the sea?" == one.heard()[-1]


@pytest.mark.parametrize("how", FAILURES)
async def test_every_failure_has_its_code(one: Scripted, how: str) -> None:
    one.fails(how)
    with pytest.raises(BrainError) as caught:
        await thoughts_of(one)

    assert FAILURES[how] == caught.value.code
    assert "\n" not in caught.value.message


async def test_it_answers_again_after_a_failure(one: Scripted) -> None:
    one.fails("an error in the stream")
    one.says(ANSWER)
    with pytest.raises(BrainError):
        await thoughts_of(one)

    assert REPLY == (await thoughts_of(one))[-1].text  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["an HTTP error", "the connection breaks", "nobody there"])
async def test_preparing_never_fails(one: Scripted, how: str) -> None:
    one.fails(how)
    async with asyncio.timeout(A_WHILE_S):
        await one.brain().prepare([Exchange("Hello", "Hi!")])


async def test_preparing_may_be_cancelled(one: Scripted) -> None:
    one.never_ends()
    async with asyncio.timeout(A_WHILE_S):
        preparing = asyncio.create_task(one.brain().prepare(()))
        await asyncio.sleep(0)
        preparing.cancel()
        await asyncio.wait([preparing])


@pytest.mark.parametrize("how", ["an HTTP error", "nobody there"])
async def test_a_server_that_cannot_answer_is_noticed_while_warming_up(one: Scripted, how: str) -> None:
    if one.backend == "fake":
        pytest.skip("it is always warm")
    one.fails(how)
    async with asyncio.timeout(A_WHILE_S):
        with pytest.raises(HeisenbergError):
            await one.brain().warm_up()


async def test_warming_up_is_followed_by_an_answer(one: Scripted) -> None:
    one.says(ANSWER)
    async with asyncio.timeout(A_WHILE_S):
        await one.brain().warm_up()

    assert REPLY == (await thoughts_of(one))[-1].text  # type: ignore[union-attr]
