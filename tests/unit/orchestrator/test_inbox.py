"""What waits for the session, and whether anybody takes it."""

import asyncio

import numpy as np

from heisenberg.core.drops import Drops
from heisenberg.orchestrator.inbox import INBOX_SIZE, MAX_QUESTIONS, Inbox
from heisenberg.orchestrator.reports import CommandBegan, InputEnded, Overheard
from heisenberg.orchestrator.states import StopAsked, TextAsked


def inbox() -> tuple[Inbox, Drops]:
    drops = Drops()
    return Inbox(drops), drops


async def test_items_are_taken_in_the_order_in_which_they_came() -> None:
    box, _ = inbox()
    for item in (first := CommandBegan(1), second := StopAsked()):
        box.put(item)

    assert [first, second] == [await box.take(), await box.take()]
    assert box.is_empty


async def test_a_full_inbox_drops_sound_and_questions_but_nothing_that_ends_something() -> None:
    box, drops = inbox()
    for _ in range(INBOX_SIZE):
        box.put(CommandBegan(1))
    for item in (Overheard(np.zeros(1, dtype=np.int16)), TextAsked("Who?"), StopAsked(), InputEnded()):
        box.put(item)
    waiting = [await box.take() for _ in range(INBOX_SIZE + 2)]

    assert {"inbox": 2} == drops.totals()
    assert [StopAsked(), InputEnded()] == waiting[-2:]
    assert box.is_empty


async def test_a_question_that_was_put_off_comes_when_nothing_else_waits() -> None:
    box, _ = inbox()
    box.put_off(TextAsked("Who?"))
    box.put(StopAsked())

    assert box.next_question() is None

    await box.take()

    assert TextAsked("Who?") == box.next_question()
    assert not box.has_questions


async def test_who_asks_waits_while_too_many_questions_do() -> None:
    box, _ = inbox()
    for number in range(MAX_QUESTIONS):
        box.put_off(TextAsked(str(number)))
    asking = asyncio.create_task(box.room())
    await asyncio.sleep(0)

    assert not asking.done()

    box.next_question()
    await asking


async def test_progress_is_expected_only_while_something_waits_for_somebody() -> None:
    box, _ = inbox()
    box.put(StopAsked())

    assert box.progress is None  # nobody means to take it

    box.is_read = True
    before = box.progress
    box.put(StopAsked())
    await box.take()

    assert (0, 1) == (before, box.progress)

    await box.take()

    assert box.progress is None
